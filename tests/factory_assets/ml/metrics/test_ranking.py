"""Ranking metrics of resamples equal those of the rows that were drawn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from factory_assets.ml.metrics.ranking import RANKING_METRICS, Ranking

REFERENCE = {"average_precision": average_precision_score, "roc_auc": roc_auc_score}


@pytest.mark.parametrize("distinct", [3, 20, 10_000])
@pytest.mark.parametrize("name", list(RANKING_METRICS))
def test_resamples_equal_scikit_learn(name: str, distinct: int) -> None:
    generator = np.random.default_rng(distinct)
    scores = -np.sort(-generator.integers(0, distinct, 300) / distinct)
    positive = generator.random(300) < scores
    for _ in range(20):
        counts = np.bincount(generator.integers(0, 300, 300), minlength=300)
        rows = np.repeat(np.arange(300), counts)
        expected = REFERENCE[name](positive[rows], scores[rows])
        found = Ranking(positive, scores).metrics(counts, [name])
        assert found == {name: pytest.approx(expected, abs=1e-12)}


def test_a_resample_of_one_class_has_no_metrics() -> None:
    ranking = Ranking(np.array([True, False, True]), np.array([0.9, 0.5, 0.1]))
    assert ranking.metrics(np.array([2, 0, 1]), RANKING_METRICS) == {}
    assert ranking.metrics(np.array([0, 3, 0]), RANKING_METRICS) == {}
    assert ranking.metrics(np.array([1, 1, 1]), RANKING_METRICS).keys() == RANKING_METRICS.keys()
