"""A fitted model and how its training went, as files that another process reads.

The files of the model itself belong in `ml.artifacts.trained_model`; who fits, in `fit_tasks`.
"""

from __future__ import annotations

from pathlib import Path

from factory_assets.ml.artifacts.trained_model import read_trained, save_trained
from factory_assets.ml.training.fit_tasks import load_arrays, save_arrays
from factory_assets.ml.training.fitting import FitResult
from factory_assets.results.base import StageResult
from factory_assets.results.model import Epoch, Stopped

_MODEL, _TRAINING = "model", "training.json"


class _Training(StageResult):
    """How the training went."""

    history: tuple[Epoch, ...]
    best_epoch: int | None
    threshold: float
    stopped: Stopped | None
    halved: bool


def save_fit(fitted: FitResult, files: Path) -> None:
    """Write the model, its scored validation rows and how the training went into a folder."""
    (files / _MODEL).mkdir()
    save_trained(fitted.trained, files / _MODEL)
    training = _Training(
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        threshold=fitted.scored.threshold,
        stopped=fitted.stopped,
        halved=fitted.halved,
    )
    (files / _TRAINING).write_text(training.model_dump_json(), encoding="utf-8")
    save_arrays({"truth": fitted.scored.truth, "outputs": fitted.scored.outputs}, files)


def load_fit(files: Path, folder: Path) -> FitResult:
    """Read what `save_fit` wrote.

    Args:
        folder: that of the declaration, where a user's own module is loaded from.

    Raises:
        ModelError: the files do not contain such a model.
    """
    from factory_assets.ml.metrics.metrics import ScoredRows

    trained = read_trained(files / _MODEL, folder)
    training = _Training.model_validate_json((files / _TRAINING).read_bytes())
    arrays = load_arrays(files)
    task, threshold = trained.target.task, training.threshold
    scored = ScoredRows(task, arrays["truth"], arrays["outputs"], threshold)
    return FitResult(
        trained, training.history, training.best_epoch, scored, training.stopped, training.halved
    )
