"""What known outcomes say is measured by the metrics that `evaluate` declares."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.monitoring.answers import AnsweredRows
from factory_assets.monitoring.outcomes import KnownOutcomes, real_performance
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.spec import Evaluate
from tests.factory_assets.ml.evaluation.cases import with_spec
from tests.factory_assets.ml.models.cases import KINDS, pipeline


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
