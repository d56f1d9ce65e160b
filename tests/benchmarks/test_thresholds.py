"""The thresholds that the benchmark compares, and what decisions by them lose."""

import numpy as np
import pytest

from benchmarks.thresholds import RULES, Task, judged, mean_threshold
from factory_assets.spec.threshold import ErrorCosts


@pytest.mark.parametrize("cost", [34, 37, 40, 45])
def test_of_few_different_scores_the_better_decision_is_made(cost: int) -> None:
    # 8 of 250 and 7 of 750 are positive. Some draws ask for no positive decision at all.
    scores = np.repeat([0.032, 0.0093], (250, 750))
    truth = np.zeros(1_000, dtype=np.int64)
    truth[[*range(8), *range(250, 257)]] = 1
    costs = ErrorCosts(false_positive=1, false_negative=cost)
    assert 0.0093 < mean_threshold(costs, truth, scores) < 0.032


def test_each_rule_is_judged_with_both_thresholds() -> None:
    chance = np.random.default_rng(0)
    inputs = chance.normal(size=(600, 3))
    truth = (inputs[:, 0] + chance.normal(size=600) > 1).astype(np.int64)
    losses = judged(Task(inputs[:300], truth[:300], inputs[300:], truth[300:]))
    assert len(losses) == len(RULES)
    assert all(0 < loss < 1.2 for pair in losses for loss in pair)
