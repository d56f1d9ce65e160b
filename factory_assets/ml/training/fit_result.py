"""The result of a fit, and its files, which another process reads.

Fitting belongs in `fitting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.ml.artifacts.trained_model import TrainedModel, read_trained, save_trained
from factory_assets.ml.models.base import FitCost
from factory_assets.ml.training.fit_tasks import load_arrays, save_arrays
from factory_assets.results.base import StageResult
from factory_assets.results.model import Candidate, Portfolio, Refit
from factory_assets.results.training import Epoch, Stopped

if TYPE_CHECKING:
    from factory_assets.ml.metrics.metrics import ScoredRows


_MODEL, _TRAINING = "model", "training.json"


@dataclass(frozen=True)
class FitResult:
    """A trained model and how its training went."""

    trained: TrainedModel
    history: tuple[Epoch, ...]
    best_epoch: int | None
    scored: ScoredRows
    """The held-out rows with their outputs: those of the validation part or, if rows are few, of
    the inner folds."""
    stopped: Stopped | None = None
    """Where the budget ended the training; None if it did not."""
    halved: bool = False
    """Whether batches were half as large as declared, for lack of memory."""
    rounds: int | None = None
    """After how many epochs or trees the model was best; None if its kind does not stop early."""
    folds: int | None = None
    """The number of inner folds whose rows decided; None if the validation rows did."""
    refit: Refit | None = None
    """How the kept model learned from all rows; None if that was not asked for."""
    portfolio: Portfolio | None = None
    """The members of `auto`; None for any other kind."""
    costs: tuple[FitCost, ...] = ()
    """What it took to judge each of these members."""

    @cached_property
    def validation(self) -> dict[str, float]:
        """Metrics on the validation rows."""
        return self.scored.metrics()


class _Training(StageResult):
    """How the training went."""

    history: tuple[Epoch, ...]
    best_epoch: int | None
    threshold: float
    stopped: Stopped | None
    halved: bool
    rounds: int | None
    folds: int | None
    refit: Refit | None


def save_fit(fitted: FitResult, files: Path) -> None:
    """Write the model, its scored validation rows and how the training went into a folder."""
    (files / _MODEL).mkdir()
    save_trained(fitted.trained, files / _MODEL)
    stored = {name: one for name, one in vars(fitted).items() if name in _Training.model_fields}
    training = _Training(**stored, threshold=fitted.scored.threshold)
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
    stored = dict(_Training.model_validate_json((files / _TRAINING).read_bytes()))
    arrays, threshold = load_arrays(files), stored.pop("threshold")
    scored = ScoredRows(trained.target.task, arrays["truth"], arrays["outputs"], threshold)
    return FitResult(trained, scored=scored, **stored)


def training_metrics(fitted: FitResult | Candidate) -> list[tuple[int, dict[str, float]]]:
    """Return what MLflow shows of the training, by epoch."""
    epochs = [
        (e.epoch, {"train_loss": e.train_loss, "validation_loss": e.validation_loss})
        for e in fitted.history
    ]
    last = {f"validation_{name}": value for name, value in fitted.validation.items()}
    return [*epochs, (fitted.best_epoch or 0, last)]
