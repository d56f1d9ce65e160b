"""Sequential comparison: false alarms over all looks together, power, and small cases by hand."""

from collections.abc import Callable
from itertools import pairwise
from math import exp, log

import msgspec
import numpy as np
import pytest

from factory_assets.ml.performance.betting import SHARES, MeanEvidence
from factory_assets.ml.performance.sequential import (
    Comparison,
    IndependentComparison,
    PairedComparison,
    RateComparison,
)
from factory_resources.errors import DataError
from tests.long_run import in_long

STREAMS, ROWS, ALPHA = 2_000, 1_000, 0.05
LOOKS = [0, 1, 2, 5, 10, 20, 50, 100, 200, 400, 600, 800, ROWS]

Stream = Callable[[np.random.Generator], list[Comparison]]


def paired(margin: float, worse_by: float) -> Stream:
    """Losses near 0 with the occasional large one, of two versions on the same rows."""

    def stream(generator: np.random.Generator) -> list[Comparison]:
        champion = generator.beta(0.5, 2, ROWS)
        new = np.where(generator.random(ROWS) < 0.5, generator.beta(0.5, 2, ROWS), champion)
        new = new + worse_by * (1 - new) / 0.8
        state = PairedComparison.begin(margin)
        return [state := state.update(new[a:b], champion[a:b]) for a, b in pairwise(LOOKS)]

    return stream


def rates(margin: float, worse_by: float, rate: float) -> Stream:
    """A canary whose traffic grows from look to look; half of the looks are a bad time for both."""

    def stream(generator: np.random.Generator) -> list[Comparison]:
        state, seen = RateComparison.begin(margin), []
        for look in range(10):
            answers = 20 + 20 * look
            base = rate * (1 + 4 * (generator.random() < 0.5))
            failed = generator.binomial(answers, base + worse_by)
            others = generator.binomial(4 * answers, base)
            state = state.update((int(failed), answers), (int(others), 4 * answers))
            seen.append(state)
        return seen

    return stream


def independent(margin: float, worse_by: float) -> Stream:
    """Losses of different callers, more of the new version than of the champion."""

    def stream(generator: np.random.Generator) -> list[Comparison]:
        state, seen = IndependentComparison.begin(margin), []
        for a, b in pairwise(LOOKS):
            new = generator.uniform(0.1, 0.3, 2 * (b - a)) + worse_by
            champion = (generator.random(b - a) < 0.2).astype(float)
            state = state.update(new, champion)
            seen.append(state)
        return seen

    return stream


def said(stream: Stream, streams: int) -> dict[str, float]:
    """The share of streams of which a verdict was given at any look."""
    ever = {"worse": 0, "no worse": 0}
    for seed in range(streams):
        verdicts = {state.verdict(ALPHA) for state in stream(np.random.default_rng(seed))}
        for verdict in ever:
            ever[verdict] += verdict in verdicts
    return {verdict: times / streams for verdict, times in ever.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "stream",
    [
        paired(0.05, 0.05),
        *in_long([rates(0.0, 0.0, 0.01)]),
        *in_long([paired(0.0, 0.0), rates(0.02, 0.02, 0.05), independent(0.1, 0.1)]),
    ],
    ids=["paired, margin", "rates, equal", "paired, equal", "rates, margin", "losses"],
)
def test_no_verdict_is_wrong_more_often_than_alpha_however_often_one_looks(stream: Stream) -> None:
    """Exactly at the margin both verdicts are wrong."""
    wrong = said(stream, STREAMS)
    assert max(wrong.values()) <= ALPHA
    # Not by never saying anything.
    assert sum(wrong.values()) > 0


def test_a_clear_difference_is_found_in_time() -> None:
    assert said(rates(0.01, 0.09, 0.02), 200)["worse"] > 0.95
    assert said(rates(0.05, 0.0, 0.01), 200)["no worse"] > 0.95
    assert said(paired(0.02, 0.1), 200)["worse"] > 0.95
    assert said(paired(0.1, 0.0), 200)["no worse"] > 0.95
    assert said(independent(0.0, 0.2), 200)["worse"] > 0.95


def test_the_interval_contains_the_true_difference_at_all_looks() -> None:
    kept = 0
    for seed in range(300):
        looks = paired(0.0, 0.1)(np.random.default_rng(seed))
        kept += all(low <= 0.1 <= high for low, high in (one.difference(0.05) for one in looks))
    assert kept >= 0.95 * 300
    low, high = looks[-1].difference(0.05)
    assert high - low < 0.2
    assert looks[-1].difference(0.5)[0] > low
    assert PairedComparison.begin(0.0).difference(0.05) == (-1, 1)


def test_one_row_changes_the_wealth_of_each_bettor_by_its_share() -> None:
    evidence = MeanEvidence(0.2).update(np.array([1.0]))
    assert evidence.above == pytest.approx([log(1 + share * 0.8 / 1.2) for share in SHARES])
    assert evidence.below == pytest.approx([log(1 - share) for share in SHARES])
    wealth = np.mean([1 + share * 0.8 / 1.2 for share in SHARES])
    assert evidence.log_above() == pytest.approx(log(wealth))


def test_a_verdict_is_given_from_a_wealth_of_one_over_alpha() -> None:
    state = PairedComparison.begin(0.1).update(np.full(4, 0.9), np.full(4, 0.2))
    wealth = exp(state.evidence.log_above())
    assert state.verdict(1.001 / wealth) == "worse"
    assert state.verdict(0.999 / wealth) == "undecided"
    better = PairedComparison.begin(0.1).update(np.full(4, 0.2), np.full(4, 0.9))
    wealth = exp(better.evidence.log_below())
    assert better.verdict(1.001 / wealth) == "no worse"
    assert better.verdict(0.999 / wealth) == "undecided"


def test_the_evidence_does_not_depend_on_how_rows_are_batched() -> None:
    numbers = np.random.default_rng(0).uniform(-1, 1, 250_001)
    whole = MeanEvidence(0.1).update(numbers)
    parts = MeanEvidence(0.1)
    for part in np.split(numbers, [1, 1000, 1000, 70_000, 249_000]):
        parts = parts.update(part)
    assert parts.rows == whole.rows == 250_001
    assert parts.above == pytest.approx(whole.above)
    assert parts.below == pytest.approx(whole.below)


def test_a_comparison_continues_from_its_json() -> None:
    generator = np.random.default_rng(3)
    state = paired(0.02, 0.1)(generator)[-1]
    read = msgspec.json.decode(msgspec.json.encode(state), type=PairedComparison)
    assert read == state
    assert len(msgspec.json.encode(state)) < 1500
    losses = generator.random((2, 50))
    assert isinstance(state, PairedComparison)
    assert read.update(*losses) == state.update(*losses)


def test_each_of_the_fewer_is_compared_with_the_mean_of_several() -> None:
    new, champion = np.array([1.0, 0.5]), np.array([0.0, 1.0, 0.25, 0.25, 0.25])
    unpaired = IndependentComparison.begin(0.0).update(new, champion)
    same = PairedComparison.begin(0.0).update(new, np.array([0.5, 0.25]))
    assert unpaired.evidence == same.evidence
    assert unpaired.compared == 2


def test_a_batch_of_one_version_alone_changes_nothing() -> None:
    state = RateComparison.begin(0.01).update((3, 10), (2, 40))
    assert state.compared == 10
    assert state.update((5, 5), (0, 0)) == state
    assert state.update((0, 0), (7, 9)) == state
    losses = IndependentComparison.begin(0.0)
    assert losses.update(np.array([1.0]), np.array([])) == losses


def test_equal_batches_of_counts_give_equal_states() -> None:
    first, second = (
        RateComparison.begin(0.01).update((3, 10), (20, 40)).update((1, 4), (2, 9))
        for _ in range(2)
    )
    assert first == second


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: PairedComparison.begin(1.0),
        lambda: PairedComparison.begin(float("nan")),
        lambda: PairedComparison.begin(0.0).update(np.array([0.1]), np.array([0.1, 0.2])),
        lambda: PairedComparison.begin(0.0).update(np.array([1.1]), np.array([0.1])),
        lambda: IndependentComparison.begin(0.0).update(np.array([np.nan]), np.array([0.1])),
        lambda: RateComparison.begin(0.0).update((3, 2), (0, 1)),
        lambda: RateComparison.begin(0.0).update((0, 2), (-1, 1)),
        lambda: PairedComparison.begin(0.0).verdict(0.0),
        lambda: PairedComparison.begin(0.0).difference(1.0),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_remedy(wrong: Callable[[], object]) -> None:
    with pytest.raises(DataError) as refused:
        wrong()
    assert refused.value.remedy
