"""The row-level rules of a contract as SQL.

Uniqueness belongs in `validation`, checks of the whole table in `table_checks`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from factory_assets.data.contract.sql_types import SQL_TYPES, is_number
from factory_assets.spec import Ingest
from factory_assets.spec.contract import NUMBERS, TIMES, Bound, Column, ColumnType, Value
from factory_resources.errors import ContractError
from factory_resources.sql.engine import essence, literal
from factory_resources.sql.expressions import parser


@dataclass(frozen=True)
class Rule:
    """One rule about a column, or about several columns together."""

    name: str
    """`kind:column`, or `unique:a,b`, as written into the quarantine."""
    column: str
    """Empty if the rule is about several columns."""
    broken: str
    """SQL that is true for a row that breaks the rule; null if the rule does not apply."""


def rules_of(
    column: Column, kind: ColumnType, value: str, mistyped: str, *, is_bytes: bool = False
) -> list[Rule]:
    """Return the row-level rules of one column, except uniqueness.

    Args:
        column: its declaration in the contract.
        kind: its declared or inferred type.
        value: SQL of the typed value.
        mistyped: SQL that is true if there is a value that is not of the type.
        is_bytes: whether its source has bytes, which need not be text.

    Raises:
        ContractError: a declared rule does not fit the type.
    """
    broken: dict[str, str] = {}
    if kind != "string" or is_bytes:
        broken["type"] = mistyped
    if not column.nullable:
        broken["null"] = f"{value} IS NULL AND NOT {mistyped}"
    if column.range:
        broken["range"] = _outside(value, [_bound(column, b, kind) for b in column.range])
    if column.length:
        _require_text(column, "length", kind)
        sides = [None if bound is None else str(bound) for bound in column.length]
        broken["length"] = _outside(f"length({value})", sides)
    if column.pattern:
        _require_text(column, "pattern", kind)
        matches = f"regexp_full_match({value}, {literal(column.pattern)})"
        broken["pattern"] = f"{mistyped} OR NOT {matches}"
    if column.values is not None:
        allowed = _allowed(column, column.values, kind)
        broken["values"] = f"{value} NOT IN ({allowed})" if allowed else f"{value} IS NOT NULL"
    return [Rule(f"{name}:{column.name}", column.name, sql) for name, sql in broken.items() if sql]


def _outside(value: str, bounds: Sequence[str | None]) -> str:
    low, high = bounds
    sides = [] if low is None else [f"{value} < {low}"]
    return " OR ".join([*sides, *([] if high is None else [f"{value} > {high}"])])


def _bound(column: Column, bound: Bound, kind: ColumnType) -> str | None:
    if bound is None:
        return None
    if kind not in (TIMES if isinstance(bound, str) else NUMBERS):
        what = "dates" if isinstance(bound, str) else "numbers"
        raise ContractError(
            f"range of column {column.name!r} has {what} as bounds, but the column is {kind}",
            remedy="correct the range, or declare the column's type",
        )
    if isinstance(bound, str):
        # The engine does not read all forms of ISO 8601, such as 20240131.
        return f"TIMESTAMP {literal(str(datetime.fromisoformat(bound)))}"
    return repr(bound)


def _require_text(column: Column, key: str, kind: ColumnType) -> None:
    if kind != "string":
        raise ContractError(
            f"{key} of column {column.name!r} needs text, but the column is {kind}",
            remedy=f"remove the {key}, or declare the column's type as string",
        )


def pattern_error(pattern: str) -> str | None:
    """Return why the engine rejects a regular expression; None if it is valid."""
    import duckdb

    with parser().cursor() as connection:
        try:
            connection.execute("SELECT regexp_full_match('', ?)", [pattern])
        except duckdb.Error as error:
            return essence(error)
    return None


def _allowed(column: Column, values: Sequence[Value], kind: ColumnType) -> str:
    """Return SQL for the allowed values, each of the column's type."""
    texts = [str(v).lower() if isinstance(v, bool) else str(v) for v in values]
    for value, text, is_read in zip(values, texts, _are_read(texts, kind), strict=True):
        if not (is_read and _fits(text, kind)):
            raise ContractError(
                f"allowed value {value!r} of column {column.name!r} is not a valid {kind}",
                remedy="correct the column's values or its type",
            )
    return ", ".join(f"CAST({literal(text)} AS {SQL_TYPES[kind]})" for text in texts)


def _are_read(texts: Sequence[str], kind: ColumnType) -> list[bool]:
    """Return for each text whether the engine reads it as a value of the type."""
    with parser().cursor() as connection:
        read = f"TRY_CAST(unnest(?::VARCHAR[]) AS {SQL_TYPES[kind]}) IS NOT NULL"
        return [row for (row,) in connection.execute(f"SELECT {read}", [texts]).fetchall()]


def _fits(text: str, kind: ColumnType) -> bool:
    """Whether a text that the engine reads means the same to a person."""
    match kind:
        case "bool":
            return text.lower() in {"true", "false", "0", "1"}
        case "int64":
            return is_number(text) and float(text).is_integer()
        case "float64":
            return is_number(text)
        case _:
            return True


def is_separable(ingest: Ingest) -> bool:
    """Whether a row can be validated without any other row.

    That holds if all types are declared, nothing is unique, and nothing is joined.
    """
    columns = ingest.contract.columns
    independent = all(column.type and not column.unique for column in columns)
    return bool(columns) and independent and not ingest.contract.unique and not ingest.joins
