"""Test rows that repeat a training row in all of their inputs: copies, or alike by chance?

Counted by the engine over all rows, or over a fair share of them where they are many. Of test rows
the inputs alone are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.results.data import Duplicates
from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb

_ROWS = 1_000_000
"""About so many rows are compared."""
_FEWEST = 4
"""Inputs, of which a half is evidence."""
_MORE = 2
"""So many times more pairs are alike in half of the inputs than in all, where chance made them."""
_KINDS = 0.2
"""With fewer kinds of rows than this share of the rows, everybody has a double."""


@dataclass(frozen=True)
class _Alike:
    """Rows of the same key."""

    tested: int
    shared: int
    """Test rows with a training row of their key."""
    pairs: int
    """Of a test row and a training row."""
    kinds: float
    """Keys, as a share of rows."""


def duplicates(
    connection: duckdb.DuckDBPyConnection, inputs: Sequence[str], rows: int
) -> Duplicates | None:
    """The test rows whose inputs a training row has too; None where there are none.

    Copies are alike in each half of their columns just as often as in all of them; rows that are
    alike by chance far more often.

    Args:
        connection: with the view `source` and the table `parts`.
        rows: in all parts.
    """
    one, two = (_hash(inputs[half::2]) for half in (0, 1))
    every = rows // _ROWS + 1
    chosen = " OR ".join(f"{key} % {every} = 0" for key in ("one", "two", "whole"))
    connection.execute(
        "CREATE TEMP TABLE hashed AS SELECT *, hash(one, two) AS whole FROM ("
        f"SELECT _part, {one} AS one, {two} AS two FROM source JOIN parts USING (_order) "
        f"WHERE _part <> 'validation') WHERE {chosen}"
    )
    try:
        whole = _alike(connection, "whole", every)
        if not whole.shared:
            return None
        halves = [_alike(connection, half, every).pairs for half in ("one", "two")]
    finally:
        connection.execute("DROP TABLE hashed")
    return Duplicates(
        rows=whole.shared * every,
        share=round(whole.shared / whole.tested, 4),
        coincidence=len(inputs) < _FEWEST
        or whole.kinds < _KINDS
        or max(halves) >= _MORE * whole.pairs,
    )


def _hash(columns: Sequence[str]) -> str:
    return f"hash({', '.join(map(identifier, columns))})" if columns else "0::UBIGINT"


def _alike(connection: duckdb.DuckDBPyConnection, key: str, every: int) -> _Alike:
    found = connection.execute(
        "SELECT sum(tested), sum(tested) FILTER (trained > 0), sum(tested * trained), "
        "count(*) / sum(tested + trained) FROM ("
        "SELECT count(*) FILTER (_part = 'test') AS tested, "
        f"count(*) FILTER (_part = 'train') AS trained FROM hashed WHERE {key} % {every} = 0 "
        f"GROUP BY {key})"
    ).fetchone()
    tested, shared, pairs, kinds = found or (0, 0, 0, 0)
    return _Alike(int(tested or 0), int(shared or 0), int(pairs or 0), float(kinds or 0))
