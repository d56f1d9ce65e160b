"""What `evaluate` declares is compared with the task before anything is trained."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_resources.errors import DeclarationError
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import rows


@pytest.mark.parametrize(
    ("task", "evaluate", "message"),
    [
        ("binary", {"metric": "rmse"}, "'rmse' does not fit a binary target"),
        ("regression", {"metric": "roc_auc"}, "'roc_auc' does not fit a regression target"),
        (
            "multiclass",
            {"gates": [{"metric": "mae", "at_most": 1}]},
            "'mae' does not fit a multiclass target",
        ),
        ("regression", {"protected": ["colour"]}, "compares decisions between two classes"),
        ("binary", {"clip": 100}, "clip is for numbers; this target is binary"),
        ("multiclass", {"asymmetry": {}}, "asymmetry is for numbers; this target is multiclass"),
    ],
)
def test_a_metric_of_another_task_is_refused_before_training(
    task: str, evaluate: dict[str, Any], message: str, tmp_path: Path
) -> None:
    declared = {
        "purpose": "test",
        "ingest": {"source": {"files": "rows.csv"}},
        "train": {"target": "y", "model": {"kind": "linear"}},
        "evaluate": evaluate,
    }
    told: list[str] = []
    with pytest.raises(DeclarationError, match=message):
        fit(
            Pipeline("p", PipelineSpec.model_validate(declared), tmp_path),
            rows(100, 1, task),
            rows(50, 2, task),
            Home(tmp_path / "home"),
            progress=told.append,
        )
    assert told == []
