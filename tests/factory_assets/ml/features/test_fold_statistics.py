"""A row that a model learns from has the statistics of rows in other folds."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.features.columns import read_words
from factory_assets.ml.features.features import fit_features
from factory_assets.ml.features.fold_statistics import (
    FoldStatistics,
    fold_statistics,
    target_columns,
    with_statistics,
)
from factory_assets.ml.features.target import Target, fit_target
from tests.factory_assets.ml.models.cases import TASKS, pipeline, towns

TRAINING, VALIDATION = 2500, 300

FOLDS = np.random.default_rng(99).integers(0, 5, TRAINING + VALIDATION)


def prepared(task: str, *, scaled: bool = False) -> tuple[FoldStatistics, Target]:
    declared = pipeline(Path(), {"kind": "linear"}, categorical=("town",))
    tables = dated(towns(TRAINING, 1, task)), dated(towns(VALIDATION, 2, task))
    target = fit_target(declared, tables[0])
    features = fit_features(declared, tables[0], vocabulary=50)
    features = with_statistics(features, tables[0], target, FOLDS)
    found = fold_statistics(features, target, tables, FOLDS, scaled=scaled)
    assert found is not None
    return found, target


def dated(table: pa.Table) -> pa.Table:
    """Add a date, whose numbers stand before those of the towns."""
    days = np.datetime64("2024-01-01") + np.arange(table.num_rows) % 300
    return table.append_column("at", pa.array(days))


def encoded(found: FoldStatistics) -> LabelledArrays:
    table = pa.concat_tables(found.tables)
    inputs = found.features.arrays(table, scaled=found.scaled)
    return LabelledArrays(inputs, np.zeros(table.num_rows))


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("task", TASKS)
def test_statistics_come_from_training_rows_of_other_folds(task: str, *, scaled: bool) -> None:
    found, target = prepared(task, scaled=scaled)
    [(_, fitted, columns)] = found.features.statistics_places()
    words = np.concatenate([read_words(table, "town") for table in found.tables])
    learned = target_columns(target, target.values(found.tables[0]))
    assert learned is not None
    whole = encoded(found)
    known = found.without(2, whole).inputs.numbers
    trained = found.of_training(whole.take(np.arange(TRAINING))).inputs.numbers
    m, prior = 1 / np.array(fitted.shares), np.array(fitted.prior)
    mean, sd = np.array(fitted.scales).T if scaled else (0, 1)
    for row in (*range(0, TRAINING, 50), *range(TRAINING, TRAINING + VALIDATION, 9)):
        own = FOLDS[row] if row < TRAINING else -1
        for numbers, left_out in ((known, {2, own}), (trained, {own})):
            if row >= len(numbers):
                continue
            used = ~np.isin(FOLDS[:TRAINING], list(left_out)) & (words[:TRAINING] == words[row])
            expected = (learned[used].sum(axis=0) + m * prior) / (used.sum() + m)
            expected = expected if words[row] in fitted.words else prior
            expected = (expected - mean) / sd
            np.testing.assert_allclose(numbers[row, columns], expected, rtol=1e-4, atol=1e-5)
    others = np.delete(np.arange(known.shape[1]), columns)
    np.testing.assert_array_equal(known[:, others], whole.inputs.numbers[:, others])


def test_no_row_sees_the_target_of_its_fold_or_of_the_one_left_out() -> None:
    found, _ = prepared("regression")
    learned = found.learned.copy()
    learned[FOLDS[:TRAINING] == 3] += 1e6
    poisoned = FoldStatistics(found.features, found.tables, learned, FOLDS, scaled=False)
    whole = encoded(found)
    clean, other = (one.without(3, whole).inputs.numbers for one in (found, poisoned))
    np.testing.assert_array_equal(clean, other)
    training = whole.take(np.arange(TRAINING))
    clean, other = (one.of_training(training).inputs.numbers for one in (found, poisoned))
    own = FOLDS[:TRAINING] == 3
    np.testing.assert_array_equal(clean[own], other[own])
    assert (clean[~own] != other[~own]).any()


def test_the_encoded_rows_themselves_stay_as_they_are() -> None:
    found, _ = prepared("binary")
    whole = encoded(found)
    before = whole.inputs.numbers.copy()
    assert (found.without(0, whole).inputs.numbers != before).any()
    np.testing.assert_array_equal(whole.inputs.numbers, before)
