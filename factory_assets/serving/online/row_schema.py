"""The contract of a model's columns as a decoder: JSON text in, typed and checked values out.

It accepts only what certainly satisfies the contract, and what it yields are the values that the
SQL engine would yield. Everything else is left to the engine, which also words the reasons.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any, Literal

import msgspec

from factory_assets.data.contract.sql_types import is_number
from factory_assets.spec import Column, Ingest
from factory_resources.sql.scalar.binding import Kind
from factory_resources.sql.scalar.values import UndecidedError

EXACT = 2**53
"""Below it, a double holds every whole number."""

TIMES = ("DATE", "TIMESTAMP")
"""The engine's types of times; their values are whole seconds since 1970 here."""

_ESCAPED = re.compile(r'["\\\x00-\x1f]')

ColumnKind = Kind | Literal["DATE", "TIMESTAMP"]

Check = Callable[[Any], Any]
"""Returns a value as the engine has it; raises UndecidedError if only the engine may decide."""


@dataclass(frozen=True)
class RowSchema:
    """How rows are decoded; the values of a row are in the order of the columns."""

    columns: tuple[Column, ...]
    kinds: tuple[ColumnKind, ...]
    row: type[msgspec.Struct]
    checks: tuple[tuple[int, Check], ...]
    """What a decoder cannot say, by position of the column."""
    missing: tuple[frozenset[float], ...]
    """By column: the numbers that mean a missing value."""
    tokens: tuple[frozenset[str], ...]
    """By column: the texts that mean a missing value."""

    @classmethod
    def of(
        cls, columns: Sequence[Column], ingest: Ingest, beside: Sequence[str] = ()
    ) -> RowSchema | None:
        """Return the schema, or None if a column needs the engine for every value.

        Args:
            beside: names that a row may have beside the columns; their values are not checked.
        """
        names = [*(column.source_name for column in columns), *beside]
        # A decoder reads each key once, and no key that JSON must escape.
        if len({*names}) < len(names) or any(_ESCAPED.search(name) for name in names):
            return None
        kinds: list[ColumnKind] = []
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
        checks: list[tuple[int, Check]] = []
        missing: list[frozenset[float]] = []
        tokens: list[frozenset[str]] = []
        for position, column in enumerate(columns):
            tokens.append(frozenset(token.strip() for token in (*ingest.missing, *column.missing)))
            missing.append(frozenset(float(token) for token in tokens[-1] if is_number(token)))
            described = _described(column, tokens[-1], missing[-1])
            if described is None:
                return None
            kind, annotation, check = described
            kinds.append(kind)
            fields.append((f"f{position}", annotation | None if column.nullable else annotation))
            if check:
                checks.append((position, _nullable(check) if column.nullable else check))
        fields += [(f"b{n}", Any, msgspec.UNSET) for n in range(len(beside))]
        renamed = {field[0]: name for field, name in zip(fields, names, strict=True)}
        row = msgspec.defstruct("Row", fields, rename=renamed, frozen=True, gc=False)
        return cls(tuple(columns), tuple(kinds), row, tuple(checks), tuple(missing), tuple(tokens))

    @cached_property
    def texts(self) -> tuple[int, ...]:
        """The positions of the columns whose values come as text."""
        kinds = ("VARCHAR", *TIMES)
        return tuple(i for i, kind in enumerate(self.kinds) if kind in kinds)

    @property
    def decoder(self) -> msgspec.json.Decoder[Any]:
        """A decoder of one row or a list of rows."""
        return msgspec.json.Decoder(self.row | list[self.row])  # type: ignore[name-defined]

    def values(self, row: msgspec.Struct) -> tuple[Any, ...]:
        """Return the values of a decoded row.

        Raises:
            UndecidedError: only the engine may decide.
        """
        values = msgspec.structs.astuple(row)[: len(self.columns)]
        if not self.checks:
            return values
        changed = list(values)
        for position, check in self.checks:
            changed[position] = check(changed[position])
        return tuple(changed)


def _described(
    column: Column, tokens: frozenset[str], numbers: frozenset[float]
) -> tuple[ColumnKind, Any, Check | None] | None:
    """Return a column's type in the engine, its annotation for the decoder, and its check."""
    if column.pattern is not None:
        return None
    required = not column.nullable
    match column.type:
        case "float64":
            return _float(column, numbers, required)
        case "int64":
            return _int(column, numbers, required)
        case "string":
            return _text(column, tokens, bool(numbers), required)
        case "bool" if column.values is None and not numbers:
            return "BOOLEAN", bool, None
        case "date" | "timestamp" if not (column.values or column.range or column.timezone):
            return _time(column.type, tokens, bool(numbers), required)
        case _:
            return None


def _float(
    column: Column, numbers: frozenset[float], required: bool
) -> tuple[Kind, Any, Check | None] | None:
    low, high = _bounds(column)
    least, most = max(-EXACT + 1, low), min(EXACT - 1, high)
    if least > most:
        return None
    annotation = Annotated[float, msgspec.Meta(ge=least, le=most)]
    if column.values is None:
        return "DOUBLE", annotation, _without(numbers, required) if numbers else None
    if any(isinstance(value, bool | str) for value in column.values):
        return None
    return "DOUBLE", annotation, _among(frozenset(map(float, column.values)), numbers, required)


def _int(
    column: Column, numbers: frozenset[float], required: bool
) -> tuple[Kind, Any, Check | None] | None:
    low, high = _bounds(column)
    least, most = math.ceil(max(-EXACT + 1, low)), math.floor(min(EXACT - 1, high))
    if least > most:
        return None
    annotation: Any = Annotated[int, msgspec.Meta(ge=least, le=most)]
    if column.values is None:
        return "BIGINT", annotation, _without(numbers, required) if numbers else None
    allowed = frozenset(value for value in column.values if type(value) is int)
    if len(allowed) < len({*column.values}):
        return None
    return "BIGINT", annotation, _among(allowed, numbers, required)


def _text(
    column: Column, tokens: frozenset[str], numeric: bool, required: bool
) -> tuple[Kind, Any, Check | None] | None:
    low, high = column.length or (None, None)
    if column.values is not None:
        if any(type(value) is not str for value in column.values):
            return None
        allowed = frozenset(map(str, column.values)) - tokens
        if not allowed or numeric or any(_has_margins(value) for value in allowed):
            return None
        annotation: Any = Literal[tuple(sorted(allowed))]
        return "VARCHAR", annotation, None if low is high is None else _sized(low, high)

    def check(text: str) -> str | None:
        if text in tokens:
            if required:
                raise UndecidedError
            return None
        if _has_margins(text) or "\0" in text:
            raise UndecidedError
        if numeric and not text[:1].isalpha():
            raise UndecidedError
        if (low is not None and len(text) < low) or (high is not None and len(text) > high):
            raise UndecidedError
        return text

    return "VARCHAR", str, check


def _time(
    kind: Literal["date", "timestamp"], tokens: frozenset[str], numeric: bool, required: bool
) -> tuple[ColumnKind, Any, Check | None] | None:
    if numeric:
        return None
    form = re.compile(_DATE if kind == "date" else f"{_DATE}([ T]{_CLOCK})?", re.ASCII)

    def check(text: str) -> float | None:
        if text in tokens:
            if required:
                raise UndecidedError
            return None
        if not form.fullmatch(text):
            raise UndecidedError
        try:
            return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
        except ValueError as error:
            raise UndecidedError from error

    return ("DATE" if kind == "date" else "TIMESTAMP"), str, check


_DATE, _CLOCK = r"[12]\d{3}-\d\d-\d\d", r"\d\d:\d\d:\d\d"


def _sized(low: int | None, high: int | None) -> Check:
    def check(text: str) -> str:
        if (low is not None and len(text) < low) or (high is not None and len(text) > high):
            raise UndecidedError
        return text

    return check


def _without(missing: frozenset[float], required: bool) -> Check:
    def check(value: float) -> float | None:
        if value not in missing:
            return value
        if required:
            raise UndecidedError
        return None

    return check


def _among(allowed: frozenset[float], missing: frozenset[float], required: bool) -> Check:
    def check(value: float) -> float | None:
        if value in missing and not required:
            return None
        if value in missing or value not in allowed:
            raise UndecidedError
        return value

    return check


def _nullable(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _bounds(column: Column) -> tuple[float, float]:
    low, high = column.range or (None, None)
    assert not isinstance(low, str)
    assert not isinstance(high, str)
    return (-math.inf if low is None else low), (math.inf if high is None else high)


def _has_margins(text: str) -> bool:
    """Whether a text begins or ends with what may count as a blank."""
    return bool(text) and (text[0] <= " " or text[-1] <= " ")
