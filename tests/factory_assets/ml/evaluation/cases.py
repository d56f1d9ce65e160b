"""What the tests of judging share: a model and its judgement, without MLflow."""

from pathlib import Path
from typing import Any

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation.test_set import TestSet, open_test_set
from factory_assets.ml.training.fitting import fit
from factory_assets.results.data import SplitResult
from factory_assets.spec import Evaluate, Pipeline
from factory_assets.stages.train import _candidate
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.ml.models.cases import pipeline


def evaluating(folder: Path, model: dict[str, Any], evaluate: dict[str, Any], **train: Any) -> Any:
    """The pipeline of the learning cases, judged so."""
    made = pipeline(folder, model, **train)
    return with_spec(made, evaluate=Evaluate.model_validate(evaluate))


def with_spec(made: Pipeline, **changes: Any) -> Pipeline:
    return Pipeline(made.name, made.spec.model_copy(update=changes), made.folder)


def judging(made: Pipeline, given: SplitResult, home: Home) -> tuple[TestSet, TrainedModel]:
    """The model, and the test rows opened for it."""
    training = read_arrow(given.train, home)
    fitted = fit(made, training, read_arrow(given.validation, home), home)
    candidate = _candidate(made, fitted, 1, "run", "digest", training.num_rows)
    return open_test_set(made, given, fitted.trained, candidate, home), fitted.trained
