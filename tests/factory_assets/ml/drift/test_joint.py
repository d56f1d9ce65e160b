"""The joint test: exact without change, blind to margins, and finds what only pairs show."""

import numpy as np
import pytest
from scipy.stats import kstest

from factory_assets.ml.drift.columns import WatchedColumn
from factory_assets.ml.drift.joint import NormalScores, ProductClassifier
from factory_assets.ml.drift.joint_test import JOINT_CAPACITY, JointTest
from factory_assets.ml.drift.rows import RowSample

NUMBERS = [WatchedColumn("a", "number"), WatchedColumn("b", "number")]


def _sample(values: np.ndarray, generator: np.random.Generator) -> RowSample:
    count = len(values)
    zeros = np.zeros(count, np.int64)
    return RowSample(values, zeros, generator.random(count) < 0.5, zeros)


def _p_values(daily: int, looks: int, seed: int) -> tuple[np.ndarray, JointTest]:
    generator = np.random.default_rng(seed)
    test = JointTest.begin(_sample(generator.normal(size=(200, 2)), generator), NUMBERS)
    assert test is not None
    drawn = []
    for _ in range(looks):
        rows = _sample(generator.normal(size=(daily, 2)), generator)
        p_values, test = test.extend(rows, generator.random(daily), generator)
        drawn.append(p_values[~np.isnan(p_values)])
    return np.concatenate(drawn), test


def test_p_values_are_uniform_without_change_though_the_classifier_finds_chance() -> None:
    p_values, _ = _p_values(60, 400, seed=0)
    assert len(p_values) > 200
    assert kstest(p_values, "uniform").pvalue > 1e-3


def test_the_bag_of_testing_rows_is_bounded() -> None:
    _, test = _p_values(2_500, 6, seed=1)
    assert len(test.features) == len(test.strata) == JOINT_CAPACITY


def test_learning_rows_have_no_p_value() -> None:
    generator = np.random.default_rng(2)
    test = JointTest.begin(_sample(generator.normal(size=(200, 2)), generator), NUMBERS)
    assert test is not None
    tied = np.repeat(generator.normal(size=(100, 1)), 2, axis=1)
    rows = _sample(tied, generator)
    p_values, _ = test.extend(rows, generator.random(100), generator)
    assert (np.isnan(p_values) == ~rows.testing).all()
    assert np.nanmean(p_values) > 0.6


def test_shifted_margins_of_independent_columns_are_no_joint_shift() -> None:
    generator = np.random.default_rng(3)
    learned = ProductClassifier.learn(generator.normal(size=(3_000, 2)), [(0, False), (1, False)])
    assert learned is not None
    moved = generator.normal(size=(500, 2)) + np.array([1.0, 0.0])
    assert abs(learned.update(learned.features(moved)).weights).max() < 3
    tied = np.repeat(generator.normal(size=(500, 1)), 2, axis=1)
    assert abs(learned.update(learned.features(tied)).weights).max() > 10


@pytest.mark.parametrize("kind", ["numbers", "number and category", "categories"])
def test_the_pair_that_changed_is_the_strongest_of_six_columns(kind: str) -> None:
    generator = np.random.default_rng(4)
    before, now = generator.normal(size=(3_000, 6)), generator.normal(size=(300, 6))
    now[:, 4] = now[:, 1]
    coded = {"numbers": (), "number and category": (4,), "categories": (1, 4)}[kind]
    for column in coded:
        before[:, column], now[:, column] = (
            np.digitize(rows[:, column], [-0.5, 0.5]) for rows in (before, now)
        )
    columns = [(index, index in coded) for index in range(6)]
    learned = ProductClassifier.learn(before, columns)
    assert learned is not None
    learned = learned.update(learned.features(now))
    owners = learned.owners()[list(learned.strongest())]
    assert sorted(owners.tolist()) == [1, 4]


def test_normal_scores_are_standard_and_a_missing_value_is_the_mean() -> None:
    generator = np.random.default_rng(5)
    values = np.column_stack([generator.lognormal(size=4_000), generator.integers(0, 6, 4_000)])
    for column, categories in ((0, False), (1, True)):
        scores = NormalScores.learn(column, values[:, column], categories=categories)
        assert scores is not None
        features = scores.apply(values)
        assert features.shape == (4_000, scores.size)
        assert features.mean(axis=0) == pytest.approx(np.zeros(scores.size), abs=0.02)
        assert features.std(axis=0) == pytest.approx(np.ones(scores.size), abs=0.02)
        extremes = np.array([[np.nan, np.nan], [np.inf, 99.0], [-np.inf, 0.0]])
        assert not scores.apply(extremes)[0].any()
        assert np.isfinite(scores.apply(extremes)).all()


def test_columns_that_do_not_vary_have_no_joint_test() -> None:
    generator = np.random.default_rng(6)
    rows = np.column_stack([generator.normal(size=100), np.ones(100), np.full(100, np.nan)])
    assert ProductClassifier.learn(rows, [(0, False), (1, False), (2, True)]) is None
