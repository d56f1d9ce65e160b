"""The performance of a version on its answers while their outcomes are missing."""

from __future__ import annotations

from factory_assets.ml.performance.estimation import PerformanceEstimator
from factory_assets.ml.performance.labelled_rows import Labelled
from factory_assets.monitoring.answers import AnsweredRows
from factory_assets.monitoring.error_cache import ErrorCache
from factory_assets.monitoring.reference import TestedRows
from factory_assets.monitoring.report import EstimatedMetric
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError

_SEED = 7


def estimate_performance(
    pipeline: Pipeline,
    evaluation: EvaluationResult,
    tested: TestedRows,
    rows: AnsweredRows,
    cache: ErrorCache,
) -> dict[str, EstimatedMetric]:
    """Estimate the metrics that the evaluation names, for the answered rows.

    Args:
        cache: where the errors of estimates are, as far as they were measured before.

    Returns:
        Nothing if there are too few test rows to learn from.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    candidate = evaluation.candidate
    truth = tested.truth.astype(np.int64 if candidate.classes else np.float64)
    names = {evaluation.headline, *(gate.metric for gate in pipeline.spec.evaluate.conditions)}
    # On a busy machine, threads that wait for each other take many times as long as one.
    with threadpool_limits(1):
        try:
            estimator = PerformanceEstimator.fit(
                Labelled(tested.inputs, tested.outputs, truth, candidate.task == "multiclass"),
                0.5 if candidate.threshold is None else candidate.threshold,
                names,
                _SEED,
                cache.recall,
            )
        except DataError:
            # Too few rows; the page says that nothing is estimated.
            return {}
        found = estimator.estimate(rows.inputs, rows.outputs)
    return {
        name: EstimatedMetric(
            value=one.value,
            low=one.low,
            high=one.high,
            trusted=one.trusted,
            why=one.why,
            tested=evaluation.metrics.get(name),
        )
        for name, one in found.items()
    }
