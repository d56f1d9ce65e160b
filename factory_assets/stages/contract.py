"""A contract as SQL: what a column's values are, and what breaks which promise. Runs nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from factory_assets.spec.contract import Column, ColumnType
from factory_resources.engine import literal
from factory_resources.errors import ContractError

SQL_TYPES: dict[ColumnType, str] = {
    "int64": "BIGINT",
    "float64": "DOUBLE",
    "string": "VARCHAR",
    "bool": "BOOLEAN",
    "date": "DATE",
    "timestamp": "TIMESTAMP",
}
_INTEGERS = frozenset(
    f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT")
)


@dataclass(frozen=True)
class Rule:
    """One promise of one column."""

    name: str
    """`kind:column`, as it is written into the quarantine."""
    column: str
    broken: str
    """SQL that is true for a row that breaks it; null where it does not apply."""


def present(cell: str, kind: str, missing: Iterable[str]) -> str:
    """SQL of the cell's value with every missing-value token as null; text loses outer blanks.

    Args:
        cell: SQL of the cell.
        kind: its DuckDB type.
        missing: the tokens; a token that is a number also means that number written otherwise.
    """
    tokens = sorted({token.strip() for token in missing})
    text = kind == "VARCHAR"
    value = f"trim({cell}, E' \\t\\r\\n')" if text else cell
    listed = ", ".join(literal(token) for token in tokens)
    numbers = ", ".join(repr(float(token)) for token in tokens if _is_number(token))
    tests = [f"{value} IN ({listed})"] if listed and text else []
    if numbers and (text or is_numeric(kind)):
        tests.append(f"coalesce(TRY_CAST({value} AS DOUBLE) IN ({numbers}), false)")
    if not tests:
        return value
    return f"CASE WHEN {' OR '.join(tests)} THEN NULL ELSE {value} END"


def _is_number(token: str) -> bool:
    try:
        return float(token) == float(token)
    except ValueError:
        return False


def is_numeric(kind: str) -> bool:
    return kind in _INTEGERS or kind in {"FLOAT", "DOUBLE"} or kind.startswith("DECIMAL")


def typed(value: str, kind: str, wanted: ColumnType) -> str:
    """SQL of the value as the wanted type, null where it is not one.

    An int64 must be whole ("3.0" is, "3.7" is not), a float64 finite, a bool one of true, false, 0
    and 1, a date without a time other than midnight; times with a zone become UTC.
    """
    text = value if is_numeric(kind) else _text(value, kind)
    match wanted:
        case "string":
            return f"CAST({value} AS VARCHAR)"
        case "int64" if kind in _INTEGERS:
            return f"TRY_CAST({value} AS BIGINT)"
        case "int64":
            number = f"TRY_CAST({text} AS DOUBLE)"
            return f"CASE WHEN {number} = floor({number}) THEN TRY_CAST({text} AS BIGINT) END"
        case "float64":
            number = f"TRY_CAST({text} AS DOUBLE)"
            return f"CASE WHEN isfinite({number}) THEN {number} END"
        case "bool":
            lower = f"lower(CAST({value} AS VARCHAR))"
            return (
                f"CASE WHEN {lower} IN ('true', '1', '1.0') THEN true "
                f"WHEN {lower} IN ('false', '0', '0.0') THEN false END"
            )
        case "timestamp":
            # Text without a zone is taken for UTC, which the engine's own zone is.
            zoned = f"CAST(TRY_CAST({_text(value, kind)} AS TIMESTAMPTZ) AS TIMESTAMP)"
            return f"TRY_CAST({value} AS TIMESTAMP)" if _is_time(kind) else zoned
        case "date":
            time = value if _is_time(kind) else _text(value, kind)
            date = f"TRY_CAST({time} AS DATE)"
            return f"CASE WHEN TRY_CAST({time} AS TIMESTAMP) = {date} THEN {date} END"


def _is_time(kind: str) -> bool:
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def _text(value: str, kind: str) -> str:
    return value if kind == "VARCHAR" else f"CAST({value} AS VARCHAR)"


INFERRED: tuple[ColumnType, ...] = ("int64", "float64", "bool", "date", "timestamp")
"""The types that text is tried for, in this order; what is none of them stays text."""


def could_be(value: str, wanted: ColumnType) -> str:
    """SQL that tells whether a present text could be of the type, as a person would see it.

    Stricter than `typed`: numbers with leading zeros are codes, and 0 and 1 are numbers; but NaN is
    a number here, so that the rows with it are quarantined and the column stays one of numbers.
    """
    match wanted:
        case "int64":
            code = f"regexp_matches({value}, '^[+-]?0[0-9]')"
            return f"({typed(value, 'VARCHAR', 'int64')}) IS NOT NULL AND NOT {code}"
        case "float64":
            code = f"regexp_matches({value}, '^[+-]?0[0-9]')"
            return f"TRY_CAST({value} AS DOUBLE) IS NOT NULL AND NOT {code}"
        case "bool":
            return f"lower({value}) IN ('true', 'false')"
        case "date":
            return f"length({value}) <= 10 AND TRY_CAST({value} AS DATE) IS NOT NULL"
        case _:
            return f"({typed(value, 'VARCHAR', wanted)}) IS NOT NULL"


def native_type(kind: str) -> ColumnType | None:
    """The contract's type of a typed source's column; None for text, which may hold anything."""
    if kind in _INTEGERS or kind == "HUGEINT":
        return "int64"
    if is_numeric(kind):
        return "float64"
    if kind.startswith("TIMESTAMP"):
        return "timestamp"
    return {"BOOLEAN": "bool", "DATE": "date"}.get(kind)  # type: ignore[return-value]


def rules_of(column: Column, kind: ColumnType, value: str, mistyped: str) -> list[Rule]:
    """The row-level rules of one column, uniqueness apart.

    Args:
        column: the promise.
        kind: the declared or found type.
        value: SQL of the typed value.
        mistyped: SQL that is true where there is a value, but not of the type.

    Raises:
        ContractError: where range or values do not fit the type.
    """
    rules = [] if kind == "string" else [Rule(f"type:{column.name}", column.name, mistyped)]
    if not column.nullable:
        rules.append(
            Rule(f"null:{column.name}", column.name, f"{value} IS NULL AND NOT {mistyped}")
        )
    if column.range:
        if kind not in {"int64", "float64"}:
            raise ContractError(
                f"range of column {column.name!r} needs numbers, but the column is {kind}",
                remedy="remove the range, or declare the column's type as int64 or float64",
            )
        low, high = column.range
        sides = [] if low is None else [f"{value} < {low!r}"]
        sides += [] if high is None else [f"{value} > {high!r}"]
        if sides:
            rules.append(Rule(f"range:{column.name}", column.name, " OR ".join(sides)))
    if column.values is not None:
        allowed = ", ".join(_allowed(column, v, kind) for v in column.values)
        broken = f"{value} NOT IN ({allowed})" if allowed else f"{value} IS NOT NULL"
        rules.append(Rule(f"values:{column.name}", column.name, broken))
    return rules


def _allowed(column: Column, given: int | float | str | bool, kind: ColumnType) -> str:
    text = str(given).lower() if isinstance(given, bool) else str(given)
    fits = {
        "string": True,
        "bool": text.lower() in {"true", "false", "0", "1"},
        "int64": _is_number(text) and float(text).is_integer(),
        "float64": _is_number(text),
    }.get(kind, not isinstance(given, bool))
    if not fits:
        raise ContractError(
            f"allowed value {given!r} of column {column.name!r} is no {kind}",
            remedy="correct the column's values or its type",
        )
    return f"CAST({literal(text)} AS {SQL_TYPES[kind]})"
