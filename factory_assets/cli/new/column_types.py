"""Find the type of each column of a data file, and store its values in that type.

All texts of a table are tested by one expression over (column, text): a table of thousands of
columns would take minutes to plan otherwise.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_assets.cli.new.header import MISSING_TOKENS
from factory_assets.data.contract.sql_types import (
    INFERRED,
    looks_like_sql,
    native_type,
    typed_sql,
    value_sql,
)
from factory_assets.spec.contract import ColumnType
from factory_resources.sources.files.reader import SourceTable, parquet
from factory_resources.sql.engine import identifier, literal

NON_TEXT_MISSING_TOKENS = (*MISSING_TOKENS, "-", "--", ".", "None", "none", "missing", "unknown")
"""Tokens that mean "no value" in a column whose other values are numbers, dates or booleans."""

_DAYS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%Y.%m.%d", "%d %b %Y")
"""How days are written. Of two that fit all rows, the first is taken."""

_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p")


@dataclass(frozen=True)
class ColumnForm:
    """How the values of a column are read."""

    type: ColumnType
    tokens: tuple[str, ...] = ()
    """The missing-value tokens that occur in the column."""
    written: str = ""
    """SQL that reads the value, such as `CAST(try_strptime({}, '%d.%m.%Y') AS DATE)`, if the
    contract cannot; `{}` is the text."""


@dataclass(frozen=True)
class _WrittenForm:
    type: ColumnType
    sql: str
    pattern: str = ""
    """What each text must match besides, if anything."""
    sign: str = ""
    """What at least one text must contain."""

    @property
    def fits(self) -> str:
        """SQL for whether it reads all texts of a group."""
        read = f"{self.sql.replace('{}', 'text')} IS NOT NULL"
        if self.pattern:
            read += f" AND regexp_full_match(text, {literal(self.pattern)})"
        return f"bool_and({read}) AND bool_or(contains(text, {literal(self.sign)}))"


_WRITTEN = (
    _WrittenForm(
        "float64",
        "TRY_CAST(replace(replace({}, '.', ''), ',', '.') AS DOUBLE)",
        r"[+-]?([0-9]{1,3}(\.[0-9]{3})+|[0-9]+)(,[0-9]+)?([eE][+-]?[0-9]+)?",
        ",",
    ),
    *(_WrittenForm("date", f"CAST(try_strptime({{}}, '{day}') AS DATE)") for day in _DAYS),
    *(
        _WrittenForm("timestamp", f"try_strptime({{}}, '{day} {clock}')")
        for day in _DAYS
        for clock in _CLOCKS
    ),
)


def column_forms(connection: Any, raw: SourceTable) -> dict[str, ColumnForm]:
    """Return the form of each column, by its name in the source."""
    texts = {name: source for source, (name, kind) in raw.columns.items() if kind == "VARCHAR"}
    found = _text_forms(connection, raw, texts)
    # A typed source marks missing values itself, so there no value counts as a token.
    return {
        source: found.get(source) or ColumnForm(native_type(kind) or "string")
        for source, (_, kind) in raw.columns.items()
    }


def _text_forms(
    connection: Any, raw: SourceTable, texts: Mapping[str, str]
) -> dict[str, ColumnForm]:
    if not texts:
        return {}
    tokens = ", ".join(literal(token) for token in NON_TEXT_MISSING_TOKENS)
    known = f"FILTER (text NOT IN ({tokens}))"
    tests = [f"bool_and({looks_like_sql('text', candidate)}) {known}" for candidate in INFERRED]
    rows = connection.execute(
        f"SELECT name, list_sort(list(DISTINCT text) FILTER (text IN ({tokens}))), "
        f"min(text) {known}, max(text) {known}, {', '.join(tests)} "
        f"FROM ({_long(raw, [*texts])}) GROUP BY name"
    ).fetchall()
    forms, unread = {}, {}
    for name, occurring, least, most, *fits in rows:
        types = [candidate for candidate, fit in zip(INFERRED, fits, strict=True) if fit]
        kind: ColumnType = types[0] if types else "string"
        valid = MISSING_TOKENS if kind == "string" else NON_TEXT_MISSING_TOKENS
        used = tuple(token for token in occurring or () if token in valid)
        forms[texts[name]] = ColumnForm(kind, used)
        if kind == "string" and all(text and text[0] in "+-0123456789" for text in (least, most)):
            unread[name] = texts[name]
    return forms | _written_forms(connection, raw, unread, forms)


def _written_forms(
    connection: Any, raw: SourceTable, texts: Mapping[str, str], forms: Mapping[str, ColumnForm]
) -> dict[str, ColumnForm]:
    """Return the forms of numbers and dates that the contract cannot read."""
    if not texts:
        return {}
    tokens = ", ".join(literal(token) for token in MISSING_TOKENS)
    rows = connection.execute(
        f"SELECT name, {', '.join(form.fits for form in _WRITTEN)} "
        f"FROM ({_long(raw, [*texts])}) WHERE text NOT IN ({tokens}) GROUP BY name"
    ).fetchall()
    found = {}
    for name, *fits in rows:
        fitting = [form for form, fit in zip(_WRITTEN, fits, strict=True) if fit]
        for form in fitting[:1]:
            tokens_of = forms[texts[name]].tokens
            found[texts[name]] = ColumnForm(form.type, tokens_of, form.sql)
    return found


def _long(raw: SourceTable, names: Sequence[str]) -> str:
    """Return SQL for the texts of the columns as rows of (name, text)."""
    listed = ", ".join(identifier(name) for name in names)
    texts = f"SELECT {listed} FROM {parquet(raw.path)}"
    return (
        f"SELECT name, {value_sql('cell', 'VARCHAR', ('',))} AS text FROM "
        f"(UNPIVOT ({texts}) ON {listed} INTO NAME name VALUE cell)"
    )


def store_typed(
    connection: Any, raw: SourceTable, forms: Mapping[str, ColumnForm], scratch: Path
) -> None:
    """Create the view `typed` of all rows, typed, by the names in the source, in their order.

    `factory_place` is the number of the row.
    """
    cells = [
        f"{_typed(identifier(name), kind, forms[source])} AS {identifier(source)}"
        for source, (name, kind) in raw.columns.items()
    ]
    path = scratch / "typed.parquet"
    connection.execute(
        f"COPY (SELECT {', '.join(cells)}, row_number() OVER () AS factory_place "
        f"FROM {parquet(raw.path)}) TO {literal(str(path))} (FORMAT parquet)"
    )
    connection.execute(f"CREATE TEMP VIEW typed AS FROM {parquet(path)}")


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
