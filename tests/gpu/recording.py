"""Record a run of the tests of a GPU in a dated file: what ran on which device, and how long.

Which tests there are belongs in `test_networks`.
"""

import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from factory_resources.home.home import PROJECT

LIMIT = 600.0
"""Seconds that a run may take."""

_LIBRARIES = ("torch", "lightning", "onnxruntime", "numpy")


def without_gpu() -> str:
    """Return why no GPU can be tested here; empty if one can."""
    import torch

    if torch.cuda.is_available():
        return ""
    build = f"torch {torch.__version__} is built " + (
        f"for CUDA {torch.version.cuda}" if torch.version.cuda else "without CUDA"
    )
    return f"no CUDA GPU that PyTorch can use on this machine ({build})"


def device_lines() -> Iterator[str]:
    """Yield the GPUs of this machine, their driver and CUDA; the processor without one."""
    import torch

    if not torch.cuda.is_available():
        yield f"{platform.machine()} processor, no GPU"
        return
    for number in range(torch.cuda.device_count()):
        memory = torch.cuda.get_device_properties(number).total_memory / 2**30
        yield f"{torch.cuda.get_device_name(number)}, {memory:.0f} GiB"
    yield f"driver {_driver()}, CUDA {torch.version.cuda}, NCCL {_nccl()}"


def _driver() -> str:
    try:
        import pynvml
    except ImportError:
        return "unknown (nvidia-ml-py is not installed)"
    pynvml.nvmlInit()
    try:
        return str(pynvml.nvmlSystemGetDriverVersion())
    finally:
        pynvml.nvmlShutdown()


def _nccl() -> str:
    import torch

    return ".".join(map(str, torch.cuda.nccl.version()))


@dataclass
class Recording:
    """A plugin of pytest that writes what ran to a file in a folder."""

    folder: Path
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    reports: list[pytest.TestReport] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return (datetime.now(UTC) - self.started).total_seconds()

    @property
    def file(self) -> Path:
        """Where it is written; a second run of a day replaces the first."""
        return self.folder / f"gpu-{self.started:%Y-%m-%d}.md"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.reports.append(report)

    def pytest_sessionfinish(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text("\n".join(self._lines()) + "\n", encoding="utf-8")

    def _lines(self) -> Iterator[str]:
        yield f"# Tests on a GPU, {self.started:%Y-%m-%d %H:%M} UTC"
        yield ""
        yield "Written by `make test-gpu`."
        yield ""
        yield from (f"- {line}" for line in device_lines())
        yield f"- {', '.join(f'{name} {version(name)}' for name in _LIBRARIES)}"
        yield f"- commit {_commit()}, {platform.system()}, Python {platform.python_version()}"
        yield f"- {self.seconds:.0f} s of at most {LIMIT:.0f} s"
        yield ""
        yield "| test | result | seconds | figures |"
        yield "|---|---|---|---|"
        yield from map(_row, self.reports)


def _row(report: pytest.TestReport) -> str:
    name = report.nodeid.rpartition("::")[2].removeprefix("test_")
    figures = ", ".join(f"{key} {value}" for key, value in report.user_properties)
    result = report.outcome if report.when == "call" else f"{report.outcome} ({report.when})"
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        figures = str(report.longrepr[2]).removeprefix("Skipped: ")
    cells = (name.replace("_", " "), result, f"{report.duration:.1f}", figures)
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=PROJECT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = " with changes" if git("status", "--porcelain", "--untracked-files=no") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed
