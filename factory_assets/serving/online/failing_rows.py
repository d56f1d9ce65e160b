"""Which rows of a request a rule or a derived column fails on, so that the others are answered.

That training stops at such a row belongs in `data.transforms.cleaning`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.serving.online.refusals import Refusal

if TYPE_CHECKING:
    import duckdb

    from factory_assets.data.transforms.cleaning import CleanQueries

DERIVED = "derive"
"""The rule that a row breaks of which a derived column cannot be computed."""


def take_failing(
    connection: duckdb.DuckDBPyConnection, queries: CleanQueries, table: str
) -> list[Refusal]:
    """Remove the rows that an expression fails on; the first one of each row says why.

    Args:
        queries: those of single rows, over the view `source`.
        table: what the view `source` reads.
    """
    found: list[Refusal] = []

    for key, name, sql, rows in queries.expressions():
        # An expression that yields null does not fail, and a struct with a null is not null.
        query = f"SELECT _row FROM ({rows}) WHERE TRY({{'value': {sql}}}) IS NULL"
        failing = [int(number) for (number,) in connection.execute(query).fetchall()]
        if failing:
            listed = ", ".join(map(str, failing))
            connection.execute(f"DELETE FROM {table} WHERE _row IN ({listed})")
            rule = f"{DERIVED}:{name}" if key == DERIVED else name
            found.extend(Refusal(number - 1, (rule,)) for number in failing)
    return found
