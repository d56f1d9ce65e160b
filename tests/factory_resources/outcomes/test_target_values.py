"""What may have turned out to be true: a class of the model, or a finite number."""

import json
import math
from typing import Any

import pytest

from factory_resources.outcomes.target_values import TargetValues, WrongOutcomeError

NUMBER = TargetValues("price", "Price [€]", ())
GRADES = TargetValues("grade", "Grade", ("1", "2", "good"))
TRUTH = TargetValues("sold", "Sold", ("true", "false"))


@pytest.mark.parametrize(
    ("target", "value", "read"),
    [
        (NUMBER, 2, 2.0),
        (NUMBER, -0.5, -0.5),
        (GRADES, 1, "1"),
        (GRADES, 2.0, "2"),
        (GRADES, "good", "good"),
        *((TRUTH, value, "true") for value in (True, "true", "TRUE", "True", 1, 1.0, "1")),
        *((TRUTH, value, "false") for value in (False, "False", 0, 0.0, "0")),
    ],
)
def test_a_value_of_the_target_is_read(target: TargetValues, value: Any, read: Any) -> None:
    assert json.loads(target.read(value)) == read


@pytest.mark.parametrize(
    ("target", "value"),
    [
        *((NUMBER, value) for value in (None, True, "2", math.nan, math.inf, 10**400, [2])),
        *((GRADES, value) for value in (None, True, "Good", 1.5, 3, math.nan, ["1"])),
        *((TRUTH, value) for value in (None, "yes", 2, "10")),
    ],
)
def test_another_value_is_refused_and_not_repeated(target: TargetValues, value: Any) -> None:
    with pytest.raises(WrongOutcomeError) as error:
        target.read(value)
    valid = f"send one of {', '.join(target.classes)}" if target.classes else "a finite number"
    assert str(error.value).endswith(valid)


def test_a_number_of_thousands_of_digits_is_no_class() -> None:
    # Python does not convert it to text.
    with pytest.raises(WrongOutcomeError, match="send one of 1, 2, good"):
        GRADES.read(10**5_000)


def test_some_of_many_classes_are_named() -> None:
    target = TargetValues("kind", "Kind", tuple(f"c{number}" for number in range(1_025)))
    with pytest.raises(WrongOutcomeError, match=r"one of c0, c1, .*, c19 and 1,005 more$"):
        target.read("another")
