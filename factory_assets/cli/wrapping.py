"""Reports on the terminal: as wrapped lines, or as JSON."""

from collections.abc import Iterable
from textwrap import wrap

from pydantic import BaseModel

WIDTH = 100
"""Maximum characters of a line on the terminal."""


def wrap_line(line: str) -> list[str]:
    """Wrap a line to `WIDTH` columns; unprintable characters, which data may hold, become `?`."""
    clean = "".join(c if c.isprintable() else "?" for c in line)
    indent = len(clean) - len(clean.lstrip())
    continuation = " " * (indent + 4)
    return wrap(clean, WIDTH, subsequent_indent=continuation, break_on_hyphens=False) or [""]


def wrap_lines(lines: Iterable[str]) -> str:
    """Return lines as one text for the terminal, each wrapped and ended."""
    return "\n".join(part for line in lines for part in wrap_line(line)) + "\n"


def json_text(report: BaseModel) -> str:
    """Return a report as indented JSON, ended by a line break."""
    return report.model_dump_json(indent=1) + "\n"
