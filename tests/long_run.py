"""Which parameters of a test `make test` leaves to `make test-long`."""

from collections.abc import Iterable
from typing import Any

import pytest

_PARAMETER = type(pytest.param())


def in_long(values: Iterable[Any]) -> list[Any]:
    """Mark parameters as long: those that cost more than they may find beside the others.

    Args:
        values: parameters; a tuple has one for each name.
    """
    return [_marked(value) for value in values]


def one_in(number: int, values: Iterable[Any]) -> list[Any]:
    """Mark all parameters but one in so many as long: variants of which the neighbours are alike.

    Args:
        values: as those of `in_long`.
    """
    return [_marked(one) if place % number else one for place, one in enumerate(values)]


def _marked(value: Any) -> Any:
    if isinstance(value, _PARAMETER):
        return value._replace(marks=[*value.marks, pytest.mark.long])
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.long)
