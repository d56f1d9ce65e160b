"""Metrics of sets and intervals: coverage, of groups too, size, and what is not abstained from."""

import numpy as np
import pytest

from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.coverage import CoveredRows
from factory_assets.ml.metrics.metrics import ScoredRows

TRUTH = np.array([0, 1, 1, 0])
CHANCE = np.array([0.1, 0.9, 0.2, 0.6])
SETS = CoveredRows(
    covered=np.array([True, True, False, True]),
    sizes=np.array([1.0, 2, 1, 1]),
    size="set_size",
    groups=np.array(["b", "a", "a", ""], dtype=object),
    abstained=np.array([False, True, False, False]),
)
SCORED = ScoredRows("binary", TRUTH, np.stack([1 - CHANCE, CHANCE], axis=1), regions=SETS)


def test_coverage_is_measured_for_all_rows_and_each_known_group() -> None:
    found = SCORED.metrics()
    names = ("coverage", "coverage_a", "coverage_b", "set_size")
    assert [found[name] for name in names] == [0.75, 0.5, 1, 1.25]
    assert "interval_width" not in found
    assert [name for name in found if name.startswith("coverage_")] == ["coverage_a", "coverage_b"]


def test_abstention_leaves_the_accuracy_of_the_other_rows() -> None:
    found = SCORED.metrics()
    assert found["abstention_rate"] == 0.25
    # Of rows 0, 2 and 3, the first is right.
    assert found["selective_accuracy"] == pytest.approx(1 / 3)
    silent = CoveredRows(SETS.covered, SETS.sizes, "set_size", abstained=np.ones(4, bool))
    none = ScoredRows("binary", TRUTH, SCORED.outputs, regions=silent).metrics()
    assert none["abstention_rate"] == 1
    assert "selective_accuracy" not in none


def test_infinite_intervals_have_no_mean_width() -> None:
    rows = CoveredRows(np.array([True, False]), np.array([2.0, 4]), "interval_width")
    scored = ScoredRows("regression", np.zeros(2), np.zeros(2), regions=rows)
    assert scored.metrics({"coverage", "interval_width"}) == {"coverage": 0.5, "interval_width": 3}
    endless = CoveredRows(rows.covered, np.array([2.0, np.inf]), "interval_width")
    found = ScoredRows("regression", np.zeros(2), np.zeros(2), regions=endless).metrics()
    assert found["coverage"] == 0.5
    assert "interval_width" not in found


def test_selected_rows_keep_their_regions_and_intervals_are_drawn_from_them() -> None:
    assert SCORED.take(np.array([1, 2])).metrics({"coverage", "coverage_a"}) == {
        "coverage": 0.5,
        "coverage_a": 0.5,
    }
    assert SETS.take(SETS.covered).metrics(lambda: np.array([True, True, False])) == {
        **{"coverage": 1, "coverage_a": 1, "coverage_b": 1, "set_size": pytest.approx(4 / 3)},
        **{"abstention_rate": pytest.approx(1 / 3), "selective_accuracy": 0.5},
    }
    plain = CoveredRows(SETS.covered, SETS.sizes, "set_size").take(np.array([1, 2]))
    assert (plain.groups, plain.abstained) == (None, None)
    drawn = bootstrap_intervals(SCORED, {"coverage", "set_size"}, resamples=50, seed=0)
    assert drawn["coverage"][0] < 0.75 <= drawn["coverage"][1]
    assert drawn["set_size"][0] < 1.25 < drawn["set_size"][1]


def test_models_without_regions_have_no_such_metric() -> None:
    plain = ScoredRows("binary", TRUTH, SCORED.outputs).metrics()
    assert not {"coverage", "set_size", "abstention_rate", "selective_accuracy"} & plain.keys()
