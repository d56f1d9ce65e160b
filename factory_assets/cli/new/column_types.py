"""Find the type of each column of a data file, and store its values in that type.

All texts of a table are tested by one expression over (column, text): a table of thousands of
columns would take minutes to plan otherwise.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from factory_assets.cli.new.column_summary import ColumnForm
from factory_assets.cli.new.header import MISSING_TOKENS
from factory_assets.cli.new.short_years import with_centuries
from factory_assets.cli.new.units import may_be_amount
from factory_assets.cli.new.written_columns import read_written
from factory_assets.cli.new.written_forms import EXCEL_DAY, GERMAN
from factory_assets.data.contract.sql_types import (
    INFERRED,
    NANOSECONDS,
    native_type,
    typed_sql,
    value_sql,
)
from factory_assets.data.contract.type_inference import FIRST, fits_sql
from factory_assets.data.leakage.semantics import words_of
from factory_assets.spec.contract import ColumnType
from factory_resources.sources.files.reader import SourceTable, parquet
from factory_resources.sql.engine import identifier, literal

NON_TEXT_MISSING_TOKENS = (
    *(*MISSING_TOKENS, "-", "--", ".", "None", "none", "missing", "unknown"),
    *("n.a.", "N.A.", "k.A.", "k. A.", "k.a.", "keine Angabe", "unbekannt"),
    # Of laboratories: not determined.
    *("n.b.", "n. b.", "nicht bestimmt", "nicht bestimmbar"),
    # Of offices for statistics, and of typesetting.
    *("..", ":", "\u2013", "\u2014", "\u2212"),
    # Of formulas that a spreadsheet could not compute.
    *("#DIV/0!", "#NUM!", "#VALUE!", "#REF!", "#NAME?", "#NULL!"),
    *("#NV", "#ZAHL!", "#WERT!", "#BEZUG!"),
    # Of a division by zero. A contract accepts finite numbers alone.
    *(sign + text for text in ("inf", "Inf", "INF", "Infinity") for sign in ("", "-", "+")),
)
"""Tokens that mean "no value" in a column whose other values are numbers, dates or booleans."""


_NESTED = re.compile(r"^(STRUCT|MAP|UNION)\(|\[\d*\]$")
"""Types of the engine whose values hold several values."""

_BRACKETS = frozenset(("{}", "[]"))

_DAY = re.compile("(19|20)[0-9]{6}([0-9]{2}){0,3}")
"""A day, or one with a time of the day."""

_MONTH = re.compile("(19|20)[0-9]{2}(0[1-9]|1[0-2])")

_SINCE_1970 = re.compile(r"1[0-9]{9}([0-9]{3}|\.[0-9]{1,9})?")
"""Seconds, with or without a fraction, or milliseconds, from 2001 to 2033."""

_TIMES = frozenset(
    ("ts", "time", "timestamp", "datetime", "epoch", "unixtime", "date", "at", "zeit")
)

_DATES = frozenset(("date", "datum", "fecha"))

_MONTHS = _DATES | {"month", "yearmonth", "yyyymm", "ym", "calmonth", "period", "monat", "periode"}

_EXCEL = re.compile(rf"{EXCEL_DAY}(\.[0-9]+)?")
"""A day as Excel counts them, or one with a time of the day."""


def _may_be_time(text: str, name: str) -> bool:
    """Whether a number may say when something happened."""
    words = {*words_of(name)}
    return bool(
        _DAY.fullmatch(text)
        or (_TIMES & words and _SINCE_1970.fullmatch(text))
        or (_MONTHS & words and _MONTH.fullmatch(text))
        or (_DATES & words and _EXCEL.fullmatch(text))
    )


def column_forms(connection: Any, raw: SourceTable, delimiter: str) -> dict[str, ColumnForm]:
    """Return the form of each column, by its name in the source.

    Args:
        connection: an engine that reads the rows.
        raw: the rows.
        delimiter: what separates the columns of a text file; empty if it is not known.
    """
    texts = {name: source for source, (name, kind) in raw.columns.items() if kind == "VARCHAR"}
    typed = {name: kind for name, kind in raw.columns.values() if kind != "VARCHAR"}
    found = _text_forms(connection, raw, texts, delimiter)
    special = _special(connection, raw, typed)
    return {
        source: found.get(source) or _native_form(kind, special.get(name))
        for source, (name, kind) in raw.columns.items()
    }


def _special(connection: Any, raw: SourceTable, kinds: Mapping[str, str]) -> dict[str, Any]:
    """Return what a contract refuses of the typed columns that may hold such a value.

    Of floating point, that is a list of nan and infinities; of large whole numbers and of times of
    nanoseconds, whether there are some.
    """
    tests = {}
    for name, kind in kinds.items():
        cell, wanted = identifier(name), native_type(kind)
        if kind in ("FLOAT", "DOUBLE"):
            tests[name] = f"list_sort(list(DISTINCT {cell}) FILTER (NOT isfinite({cell})))"
        elif wanted and (wanted == "int64" or kind in NANOSECONDS):
            tests[name] = (
                f"bool_or({cell} IS NOT NULL AND ({typed_sql(cell, kind, wanted)}) IS NULL)"
            )
    if not tests:
        return {}
    query = f"SELECT {', '.join(tests.values())} FROM {parquet(raw.path)}"
    [found] = connection.execute(query).fetchall()
    return dict(zip(tests, found, strict=True))


def _native_form(kind: str, special: Any) -> ColumnForm:
    """Return the form of a typed column: its source marks missing values, but for nan and inf."""
    wanted = native_type(kind)
    if isinstance(special, list):
        return ColumnForm("float64", tuple(map(str, special)))
    if special:
        return ColumnForm("string", note=f"text, since a value does not fit {wanted}")
    return ColumnForm(wanted or "string", nested=bool(_NESTED.search(kind)))


def _text_forms(
    connection: Any, raw: SourceTable, texts: Mapping[str, str], delimiter: str
) -> dict[str, ColumnForm]:
    if not texts:
        return {}
    tokens = ", ".join(literal(token) for token in NON_TEXT_MISSING_TOKENS)
    known = f"text NOT IN ({tokens})"
    also = (
        f"list_sort(list(DISTINCT text) FILTER (text IN ({tokens})))",
        *(f"{ends} FILTER ({known})" for ends in ("min(text)", "max(text)")),
        f"bool_or(contains(text, '.')) FILTER ({known})",
    )
    first = _long(raw, [*texts], f"LIMIT {FIRST}")
    rows = connection.execute(fits_sql(_long(raw, [*texts]), first, known, also)).fetchall()
    forms, unread = {}, {}
    pointed = set()
    for name, occurring, least, most, has_point, *fits in rows:
        types = [candidate for candidate, fit in zip(INFERRED, fits, strict=True) if fit]
        kind: ColumnType = types[0] if types else "string"
        valid = MISSING_TOKENS if kind == "string" else NON_TEXT_MISSING_TOKENS
        used = tuple(token for token in occurring or () if token in valid)
        ends = [text[0] + text[-1] for text in (least, most) if text]
        forms[name] = ColumnForm(
            kind,
            used,
            # A reader of JSON Lines writes objects and lists so; of other texts, it is not certain.
            nested=raw.format == "jsonl" and not _BRACKETS.isdisjoint(ends),
            bracketed=bool(ends) and _BRACKETS.issuperset(ends),
        )
        if kind in ("int64", "float64") and has_point:
            pointed.add(name)
        if least and _may_be_written(kind, texts[name], (least, most), has_point):
            unread[name] = replace(forms[name], tokens=tuple(occurring or ()))
    if unread:
        known_texts = f"(FROM ({_long(raw, [*unread])}) WHERE text NOT IN ({tokens}))"
        read = read_written(connection, known_texts, unread, pointed, delimiter)
        forms |= read | with_centuries(connection, known_texts, read, texts)
    return {texts[name]: form for name, form in forms.items()}


def _may_be_written(kind: ColumnType, name: str, ends: tuple[str, str], has_point: bool) -> bool:
    """Whether a column may have numbers or dates that the contract does not read, or misreads.

    Args:
        kind: as the contract reads it.
        name: in the file.
        ends: the first and the last one of its texts in the order of the alphabet.
        has_point: whether one of its texts has a point.
    """
    match kind:
        case "string":
            return all(map(may_be_amount, ends))
        case "int64" | "float64" if all(_may_be_time(text, name) for text in ends):
            return True
        case "int64" | "float64":
            return has_point and all(re.fullmatch(GERMAN.pattern, text) for text in ends)
    return False


def _long(raw: SourceTable, names: Sequence[str], limit: str = "") -> str:
    """Return SQL for the texts of the columns as rows of (name, text)."""
    listed = ", ".join(identifier(name) for name in names)
    texts = f"SELECT {listed} FROM {parquet(raw.path)} {limit}"
    return (
        f"SELECT name, {value_sql('cell', 'VARCHAR', ('',))} AS text FROM "
        f"(UNPIVOT ({texts}) ON {listed} INTO NAME name VALUE cell)"
    )


def store_typed(
    connection: Any, raw: SourceTable, forms: Mapping[str, ColumnForm], scratch: Path
) -> Path:
    """Store all rows, typed, in the columns `c0`, `c1` and so on, and return the file.

    `factory_place` is the number of the row.
    """
    cells = [
        f"{_typed(identifier(name), kind, forms[source])} AS c{place}"
        for place, (source, (name, kind)) in enumerate(raw.columns.items())
    ]
    path = scratch / "typed.parquet"
    connection.execute(
        f"COPY (SELECT {', '.join(cells)}, row_number() OVER () AS factory_place "
        f"FROM {parquet(raw.path)}) TO {literal(str(path))} (FORMAT parquet)"
    )
    return path


def show_typed(connection: Any, path: Path, cells: Sequence[str]) -> None:
    """Make these columns of the typed rows, and `factory_place`, the view `typed`.

    The engine plans every column of a view, used or not.
    """
    columns = ", ".join((*cells, "factory_place"))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW typed AS SELECT {columns} FROM {parquet(path)}"
    )


def _typed(cell: str, kind: str, form: ColumnForm) -> str:
    """Return SQL for the value of a cell in the type of its column."""
    if kind == "VARCHAR" and not form.written:
        # All texts are known to fit, so that the simplest cast does; tokens are no numbers.
        if form.type == "int64":
            return f"TRY_CAST({cell} AS BIGINT)"
        if form.type == "float64":
            number = f"TRY_CAST({cell} AS DOUBLE)"
            return f"CASE WHEN isfinite({number}) THEN {number} END"
    value = value_sql(cell, kind, ("", *form.tokens))
    return form.written.replace("{}", value) if form.written else typed_sql(value, kind, form.type)
