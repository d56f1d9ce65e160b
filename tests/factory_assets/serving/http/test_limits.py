"""A rate is never exceeded, whenever requests come."""

import time
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.serving.http.limits import Limits, RateLimit

RATES = st.floats(0.01, 1_000)


def given_at(rate: float, moments: list[float]) -> list[tuple[float, float]]:
    """Return what `take` answers at each moment, in seconds from the beginning."""
    with pytest.MonkeyPatch.context() as patch:
        now = 1_000.0
        patch.setattr(time, "monotonic", lambda: now)
        limit, answers = RateLimit(rate), []
        for moment in moments:
            now = 1_000.0 + moment
            answers.append((moment, limit.take()))
    return answers


@given(RATES, st.lists(st.floats(0, 3), max_size=60).map(lambda gaps: [*accumulate(gaps)]))
def test_no_span_of_time_has_more_than_the_rate_and_one_burst(
    rate: float, moments: list[float]
) -> None:
    taken = [moment for moment, wait in given_at(rate, moments) if not wait]
    for i, start in enumerate(taken):
        for count, end in enumerate(taken[i:], 1):
            assert count <= max(1.0, rate) + rate * (end - start) + 1e-6


@given(RATES)
def test_who_waits_as_long_as_told_is_answered(rate: float) -> None:
    burst = int(max(1.0, rate))
    answers = given_at(rate, [0.0] * (burst + 1))
    assert [wait for _, wait in answers[:burst]] == [0.0] * burst
    wait = answers[-1][1]
    assert 0 < wait <= 1 / rate
    later = given_at(rate, [0.0] * (burst + 1) + [wait * (1 + 1e-9) + 1e-9])
    assert later[-1][1] == 0


def test_a_refusal_takes_nothing() -> None:
    answers = given_at(1.0, [0.0, *[0.5] * 10, 1.001])
    assert answers[0][1] == answers[-1][1] == 0
    assert all(wait for _, wait in answers[1:-1])


def test_an_idle_caller_saves_no_more_than_one_burst() -> None:
    answers = given_at(2.0, [1_000_000.0] * 5)
    assert [bool(wait) for _, wait in answers] == [False, False, True, True, True]


def test_of_a_refused_body_more_is_read_than_of_an_answered_one() -> None:
    assert Limits(body=10).refused_body > 10
