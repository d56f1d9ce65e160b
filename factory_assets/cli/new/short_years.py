"""Decide the century of years of two digits: the engine reads 45 as 2045, whoever was born then.

It must not depend on when the pipeline runs, so that the day of the draft is written down.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from factory_assets.cli.new.column_summary import ColumnForm
from factory_assets.data.leakage.semantics import BIRTHS, PLANS, words_of
from factory_resources.sql.engine import literal

_AHEAD = 10
"""Years from today in which something may be planned."""

_ENDS = frozenset(("expiry", "expires", "expiration", "maturity", "until", "end", "ende", "bis"))
"""Words in the names of dates that may lie ahead, however far."""


def with_centuries(
    connection: Any, texts: str, forms: Mapping[str, ColumnForm], sources: Mapping[str, str]
) -> dict[str, ColumnForm]:
    """Return the forms whose years of two digits would lie ahead, with the years before, or a note.

    Args:
        connection: an engine that reads the texts.
        texts: SQL of a table of (name, text) without missing values.
        forms: the columns of numbers and dates by their names.
        sources: their names in the file.
    """
    today, found = datetime.now(UTC).date(), {}
    for name, form in forms.items():
        if "%y" in form.written:
            read = form.written.replace("{}", "text")
            [(latest,)] = connection.execute(
                f"SELECT CAST(max({read}) AS DATE) FROM {texts} WHERE name = {literal(name)}"
            ).fetchall()
            if latest > today:
                found[name] = _in_century(form, sources[name], latest, today)
    return found


def _in_century(form: ColumnForm, name: str, latest: date, today: date) -> ColumnForm:
    words = set(words_of(name))
    lies_ahead = bool((PLANS | _ENDS) & words)
    is_past = bool((BIRTHS - _ENDS) & words) or latest.year - today.year > _AHEAD
    written, note = form.written, f"some of its dates are after {today}: is the century right?"
    if is_past and not lies_ahead:
        time = written.removeprefix("CAST(").removesuffix(" AS DATE)")
        before = f"CASE WHEN {time} > '{today}' THEN {time} - INTERVAL 100 YEAR ELSE {time} END"
        written = f"CAST({before} AS DATE)" if form.type == "date" else before
        note = f"years after {today} are read as a century earlier: is that right?"
    return replace(form, written=written, note="; ".join(filter(None, (form.note, note))))
