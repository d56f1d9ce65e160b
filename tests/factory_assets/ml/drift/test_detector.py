"""Detectors: what is promised of false alarms, and what a change is dated to."""

import numpy as np
import pytest

from factory_assets.ml.drift.betting import STRATEGIES
from factory_assets.ml.drift.detector import Detector

EVEN = np.full((1, 10), 0.1)


def _run(looks: list[np.ndarray], days: float = 1.0, tests: int = 1) -> Detector:
    detector = Detector.fresh(tests, 10)
    widths = np.tile(EVEN, (tests, 1))
    for number, p_values in enumerate(looks, 1):
        detector = detector.update(p_values, widths, days=days, look=number)
    return detector


@pytest.mark.parametrize("days", [1.0, 0.25])
def test_without_change_the_mean_of_the_evidence_is_the_time(days: float) -> None:
    """Of the bets whose values do not vary too much for a mean of 4,000 runs."""
    generator = np.random.default_rng(0)
    looks = [generator.random((20, 4_000)) for _ in range(8)]
    means = np.exp(_run(looks, days, 4_000).log_r).mean(axis=0)
    assert means[[0, 1, 2, -1]] == pytest.approx(8 * days, rel=0.15)


def test_alarms_within_a_time_are_as_rare_as_declared() -> None:
    generator = np.random.default_rng(1)
    runs, looks, period = 2_000, 60, 300.0
    detector, alarmed = Detector.fresh(runs, 10), np.zeros(runs, bool)
    for number in range(looks):
        detector = detector.update(
            generator.random((20, runs)), np.tile(EVEN, (runs, 1)), days=1.0, look=number
        )
        alarmed |= detector.evidence(np.ones(runs)) >= period
    assert 0 < alarmed.mean() <= looks / period


def test_a_change_is_dated_to_the_look_with_which_its_evidence_began() -> None:
    generator = np.random.default_rng(2)
    quiet = [generator.random((100, 1)) for _ in range(12)]
    changed = [generator.random((100, 1)) ** 2 for _ in range(4)]
    assert _run([*quiet, *changed]).change(0) in (12, 13, 14)


def test_a_test_without_p_values_stakes_nothing() -> None:
    generator = np.random.default_rng(3)
    before = _run([generator.random((50, 1))])
    after = before.update(np.full((50, 1), np.nan), EVEN, days=900.0, look=2)
    assert after.evidence(np.ones(1)) == before.evidence(np.ones(1))


def test_evidence_is_finite_however_strong() -> None:
    strong = _run([np.full((100_000, 1), 1e-9)] * 3)
    assert strong.evidence(np.ones(1)) == pytest.approx([1e300])
    assert np.isfinite(strong.log_r).all()
    assert strong.log_r.shape == (1, STRATEGIES)


def test_no_time_since_the_last_look_is_no_stake() -> None:
    detector = _run([np.full((50, 1), 0.5)], days=0.0)
    assert detector.evidence(np.ones(1)) == 0
