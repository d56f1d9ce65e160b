"""Costs at other numbers of rows lie in the range that is told, for curves of many shapes."""

import random
from collections.abc import Callable, Sequence
from math import exp, log

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from factory_assets.audit.cost.growth import (
    CostRange,
    MeasuredCost,
    basis_of,
    estimate,
    fit,
    total,
    within_cores,
)

_costs = st.floats(0.001, 1_000)


def measured(cost: dict[int, float]) -> list[MeasuredCost]:
    return [MeasuredCost(rows, value) for rows, value in cost.items()]


@given(
    fixed=st.floats(0, 10),
    growing=st.floats(1e-6, 1e-3),
    exponent=st.sampled_from([0.5, 1.0, 1.2, 1.5]),
    noise=st.floats(0, 0.1),
    draw=st.integers(0, 10_000),
    factor=st.sampled_from([0.3, 2.0, 4.0, 16.0]),
)
def test_the_truth_lies_in_the_range(
    fixed: float, growing: float, exponent: float, noise: float, draw: int, factor: float
) -> None:
    def truth(rows: float) -> float:
        cost: float = fixed + growing * rows**exponent
        return cost

    chance = random.Random(draw)
    sizes = [1_000, 4_000, 16_000, 64_000]
    every = measured({rows: truth(rows) * (1 + chance.uniform(-noise, noise)) for rows in sizes})
    asked = int(factor * (sizes[-1] if factor > 1 else 3_000))
    found = estimate(every, asked)
    assert found.low <= found.value <= found.high
    assert found.low <= truth(asked) <= found.high


@given(
    pairs=st.dictionaries(st.integers(1, 10**7), _costs, min_size=1, max_size=6),
    rows=st.integers(1, 10**9),
)
@example(pairs={100: 100.0, 200: 1.0}, rows=50)
def test_a_range_is_finite_and_has_its_value(pairs: dict[int, float], rows: int) -> None:
    found = estimate(measured(pairs), rows)
    assert 0 < found.low <= found.value <= found.high < float("inf")


def test_exact_growth_is_found_with_a_small_error() -> None:
    every = measured({rows: 2 + rows / 1_000 for rows in (1_000, 10_000, 100_000)})
    found = estimate(every, 200_000)
    assert found.value == pytest.approx(202)
    assert found.error < 0.5
    assert estimate(every, 30_000).error < 0.3
    # Twice as far away, the error is larger.
    assert estimate(every, 10_000_000).error > estimate(every, 1_000_000).error > found.error


def test_one_size_is_proportional_with_a_wide_error() -> None:
    found = estimate(measured({1_000: 2.0}), 10_000)
    assert found.value == 20.0
    assert found.low < 2.0
    assert found.high > 2 * 10**1.5
    fewer = estimate(measured({1_000: 2.0}), 100)
    assert fewer.value == pytest.approx(0.2)
    assert fewer.low < 2 / 10**1.5
    assert fewer.high > 2.0


def test_a_measured_size_is_its_mean_and_its_spread() -> None:
    once = estimate([MeasuredCost(1_000, 2.0)], 1_000)
    assert (once.value, once.low, once.high) == (2.0, 1.6, 2.5)
    twice = estimate([MeasuredCost(1_000, 2.0), MeasuredCost(1_000, 4.0)], 1_000)
    assert (twice.value, twice.low, twice.high) == (3.0, 2.0, 4.0)
    assert twice.error == pytest.approx(1 / 3)


def test_nearly_equal_sizes_tell_little_of_a_far_one() -> None:
    every = measured({rows: 2 + rows / 1_000 for rows in (10_000, 10_010, 10_020)})
    found = estimate(every, 1_000_000)
    assert found.low < 12.0
    assert found.high > 10_000
    assert found.high < 20_000, "not more than growth by the power of 1.5"


def test_sizes_that_differ_by_a_row_tell_no_more_than_one_size() -> None:
    measured = [MeasuredCost(100_000, 1.0), MeasuredCost(100_001, 1.02)]
    for rows in (50_000, 200_000, 10**9):
        found = estimate(measured, rows)
        growth = (rows / 100_000) ** 1.5
        assert 0.3 * min(1, growth) < found.low < found.value < found.high < 3 * max(1, growth)


def test_what_did_not_grow_yet_may_begin_to() -> None:
    found = estimate(measured({1_000: 2.0, 4_000: 2.0, 16_000: 2.0}), 64_000)
    assert found.value == pytest.approx(2.0)
    assert found.high > 8.0
    assert estimate(measured({1_000: 2.0, 4_000: 2.0, 16_000: 2.0}), 8_000).high < 3.0


def test_two_sizes_are_less_certain_than_three() -> None:
    three = measured({rows: 2 + rows / 1_000 for rows in (1_000, 10_000, 100_000)})
    assert estimate(three[1:], 400_000).error > estimate(three, 400_000).error


@given(pairs=st.dictionaries(st.integers(1, 10**7), _costs, min_size=2, max_size=6))
def test_no_part_of_a_curve_is_negative(pairs: dict[int, float]) -> None:
    for exponent in (0.5, 1.0, 1.5):
        curve = fit(measured(pairs), exponent)
        assert curve.fixed >= 0
        assert curve.growing >= 0
        errors = [abs(log(curve.at(rows) / cost)) for rows, cost in pairs.items()]
        assert min(errors) < log(max(pairs.values()) / min(pairs.values())) + 1e-6


_TRUTHS: dict[str, Callable[[float], float]] = {
    "hardly any growth": lambda rows: 1 + rows * 2e-6,
    "the power of .6": lambda rows: 1 + rows**0.6 * 1e-4,
    "a part that grows": lambda rows: 1 + rows * 2e-5,
    "all grows": lambda rows: 0.05 + rows * 1e-4,
    "sorting": lambda rows: 0.5 + rows * log(rows) * 1e-5,
    "growth that begins late": lambda rows: 1 + max(0.0, rows - 50_000) * 1e-5,
}


def _far(
    truth: Callable[[float], float], sizes: Sequence[int], factor: int
) -> list[tuple[CostRange, float]]:
    """Return estimates far beyond sizes that were measured with a noise of 8 %, and the truth."""
    chance, rows = random.Random(3), sizes[-1] * factor
    every = [
        measured({size: truth(size) * exp(chance.gauss(0, 0.08)) for size in sizes})
        for _ in range(100)
    ]
    return [(estimate(one, rows), truth(rows)) for one in every]


@pytest.mark.parametrize("truth", _TRUTHS.values(), ids=_TRUTHS)
@pytest.mark.parametrize("factor", [4, 50])
@pytest.mark.parametrize("count", [2, 3, 4])
def test_far_beyond_the_measured_sizes_the_truth_is_mostly_in_the_range(
    truth: Callable[[float], float], factor: int, count: int
) -> None:
    found = _far(truth, [1_000, 4_000, 16_000, 64_000][:count], factor)
    assert sum(one.low <= true <= one.high for one, true in found) >= 84


@pytest.mark.parametrize("truth", ["hardly any growth", "the power of .6"])
def test_noise_is_not_taken_for_growth(truth: str) -> None:
    found = _far(_TRUTHS[truth], [1_000, 4_000], 50)
    assert sum(one.value < 4 * true for one, true in found) >= 90


_ranges = st.tuples(_costs, _costs, _costs).map(lambda found: CostRange(*_low_first(found)))


def _low_first(found: tuple[float, float, float]) -> tuple[float, float, float]:
    low, value, high = sorted(found)
    return value, low, high


@given(seconds=_ranges, cpu=_ranges, cores=st.sampled_from([1.0, 2.0, 32.0]))
def test_no_more_cores_are_busy_than_there_are(
    seconds: CostRange, cpu: CostRange, cores: float
) -> None:
    time, busy = within_cores(seconds, cpu, cores)
    for one in (time, busy):
        assert 0 < one.low <= one.value <= one.high
    most = cores * (1 + 1e-9)
    assert busy.low <= most * time.low
    assert busy.value <= most * time.value
    assert busy.high <= most * time.high
    # Time is never less than was estimated, CPU time never more.
    assert (time.low, time.value, time.high) >= (seconds.low, seconds.value, seconds.high)
    assert busy.value <= cpu.value
    if cpu.high <= cores * seconds.low:
        assert (time, busy) == (seconds, cpu)


def test_a_sum_may_be_off_in_one_direction() -> None:
    found = total([CostRange(1, 0.5, 2), CostRange(10, 9, 12)])
    assert found == CostRange(11, 9.5, 14)
    assert found.times(2) == CostRange(22, 19, 28)


@pytest.mark.parametrize(
    ("sizes", "rows", "basis"),
    [
        ([5], 5, "measured"),
        ([5, 5], 6, "one size"),
        ([5, 9], 6, "between"),
        ([5, 9], 10, "beyond"),
        ([5, 9], 4, "beyond"),
    ],
)
def test_the_basis_of_an_estimate(sizes: list[int], rows: int, basis: str) -> None:
    assert basis_of(sizes, rows) == basis
