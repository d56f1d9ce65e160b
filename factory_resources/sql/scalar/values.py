"""The values of a row in Python, and how functions are applied to them.

NULL is None, a DECIMAL is the int of its digits, and floats are finite. The functions belong in the
modules beside this one.
"""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from factory_resources.sql.scalar.binding import NotCertainError, SqlType

Row = Mapping[str, Any]
Evaluate = Callable[[Row], Any]

BOOLEAN, BIGINT, INTEGER = SqlType("BOOLEAN"), SqlType("BIGINT"), SqlType("INTEGER")
DOUBLE, VARCHAR = SqlType("DOUBLE"), SqlType("VARCHAR")

EXACT = 2**53
"""Up to it every whole number is a double."""

COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class UndecidedError(Exception):
    """Only the engine may compute the result for this row."""


@dataclass(frozen=True)
class Term:
    """A part of an expression that can be computed."""

    type: SqlType
    evaluate: Evaluate
    """Raises UndecidedError, ValueError or ArithmeticError if only the engine may decide."""
    constant: bool = False
    value: Any = None
    """Of a constant."""


def constant(kind: SqlType, value: Any) -> Term:
    """Return the term of a constant.

    Raises:
        NotCertainError: it is not a finite number.
    """
    if kind == DOUBLE and value is not None and not isfinite(value):
        raise NotCertainError("a constant that is not finite")
    return Term(kind, lambda row: value, constant=True, value=value)


def bounds(kind: SqlType) -> tuple[int, int]:
    """Return the least and the greatest int of BIGINT, INTEGER or DECIMAL.

    Raises:
        NotCertainError: the type is another.
    """
    if kind.name == "DECIMAL":
        return 1 - 10**kind.width, 10**kind.width - 1
    bits = {"BIGINT": 63, "INTEGER": 31}.get(kind.name)
    if bits is None:
        raise NotCertainError(f"{kind.name} is not a type of whole numbers")
    return -(1 << bits), (1 << bits) - 1


def read_column(name: str, kind: SqlType) -> Evaluate:
    """Return a function that reads the column; it is undecided about a value of another type."""
    match kind.name:
        case "DOUBLE":
            return _read(name, float, isfinite)
        case "BIGINT" | "INTEGER":
            low, high = bounds(kind)
            return _read(name, int, lambda value: low <= value <= high)
        case "VARCHAR":
            return _read(name, str, _is_unicode)
        case "BOOLEAN":
            return _read(name, bool, lambda value: True)
    raise NotCertainError(f"a column of {kind.name}")


def _read(name: str, wanted: type, is_fine: Callable[[Any], bool]) -> Evaluate:
    def evaluate(row: Row) -> Any:
        value = row[name]
        if value is None or (type(value) is wanted and is_fine(value)):
            return value
        raise UndecidedError(f"column {name!r} has no {wanted.__name__} that the engine can read")

    return evaluate


def _is_unicode(text: str) -> bool:
    """Whether it has no half of a surrogate pair, and no NUL, at which C functions stop."""
    return "\0" not in text and (
        text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
    )


def strict(function: Callable[..., Any], terms: Sequence[Term]) -> Evaluate:
    """Return a function applied to terms; its result is NULL if an argument is."""
    evaluates = [term.evaluate for term in terms]
    if len(evaluates) == 1:
        only = evaluates[0]

        def evaluate_one(row: Row) -> Any:
            value = only(row)
            return None if value is None else function(value)

        return evaluate_one
    if len(evaluates) == 2:
        left, right = evaluates

        def evaluate_two(row: Row) -> Any:
            one, other = left(row), right(row)
            return None if one is None or other is None else function(one, other)

        return evaluate_two

    def evaluate(row: Row) -> Any:
        values = [each(row) for each in evaluates]
        return None if None in values else function(*values)

    return evaluate


def finite(function: Callable[..., float], terms: Sequence[Term]) -> Evaluate:
    """Like `strict` for one or two floats, and undecided if the result is not finite.

    It repeats `strict` to save a call for each value, since most expressions are arithmetic.
    """
    if len(terms) == 1:
        only = terms[0].evaluate

        def evaluate_one(row: Row) -> Any:
            value = only(row)
            if value is None:
                return None
            result = function(value)
            if isfinite(result):
                return result
            raise UndecidedError("the result is not finite")

        return evaluate_one
    left, right = (term.evaluate for term in terms)

    def evaluate_two(row: Row) -> Any:
        one, other = left(row), right(row)
        if one is None or other is None:
            return None
        result = function(one, other)
        if isfinite(result):
            return result
        raise UndecidedError("the result is not finite")

    return evaluate_two


def within(function: Callable[..., int], terms: Sequence[Term], kind: SqlType) -> Evaluate:
    """Like `strict` for a function that returns an int, and undecided if the result overflows."""
    low, high = bounds(kind)

    def checked(*values: Any) -> int:
        result = function(*values)
        if low <= result <= high:
            return result
        raise UndecidedError(f"the result overflows {kind.name}")

    return strict(checked, terms)
