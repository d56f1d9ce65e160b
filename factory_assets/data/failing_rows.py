"""Which rows to score a rule or a derived column fails on, so that the others are answered.

That training stops at such a row belongs in `data.transforms.cleaning`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.sources.files.reader import numbered
from factory_resources.sql.engine import engine_errors, literal
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.writer import StagedTable, prepare

if TYPE_CHECKING:
    import duckdb

    from factory_assets.data.transforms.cleaning import CleanQueries

DERIVED = "derive"
"""The rule that a row breaks of which a derived column cannot be computed."""

FAILING = "failing_rows"
"""The table of the rows that were taken: `_row`, and in `_rules` what fails first on it."""

_ROWS = "rows_to_clean"


def without_failing(
    queries: CleanQueries, rows: StagedTable, scratch: Path, engines: SharedEngines
) -> tuple[StagedTable, StagedTable] | None:
    """Return the rows on which no expression fails, and the others as `_row` and `_rules`.

    None if there are no others, or if an expression reads other rows: it then fails for all.

    Raises:
        ExpressionError: an expression takes too long.
        StorageError: an expression needs too much memory, or the rows cannot be written.
    """
    if queries.spec.windows or queries.looks_around:
        return None
    path = engines.visible_path(rows.path, scratch)
    with (
        engines.sealed(read=[path], write=scratch) as connection,
        engine_errors(queries.where),
        queries.bounded(connection),
    ):
        connection.execute(f"CREATE TEMP TABLE {_ROWS} AS {numbered([path], [rows.rows])}")
        source = f"SELECT * FROM {_ROWS}"
        if queries.spec.unify:
            source = queries.unified(source, rows.columns)
        connection.execute(f"CREATE OR REPLACE TEMP VIEW source AS {source}")
        if not take_failing(connection, queries, _ROWS):
            return None
        good, refused = (
            prepare(connection, query, table=queries.where, folder=scratch)
            for query in (
                f"SELECT * EXCLUDE (_order) FROM {_ROWS} ORDER BY _order",
                f"FROM {FAILING} ORDER BY _row",
            )
        )
    return good, refused


def take_failing(connection: duckdb.DuckDBPyConnection, queries: CleanQueries, table: str) -> int:
    """Move the rows that an expression fails on to `FAILING`; return how many there are.

    Args:
        queries: those of single rows, over the view `source`.
        table: what the view `source` reads.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {FAILING} (_row BIGINT, _rules VARCHAR)")
    taken = 0
    for key, name, sql, rows in queries.expressions():
        rule = literal(f"{DERIVED}:{name}" if key == DERIVED else name)
        # An expression that yields null does not fail, and a struct with a null is not null.
        failing = f"SELECT _row, {rule} FROM ({rows}) WHERE TRY({{'value': {sql}}}) IS NULL"
        [(count,)] = connection.execute(f"INSERT INTO {FAILING} {failing}").fetchall()
        if count:
            connection.execute(f"DELETE FROM {table} WHERE _row IN (SELECT _row FROM {FAILING})")
            taken += int(count)
    return taken
