"""Outcomes for tests, and homes with some."""

from collections.abc import Sequence

from factory_resources.home.home import Home
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.outcome import Decision, Feedback, Source
from factory_resources.prediction_log.ids import PredictionIds


def feedback(
    identifier: bytes,
    value: str = '"good"',
    *,
    observed: int | None = None,
    source: Source = "http",
    caller: str = "",
    pipeline: str = "apples",
) -> Feedback:
    """Return an outcome that was sent."""
    return Feedback(identifier, pipeline, value, observed, source, caller)


def record_some(home: Home, counts: Sequence[int]) -> list[list[bytes]]:
    """Record outcomes, bound in one batch of each size; return the ids of each."""
    ids, batches = PredictionIds(), list[list[bytes]]()
    for count in counts:
        batches.append([ids.take() for _ in range(count)])
        assert add(home, [feedback(identifier) for identifier in batches[-1]]) == (
            ["recorded"] * count
        )
        assert bind_outcomes(home) == 1
    return batches


def add(home: Home, sent: Sequence[Feedback]) -> list[Decision]:
    """Record outcomes; return what each of them is."""
    with open_outcomes(home) as store:
        return store.add(sent)


def current(home: Home, pipeline: str = "apples") -> dict[bytes, str]:
    """Return the current outcome of each row."""
    with open_outcomes(home) as store:
        return {one.id: one.value for one in store.current(pipeline)}
