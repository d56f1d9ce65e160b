"""Mathematical functions for which the engine and Python call the same C library.

Either may have been built with a library of its own, and C libraries round differently. So their
results are compared once. Exact functions such as `sqrt` belong in `numbers`.
"""

import math
from collections.abc import Callable
from functools import cache

from factory_resources.sql.expressions import parser

LIBRARY: dict[str, Callable[..., float]] = {
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
"""By the engine's name."""

OF_TWO = frozenset({"pow", "atan2"})
"""Functions of two arguments."""

_WITHIN_ONE = frozenset({"asin", "acos"})
"""Functions of numbers from -1 to 1."""

_PROBES = 400


@cache
def shared_with_engine() -> frozenset[str]:
    """Return the names of the functions whose results are the same for all probes."""
    # Spread by the golden ratio, so that all bits are in use.
    small = [(i * 0.6180339887498949) % 1 for i in range(1, _PROBES + 1)]
    large = [math.ldexp(probe, i % 12 - 5) for i, probe in enumerate(reversed(small))]
    with parser().cursor() as connection:
        rows = connection.execute(
            f"SELECT {', '.join(map(_call, LIBRARY))} "
            "FROM (SELECT unnest(?::DOUBLE[]) AS small, unnest(?::DOUBLE[]) AS large)",
            [small, large],
        ).fetchall()
    results = zip(*rows, strict=True)
    return frozenset(
        name
        for name, wanted in zip(LIBRARY, results, strict=True)
        if [*wanted] == [_compute(name, *probe) for probe in zip(small, large, strict=True)]
    )


def _call(name: str) -> str:
    """Return the engine's call for a small and a large probe, as SQL."""
    if name in OF_TWO:
        return f"{name}(large, small)"
    return f"{name}({'small' if name in _WITHIN_ONE else 'large'})"


def _compute(name: str, small: float, large: float) -> float:
    """Compute in Python what `_call` asks the engine for."""
    if name in OF_TWO:
        return LIBRARY[name](large, small)
    return LIBRARY[name](small if name in _WITHIN_ONE else large)
