"""Ask for a boundary around a command: what it may reach, and how much must hold.

This is what callers import. The command line that `Boundary.command` returns is a process of its
own, because a process with threads must not become another one by itself.
"""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from factory_resources.boundary.addresses import split_address
from factory_resources.boundary.report import BoundaryReport, Level, parse_report
from factory_resources.errors import BoundaryError, SettingError

_ROOT = Path(__file__).resolve().parents[2]

# Neither `site` nor its .pth files run outside of the boundary, and it starts in half the time.
_PYTHON_OPTIONS = ("-I", "-S", "-c")
_START = (
    "import sys; sys.path.append(sys.argv.pop(1)); "
    "from factory_resources.boundary.command import main; sys.exit(main(sys.argv[1:]))"
)
_SECONDS = 20


@dataclass(frozen=True)
class Boundary:
    """What a command may reach.

    Args:
        allow: addresses, `HOST:PORT` or `[IPV6]:PORT`. Names are resolved once, before it starts.
        writable: folders and files that it may write; what is planted there stays.
        readable: folders and files that it may read, beside the system and Python. One within a
            writable folder stays read-only.
        kept: files and folders within writable ones that it may only read, as far as the machine
            can do that; a report may be written there.
        level: "auto" for as much as the machine can do; "required" for namespaces, or the command
            is not started; "seccomp" for the fallback alone; "off".
        shared_memory: bytes of /dev/shm, where data loaders pass batches; 0 for as many as outside.
        user: the system user that root becomes, and its group if it is another number.
    """

    allow: tuple[str, ...] = ()
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    kept: tuple[Path, ...] = ()
    level: Literal["auto", "required", "seccomp", "off"] = "auto"
    shared_memory: int = 0
    user: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        """Check the addresses.

        Raises:
            SettingError: one is not valid.
        """
        for text in self.allow:
            try:
                split_address(text)
            except ValueError as error:
                raise SettingError(str(error), remedy="write db.example.org:5432") from None

    def command(self, argv: Sequence[str], report_file: Path | None = None) -> list[str]:
        """Return the command line that runs `argv` inside.

        Its exit code is the command's; 128 and the number of the signal that ended it; or 97 if
        the boundary could not be set up, and the command was not started. Signals to it are
        forwarded, and when it ends, however it ends, everything inside has ended.

        Args:
            argv: the command and its arguments.
            report_file: where the report is written when the command has ended; see
                `report.parse_report`.
        """
        options = [f"--level={self.level}"]
        options += [f"--allow={text}" for text in self.allow]
        options += [f"--writable={path.absolute()}" for path in self.writable]
        python = (Path(sys.prefix), Path(sys.base_prefix))
        options += [f"--readable={path.absolute()}" for path in (*self.readable, *python)]
        options += [f"--kept={path.absolute()}" for path in self.kept]
        if self.shared_memory:
            options.append(f"--shared-memory={self.shared_memory}")
        if self.user is not None:
            options.append("--user={}:{}".format(*self.user))
        if report_file is not None:
            options.append(f"--report={report_file.absolute()}")
        return [sys.executable, *_PYTHON_OPTIONS, _START, str(_ROOT), *options, "--", *argv]


def level_here(user: tuple[int, int] | None = None) -> tuple[Level, str]:
    """Return which level this machine can reach, and why not more; it takes a tenth of a second.

    Args:
        user: whom root becomes; see `Boundary`.

    Raises:
        BoundaryError: it cannot be found out.
    """
    report = _run_nothing(Boundary(user=user))
    return report.level, report.reason


def _run_nothing(boundary: Boundary) -> BoundaryReport:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "report.json"
        try:
            done = subprocess.run(
                boundary.command([sys.executable, "-I", "-S", "-c", ""], file),
                capture_output=True,
                text=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BoundaryError(
                f"no boundary was set up within {_SECONDS} seconds",
                remedy="try again when the machine is less busy",
            ) from None
        if not file.exists():
            raise BoundaryError(done.stderr.strip(), remedy="docs/boundary.md says what it needs")
        return parse_report(file.read_text(encoding="utf-8"))
