"""Check the SQL of a declaration without data: syntax, column names and types.

The stage checks it again on the data when it runs.
"""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.data.contract.sql_types import SQL_TYPES
from factory_assets.data.transforms.cleaning import WINDOWS_REMEDY, unfit_for_windows
from factory_assets.data.transforms.column_lineage import inputs_of_other_rows
from factory_assets.declarations.messages import Mistake
from factory_assets.declarations.yaml_document import At
from factory_assets.spec import Clean
from factory_assets.spec.base import suggest
from factory_assets.spec.clean import derived_later
from factory_assets.spec.contract import ColumnType
from factory_resources.errors import ExpressionError, StorageError
from factory_resources.sql.engine import engine_errors, identifier, sealed
from factory_resources.sql.expressions import columns_of, columns_of_rule
from factory_resources.sql.limits import bounded
from factory_resources.tables.writer import STORABLE, stored_as

if TYPE_CHECKING:
    import duckdb


KnownColumns = Mapping[str, ColumnType | None]
"""The ingested columns and their declared types."""

_CLEAN: At = ("clean",)

_SECONDS = 10
"""The most seconds for an expression: the engine computes its constants already here."""


def expression_mistakes(clean: Clean, known: KnownColumns | None) -> list[Mistake]:
    """Return every mistake in the expressions of `clean`.

    Args:
        clean: the section of the declaration.
        known: the columns before cleaning; None if they are not known yet.
    """
    mistakes: list[Mistake] = []
    columns = None if known is None else list(known)
    for name in clean.unify:
        if known is not None and (kind := known.get(name)) not in {None, "string"}:
            what = f"column {name!r} is {kind}, not text; name columns of text"
            mistakes.append(Mistake((*_CLEAN, "unify"), what))
    for rule, sql in clean.where.items():
        mistakes += _check(sql, columns_of_rule, columns, (*_CLEAN, "where", rule), clean)
    for name, sql in clean.derive.items():
        at = (*_CLEAN, "derive", name)
        mistakes += _check(sql, columns_of, columns, at, clean)
        if columns is not None:
            if _is_taken(name, columns):
                message = f"column {name!r} exists already; choose another name"
                mistakes.append(Mistake(at, message, at_key=True))
            columns.append(name)
    mistakes += _taken_windows(clean, columns or [])
    # DuckDB cannot have columns that differ only in case; the check of the contract reports those.
    distinct = len({name.lower() for name in known or ()}) == len(known or ())
    if not mistakes and known is not None and distinct and all(known.values()):
        mistakes = _wrong_types(clean, known)
    return mistakes


def other_row_mistakes(clean: Clean, inputs: Sequence[str]) -> Iterator[Mistake]:
    """Yield the added inputs that a prediction of one row could not compute.

    Args:
        clean: the section of the declaration, whose expressions can be parsed.
        inputs: the columns that cleaning adds and the model reads.
    """
    for name, error in inputs_of_other_rows(clean, inputs, ""):
        at = ("derive", name) if name in clean.derive else ("windows",)
        yield Mistake((*_CLEAN, *at), str(error), at_key=True)


def _taken_windows(clean: Clean, columns: list[str]) -> Iterator[Mistake]:
    """Yield each statistic of a window whose name a column before it has."""
    before = [*columns]
    for name in clean.windows.added if clean.windows else ():
        if _is_taken(name, before):
            what = f"column {name!r}, which they add, exists already; give that another name"
            yield Mistake((*_CLEAN, "windows"), what, at_key=True)
        before.append(name)


def _is_taken(name: str, columns: list[str]) -> bool:
    return name.lower() in {column.lower() for column in columns}


def _check(
    sql: str,
    parse: Callable[[str, str], tuple[str, ...]],
    known: list[str] | None,
    at: At,
    clean: Clean,
) -> Iterator[Mistake]:
    try:
        used = parse(sql, "")
    except ExpressionError as error:
        yield Mistake(at, str(error))
        return
    folded = {name.lower() for name in known or ()}
    for name in used:
        if known is not None and name.lower() not in folded:
            remedy = derived_later(name, clean.derive) or suggest(name, known)
            yield Mistake(at, f"no column {name!r}; {remedy}")


def _wrong_types(clean: Clean, known: KnownColumns) -> list[Mistake]:
    """Bind each expression in DuckDB to an empty table of the declared types."""
    if not (clean.where or clean.derive or clean.windows):
        return []
    columns = ", ".join(f"{identifier(n)} {SQL_TYPES[t]}" for n, t in known.items() if t)
    mistakes = []
    with (
        tempfile.TemporaryDirectory() as scratch,
        sealed(read=[], write=Path(scratch)) as connection,
    ):
        connection.execute(f"CREATE TEMP TABLE rows ({columns})")
        for rule, sql in clean.where.items():
            kind, message = _bind(connection, sql)
            if kind and kind != "BOOLEAN":
                message = f"yields {kind}, not true or false; compare it, as in `torque > 0`"
            if message:
                mistakes.append(Mistake((*_CLEAN, "where", rule), message))
        for name, sql in clean.derive.items():
            kind, message = _bind(connection, sql)
            if kind and stored_as(kind) is None:
                message = f"yields {kind}, which a table cannot store; {STORABLE}"
            if message:
                mistakes.append(Mistake((*_CLEAN, "derive", name), message))
                break
            connection.execute(f"ALTER TABLE rows ADD COLUMN {identifier(name)} {kind}")
        numbered = "SELECT *, 0 AS _order FROM rows"
        if (
            not mistakes
            and clean.windows
            and (unfit := unfit_for_windows(clean.windows, numbered, connection))
        ):
            mistakes.append(Mistake((*_CLEAN, "windows"), f"{unfit}; {WINDOWS_REMEDY}"))
    return mistakes


def _bind(connection: "duckdb.DuckDBPyConnection", sql: str) -> tuple[str, str]:
    """Return the SQL type that the expression yields and "", or "" and what is wrong with it."""
    try:
        with engine_errors(""), bounded(connection, _SECONDS, "", "simplify it"):
            row = connection.execute(f"DESCRIBE SELECT ({sql}\n) AS r FROM rows").fetchone()
    except (ExpressionError, StorageError) as error:
        return "", str(error)
    return (str(row[1]) if row else ""), ""
