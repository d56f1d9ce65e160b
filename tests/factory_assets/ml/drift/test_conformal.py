"""Conformal p-values: independent and uniform if the order of the rows says nothing."""

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from factory_assets.ml.drift.conformal import CHUNK, CountBag, SortedBag, smoothed

ROWS = 4_000


def _values(kind: str, generator: np.random.Generator) -> np.ndarray:
    match kind:
        case "continuous":
            return generator.normal(size=ROWS)
        case "discrete":
            return generator.poisson(1.5, ROWS).astype(float)
        case "constant":
            return np.full(ROWS, 7.0)
        case "heavy-tailed":
            return generator.standard_cauchy(ROWS) ** 3
        case "infinite":
            return np.where(generator.random(ROWS) < 0.3, np.inf, generator.normal(size=ROWS))
    raise ValueError(kind)


@pytest.mark.parametrize("kind", ["continuous", "discrete", "constant", "heavy-tailed", "infinite"])
@pytest.mark.parametrize("past", [0, 10, 300])
def test_p_values_are_uniform_and_independent_of_those_before(kind: str, past: int) -> None:
    generator = np.random.default_rng(past)
    values, strata = _values(kind, generator), np.zeros(ROWS, np.int64)
    _, bag = SortedBag({}).extend(values[:past], strata[:past], generator.random(past))
    count = ROWS - past
    p_values, _ = bag.extend(values[past:], strata[past:], generator.random(count))
    assert kstest(p_values, "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(p_values[1:], p_values[:-1])[0, 1]) < 4 / np.sqrt(count)


@given(
    st.lists(st.integers(-3, 3), max_size=40),
    st.lists(st.integers(-3, 3), min_size=1, max_size=2 * CHUNK + 9),
    st.integers(0, 2**32),
)
@settings(max_examples=50, deadline=None)
def test_a_p_value_counts_the_smaller_values_so_far_and_a_share_of_the_equal_ones(
    past: list[int], new: list[int], seed: int
) -> None:
    draws = np.random.default_rng(seed).random(len(new))
    zeros = np.zeros(len(new), np.int64)
    p_values, bag = SortedBag({0: np.sort(np.array(past, float))}).extend(
        np.array(new, float), zeros, draws
    )
    seen = list(past)
    for value, draw, p_value in zip(new, draws, p_values, strict=True):
        less, equal = sum(s < value for s in seen), sum(s == value for s in seen)
        assert p_value == pytest.approx((less + draw * (equal + 1)) / (len(seen) + 1), abs=1e-12)
        seen.append(value)
    assert bag.strata[0].tolist() == sorted(seen)


@given(
    st.lists(st.integers(0, 4), max_size=40),
    st.lists(st.integers(0, 4), min_size=1, max_size=99),
    st.lists(st.integers(0, 2), min_size=139, max_size=139),
)
@settings(max_examples=50, deadline=None)
def test_counted_codes_get_the_p_values_of_sorted_ones(
    past: list[int], new: list[int], strata: list[int]
) -> None:
    old, codes = np.array(past, float), np.array(new, float)
    old_strata, new_strata = np.array(strata[: len(past)], int), np.array(strata[-len(new) :], int)
    draws = np.linspace(0.01, 0.99, len(new))
    _, ordered = SortedBag({}).extend(old, old_strata, np.zeros(len(past)))
    expected, ordered = ordered.extend(codes, new_strata, draws)
    p_values, counted = CountBag.of(5, old[:, None].astype(int), old_strata).extend(
        codes[:, None].astype(int), new_strata, draws[:, None]
    )
    assert p_values[:, 0] == pytest.approx(expected)
    for stratum, count in counted.strata.items():
        assert (
            count[0].tolist()
            == np.bincount(ordered.strata[stratum].astype(int), minlength=5).tolist()
        )


def test_no_p_value_is_rounded_to_an_end() -> None:
    most, none = np.array([2**62]), np.array([0])
    ends = [smoothed(less, none, most, np.array([0.9])).item() for less in (none, most)]
    assert 0 < ends[0] < ends[1] < 1
    assert smoothed(none, none, none, np.array([2.0**-60])).item() > 2.0**-55


def test_a_missing_value_has_no_p_value_and_does_not_enter_the_bag() -> None:
    values = np.array([1.0, np.nan, 2.0])
    p_values, bag = SortedBag({}).extend(values, np.zeros(3, np.int64), np.full(3, 0.5))
    assert np.isnan(p_values).tolist() == [False, True, False]
    assert bag.strata[0].tolist() == [1.0, 2.0]
    p_values, bag = bag.extend(np.full(2, np.nan), np.zeros(2, np.int64), np.full(2, 0.5))
    assert np.isnan(p_values).all()
    assert bag.strata[0].tolist() == [1.0, 2.0]


def test_values_are_ranked_within_their_stratum() -> None:
    bag = SortedBag({0: np.array([1.0, 2.0, 3.0]), 1: np.array([101.0, 102.0, 103.0])})
    p_values, longer = bag.extend(np.array([2.5, 102.5]), np.array([0, 1]), np.full(2, 0.5))
    assert p_values.tolist() == [0.625, 0.625]
    assert longer.strata[1].tolist() == [101.0, 102.0, 102.5, 103.0]


@pytest.mark.parametrize("capacity", [1, 2, 3])
def test_p_values_stay_independent_if_a_full_bag_is_thinned(capacity: int) -> None:
    """All orders of four values equally often, so every pattern of ranks must be too."""
    generator = np.random.default_rng(capacity)
    patterns: Counter[tuple[int, ...]] = Counter()
    rounds, one = 100, np.zeros(1, np.int64)
    for order in itertools.permutations(range(4)):
        for _ in range(rounds):
            bag, ranks = SortedBag({}), []
            for value in order:
                p_values, bag = bag.extend(np.array([float(value)]), one, generator.random(1))
                ranks.append(int(p_values[0] * 2))
                bag = bag.thin(capacity, generator)
            patterns[tuple(ranks)] += 1
    expected = rounds * 24 / 2**4
    assert len(patterns) == 2**4
    # 5 standard deviations of a count.
    assert max(abs(count - expected) for count in patterns.values()) < 5 * np.sqrt(expected)


def test_strata_of_which_nothing_is_left_are_forgotten() -> None:
    generator = np.random.default_rng(0)
    values, strata = np.zeros(3_000, np.int64), np.arange(3_000)
    _, ordered = SortedBag({}).extend(values.astype(float), strata, generator.random(3_000))
    for bag in (ordered, CountBag.of(2, values[:, None], strata)):
        assert len(bag.thin(100, generator).strata) == 100


@pytest.mark.parametrize("kind", ["sorted", "counted"])
def test_a_thinned_bag_keeps_a_uniform_sample_of_all_strata(kind: str) -> None:
    generator = np.random.default_rng(0)
    values = generator.integers(0, 10, 30_000).astype(float)
    strata = (np.arange(30_000) % 3 == 0).astype(np.int64)
    bag = CountBag.of(10, np.stack([values] * 2, axis=1).astype(int), strata)
    if kind == "sorted":
        _, bag = SortedBag({}).extend(values, strata, generator.random(30_000))
    kept = bag.thin(6_000, generator).strata
    sizes = {s: len(part) if kind == "sorted" else part[1].sum() for s, part in kept.items()}
    assert sum(sizes.values()) == 6_000
    assert sizes[1] == pytest.approx(2_000, abs=150)
    means = [
        part.mean() if kind == "sorted" else part[1] @ np.arange(10) / part[1].sum()
        for part in kept.values()
    ]
    assert means == pytest.approx([4.5, 4.5], abs=0.3)
