"""What takes long is computed once, and forgotten when there is too much of it."""

import pytest

from factory_assets.web.auditor.remembered import Remembered


def test_a_result_is_computed_once_and_the_oldest_is_forgotten() -> None:
    computed, known = list[int](), Remembered[int, int](2)

    def square(number: int) -> int:
        return known.get(number, lambda: computed.append(number) or number * number)

    assert [square(number) for number in (1, 2, 1, 3, 2, 1)] == [1, 4, 1, 9, 4, 1]
    assert computed == [1, 2, 3, 1]


def test_a_fault_is_not_remembered() -> None:
    known = Remembered[int, float](2)
    with pytest.raises(ZeroDivisionError):
        known.get(0, lambda: 1 / 0)
    assert known.get(0, lambda: 0.0) == 0
