"""The expression that names a person: what is wrong with it, without a look at any row.

Finding the rows belongs in `table_rows`.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from factory_assets.erasure.table_rows import (
    OWN_COLUMNS,
    WHERE,
    StoredTableFile,
    folded,
    validated_kinds,
)
from factory_resources.errors import ExpressionError, UnknownNameError
from factory_resources.sql.engine import engine_errors, identifier
from factory_resources.sql.expressions import parse, suggestion

if TYPE_CHECKING:
    import duckdb


def require_expression(
    connection: "duckdb.DuckDBPyConnection", files: list[StoredTableFile], where: str
) -> None:
    """Require an expression by which a person can be found; no row is read.

    Raises:
        ExpressionError: the expression is wrong, or looks at other rows than its own.
        UnknownNameError: no table has its columns.
    """
    parsed = parse(where, WHERE)
    if parsed.windowed:
        raise ExpressionError(
            "looks at other rows, with OVER", where=WHERE, remedy="name the person's own values"
        )
    if not parsed.columns:
        raise ExpressionError(
            "names no column, so that it is true for everybody or for nobody",
            where=WHERE,
            remedy='name the person, as in --where "patient_nbr = 42"',
        )
    asked = [file for file in files if file.has(parsed.columns)]
    if not asked:
        raise _missing(parsed.columns, files)
    kinds = validated_kinds(files, parsed.columns)
    # A table has many files of the same columns.
    for pipeline, columns in dict.fromkeys(
        (file.pipeline, tuple(file.columns.items())) for file in asked
    ):
        # On a row without any value, it fails on values of its own alone.
        cells = ", ".join(
            f"NULL::{kinds.get((pipeline, name.casefold()), kind)} AS {identifier(name)}"
            for name, kind in columns
        )
        with engine_errors(WHERE):
            connection.execute(f"CREATE OR REPLACE TEMP TABLE nobody AS SELECT {cells}")
            _require_boolean(connection, f"SELECT ({where}\n) FROM nobody")


def _require_boolean(connection: "duckdb.DuckDBPyConnection", query: str) -> None:
    # The engine takes every number but 0 for true, and so everybody for the person.
    [(_, kind, *_)] = connection.execute(f"DESCRIBE {query}").fetchall()
    connection.execute(query).fetchall()
    if kind != "BOOLEAN":
        raise ExpressionError(
            f"yields {kind}, not true or false",
            where=WHERE,
            remedy='compare it with something, as in --where "patient_nbr = 42"',
        )


def _missing(columns: Iterable[str], files: Iterable[StoredTableFile]) -> UnknownNameError:
    known = sorted({name for file in files for name in file.columns} - {*OWN_COLUMNS})
    named = ", ".join(map(repr, columns))
    together = " together" if "," in named else ""
    unknown = next((c for c in columns if c.casefold() not in folded(known)), "")
    remedy = suggestion(unknown, known) if known else "run a pipeline first"
    if known and not unknown:
        remedy = f"name the person in one table, then in the next, by a command each; {remedy}"
    return UnknownNameError(
        f"no table has {named or 'a column that it names'}{together}", where=WHERE, remedy=remedy
    )
