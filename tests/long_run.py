"""Which parameters of a test `make test` leaves to `make test-long`."""

from collections.abc import Iterable
from typing import Any

import pytest


def in_long(values: Iterable[Any]) -> list[Any]:
    """Mark parameters as long: those that cost more than they may find beside the others.

    Args:
        values: parameters; a tuple has one for each name.
    """
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.long)
        for value in values
    ]
