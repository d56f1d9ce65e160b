"""Draw rows on which inputs are measured: a random but reproducible sample, in random order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_CELLS = 10_000_000
"""Most cells of a sample: a wide table gives fewer rows."""

_LETTERS = 200
"""Characters of a text that are read: a longer text is not a name, it may be a picture."""


def draw_sample(
    connection: duckdb.DuckDBPyConnection,
    table: str,
    columns: Mapping[str, str],
    *,
    number: str,
    rows: int,
    most: int,
) -> pa.Table:
    """Return some rows of a table.

    Args:
        connection: an engine that reads the table.
        table: the table as SQL.
        columns: the DuckDB type of each column that is wanted.
        number: the column that numbers the rows.
        rows: the number of rows of the table.
        most: about the most rows that are drawn.
    """
    every = -(-rows // min(most, max(1, _CELLS // len(columns))))
    cells = ", ".join(
        f"left({identifier(name)}, {_LETTERS}) AS {identifier(name)}"
        if kind == "VARCHAR"
        else identifier(name)
        for name, kind in columns.items()
    )
    return connection.sql(
        f"SELECT {cells} FROM {table} WHERE hash({number}) % {every} = 0 "
        f"ORDER BY hash({number}), {number}"
    ).to_arrow_table()
