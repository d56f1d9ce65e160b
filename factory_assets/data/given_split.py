"""A split by values that mark the parts: what to do about a part whose marks no row has.

The other splits belong in `stages.split` and `time_split`.
"""

from typing import TYPE_CHECKING

from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError
from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb

_SHOWN = 10
"""Values of a column that the message lists."""


def unmarked_part(
    connection: "duckdb.DuckDBPyConnection", pipeline: Pipeline, part: str, where: str
) -> DataError:
    """Return the error for a part that no row of `source` is marked for by `split.given`."""
    given = pipeline.spec.split.given
    assert given is not None
    remedy = "name values that the column has"
    if given.column not in sensitive_columns(pipeline):
        name = identifier(given.column)
        found = connection.execute(
            f"SELECT DISTINCT CAST({name} AS VARCHAR) AS one FROM source "
            f"WHERE {name} IS NOT NULL ORDER BY one LIMIT {_SHOWN + 1}"
        ).fetchall()
        shown = ", ".join(repr(one[:40]) for (one,) in found[:_SHOWN])
        remedy += f": {shown}{' and others' if len(found) > _SHOWN else ''}"
    return DataError(
        f"no row is left for {part}: split.given.{part} names no value of {given.column!r}",
        where=where,
        remedy=remedy,
    )
