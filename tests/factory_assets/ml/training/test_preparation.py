"""Rows that are prepared for training: what no model can learn from is refused before it."""

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.features.features import fit_features
from factory_assets.ml.training.preparation import prepare_rows, stream_rows
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import KINDS, keep, pipeline, rows

LARGEST = float(np.finfo(np.float32).max)


def with_largest(table: pa.Table, count: int) -> pa.Table:
    """Return the table with numbers of its first rows that some programs write for no value."""
    heat = [-LARGEST] * count + (table["heat"].to_numpy() / 1000).tolist()[count:]
    return table.set_column(table.column_names.index("heat"), "heat", [heat])


@pytest.mark.parametrize("kind", ["linear", "gradient_boosting"])
@pytest.mark.parametrize("part", ["training", "validation"])
def test_numbers_too_far_for_32_bits_are_told_by_column(
    kind: str, part: str, tmp_path: Path
) -> None:
    declared, home = pipeline(tmp_path, KINDS[kind]), Home(tmp_path / "home")
    training, validation = with_largest(rows(200, 1), 0), with_largest(rows(50, 2), 3)
    if part == "training":
        # The first is further from the mean than the largest number.
        heat = [LARGEST, *[-LARGEST] * 199]
        training = training.set_column(2, "heat", [heat])
    message = r"input 'heat' is too far from its mean for 32 bits in \d+ rows?; if such numbers"
    with pytest.raises(DataError, match=message):
        prepare_rows(declared, training, validation, declared.spec.training.model)
    stored = keep(home, "train", training), keep(home, "validation", validation)
    with pytest.raises(DataError, match=message):
        stream_rows(declared, *stored, home, declared.spec.training.model)


def test_rows_to_judge_may_be_too_far_and_nobody_is_warned(tmp_path: Path) -> None:
    training = with_largest(rows(200, 1), 0)
    features = fit_features(pipeline(tmp_path, KINDS["linear"]), training, vocabulary=50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heat = features.arrays(with_largest(rows(50, 2), 3), scaled=True).numbers[:, 0]
    assert np.isfinite(heat).tolist() == [False] * 3 + [True] * 47
