"""The prediction target: its task, classes and scale, derived from the training rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.features.target import Target, fit_target
from factory_resources.errors import DataError
from tests.factory_assets.ml.models.cases import pipeline

NAN, INF = float("nan"), float("inf")


def fitted(values: Any, **train: Any) -> Target:
    return fit_target(pipeline(Path(), {"kind": "linear"}, **train), pa.table({"y": values}))


@pytest.mark.parametrize(
    ("values", "train", "task", "classes"),
    [
        ([1, 0, 1], {}, "binary", ("0", "1")),
        ([True, False], {}, "binary", ("false", "true")),
        (["malignant", "benign"], {}, "binary", ("benign", "malignant")),
        ([10, 9, 2], {}, "multiclass", ("2", "9", "10")),
        ([1.0, 0.0], {"task": "binary"}, "binary", ("0", "1")),
        ([1.0, 1e20], {"task": "multiclass"}, "multiclass", ("1", "1e+20")),
        ([0.5, 1.5, 0.5], {"task": "multiclass"}, "multiclass", ("0.5", "1.5")),
        (list(range(21)), {}, "regression", ()),
        ([1.0, 2.0], {}, "regression", ()),
        ([1, 2, 3], {"task": "regression"}, "regression", ()),
    ],
)
def test_task_and_classes(values: Any, train: Any, task: str, classes: tuple[str, ...]) -> None:
    target = fitted(values, **train)
    assert (target.task, target.classes) == (task, classes)


def test_values_are_codes_and_unknown_classes_are_minus_one() -> None:
    assert fitted(["b", "a"]).values(pa.table({"y": ["a", "c", "b"]})).tolist() == [0, -1, 1]


def test_numbers_are_standardised_and_restored() -> None:
    target = fitted([10.0, 20.0, 60.0])
    values = target.values(pa.table({"y": [10.0, 20.0, 60.0]}))
    scaled = target.scaled(values)
    assert abs(float(scaled.mean())) < 1e-6
    np.testing.assert_allclose(target.unscaled(scaled), values, rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "train", "message"),
    [
        ([1, 1, 1], {}, "'1' in every training row"),
        (["a", "a"], {}, "'a' in every training row"),
        ([2.0, 2.0], {}, "'2' in every training row"),
        ([1.0, None, 2.0], {}, "missing in 1 row"),
        ([1.0, NAN, INF], {}, "NaN or infinite in 2 rows"),
        ([1.0, NAN], {"task": "binary"}, "NaN or infinite in 1 row"),
        (["a", "b"], {"task": "regression"}, "holds string, not numbers"),
        ([1, 2, 3], {"task": "binary"}, "has 3 classes"),
        (["no", "yes", "yess"], {"task": "binary"}, "such as 'no', 'yes', 'yess'; if one is wrong"),
        ([], {}, "no row to learn from"),
        ([1.0, 1e300], {}, "standard deviation of inf in the training rows, so that the loss"),
        ([1e-300, 2e-300], {}, "standard deviation of 0 in the training rows"),
    ],
)
def test_fit_target_refuses_unusable_values(values: Any, train: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        fitted(values, **train)
    assert "\n" not in str(caught.value)


def test_a_value_too_far_from_the_training_rows_is_refused() -> None:
    target = fitted([1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="over 1e38 standard deviations off in 1 row"):
        target.scaled(np.array([2.0, 1e60]))


def test_missing_column_lists_the_others() -> None:
    with pytest.raises(DataError, match=r"no target column 'y'; set train\.target to one of a, b"):
        fit_target(pipeline(Path(), {"kind": "linear"}), pa.table({"a": [1], "b": [2]}))


@pytest.mark.parametrize(
    ("values", "positive", "classes"),
    [
        (["ok"] * 7 + ["late"] * 3, None, ("ok", "late")),
        (["late"] * 7 + ["ok"] * 3, None, ("late", "ok")),
        (["a", "b"] * 5, None, ("a", "b")),
        ([1] * 7 + [0] * 3, None, ("0", "1")),
        ([True] * 7 + [False] * 3, None, ("false", "true")),
        (["ok"] * 7 + ["late"] * 3, "ok", ("late", "ok")),
        ([0, 1] * 5, 0, ("1", "0")),
        ([True, False] * 5, False, ("true", "false")),
    ],
)
def test_the_positive_class_is_declared_or_the_rarer(
    values: list[object], positive: object, classes: tuple[str, ...]
) -> None:
    assert fitted(values, positive=positive).classes == classes


def test_an_unknown_positive_class_is_reported() -> None:
    with pytest.raises(DataError, match=r"'lat' is not a class of target 'y'.*late, ok"):
        fitted(["ok", "late"], positive="lat")
