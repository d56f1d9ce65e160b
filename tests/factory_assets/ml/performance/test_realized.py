"""Performance on the labelled rows of a window: who is counted, and what labels may hide."""

import numpy as np
import pytest
from numpy.typing import NDArray

from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.fairness import Grouping
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.performance.realized import (
    LabelSelection,
    label_selection,
    realized_performance,
)
from factory_resources.errors import DataError

ROWS = 1_000


def scored() -> ScoredRows:
    generator = np.random.default_rng(0)
    chance = generator.random(ROWS)
    truth = (generator.random(ROWS) < chance).astype(np.int64)
    return ScoredRows("binary", truth, np.stack([1 - chance, chance], axis=1), threshold=0.4)


def at_random(share: float) -> NDArray[np.bool_]:
    labelled: NDArray[np.bool_] = np.random.default_rng(1).random(ROWS) < share
    return labelled


def test_only_labelled_rows_are_measured_with_the_intervals_of_an_evaluation() -> None:
    rows, labelled = scored(), at_random(0.3)
    hidden = ScoredRows("binary", np.where(labelled, rows.truth, 0), rows.outputs, 0.4)
    found = realized_performance(hidden, labelled, ["roc_auc", "f1"], seed=3)
    assert (found.labelled, found.unlabelled) == (labelled.sum(), (~labelled).sum())
    assert found.unknown == 0
    whole = rows.take(labelled)
    assert {name: one.value for name, one in found.metrics.items()} == whole.metrics(
        ["roc_auc", "f1"]
    )
    intervals = bootstrap_intervals(whole, ["roc_auc", "f1"], resamples=200, seed=3)
    assert {name: (one.low, one.high) for name, one in found.metrics.items()} == intervals


def test_a_class_that_the_model_does_not_know_is_counted_and_not_measured() -> None:
    rows = scored()
    truth = rows.truth.copy()
    truth[:7] = -1
    found = realized_performance(
        ScoredRows("binary", truth, rows.outputs, 0.4), np.ones(ROWS, bool), ["accuracy"]
    )
    assert (found.labelled, found.unknown) == (ROWS, 7)
    assert found.metrics["accuracy"].value == rows.take(np.arange(7, ROWS)).metrics()["accuracy"]


def test_slices_have_their_own_intervals_if_they_have_enough_labelled_rows() -> None:
    rows, labelled = scored(), at_random(0.5)
    codes = np.where(np.arange(ROWS) < 990, np.arange(ROWS) % 2, 2)
    region = Grouping("region", ("north", "south", "rare"), codes)
    found = realized_performance(rows, labelled, ["roc_auc"], slices=[region], min_rows=20)
    north, south, rare = found.slices
    assert (north.column, north.value, rare.value) == ("region", "north", "rare")
    assert north.rows + south.rows + rare.rows == labelled.sum()
    part = rows.take(labelled & (codes == 0))
    assert north.metrics["roc_auc"].value == part.metrics()["roc_auc"]
    assert north.metrics["roc_auc"].low is not None
    assert rare.metrics == {}


def test_protected_groups_are_compared_on_labelled_rows() -> None:
    rows, labelled = scored(), at_random(0.5)
    sex = Grouping("sex", ("f", "m"), (rows.outputs[:, 1] > 0.6).astype(np.int64))
    names = ["selection_rate_difference", "accuracy"]
    found = realized_performance(rows, labelled, names, protected=[sex], min_rows=10)
    assert [group.value for group in found.groups] == ["f", "m"]
    women = rows.take(labelled & (sex.codes == 0))
    assert found.groups[0].rates["selection_rate"].value == women.predicted.mean()
    gap = 1.0 - women.predicted.mean()
    assert found.metrics["selection_rate_difference"].value == pytest.approx(gap)


def test_predicted_numbers_have_no_groups() -> None:
    truth = np.random.default_rng(0).normal(size=100)
    rows = ScoredRows("regression", truth, np.zeros(100))
    labelled = np.arange(100) < 60
    sex = Grouping("sex", ("f", "m"), np.arange(100) % 2)
    found = realized_performance(rows, labelled, ["mae"], slices=[sex], protected=[sex])
    assert found.groups == ()
    assert found.metrics["mae"].value == abs(truth[:60]).mean()
    assert [one.rows for one in found.slices] == [30, 30]


def test_labels_missing_at_random_need_no_caveat() -> None:
    rows, warned = scored(), []
    for seed in range(100):
        labelled = np.random.default_rng(seed).random(ROWS) < 0.3
        selection = label_selection(rows.outputs, labelled)
        assert selection is not None
        warned.append(selection.caveat != "")
    assert sum(warned) <= 5


def test_a_small_difference_that_many_rows_make_certain_is_no_selection() -> None:
    assert LabelSelection(0.05, 1e-9).caveat == ""
    assert LabelSelection(0.3, 0.2).caveat == ""


@pytest.mark.parametrize("classes", [0, 2, 3])
def test_labels_of_high_outputs_alone_are_a_selection(classes: int) -> None:
    generator = np.random.default_rng(0)
    outputs = generator.dirichlet([1] * classes, ROWS) if classes else generator.normal(size=ROWS)
    decisive = outputs if not classes else outputs[:, -1]
    labelled = generator.random(ROWS) < np.where(decisive > np.median(decisive), 0.6, 0.3)
    selection = label_selection(outputs, labelled)
    assert selection is not None
    assert selection.chance < 0.001
    assert 0.2 < selection.distance < 0.45
    assert "not missing at random" in selection.caveat


def test_all_labelled_or_none_is_no_selection() -> None:
    rows = scored()
    none = realized_performance(rows, np.zeros(ROWS, bool), ["accuracy"])
    assert (none.labelled, none.metrics, none.selection) == (0, {}, None)
    whole = realized_performance(rows, np.ones(ROWS, bool), ["accuracy"], resamples=0)
    assert whole.selection is None
    assert whole.metrics["accuracy"].low is None


def test_labels_of_other_rows_are_refused() -> None:
    with pytest.raises(DataError, match="1000 scored rows"):
        realized_performance(scored(), np.ones(3, bool), ["accuracy"])
