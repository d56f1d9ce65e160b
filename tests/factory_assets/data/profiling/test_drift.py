"""The population stability index: 0 without a change, symmetric, and small by chance alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_assets.data.profiling.drift import psi
from factory_assets.data.profiling.profile import binned, quantiles

_COUNTS = st.lists(st.integers(0, 10_000), min_size=2, max_size=12)


@settings(deadline=None)
@given(_COUNTS, st.integers(1, 5))
def test_equal_shares_give_no_drift(counts: list[int], times: int) -> None:
    assert psi(counts, [count * times for count in counts]) < 0.01


@settings(deadline=None)
@given(_COUNTS, _COUNTS)
def test_psi_is_symmetric_and_never_negative(one: list[int], other: list[int]) -> None:
    size = min(len(one), len(other))
    forward, backward = psi(one[:size], other[:size]), psi(other[:size], one[:size])
    assert forward == backward >= 0


@settings(deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=200))
def test_every_value_falls_into_one_bin(numbers: list[float]) -> None:
    values = np.array(numbers)
    edges = quantiles(values)
    assert list(edges) == sorted(set(edges))
    assert sum(binned(values, edges)) == len(numbers)


def test_chance_alone_rarely_gives_clear_drift() -> None:
    draw = np.random.default_rng(7)
    edges = quantiles(draw.normal(size=500))
    past = binned(draw.normal(size=500), edges)
    found = [psi(past, binned(draw.normal(size=100), edges)) for _ in range(300)]
    assert np.mean([index >= 0.2 for index in found]) < 0.01
    assert psi(past, binned(draw.normal(loc=1, size=100), edges)) > 0.2
