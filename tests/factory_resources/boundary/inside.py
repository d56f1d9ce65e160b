"""Commands inside a boundary, started by an ordinary user."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from factory_resources.boundary.boundary import Boundary
from factory_resources.boundary.report import BoundaryReport, parse_report
from factory_resources.home.home import PROJECT
from tests.ordinary_user import by_ordinary_user

READABLE = (PROJECT,)


class Ended(NamedTuple):
    """How a command inside ended."""

    code: int
    output: str
    errors: str
    report: BoundaryReport | None


def python(script: str, *arguments: str) -> list[str]:
    """Return the command line of a script that needs nothing but the standard library."""
    return [sys.executable, "-I", "-S", "-c", script, *arguments]


def boundary(**fields: Any) -> Boundary:
    """Return a boundary in which tests can import the project."""
    return Boundary(**{"level": "required", "readable": READABLE, **fields})


def command_line(within: Boundary, argv: Sequence[str], report: Path | None = None) -> list[str]:
    return by_ordinary_user(within.command(argv, report))


def run_inside(within: Boundary, argv: Sequence[str], folder: Path, **settings: Any) -> Ended:
    """Run a command to its end, with its report in the folder."""
    report = folder / "report.json"
    done = subprocess.run(
        command_line(within, argv, report),
        **{"capture_output": True, "text": True, "timeout": 60, "check": False, **settings},
    )
    found = parse_report(report.read_text("utf-8")) if report.exists() else None
    return Ended(done.returncode, done.stdout, done.stderr, found)
