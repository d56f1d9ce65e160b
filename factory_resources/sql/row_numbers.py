"""Functions, comparisons and casts of numbers and truth values, as the engine computes them.

Each one returns the engine's result bit for bit. What the engine computes otherwise, such as
`round(x, 2)`, or what depends on its settings, is not here.
"""

import math
import operator
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from factory_resources.sql.bound_expressions import NotCertainError, SqlType
from factory_resources.sql.row_values import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    INTEGER,
    VARCHAR,
    Evaluate,
    Term,
    UndecidedError,
    bounds,
    finite,
    strict,
    within,
)

_EXACT = 2**53
"""Up to it every whole number is a double."""

_POWERS = 22
"""Up to this one every power of ten is a double."""

_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_WHOLE = re.compile(r"-?[0-9]{1,18}")
# Not the beginnings of inf and nan.
_NO_NUMBER = re.compile(r"[A-HJ-MO-Za-hj-mo-z]", re.ASCII)

_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

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
    if name not in {*_COMPARISONS, "is distinct from", "is not distinct from"}:
        return None
    left, right = terms
    if left.type != right.type:
        raise NotCertainError("a comparison of two types")
    if name in _COMPARISONS:
        return strict(_COMPARISONS[name], terms)
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
        function = _WHOLES[name].get(len(terms))
        return None if function is None else within(function, terms, kind)
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
    if name in _LIBRARY and name not in engine_library():
        raise NotCertainError(f"the engine has another {name}")
    return finite(function, terms)


def _decimal_function(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    scales = [term.type.scale for term in terms]
    # Additions are of one scale, in products it adds up.
    if scales != [kind.scale] * len(terms) and (name != "*" or sum(scales) != kind.scale):
        return None
    if name == "*" and sum(scales) != kind.scale:
        return None
    function = _WHOLES[name].get(len(terms)) if name in {"+", "-", "*"} else None
    return None if function is None else within(function, terms, kind)


def extreme(name: str, kind: SqlType, terms: Sequence[Term]) -> Evaluate | None:
    """Return `greatest` or `least`: the first such value that is not NULL, or None."""
    if name not in {"greatest", "least"}:
        return None
    if {term.type for term in terms} != {kind}:
        raise NotCertainError(f"{name} of several types")
    beats = operator.gt if name == "greatest" else operator.lt
    evaluates = [term.evaluate for term in terms]

    def evaluate(row: Any) -> Any:
        best = None
        for each in evaluates:
            value = each(row)
            if value is not None and (best is None or beats(value, best)):
                best = value
        return best

    return evaluate


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
    if source == VARCHAR and kind in (INTEGER, BIGINT):
        return _parsed(term, kind, attempt)
    if source == VARCHAR and kind == DOUBLE:
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
    if -_EXACT <= number <= _EXACT:
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

_WHOLES: dict[str, dict[int, Callable[..., int]]] = {
    "+": {1: operator.pos, 2: operator.add},
    "-": {1: operator.neg, 2: operator.sub},
    "*": {2: operator.mul},
    "//": {2: _quotient},
    "%": {2: _remainder},
    "abs": {1: abs},
}
"""Functions of whole numbers, by the number of arguments."""

_LIBRARY: dict[str, Callable[..., float]] = {
    "exp": math.exp,
    "ln": math.log,
    "log10": math.log10,
    "log2": math.log2,
    "pow": math.pow,
    "cbrt": math.cbrt,
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "asin": math.asin,
    "acos": math.acos,
    "atan": math.atan,
    "atan2": math.atan2,
    "sinh": math.sinh,
    "cosh": math.cosh,
    "tanh": math.tanh,
}
"""Functions that C libraries round differently."""

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
    **{(name, 2 if name in {"pow", "atan2"} else 1): _LIBRARY[name] for name in _LIBRARY},
}
"""Functions of doubles, by name and number of arguments."""

_FINITE = {"isfinite": True, "isinf": False, "isnan": False}
"""What is true of every finite number."""


@cache
def engine_library() -> frozenset[str]:
    """Return the functions of the C library that the engine and Python compute alike.

    Both call the system's library, unless one of them was built with its own.
    """
    import duckdb

    probes = [math.ldexp(0.5 + (i * 0.6180339887498949) % 0.5, i % 12 - 8) for i in range(400)]
    calls = {name: f"{name}({_ARGUMENTS.get(name, 'x')})" for name in _LIBRARY}
    with duckdb.connect(":memory:") as connection:
        rows = connection.execute(
            f"SELECT x, {', '.join(calls.values())} FROM (SELECT unnest(?::DOUBLE[]) AS x)",
            [probes],
        ).fetchall()
    return frozenset(
        name
        for place, name in enumerate(_LIBRARY, start=1)
        if all(row[place] == _python(name, row[0]) for row in rows)
    )


_ARGUMENTS = {"pow": "x, 1.7e0", "atan2": "x, 1.7e0", "asin": "x / 16", "acos": "x / 16"}


def _python(name: str, probe: float) -> float:
    if name in {"pow", "atan2"}:
        return _LIBRARY[name](probe, 1.7)
    return _LIBRARY[name](probe / 16 if name in {"asin", "acos"} else probe)
