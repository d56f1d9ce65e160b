"""Inner folds spread classes, keep groups and series whole, and are left out where they mislead."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.features.arrays import concatenate
from factory_assets.ml.features.series import Series
from factory_assets.ml.features.target import fit_target
from factory_assets.ml.training.inner_folds import COUNT, inner_folds
from factory_assets.ml.training.preparation import prepare_rows
from factory_assets.spec import Pipeline
from factory_assets.spec.split import SplitRule
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, pipeline, rows, series


def splitting(folder: Path, **split: Any) -> Pipeline:
    declared = pipeline(folder, KINDS["linear"])
    rule = SplitRule.model_validate(split)
    return replace(declared, spec=declared.spec.model_copy(update={"split": rule}))


def folds_of(
    declared: Pipeline, *tables: pa.Table, by: str | None = None
) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    one, two = tables
    window = Series(by=by, order="cycle", window=3) if by else None
    return inner_folds(declared, fit_target(declared, one), (one, two), window)


def test_each_fold_has_its_share_of_every_class(tmp_path: Path) -> None:
    tables = rows(100, 1, "multiclass"), rows(33, 2, "multiclass")
    declared = pipeline(tmp_path, KINDS["linear"])
    folds = folds_of(declared, *tables)
    assert folds is not None
    target = pa.concat_tables(tables)["y"].to_numpy()
    for name in set(target):
        counts = np.bincount(folds[target == name], minlength=COUNT)
        assert counts.max() - counts.min() <= 1
    np.testing.assert_array_equal(folds, folds_of(declared, *tables))
    other = folds_of(pipeline(tmp_path, KINDS["linear"], seed=4), *tables)
    assert (folds != other).any()


def test_groups_and_series_that_share_a_row_are_in_one_fold(tmp_path: Path) -> None:
    tables = series(40, 1), series(30, 2)
    table = pa.concat_tables(tables)
    pairs = pa.array([f"p{int(unit[1:]) // 2}" for unit in table["unit"].to_pylist()])
    table = table.append_column("pair", pairs)
    split = table.slice(0, tables[0].num_rows), table.slice(tables[0].num_rows)
    folds = folds_of(splitting(tmp_path, group="pair"), *split, by="unit")
    assert folds is not None
    for column in ("pair", "unit"):
        names = table[column].to_numpy()
        assert all(len(set(folds[names == name])) == 1 for name in set(names))
    assert set(folds) == set(range(COUNT))


@pytest.mark.parametrize(
    "split",
    [{"time": "wear"}, {"given": {"column": "part", "test": ["b"], "validation": ["a"]}}],
)
def test_a_split_that_is_not_drawn_has_no_folds(split: dict[str, Any], tmp_path: Path) -> None:
    assert folds_of(splitting(tmp_path, **split), rows(60, 1), rows(20, 2)) is None


def test_a_class_of_one_group_has_no_folds(tmp_path: Path) -> None:
    names = pa.array(["u0" if y else f"u{i % 9 + 1}" for i, y in enumerate([1, 0, 0] * 20)])
    table = pa.table({"unit": names, "y": [1, 0, 0] * 20})
    assert folds_of(splitting(tmp_path, group="unit"), table, table.slice(0, 9)) is None


def test_joined_rows_keep_their_inputs_targets_and_windows(tmp_path: Path) -> None:
    declared = pipeline(tmp_path, SEQUENCES["gru"])
    ready = prepare_rows(declared, series(9, 1), series(4, 2), declared.spec.training.model)
    parts = ready.rows, ready.validation
    whole = concatenate(parts)
    assert len(whole) == len(parts[0]) + len(parts[1])

    def read(inputs: Any) -> list[Any]:
        return [inputs.numbers[row[row >= 0]].tolist() for row in inputs.windows.places()]

    assert read(whole.inputs) == read(parts[0].inputs) + read(parts[1].inputs)
    chosen = whole.take(np.array([0, len(whole) - 1]))
    assert read(chosen.inputs) == [read(whole.inputs)[0], read(whole.inputs)[-1]]
    assert chosen.target.tolist() == [parts[0].target[0], parts[1].target[-1]]
