"""Input features: which columns are used, and how they are encoded into arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.features.columns import read_numbers
from factory_assets.ml.features.features import Features, fit_features
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.errors import DataError
from tests.factory_assets.ml.models.cases import hostile, pipeline, rows

TABLE = pa.table(
    {
        "_file": ["f"] * 4,
        "_row": [1, 2, 3, 4],
        "size": [1.0, None, 3.0, 8.0],
        "code": [7, 7, 9, 9],
        "name": ["b", "a", "b", None],
        "same": [1, 1, 1, 1],
        "day": pa.array([[0], [1], [2], [3]]),
        "id": [1, 2, 3, 4],
        "y": [0, 1, 0, 1],
    }
)


def fitted(table: pa.Table = TABLE, vocabulary: int = 50, **train: Any) -> Features:
    declared = pipeline(Path(), {"kind": "linear"}, **{"exclude": ("id",), **train})
    return fit_features(declared, table, vocabulary=vocabulary)


def test_constant_columns_and_unsupported_types_are_left_out() -> None:
    features = fitted(categorical=("code",))
    assert [n.name for n in features.numeric] == ["size"]
    assert [c.name for c in features.categorical] == ["code", "name"]
    assert (features.constant, features.ignored) == (("same",), ("day",))


@pytest.mark.parametrize("rule", [{"group": "code"}, {"given": {"column": "code", "test": "9"}}])
def test_columns_of_the_split_rule_are_not_inputs(rule: dict[str, Any]) -> None:
    declared = pipeline(Path(), {"kind": "linear"})
    spec = declared.spec.model_dump(mode="json", by_alias=True, exclude_unset=True) | {
        "split": rule
    }
    changed = Pipeline("p", PipelineSpec.model_validate(spec), Path())
    assert "code" not in fit_features(changed, TABLE, vocabulary=50).columns


def test_numbers_are_filled_scaled_and_flagged() -> None:
    features = fitted()
    size = features.numeric[0]
    assert (size.median, size.mean, size.indicator) == (3.0, 3.75, True)
    plain = features.arrays(TABLE, scaled=False).numbers
    # size, code, and whether size was missing
    assert plain.tolist() == [[1, 7, 0], [3, 7, 1], [3, 9, 0], [8, 9, 0]]
    scaled = features.arrays(TABLE, scaled=True).numbers[:, :2]
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(scaled.std(axis=0), 1, atol=1e-6)


def test_names_are_coded_by_frequency() -> None:
    features = fitted()
    assert features.categorical[0].vocabulary == ("b", "a")
    assert features.arrays(TABLE, scaled=True).codes[:, 0].tolist() == [1, 2, 1, 0]
    assert fitted(vocabulary=1).arrays(TABLE, scaled=True).codes[:, 0].tolist() == [1, 0, 1, 0]


def test_one_hot_follows_the_numbers() -> None:
    arrays = fitted().arrays(TABLE, scaled=False)
    assert arrays.one_hot((3,))[:, 3:].tolist() == [[0, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_state_survives_json() -> None:
    features = fitted()
    assert Features.model_validate_json(features.model_dump_json()) == features


def test_infinite_and_too_large_numbers_count_as_missing() -> None:
    table = pa.table({"size": [1.0, float("inf"), float("-inf"), 1e300, None]})
    assert np.isnan(read_numbers(table, "size")).tolist() == [False, True, True, True, True]


def test_values_unseen_in_training_become_finite_numbers() -> None:
    features = fit_features(pipeline(Path(), {"kind": "linear"}), rows(100, 1), vocabulary=50)
    arrays = features.arrays(hostile(rows(50, 2)), scaled=True)
    assert np.isfinite(arrays.numbers).all()
    assert (arrays.codes == 0).all()


def test_almost_constant_large_numbers_do_not_explode() -> None:
    table = TABLE.set_column(2, "size", [[1e8, 1e8, 1e8, 1e8 + 1]])
    assert np.abs(fitted(table).arrays(table, scaled=True).numbers).max() < 10


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.select(["_file", "_row", "same", "day", "y"]), "no input column is left"),
        (TABLE.append_column("prediction", [[1.0, 2.0, 3.0, 4.0]]), "own output"),
    ],
)
def test_fit_features_refuses_unusable_columns(table: pa.Table, message: str) -> None:
    with pytest.raises(DataError, match=message):
        fitted(table)


def test_missing_and_mistyped_inputs_are_named() -> None:
    features = fitted()
    columns = "provide all columns that the model reads: size, code, name"
    with pytest.raises(DataError, match=f"'size' is missing; {columns}"):
        features.arrays(TABLE.drop_columns(["size"]), scaled=True)
    wrong = TABLE.set_column(2, "size", [["a", "b", "c", "d"]])
    with pytest.raises(DataError, match="'size' holds string"):
        features.arrays(wrong, scaled=True)
