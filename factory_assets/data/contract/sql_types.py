"""The types of a contract as SQL: expressions for the value of a cell.

Only builds SQL; the queries belong in `validation` and `type_inference`.
"""

from collections.abc import Iterable
from math import isfinite

from factory_assets.spec.contract import ColumnType
from factory_resources.sql.engine import ZONED_NANOSECONDS, literal

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

NANOSECONDS = frozenset(("TIMESTAMP_NS", ZONED_NANOSECONDS))
"""The engine's types of times that may be finer than those that are stored."""

LATEST = "'9999-12-31 23:59:59.999999'"
"""The last time that Python has, as SQL."""

_FLOATS = frozenset(("FLOAT", "DOUBLE"))

# fmt: off
_UNCLEAR_ZONES = (
    "ACT", "AET", "AGT", "ART", "AST", "BET", "BST", "CET", "CNT", "CST", "CTT", "ECT", "EET",
    "IET", "IST", "MET", "MIT", "NET", "NST", "PLT", "PNT", "PRT", "PST", "SST", "VST", "WET",
)
# fmt: on
"""Abbreviations after a time of which the engine has one reading and others have another, such as
BST, which is Bangladesh's to it, and CET, whose clocks change to it."""

_EXACT_DIGITS = 15
"""A double holds every whole number of so many digits."""


def value_sql(
    cell: str, kind: str, missing: Iterable[str], wanted: ColumnType | None = None
) -> str:
    """Return SQL for the cell's value: missing-value tokens as null, text without outer blanks.

    Args:
        cell: SQL of the cell.
        kind: its DuckDB type.
        missing: the tokens; a token that is a number also matches other spellings of that number,
            and nan and inf match what a typed column holds in place of a number.
        wanted: the type that the value will have, if it is known. Among texts, a code such as 099
            is no other spelling of 99.
    """
    tokens = sorted({token.strip() for token in missing})
    text = kind == "VARCHAR"
    value = f"trim({cell}, E' \\t\\r\\n')" if text else cell
    listed = ", ".join(literal(token) for token in tokens)
    numbers = ", ".join(repr(float(token)) for token in tokens if is_number(token))
    tests = [f"{value} IN ({listed})"] if listed and text else []
    if numbers and (text or is_numeric(kind)):
        equal = f"coalesce(TRY_CAST({value} AS DOUBLE) IN ({numbers}), false)"
        tests.append(
            f"({equal} AND NOT {_is_code(value)})" if text and wanted == "string" else equal
        )
    infinite = ", ".join(f"DOUBLE '{float(t)}'" for t in tokens if _is_not_finite(t))
    if infinite and kind in _FLOATS:
        tests.append(f"coalesce(CAST({value} AS DOUBLE) IN ({infinite}), false)")
    if not tests:
        return value
    return f"CASE WHEN {' OR '.join(tests)} THEN NULL ELSE {value} END"


def is_number(token: str) -> bool:
    """Whether a text is a finite number."""
    try:
        return isfinite(float(token))
    except ValueError:
        return False


def _is_not_finite(token: str) -> bool:
    """Whether a text is what a column of floating point holds instead of a number: nan or inf."""
    try:
        return not isfinite(float(token))
    except ValueError:
        return False


def is_numeric(kind: str) -> bool:
    return kind in _INTEGERS or kind in _FLOATS or kind.startswith("DECIMAL")


def is_fraction(kind: str) -> bool:
    """Whether a type of the engine has numbers that need not be whole."""
    return is_numeric(kind) and kind not in _INTEGERS


def typed_sql(value: str, kind: str, wanted: ColumnType) -> str:
    """Return SQL for the value as the wanted type; null if it does not fit without loss.

    An int64 must be whole ("3.0" is, "3.7" is not). A float64 must be finite; if it is a whole
    number, also exact. A bool is one of true, false, 0 and 1. A date has no time other than
    midnight. Times with a zone, other than an unclear abbreviation, become UTC. Years have four
    digits, times at most microseconds.
    """
    text = value if is_numeric(kind) else _text(value, kind)
    match wanted:
        case "string":
            return f"CAST({value} AS VARCHAR)"
        case "int64" if is_numeric(kind):
            number = f"TRY_CAST({value} AS BIGINT)"
            # Not every decimal type has the whole number to which its own fraction is rounded.
            whole = f"trunc({value})" if kind.startswith("DECIMAL") else number
            return f"CASE WHEN {whole} = {value} THEN {number} END"
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
            # Text without a zone is read as UTC, the engine's own zone.
            time = f"TRY_CAST({value} AS TIMESTAMP)"
            if not _is_time(kind):
                text = _text(value, kind)
                plain = f"length({text}) = 19 AND substr({text}, 17, 1) = ':'"
                zoned = f"CAST(TRY_CAST({text} AS TIMESTAMPTZ) AS TIMESTAMP)"
                # Too short for a zone: the plain cast is four times cheaper.
                time = (
                    f"CASE WHEN {plain} THEN {time} WHEN NOT {_has_unclear_zone(text)} "
                    f"THEN {zoned} END"
                )
            return f"CASE WHEN {_is_representable(value, kind, time)} THEN {time} END"
        case "date":
            time = value if _is_time(kind) else _text(value, kind)
            date = f"TRY_CAST({time} AS DATE)"
            # Compared as times: the engine fails on a date that is none, such as infinity.
            midnight = f"TRY_CAST({time} AS TIMESTAMP) = TRY_CAST({date} AS TIMESTAMP)"
            return (
                f"CASE WHEN {midnight} AND {_is_representable(value, kind, date)} THEN {date} END"
            )


def _is_whole(text: str) -> str:
    """Return SQL for whether a number is whole.

    It compares digits, because the engine rounds; the most common form is tested first.
    """
    number = f"TRY_CAST({text} AS DOUBLE)"
    return (
        f"CAST(TRY_CAST({text} AS BIGINT) AS VARCHAR) = {text} "
        rf"OR regexp_full_match({text}, '[+-]?[0-9]+(\.0*)?') "
        rf"OR (length({text}) <= 15 AND {number} = floor({number}) "
        rf"AND regexp_full_match({text}, '[+-]?[0-9]*\.?[0-9]*[eE]\+?[0-9]+'))"
    )


def _is_exact(value: str, kind: str) -> str:
    """Return SQL for whether a double holds the number exactly, if it is whole."""
    if kind in _INTEGERS or kind == "HUGEINT":
        return f"CAST(CAST({value} AS DOUBLE) AS HUGEINT) = {value}"
    if not _exceeds_double(kind):
        return "true"
    same = f"CAST(CAST({value} AS DOUBLE) AS HUGEINT) = CAST({value} AS HUGEINT)"
    return f"({value} <> trunc({value}) OR {same})"


def _is_exact_text(text: str) -> str:
    """Return SQL for whether no digit of a whole number, such as an identifier, is rounded away."""
    number = f"TRY_CAST(TRY_CAST({text} AS DOUBLE) AS HUGEINT)"
    same = f"coalesce({number} = TRY_CAST({text} AS HUGEINT), false)"
    # The engine reads 1_000 as a number; in a table it is a code.
    return (
        f"NOT contains({text}, '_') AND "
        f"(length({text}) <= 15 OR NOT regexp_full_match({text}, '[+-]?[0-9]+') OR {same})"
    )


def _is_representable(value: str, kind: str, time: str) -> str:
    """Return SQL for whether Python can hold the time, and text writes its year in four digits."""
    first = "0001" if _is_time(kind) else "1000"
    years = f"{time} BETWEEN '{first}-01-01' AND {LATEST}"
    if kind in NANOSECONDS:
        return f"{years} AND TRY_CAST({time} AS TIMESTAMP_NS) = {value}"
    if _is_time(kind):
        return years
    text = _text(value, kind)
    finer = rf"length({text}) > 26 AND regexp_matches({text}, '\.[0-9]{{6}}[0-9]*[1-9]')"
    # The engine would also accept the words epoch and infinity.
    return f"{text} BETWEEN '1' AND ':' AND {years} AND NOT ({finer})"


def _has_unclear_zone(text: str) -> str:
    listed = ", ".join(literal(f" {zone}") for zone in _UNCLEAR_ZONES)
    return f"(upper(right({text}, 4)) IN ({listed}))"


def _is_time(kind: str) -> bool:
    return kind == "DATE" or kind.startswith("TIMESTAMP")


def _text(value: str, kind: str) -> str:
    return value if kind == "VARCHAR" else f"CAST({value} AS VARCHAR)"


def common_form_sql(cell: str, wanted: ColumnType, missing: Iterable[str]) -> str:
    """Return SQL for the value of a text cell that has the most common form; null for other cells.

    If it is not null, it equals `typed_sql` of `value_sql`, which take ten times as long.
    """
    tokens = sorted({token.strip() for token in missing} - {""})
    numbers = ", ".join(repr(float(token)) for token in tokens if is_number(token))
    listed = f" AND {cell} NOT IN ({', '.join(map(literal, tokens))})" if tokens else ""
    value = f"TRY_CAST({cell} AS {SQL_TYPES[wanted]})"
    other = f" AND CAST({value} AS DOUBLE) NOT IN ({numbers})" if numbers else ""
    years = f"{value} BETWEEN '1000-01-01' AND '9999-12-31 23:59:59'"
    match wanted:
        case "int64":
            test = f"CAST({value} AS VARCHAR) = {cell}{other}"
        case "float64":
            # Below 2^53 a double holds every whole number.
            exact = f"abs({value}) < 9007199254740992"
            test = f"{exact} AND NOT contains({cell}, '_'){other}"
        case "date":
            test = f"CAST({value} AS VARCHAR) = {cell} AND {years}{listed}"
        case "timestamp":
            # The engine computes a value once if it comes first in the test.
            plain = f"strlen({cell}) = 19 AND {cell} LIKE '%:__:__' AND {cell} >= '1'"
            test = f"{years} AND {plain}{listed}"
        case "string" if not numbers:
            value, test = cell, f"{cell} >= '!' AND {cell}[-1] > ' '{listed}"
        case "bool" if not numbers:
            test = f"{cell} IN ('true', 'false', '0', '1'){listed}"
        case _:
            return f"CAST(NULL AS {SQL_TYPES[wanted]})"
    return f"CASE WHEN {test} THEN {value} END"


INFERRED: tuple[ColumnType, ...] = ("int64", "float64", "bool", "date", "timestamp")
"""The types that text is tested for, in this order; text that fits none of them stays text."""


def looks_like_sql(value: str, wanted: ColumnType) -> str:
    """Return SQL for whether a text that is not missing looks like the type to a person.

    Stricter than `typed_sql`: numbers with leading zeros are codes, and so is 1E2, which would be
    the same number as 10E1; programs write 1e2, 1.0E2 or 1E+02. 0 and 1 are numbers. NaN counts as
    a number here, so its rows are quarantined and the column stays numeric.
    """
    code = _is_code(value)
    match wanted:
        case "int64":
            return f"({typed_sql(value, 'VARCHAR', 'int64')}) IS NOT NULL AND NOT {code}"
        case "float64":
            number = f"TRY_CAST({value} AS DOUBLE) IS NOT NULL"
            return f"{number} AND NOT {code} AND {_is_exact_text(value)}"
        case "bool":
            return f"lower({value}) IN ('true', 'false')"
        case "date":
            return f"length({value}) <= 10 AND ({typed_sql(value, 'VARCHAR', 'date')}) IS NOT NULL"
        case _:
            return f"({typed_sql(value, 'VARCHAR', wanted)}) IS NOT NULL"


def _is_code(value: str) -> str:
    return f"regexp_matches({value}, '^[+-]?(0[0-9]|[0-9]+E[0-9])')"


def native_type(kind: str) -> ColumnType | None:
    """Return the contract type of a typed source column; None for text, which may hold any type."""
    if kind in _INTEGERS or kind == "HUGEINT" or _is_whole_decimal(kind):
        return "int64"
    if is_numeric(kind):
        return "float64"
    if kind.startswith("TIMESTAMP"):
        return "timestamp"
    return {"BOOLEAN": "bool", "DATE": "date"}.get(kind)  # type: ignore[return-value]


def may_exceed(kind: str, wanted: ColumnType) -> bool:
    """Whether a type of the engine has whole numbers that the type, which is its own, has not."""
    return _exceeds_double(kind) if wanted == "float64" else _exceeds_int64(kind)


def _exceeds_int64(kind: str) -> bool:
    if _is_whole_decimal(kind):
        return int(kind.removeprefix("DECIMAL(").split(",")[0]) > 18
    return kind in {"UBIGINT", "HUGEINT"}


def _exceeds_double(kind: str) -> bool:
    """Whether a type of the engine is a decimal with whole numbers that no double holds exactly."""
    if not kind.startswith("DECIMAL"):
        return False
    digits, scale = map(int, kind.removeprefix("DECIMAL(").removesuffix(")").split(","))
    return digits - scale > _EXACT_DIGITS


def _is_whole_decimal(kind: str) -> bool:
    return kind.startswith("DECIMAL") and kind.endswith(",0)")
