"""Bound expressions over whole columns: arithmetic and comparisons of numbers, with NumPy.

Other expressions are computed row by row, as are requests with a value that has special rules.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from factory_resources.sql.scalar.binding import Bound, NotCertainError
from factory_resources.sql.scalar.values import COMPARISONS, EXACT, UndecidedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Column = NDArray[np.float64]


Columns = Mapping[str, Any]
"""Lower-case names to float64 arrays [rows]: NaN is NULL, a boolean is 0 or 1. Whole numbers are
below 2^53, so that a double holds each of them."""

ComputeColumns = Callable[[Columns], Any]
"""From columns to the results, float64 [rows]; raises UndecidedError if only the engine may decide
about a row."""

_NUMBERS = frozenset({"DOUBLE", "BIGINT", "INTEGER"})

_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def compile_columns(bound: Bound, constant: Callable[[Bound], Any]) -> ComputeColumns | None:
    """Return the expression as a function of columns; None if it must be computed row by row.

    Args:
        constant: returns the value of an expression without columns.
    """
    try:
        return _column(bound, constant)
    except (NotCertainError, UndecidedError, ArithmeticError, ValueError):
        return None


def _column(bound: Bound, constant: Callable[[Bound], Any]) -> ComputeColumns:
    if not bound.columns:
        return _constant(constant(bound))
    if bound.operation == "COLUMN":
        return _read(bound)
    parts = [_column(child, constant) for child in bound.children]
    kinds = {child.type.name for child in bound.children}
    name = bound.operation
    if name == "CAST" and bound.type.name == "DOUBLE" and kinds <= _NUMBERS:
        return parts[0]
    if name in _ARITHMETIC and len(parts) == 2 and kinds == {"DOUBLE"}:
        return _arithmetic(name, *parts)
    if name in COMPARISONS and len(kinds) == 1 and kinds <= _NUMBERS:
        return _comparison(COMPARISONS[name], *parts)
    if name in {"CONJUNCTION_AND", "CONJUNCTION_OR"} and kinds == {"BOOLEAN"}:
        return _conjunction(parts, decisive=float(name == "CONJUNCTION_OR"))
    if name == "OPERATOR_NOT" and kinds == {"BOOLEAN"}:
        return lambda columns: 1 - parts[0](columns)
    raise NotCertainError(f"{name} of columns")


def _constant(value: Any) -> ComputeColumns:
    if isinstance(value, str) or (isinstance(value, int) and abs(value) >= EXACT):
        raise NotCertainError("a constant that is not a number, or a large one")
    number = float("nan") if value is None else float(value)
    return lambda columns: number


def _read(bound: Bound) -> ComputeColumns:
    if bound.type.name not in _NUMBERS | {"BOOLEAN"}:
        raise NotCertainError(f"a column of {bound.type.name}")
    name = bound.value
    return lambda columns: columns[name]


def _arithmetic(name: str, left: ComputeColumns, right: ComputeColumns) -> ComputeColumns:
    function = _ARITHMETIC[name]

    def compute(columns: Columns) -> Column:
        import numpy as np

        one, other = left(columns), right(columns)
        if name == "/" and np.any(np.equal(other, 0)):
            raise UndecidedError("a division by zero")
        with np.errstate(over="ignore", invalid="ignore"):
            result: Column = function(one, other)
        if np.isinf(result).any():
            raise UndecidedError("the result is not finite")
        return result

    return compute


def _comparison(
    function: Callable[[Any, Any], Any], left: ComputeColumns, right: ComputeColumns
) -> ComputeColumns:
    def compute(columns: Columns) -> Column:
        import numpy as np

        one, other = left(columns), right(columns)
        result: Column = np.where(np.isnan(one) | np.isnan(other), np.nan, function(one, other))
        return result

    return compute


def _conjunction(parts: list[ComputeColumns], *, decisive: float) -> ComputeColumns:
    """Return AND (0 is decisive) or OR (1 is) in three-valued logic."""

    def compute(columns: Columns) -> Column:
        import numpy as np

        values = np.broadcast_arrays(*(part(columns) for part in parts))
        decided = np.any([np.equal(value, decisive) for value in values], axis=0)
        unknown = np.any([np.isnan(value) for value in values], axis=0)
        result: Column = np.where(decided, decisive, np.where(unknown, np.nan, 1 - decisive))
        return result

    return compute
