"""Casts between the types of values, as the engine computes them.

Casts that depend on its way of writing numbers, such as DOUBLE to VARCHAR, are not here.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from factory_resources.sql.scalar.binding import NotCertainError, SqlType
from factory_resources.sql.scalar.values import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    EXACT,
    INTEGER,
    VARCHAR,
    Evaluate,
    Term,
    UndecidedError,
    bounds,
    strict,
    within,
)

_POWERS = 22
"""Up to this one every power of ten is a double."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
# Not the beginnings of inf and nan.
_NO_NUMBER = re.compile(r"[A-HJ-MO-Za-hj-mo-z]", re.ASCII)


def cast(term: Term, kind: SqlType, *, attempt: bool) -> Evaluate:
    """Return the cast of a value to another type.

    Args:
        attempt: whether a text that is not a number becomes NULL.

    Raises:
        NotCertainError: the engine's result is not certain.
    """
    source = term.type
    if source == kind or (term.constant and term.value is None):
        return term.evaluate
    if (source, kind) in _CASTS:
        return strict(_CASTS[source, kind], [term])
    if kind in (INTEGER, BIGINT) and source in (INTEGER, BIGINT, BOOLEAN):
        return within(int, [term], kind)
    if kind in (INTEGER, BIGINT) and source == DOUBLE:
        return within(round, [term], kind)  # half to even, as in the engine
    if source == VARCHAR and kind in (INTEGER, BIGINT, DOUBLE):
        return _parsed(term, kind, attempt)
    if kind.name == "DECIMAL":
        return _to_decimal(term, kind)
    if source.name == "DECIMAL" and kind == DOUBLE and source.scale <= _POWERS:
        power = 10.0**source.scale
        return strict(lambda digits: _to_double(digits) / power, [term])
    raise NotCertainError(f"a cast of {source.name} to {kind.name}")


def _to_decimal(term: Term, kind: SqlType) -> Evaluate:
    source = term.type
    if source not in (INTEGER, BIGINT) and source.name != "DECIMAL":
        raise NotCertainError(f"a cast of {source.name} to DECIMAL")
    if kind.scale < source.scale:
        raise NotCertainError("a cast that rounds")
    factor = 10 ** (kind.scale - source.scale)
    return within(lambda number: number * factor, [term], kind)


def _to_double(number: int) -> float:
    """Return the same number; the engine may compare a number that no double equals exactly."""
    if -EXACT <= number <= EXACT:
        return float(number)
    raise UndecidedError("no double equals the number")


def _parsed(term: Term, kind: SqlType, attempt: bool) -> Evaluate:
    """Return the number that a plain text spells; other spellings are left to the engine."""
    pattern, read = (_NUMBER, float) if kind == DOUBLE else (_WHOLE, int)
    low, high = (-math.inf, math.inf) if kind == DOUBLE else bounds(kind)

    def parse(text: str) -> float | None:
        if pattern.fullmatch(text) and low <= (number := read(text)) <= high:
            return number
        if attempt and _NO_NUMBER.match(text):
            return None
        raise UndecidedError("not a plain number")

    return strict(parse, [term])


_CASTS: dict[tuple[SqlType, SqlType], Callable[[Any], Any]] = {
    (INTEGER, DOUBLE): float,
    (BIGINT, DOUBLE): _to_double,
    (BOOLEAN, DOUBLE): float,
    (INTEGER, BOOLEAN): bool,
    (BIGINT, BOOLEAN): bool,
    (DOUBLE, BOOLEAN): bool,
    (INTEGER, VARCHAR): str,
    (BIGINT, VARCHAR): str,
    (BOOLEAN, VARCHAR): lambda value: "true" if value else "false",
}
