"""Measure a command from outside; also copies the pipeline that benchmarks run."""

import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from factory_resources.home.home import PROJECT
from factory_resources.security.offline import SWITCHES

FACTORY = str(Path(sys.executable).with_name("factory"))
SHIPPED = PROJECT / "factory_assets" / "defs" / "machine_failure"


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    name: str
    measured: str
    target: str
    met: bool


@dataclass(frozen=True)
class Usage:
    """The resources that a process and its children used."""

    cpu: float
    """CPU seconds, user and system."""
    wall: float
    """Seconds."""
    megabytes: float
    """Largest resident set of any one process."""
    output: str


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run a command in a process of its own, and wait for its end.

    Raises:
        RuntimeError: the command failed; the message has the end of its output.
    """
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command,
            env={**os.environ, **SWITCHES, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
        )
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {process.returncode}:\n{text[-3000:]}")
    return Usage(_cpu(used), wall, used.ru_maxrss / 1024, text)


def quickest(commands: Mapping[str, Sequence[str]], rounds: int = 2) -> dict[str, Usage]:
    """Return the quickest run of each command; they alternate, so that other load hits all."""
    runs = [
        {name: measure(command, {}) for name, command in commands.items()} for _ in range(rounds)
    ]
    return {name: min((run[name] for run in runs), key=lambda used: used.wall) for name in commands}


def _cpu(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def machine_failure(folder: Path, name: str, rows: int) -> Path:
    """Copy the shipped pipeline under another name, with the given number of simulated rows."""
    copy = folder / name
    shutil.copytree(SHIPPED, copy, ignore=shutil.ignore_patterns("__pycache__"))
    declaration = copy / "defs.yaml"
    before = declaration.read_text(encoding="utf-8")
    after = before.replace("rows: 100000", f"rows: {rows}")
    if after == before and rows != 100_000:
        raise RuntimeError(f"{SHIPPED} no longer declares `rows: 100000`")
    declaration.write_text(after, encoding="utf-8")
    return copy


def run_sides(
    sides: Sequence[Callable[[Path], int | None]], run: Callable[[int], list[Result]], rows: int
) -> None:
    """Run the command line of a benchmark with sides: `SIDE FOLDER` for one, or `[ROWS ...]`."""
    by_name = {side.__name__: side for side in sides}
    if sys.argv[1:2] and sys.argv[1] in by_name:
        print(by_name[sys.argv[1]](Path(sys.argv[2])))
        return
    for size in map(int, sys.argv[1:] or [rows]):
        for result in run(size):
            print(result.name, result.measured, sep=": ")
