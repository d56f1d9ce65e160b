"""Effects: the known measures, weighted to the strata of the new rows, and told in words."""

import numpy as np
import pytest
from scipy.stats import ks_2samp, mannwhitneyu

from factory_assets.ml.drift.effect import (
    Effect,
    WeightedValues,
    category_effect,
    joint_effect,
    missing_effect,
    number_effect,
    weights_like,
)


def _plain(values: np.ndarray) -> WeightedValues:
    return WeightedValues.of(values, np.ones(len(values)))


@pytest.mark.parametrize(("rate", "between"), [(4, 0.0), (2, 0.5)])
@pytest.mark.parametrize("seed", range(3))
def test_the_effect_of_a_number_is_the_kolmogorov_smirnov_distance(
    seed: int, rate: int, between: float
) -> None:
    generator = np.random.default_rng(seed)
    before = generator.poisson(3, 400) + np.where(generator.random(400) < 0.1, np.nan, 0.0)
    now = generator.poisson(rate, 90) + between
    expected = ks_2samp(before[~np.isnan(before)], now).statistic
    assert number_effect(_plain(before), _plain(now)).size == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_effect_of_a_joint_shift_is_twice_the_area_beyond_a_half(seed: int) -> None:
    generator = np.random.default_rng(seed)
    before, now = generator.integers(0, 9, 300) * 1.0, generator.integers(1, 9, 100) * 1.0
    area = mannwhitneyu(now, before).statistic / 300 / 100
    assert joint_effect(_plain(before), _plain(now), "").size == pytest.approx(2 * area - 1)


def test_words_name_the_median_if_it_moved_and_else_where_the_values_moved() -> None:
    steps = np.arange(1, 101.0)
    assert number_effect(_plain(steps), _plain(steps + 30)).words == "median 50 → 80"
    narrow = number_effect(_plain(steps), _plain(np.clip(steps, 26, 75)))
    assert narrow.words == "25.0% → 0.0% of the values up to 25"


def test_reference_rows_weigh_what_new_rows_of_their_stratum_do() -> None:
    reference, strata = np.array([0, 0, 0, 1, 2]), np.array([1, 1, 0, 3])
    old, new = weights_like(reference, strata)
    assert old.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2, 0])
    # Nothing is known of stratum 3.
    assert new.tolist() == [1, 1, 1, 0]
    values = np.array([1.0, 2.0, 3.0, 100.0, 7.0])
    assert WeightedValues.of(values, old).quantile(0.5) == 100.0
    old, new = weights_like(reference, np.array([5, 5]))
    assert old.tolist() == [1] * 5
    assert new.tolist() == [1] * 2


def test_the_effect_of_a_category_is_the_total_variation() -> None:
    before, now = np.array([0, 20.0, 30, 50]), np.array([2.0, 33, 25, 40])
    effect = category_effect(before, now, ["red", "green", "blue"])
    assert effect.size == pytest.approx(0.15)
    assert effect.words == "'red' 20.0% → 33.0% of the values"
    unknown = category_effect(before, np.array([60.0, 10, 10, 20]), ["red", "green", "blue"])
    assert unknown.words == "other values 0.0% → 60.0% of the values"


def test_the_effect_of_missing_values_is_the_difference_of_shares() -> None:
    effect = missing_effect(0.01, 0.09)
    assert effect.size == pytest.approx(0.08)
    assert effect.words == "missing 1.0% → 9.0%"


def test_no_values_are_no_effect() -> None:
    none, some = np.empty(0), np.array([1.0])
    assert number_effect(_plain(some), _plain(none)).size == 0
    assert number_effect(_plain(none), _plain(some)).size == 0
    assert category_effect(np.zeros(2), np.ones(2), ["a"]).size == 0
    assert category_effect(np.ones(2), np.zeros(2), ["a"]).size == 0
    assert joint_effect(_plain(some), _plain(none), "").size == 0


def test_values_in_strata_without_a_reference_have_nothing_to_be_compared_with() -> None:
    reference, strata = np.array([0, 0, 1]), np.array([0, 0, 2])
    old, new = weights_like(reference, strata)
    before = WeightedValues.of(np.array([1.0, 2.0, np.nan]), old)
    now = WeightedValues.of(np.array([np.nan, np.nan, 9.0]), new)
    assert number_effect(before, now) == Effect(0.0, "no values to compare")
    # A row that can be compared decides alone.
    now = WeightedValues.of(np.array([np.nan, 2.0, 9.0]), new)
    assert number_effect(before, now).words == "median 1 → 2"
