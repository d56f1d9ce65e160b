"""Functions of numbers and comparisons of all values, as the engine computes them.

Each one returns the engine's result bit for bit. What the engine computes in its own way, such as
`round(x, 2)`, or what depends on its settings, is not here.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from factory_resources.sql.scalar.binding import NotCertainError, SqlType
from factory_resources.sql.scalar.math_library import LIBRARY, OF_TWO, shared_with_engine
from factory_resources.sql.scalar.values import (
    BIGINT,
    BOOLEAN,
    COMPARISONS,
    DOUBLE,
    INTEGER,
    Evaluate,
    Row,
    Term,
    UndecidedError,
    bounds,
    finite,
    strict,
    within,
)

_ALIASES = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "//",
    "mod": "%",
    "@": "abs",
    "^": "pow",
    "**": "pow",
    "power": "pow",
    "log": "log10",
    "ceiling": "ceil",
}


def comparison(name: str, terms: Sequence[Term]) -> Evaluate | None:
    """Return a comparison of two values of one type, or None if there is none of that name."""
    if name not in {*COMPARISONS, "is distinct from", "is not distinct from"}:
        return None
    left, right = terms
    if left.type != right.type:
        raise NotCertainError("a comparison of two types")
    if name in COMPARISONS:
        return strict(COMPARISONS[name], terms)
    one, other = left.evaluate, right.evaluate
    # None equals only itself.
    if name == "is distinct from":
        return lambda row: bool(one(row) != other(row))
    return lambda row: bool(one(row) == other(row))


def number_function(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    """Return a function of numbers, or None if there is none of that name for their types."""
    name = _ALIASES.get(name, name)
    kinds = {term.type for term in terms}
    if name == "pi" and not terms:
        return lambda row: math.pi
    if kinds == {DOUBLE}:
        return _double_function(name, kind, terms)
    if name in _WHOLES and kinds == {kind} and kind in (BIGINT, INTEGER):
        return _whole_function(name, kind, terms)
    if kind.name == "DECIMAL" and {each.name for each in kinds} == {"DECIMAL"}:
        return _decimal_function(name, kind, terms)
    return None


def _double_function(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    if name in _FINITE and kind == BOOLEAN and len(terms) == 1:
        answer = _FINITE[name]
        return strict(lambda value: answer, terms)
    function = _DOUBLES.get((name, len(terms)))
    if function is None or kind != DOUBLE:
        return None
    if name in LIBRARY and name not in shared_with_engine():
        raise NotCertainError(f"the engine has another {name}")
    return finite(function, terms)


def _whole_function(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    if len(terms) > 2 and name in {"+", "*"}:
        return _regroupable(name, terms, kind)
    function = _WHOLES[name].get(len(terms))
    return None if function is None else within(function, terms, kind)


def _regroupable(name: str, terms: Sequence[Term], kind: SqlType) -> Evaluate:
    """Return a sum or a product of which the engine may compute any part first.

    A part may overflow even if another number is NULL.
    """
    total, largest = _TOTALS[name]
    high = bounds(kind)[1]
    evaluates = [term.evaluate for term in terms]

    def evaluate(row: Row) -> Any:
        values = [each(row) for each in evaluates]
        numbers = [value for value in values if value is not None]
        if largest(numbers) > high:
            raise UndecidedError(f"a part of the result may overflow {kind.name}")
        return total(numbers) if len(numbers) == len(values) else None

    return evaluate


def _decimal_function(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    scales = [term.type.scale for term in terms]
    # Sums are of one scale, and the scales of factors add up.
    fits = sum(scales) == kind.scale if name == "*" else set(scales) == {kind.scale}
    if not fits or name not in {"+", "-", "*"}:
        return None
    function = _WHOLES[name].get(len(terms))
    return None if function is None else within(function, terms, kind)


def extreme(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    """Return `greatest` or `least`: the first such value that is not NULL, or None."""
    if name not in {"greatest", "least"}:
        return None
    if {term.type for term in terms} != {kind}:
        raise NotCertainError(f"{name} of several types")
    beats = operator.gt if name == "greatest" else operator.lt
    evaluates = [term.evaluate for term in terms]

    def evaluate(row: Row) -> Any:
        best = None
        for each in evaluates:
            value = each(row)
            if value is not None and (best is None or beats(value, best)):
                best = value
        return best

    return evaluate


def _quotient(dividend: int, divisor: int) -> int:
    """Return the quotient, rounded towards zero."""
    quotient = abs(dividend) // abs(divisor)
    return quotient if (dividend < 0) == (divisor < 0) else -quotient


def _remainder(dividend: int, divisor: int) -> int:
    """Return the remainder, with the sign of the dividend."""
    remainder = abs(dividend) % abs(divisor)
    return -remainder if dividend < 0 else remainder


def _rounded(value: float) -> float:
    """Return the nearest whole number, the one away from zero if there are two."""
    size = abs(value)
    whole = math.floor(size)
    return math.copysign(whole + (size - whole >= 0.5), value)


_WHOLES: dict[str, dict[int, Callable[..., int]]] = {
    "+": {1: operator.pos, 2: operator.add},
    "-": {1: operator.neg, 2: operator.sub},
    "*": {2: operator.mul},
    "//": {2: _quotient},
    "%": {2: _remainder},
    "abs": {1: abs},
}
"""Functions of whole numbers, by the number of arguments."""

_TOTALS: dict[str, tuple[Callable[..., int], Callable[..., int]]] = {
    "+": (sum, lambda numbers: sum(map(abs, numbers))),
    "*": (math.prod, lambda numbers: math.prod(max(1, abs(number)) for number in numbers)),
}
"""The result of many whole numbers, and the most that any of them may amount to."""

_DOUBLES: dict[tuple[str, int], Callable[..., float]] = {
    ("+", 1): operator.pos,
    ("+", 2): operator.add,
    ("-", 1): operator.neg,
    ("-", 2): operator.sub,
    ("*", 2): operator.mul,
    ("/", 2): operator.truediv,
    ("%", 2): math.fmod,
    ("abs", 1): abs,
    ("sqrt", 1): math.sqrt,
    ("floor", 1): lambda value: math.copysign(math.floor(value), value),
    ("ceil", 1): lambda value: math.copysign(math.ceil(value), value),
    ("trunc", 1): lambda value: math.copysign(math.trunc(value), value),
    ("round", 1): _rounded,
    ("radians", 1): lambda degrees: degrees * (math.pi / 180),
    ("degrees", 1): lambda radians: radians * (180 / math.pi),
    **{(name, 1 + (name in OF_TWO)): function for name, function in LIBRARY.items()},
}
"""Functions of doubles, by name and number of arguments."""

_FINITE = {"isfinite": True, "isinf": False, "isnan": False}
"""What is true of every finite number."""
