"""A contract as SQL: what a column's values are, and what breaks which promise. Runs nothing."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from factory_assets.spec.column import NUMBERS, TIMES, Bound, Column, ColumnType
from factory_resources.engine import essence, literal
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
    """SQL of the value as the wanted type, null where it is not one, or would not be kept whole.

    An int64 must be whole ("3.0" is, "3.7" is not); a float64 finite, and a whole number exact; a
    bool one of true, false, 0 and 1; a date without a time other than midnight; times with a zone
    become UTC. Years have four digits, and times no more than microseconds.
    """
    text = value if is_numeric(kind) else _text(value, kind)
    match wanted:
        case "string":
            return f"CAST({value} AS VARCHAR)"
        case "int64" if is_numeric(kind):
            number = f"TRY_CAST({value} AS BIGINT)"
            return f"CASE WHEN {number} = {value} THEN {number} END"
        case "int64":
            return f"CASE WHEN {_is_whole(text)} THEN TRY_CAST({text} AS BIGINT) END"
        case "float64":
            number = f"TRY_CAST({text} AS DOUBLE)"
            exact = _is_exact(value, kind) if is_numeric(kind) else _is_exact_text(text)
            return f"CASE WHEN isfinite({number}) AND {exact} THEN {number} END"
        case "bool":
            lower = f"lower(CAST({value} AS VARCHAR))"
            return (
                f"CASE WHEN {lower} IN ('true', '1', '1.0') THEN true "
                f"WHEN {lower} IN ('false', '0', '0.0') THEN false END"
            )
        case "timestamp":
            # Text without a zone is taken for UTC, which the engine's own zone is.
            time = f"TRY_CAST({value} AS TIMESTAMP)"
            if not _is_time(kind):
                text = _text(value, kind)
                plain = f"length({text}) = 19 AND substr({text}, 17, 1) = ':'"
                zoned = f"CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP)"
                # No room for a zone: four times cheaper.
                time = f"CASE WHEN {plain} THEN {time} ELSE {zoned} END"
            return f"CASE WHEN {_is_kept(value, kind, time)} THEN {time} END"
        case "date":
            time = value if _is_time(kind) else _text(value, kind)
            date = f"TRY_CAST({time} AS DATE)"
            midnight = f"TRY_CAST({time} AS TIMESTAMP) = {date}"
            return f"CASE WHEN {midnight} AND {_is_kept(value, kind, date)} THEN {date} END"


def _is_whole(text: str) -> str:
    """Told from the digits, because the engine rounds; what most numbers look like comes first."""
    number = f"TRY_CAST({text} AS DOUBLE)"
    return (
        f"CAST(TRY_CAST({text} AS BIGINT) AS VARCHAR) = {text} "
        rf"OR regexp_full_match({text}, '[+-]?[0-9]+(\.0*)?') "
        rf"OR (length({text}) <= 15 AND {number} = floor({number}) "
        rf"AND regexp_full_match({text}, '[+-]?[0-9]*\.?[0-9]*[eE]\+?[0-9]+'))"
    )


def _is_exact(value: str, kind: str) -> str:
    whole = kind in _INTEGERS or kind == "HUGEINT"
    return f"CAST(CAST({value} AS DOUBLE) AS HUGEINT) = {value}" if whole else "true"


def _is_exact_text(text: str) -> str:
    """Whether no digit of a whole number, such as an identifier, is rounded away."""
    number = f"TRY_CAST(TRY_CAST({text} AS DOUBLE) AS HUGEINT)"
    same = f"coalesce({number} = TRY_CAST({text} AS HUGEINT), false)"
    # The engine reads 1_000 as a number; in a table it is a code.
    return (
        f"NOT contains({text}, '_') AND "
        f"(length({text}) <= 15 OR NOT regexp_full_match({text}, '[+-]?[0-9]+') OR {same})"
    )


def _is_kept(value: str, kind: str, time: str) -> str:
    """Whether a date or time is one that Python holds, and text says the year in four digits."""
    first = "0001" if _is_time(kind) else "1000"
    years = f"{time} BETWEEN '{first}-01-01' AND '9999-12-31 23:59:59.999999'"
    if kind == "TIMESTAMP_NS":
        return f"{years} AND CAST({time} AS TIMESTAMP_NS) = {value}"
    if _is_time(kind):
        return years
    text = _text(value, kind)
    finer = rf"length({text}) > 26 AND regexp_matches({text}, '\.[0-9]{{6}}[0-9]*[1-9]')"
    # The engine knows the words epoch and infinity.
    return f"{text} BETWEEN '1' AND ':' AND {years} AND NOT ({finer})"


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
            number = f"TRY_CAST({value} AS DOUBLE) IS NOT NULL"
            return f"{number} AND NOT {code} AND {_is_exact_text(value)}"
        case "bool":
            return f"lower({value}) IN ('true', 'false')"
        case "date":
            return f"length({value}) <= 10 AND ({typed(value, 'VARCHAR', 'date')}) IS NOT NULL"
        case _:
            return f"({typed(value, 'VARCHAR', wanted)}) IS NOT NULL"


def native_type(kind: str) -> ColumnType | None:
    """The contract's type of a typed source's column; None for text, which may hold anything."""
    if kind in _INTEGERS or kind == "HUGEINT" or _is_whole_decimal(kind):
        return "int64"
    if is_numeric(kind):
        return "float64"
    if kind.startswith("TIMESTAMP"):
        return "timestamp"
    return {"BOOLEAN": "bool", "DATE": "date"}.get(kind)  # type: ignore[return-value]


def _is_whole_decimal(kind: str) -> bool:
    return kind.startswith("DECIMAL") and kind.endswith(",0)")


def rules_of(column: Column, kind: ColumnType, value: str, mistyped: str) -> list[Rule]:
    """The row-level rules of one column, uniqueness apart.

    Args:
        column: the promise.
        kind: the declared or found type.
        value: SQL of the typed value.
        mistyped: SQL that is true where there is a value, but not of the type.

    Raises:
        ContractError: where a promise does not fit the type.
    """
    broken: dict[str, str] = {}
    if kind != "string":
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
        broken["pattern"] = f"NOT regexp_full_match({value}, {literal(column.pattern)})"
    if column.values is not None:
        allowed = ", ".join(_allowed(column, v, kind) for v in column.values)
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
            f"range of column {column.name!r} is one of {what}, but the column is {kind}",
            remedy="correct the range, or declare the column's type",
        )
    return f"TIMESTAMP {literal(bound)}" if isinstance(bound, str) else repr(bound)


def _require_text(column: Column, key: str, kind: ColumnType) -> None:
    if kind != "string":
        raise ContractError(
            f"{key} of column {column.name!r} needs text, but the column is {kind}",
            remedy=f"remove the {key}, or declare the column's type as string",
        )


def wrong_pattern(pattern: str) -> str | None:
    """What the engine says against a regular expression; None where it takes it."""
    import duckdb

    with duckdb.connect(":memory:") as connection:
        try:
            connection.execute("SELECT regexp_full_match('', ?)", [pattern])
        except duckdb.Error as error:
            return essence(error)
    return None


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
