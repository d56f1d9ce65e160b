"""Notice values that may mean "no value": -999 among ages, one text among numbers.

Only the owner of the data knows, so that a draft asks.
"""

import re
from collections.abc import Iterator
from typing import Any

from factory_assets.cli.new.column_summary import ColumnSummary
from factory_assets.cli.new.written_forms import ENGLISH, GERMAN
from factory_resources.sql.engine import literal

_NINES = re.compile("-?99+")

_FEWEST_ROWS = 2
"""Fewest rows of a number that stands for something: a single one may be a slip."""

_FEWEST_NUMBERS = 10
"""Fewest different numbers beside a text; fewer may be names of categories."""

_NUMBERS, _MOST_TEXTS = 0.95, 3
"""Share of the values that are numbers, and the most different texts among them: codes have more.
A single text may be more frequent."""

_NUMBER = f"{ENGLISH.pattern}|{GERMAN.pattern}"

_QUESTION = "does it mean no value? Then add it to missing"


def oddity(connection: Any, column: ColumnSummary) -> str:
    """Return a question about values of a column that are unlike the others; empty if none are.

    Args:
        connection: with the view `typed` of all rows.
        column: its profile.
    """
    if column.type in ("int64", "float64"):
        return "; ".join(_sentinels(connection, column))
    ends = (column.low, column.high) if column.type == "string" and column.present else ()
    is_mixed = any(re.fullmatch(_NUMBER, end) for end in ends)
    return _texts(connection, column) if is_mixed else ""


def _sentinels(connection: Any, column: ColumnSummary) -> Iterator[str]:
    """Yield a question about an end of the numbers such as -999, if the others are far from it."""
    ends = [end for end in (column.low, column.high) if _NINES.fullmatch(f"{end or 0:.15g}")]
    for end in dict.fromkeys(ends):
        is_end = f"{column.cell} = {end!r}"
        [(rows, low, high)] = connection.execute(
            f"SELECT count(*) FILTER ({is_end}), min({column.cell}) FILTER (NOT {is_end}), "
            f"max({column.cell}) FILTER (NOT {is_end}) FROM typed"
        ).fetchall()
        is_far = low is not None and low < high and not 2 * low - high <= end <= 2 * high - low
        if rows >= _FEWEST_ROWS and is_far:
            yield f"{end:.15g} in {rows} rows is far from the others: {_QUESTION}"


def _texts(connection: Any, column: ColumnSummary) -> str:
    """Return a question about the few texts among numbers."""
    unlike = f"NOT regexp_full_match({column.cell}, {literal(_NUMBER)})"
    found = connection.execute(
        f"SELECT {column.cell}, count(*) AS n FROM typed WHERE {unlike} "
        f"GROUP BY ALL ORDER BY n DESC, 1 LIMIT {_MOST_TEXTS + 1}"
    ).fetchall()
    rows = sum(count for _, count in found)
    is_rare = len(found) <= _MOST_TEXTS and rows <= (1 - _NUMBERS) * column.present
    if not found:
        # Numbers, but so large that they are kept as text.
        return ""
    if not (is_rare or len(found) == 1) or column.distinct - len(found) < _FEWEST_NUMBERS:
        return ""
    texts = ", ".join(repr(text[:20]) for text, _ in found)
    return f"numbers except for {texts}: {_QUESTION}"
