"""Fixtures of the evaluation tests: a fitted model and its test set, without MLflow."""

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
    """Return the pipeline of the model cases with the given `evaluate` declaration."""
    declared = pipeline(folder, model, **train)
    return with_spec(declared, evaluate=Evaluate.model_validate(evaluate))


def with_spec(declared: Pipeline, **changes: Any) -> Pipeline:
    return Pipeline(declared.name, declared.spec.model_copy(update=changes), declared.folder)


def judging(declared: Pipeline, split: SplitResult, home: Home) -> tuple[TestSet, TrainedModel]:
    """Fit the model, and open its test set."""
    training = read_arrow(split.train, home)
    fitted = fit(declared, training, read_arrow(split.validation, home), home)
    candidate = _candidate(declared, fitted, 1, "run", "digest", training.num_rows)
    return open_test_set(declared, split, fitted.trained, candidate, home), fitted.trained
