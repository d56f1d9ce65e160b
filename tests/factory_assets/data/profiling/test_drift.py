"""The stability index: nothing for the same, more for more, and little by chance alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.profiling.drift import psi
from factory_assets.data.profiling.profile import binned, quantiles

_COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


@settings(deadline=None)
@given(_COUNTS, st.integers(1, 5))
def test_the_same_shares_are_no_change(counts: list[int], times: int) -> None:
    assert psi(counts, [count * times for count in counts]) < 0.01


@settings(deadline=None)
@given(_COUNTS, _COUNTS)
def test_it_is_the_same_in_both_directions_and_never_negative(
    one: list[int], other: list[int]
) -> None:
    size = min(len(one), len(other))
    there, back = psi(one[:size], other[:size]), psi(other[:size], one[:size])
    assert there == back >= 0


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200))
def test_every_value_is_in_one_bin(numbers: list[float]) -> None:
    values = np.array(numbers)
    edges = quantiles(values)
    assert list(edges) == sorted(set(edges))
    assert sum(binned(values, edges)) == len(numbers)


def test_chance_alone_is_rarely_clear() -> None:
    draw = np.random.default_rng(7)
    edges = quantiles(draw.normal(size=500))
    past = binned(draw.normal(size=500), edges)
    found = [psi(past, binned(draw.normal(size=100), edges)) for _ in range(300)]
    assert np.mean([index >= 0.2 for index in found]) < 0.01
    assert psi(past, binned(draw.normal(loc=1, size=100), edges)) > 0.2
