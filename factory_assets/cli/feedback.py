"""`factory feedback`: record the outcomes in a file, or show how many answers have one.

Recording belongs in `factory_assets.serving.feedback`, counting in `factory_resources.outcomes`.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.serving.feedback.table import OutcomeColumns
from factory_assets.spec.base import suggest
from factory_resources.durations import parse_day
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    from rich.table import Table

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def feedback_lines(pipeline: str, file: Path, columns: OutcomeColumns) -> Iterator[str]:
    """Record the outcomes in a file, and yield what became of them.

    Raises:
        FactoryError: a row or a column is wrong, or the file or a database cannot be read; nothing
            was recorded.
    """
    from factory_assets.serving.feedback.file import record_from_file

    home = Home.from_env()
    _require_versions(pipeline, home)
    counts = record_from_file(pipeline, file, home, columns)
    yield (
        f"{counts.recorded:,} recorded, {counts.corrected:,} corrected, "
        f"{counts.repeated:,} repeated"
    )
    if counts.later:
        yield f"{counts.later:,} had earlier answers, too: an outcome is that of the latest"
    if counts.empty:
        yield f"{amount(counts.empty, 'rows')} without an outcome yet"
    yield f"next: factory feedback {pipeline}"


def summary_table(pipeline: str, since: str | None, days: int) -> "Table":
    """Return how many answers of a pipeline have an outcome, as a table for the terminal.

    Args:
        since: a day such as `2026-03-01`; None for all answers that are on record.
        days: after which an answer should have an outcome.

    Raises:
        UnknownNameError: there is no such pipeline, or it is not a day.
        StorageError: a database cannot be read.
    """
    from rich.table import Table

    from factory_resources.outcomes.summary import outcome_summary

    home = Home.from_env()
    _require_versions(pipeline, home)
    found = outcome_summary(
        home, pipeline, parse_day(since) if since else None, age=timedelta(days=days)
    )
    rows = {
        "answers": f"{found.answers:,}",
        "with an outcome": _share(found.with_outcome, found.answers),
        f"without one after {days} days": _share(found.missing, found.answers),
        "median delay": _duration(found.median_delay),
        "95 of 100 within": _duration(found.late_delay),
        "corrected": f"{found.corrected:,}",
        "contradicting": f"{found.contradicting:,}",
        "repeated": f"{found.repeated:,}",
        "refused": f"{found.refused:,}",
    }
    table = Table(title=f"outcomes of {pipeline}", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for name, value in rows.items():
        table.add_row(name, value)
    return table


def _require_versions(pipeline: str, home: Home) -> None:
    if pipeline not in (known := Registry(home).versions()):
        raise UnknownNameError(
            f"{pipeline!r} has no model version",
            remedy=suggest(pipeline, known) if known else f"train one: factory run {pipeline}",
        )


def _share(number: int, total: int) -> str:
    return f"{number:,} ({number / total:.1%})" if total else f"{number:,}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    unit, size = next(((name, size) for name, size in _UNITS if seconds >= size), ("s", 1))
    return f"{seconds / size:.1f} {unit}"
