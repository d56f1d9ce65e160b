"""A set of rows of the view `source`, looked up while it is read: one bit a row, and no join.

A join would need the wide rows sorted again, for it may give up their order; a bit does not.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


SPAN = 1_000_000_000
"""Rows of one string of bits; the engine makes none that is longer."""


def mark(connection: "duckdb.DuckDBPyConnection", name: str, query: str, rows: int) -> int:
    """Remember a set of rows.

    Args:
        connection: the engine, which keeps one bit of memory for each row of the source.
        name: of the set: an SQL variable.
        query: yields the rows' `_order`, each of them once and below `rows`.
        rows: how many rows the source has.

    Returns:
        How many rows are in the set.
    """
    bits = ", ".join(
        f"bitstring_agg(_order - {start}, 0, {length - 1}) "
        f"FILTER (_order >= {start} AND _order < {start + length})"
        for start, length in _spans(rows)
    )
    connection.execute(
        f"SET VARIABLE {name} = (SELECT {{'rows': count(*), 'bits': [{bits}]}} FROM ({query}))"
    )
    found = connection.execute(f"SELECT getvariable('{name}').rows").fetchone()
    return int(found[0]) if found else 0


def marked(name: str, rows: int) -> str:
    """SQL that tells whether the row `_order` is in the set."""
    tests = "".join(
        f" WHEN _order < {start + length} THEN coalesce("
        f"get_bit(getvariable('{name}').bits[{i}], (_order - {start})::INTEGER), 0) = 1"
        for i, (start, length) in enumerate(_spans(rows), 1)
    )
    return f"(CASE{tests} END)"


def _spans(rows: int) -> Iterator[tuple[int, int]]:
    return ((start, min(SPAN, rows - start)) for start in range(0, rows, SPAN))
