"""What known outcomes say is measured by the metrics that `evaluate` declares."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.monitoring import reference
from factory_assets.monitoring.answers import AnsweredRows
from factory_assets.monitoring.outcomes import KnownOutcomes, LossComparison, real_performance
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.spec import Evaluate
from tests.factory_assets.ml.evaluation.cases import with_spec
from tests.factory_assets.ml.models.cases import KINDS, pipeline

ROWS = 1_000


def test_true_values_are_cut_as_declared(tmp_path: Path) -> None:
    evaluate = {"metric": "rmse_clipped", "clip": 125}
    declared = with_spec(
        pipeline(tmp_path, KINDS["linear"]), evaluate=Evaluate.model_validate(evaluate)
    )
    candidate = Candidate.model_construct(task="regression", classes=(), threshold=None)
    verdict = EvaluationResult.model_construct(
        candidate=candidate, headline="rmse_clipped", metrics={"rmse_clipped": 20.0}
    )
    rows = AnsweredRows([b"1", b"2"], pa.table({"x": [1.0, 2.0]}), np.array([120.0, 100.0]))
    known = KnownOutcomes(rows, np.array([300.0, 110.0]), np.array([1, 2]))
    found = real_performance(declared, verdict, known, None, is_worse=False)
    assert found.metrics["rmse_clipped"].value == pytest.approx((5**2 / 2 + 10**2 / 2) ** 0.5)
    assert found.metrics["rmse_clipped"].tested == 20.0


def scored() -> tuple[EvaluationResult, KnownOutcomes]:
    """Two classes whose probabilities are right, by a threshold of 0.4."""
    generator = np.random.default_rng(0)
    chance = generator.random(ROWS)
    truth = (generator.random(ROWS) < chance).astype(np.int64)
    candidate = Candidate.model_construct(task="binary", classes=("no", "yes"), threshold=0.4)
    verdict = EvaluationResult.model_construct(
        candidate=candidate, headline="roc_auc", metrics={"roc_auc": 0.9}
    )
    region = np.where(np.arange(ROWS) < ROWS - 10, np.arange(ROWS) % 2, 2)
    table = pa.table({"region": np.array(["north", "south", "rare"])[region]})
    ids = [str(row).encode() for row in range(ROWS)]
    rows = AnsweredRows(ids, table, np.stack([1 - chance, chance], axis=1))
    return verdict, KnownOutcomes(rows, truth, np.arange(ROWS))


def test_answers_with_outcomes_are_measured_with_the_intervals_of_an_evaluation(
    tmp_path: Path,
) -> None:
    verdict, known = scored()
    declared = with_spec(pipeline(tmp_path, KINDS["linear"]), evaluate=Evaluate())
    answered = AnsweredRows(
        [*known.rows.ids, b"new"],
        pa.table({"region": ["north"] * (ROWS + 1)}),
        np.concatenate([known.rows.outputs, [[0.5, 0.5]]]),
    )
    found = real_performance(declared, verdict, known, answered, is_worse=True)
    assert (found.labelled, found.unlabelled, found.is_worse) == (ROWS, 1, True)
    rows = ScoredRows("binary", known.truth, known.rows.outputs, threshold=0.4)
    auc = found.metrics["roc_auc"]
    assert (auc.value, auc.tested) == (rows.metrics(["roc_auc"])["roc_auc"], 0.9)
    intervals = bootstrap_intervals(rows, ["roc_auc"], resamples=200, seed=0)
    assert (auc.low, auc.high) == intervals["roc_auc"]


def test_outcomes_that_are_stored_long_after_they_were_recorded_are_compared() -> None:
    verdict, known = scored()
    tested = reference.TestedRows(known.rows.inputs, known.rows.outputs, known.truth)
    seconds = 1_000_000

    def after(before: LossComparison, first: list[int], now: int) -> LossComparison:
        rows = AnsweredRows(
            known.rows.ids[: len(first)], known.rows.inputs, known.rows.outputs[: len(first)]
        )
        times = np.array(first) * seconds
        some = KnownOutcomes(rows, known.truth[: len(first)], times)
        return before.after(some, verdict.candidate, tested, datetime.fromtimestamp(now, UTC))

    one = after(LossComparison.begin(0.1), [90], 100)
    # Many that were recorded together at 92 were stored at 103.
    two = after(one, [90, 92, 92], 110)
    assert two.comparison.evidence != one.comparison.evidence
    assert after(two, [90, 92, 92], 120) is two
    assert (one.until, two.until) == (90 * seconds, 92 * seconds)


def test_a_class_that_the_model_does_not_know_is_counted_and_not_measured(tmp_path: Path) -> None:
    verdict, known = scored()
    known.truth[:7] = -1
    declared = with_spec(
        pipeline(tmp_path, KINDS["linear"]), evaluate=Evaluate(slices=["region"], min_rows=1)
    )
    found = real_performance(declared, verdict, known, None, is_worse=False)
    assert (found.labelled, found.unlabelled) == (ROWS, 0)
    rows = ScoredRows("binary", known.truth, known.rows.outputs).take(np.arange(7, ROWS))
    assert found.metrics["roc_auc"].value == rows.metrics()["roc_auc"]
    assert sum(one.rows for one in found.slices) == ROWS - 7


def test_slices_are_measured_if_enough_of_their_outcomes_are_known(tmp_path: Path) -> None:
    verdict, known = scored()
    declared = with_spec(
        pipeline(tmp_path, KINDS["linear"]), evaluate=Evaluate(slices=["region"], min_rows=20)
    )
    found = real_performance(declared, verdict, known, None, is_worse=False)
    slices = {one.value: one for one in found.slices}
    assert sum(one.rows for one in found.slices) == ROWS
    north = np.array(known.rows.inputs["region"]) == "north"
    rows = ScoredRows("binary", known.truth, known.rows.outputs).take(north)
    assert slices["north"].metrics == {"roc_auc": rows.metrics()["roc_auc"]}
    assert (slices["rare"].rows, slices["rare"].metrics) == (10, {})
