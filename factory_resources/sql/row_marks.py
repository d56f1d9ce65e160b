"""Sets of rows, with one bit per row, that a query looks up while it reads the rows.

A join might lose the order of the rows, which would have to be sorted again.
"""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import duckdb


SPAN = 1_000_000_000
"""Rows per string of bits; the engine cannot create a longer one."""


def mark(connection: "duckdb.DuckDBPyConnection", name: str, query: str, rows: int) -> int:
    """Store a set of rows in an SQL variable.

    Args:
        connection: the engine, which uses one bit of memory per row of the source.
        name: the variable.
        query: returns the `_order` of each row of the set, once and below `rows`.
        rows: number of rows of the source.

    Returns:
        The number of rows in the set.
    """
    bits = ", ".join(
        f"bitstring_agg(_order - {start}, 0, {length - 1}) "
        f"FILTER (_order >= {start} AND _order < {start + length})"
        for start, length in _spans(rows)
    )
    connection.execute(
        f"SET VARIABLE {name} = (SELECT {{'rows': count(*), 'bits': [{bits}]}} FROM ({query}))"
    )
    row = connection.execute(f"SELECT getvariable('{name}').rows").fetchone()
    return int(row[0]) if row else 0


def marked(name: str, rows: int) -> str:
    """Return SQL that tests whether the row `_order` is in the set."""
    tests = "".join(
        f" WHEN _order < {start + length} THEN coalesce("
        f"get_bit(getvariable('{name}').bits[{i}], (_order - {start})::INTEGER), 0) = 1"
        for i, (start, length) in enumerate(_spans(rows), 1)
    )
    return f"(CASE{tests} END)"


def is_none_of(numbers: Collection[int]) -> str:
    """Return SQL for whether `file_row_number` is none of these numbers, which are from 0 on.

    The engine may turn a list of numbers into a join, and lose the order of the rows.
    """
    if not numbers:
        return "true"
    bits = bytearray(b"0" * (max(numbers) + 1))
    for number in numbers:
        bits[number] = ord("1")
    bit = f"get_bit('{bits.decode()}'::BIT, file_row_number::INTEGER)"
    return f"(CASE WHEN file_row_number < {len(bits)} THEN {bit} ELSE 0 END = 0)"


def _spans(rows: int) -> Iterator[tuple[int, int]]:
    return ((start, min(SPAN, rows - start)) for start in range(0, rows, SPAN))
