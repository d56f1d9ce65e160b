"""What labels hide about the rows that have none, by the outputs of both."""

import numpy as np
import pytest

from factory_assets.ml.performance.label_selection import LabelSelection, label_selection

ROWS = 1_000


def test_labels_missing_at_random_need_no_caveat() -> None:
    outputs, warned = np.random.default_rng(0).random(ROWS), []
    outputs = np.stack([1 - outputs, outputs], axis=1)
    for seed in range(100):
        labelled = np.random.default_rng(seed).random(ROWS) < 0.3
        selection = label_selection(outputs[labelled], outputs[~labelled])
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
    selection = label_selection(outputs[labelled], outputs[~labelled])
    assert selection is not None
    assert selection.chance < 0.001
    assert 0.2 < selection.distance < 0.45
    assert "not missing at random" in selection.caveat


def test_the_chance_of_several_classes_is_that_of_the_furthest_times_their_number() -> None:
    generator = np.random.default_rng(0)
    labelled, unlabelled = (generator.dirichlet([1, 2, 3], rows) for rows in (300, 600))
    labelled[:, 1] += 0.03
    whole = label_selection(labelled, unlabelled)
    alone = [label_selection(*pair) for pair in zip(labelled.T, unlabelled.T, strict=True)]
    furthest = max((one for one in alone if one), key=lambda one: one.distance)
    assert whole == LabelSelection(furthest.distance, 3 * furthest.chance)
    assert 0 < furthest.chance < 1 / 3


def test_all_labelled_or_none_is_no_selection() -> None:
    outputs = np.arange(3.0)
    assert label_selection(outputs, outputs[:0]) is None
    assert label_selection(outputs[:0], outputs) is None
