"""Fitting one model on rows that are ready: weights, calibration and threshold, without MLflow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.calibration import fit_calibration
from factory_assets.ml.artifacts.trained_model import Description, TrainedModel, shape_of
from factory_assets.ml.features.target import Target
from factory_assets.ml.models.base import FitContext, Watch
from factory_assets.ml.models.budget import Share, account_of
from factory_assets.ml.models.kinds import fit_model, model_class
from factory_assets.ml.training.preparation import TrainingData, make_ready
from factory_assets.results.model import Epoch, Stopped
from factory_assets.spec import ModelSpec, Pipeline
from factory_assets.spec.models import Network
from factory_resources.errors import ModelError
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_assets.ml.metrics.metrics import ScoredRows


Progress = Callable[[str], None]


@dataclass(frozen=True)
class FitResult:
    """A trained model, and how it came about."""

    trained: TrainedModel
    history: tuple[Epoch, ...]
    best_epoch: int | None
    scored: ScoredRows
    """What it said of the validation rows."""
    stopped: Stopped | None = None
    """Whether its budget ended the training."""
    halved: bool = False
    """Whether batches were half as large as declared, because memory was short."""

    @property
    def validation(self) -> dict[str, float]:
        """Metrics on the validation rows."""
        return self.scored.metrics()


def fit(
    pipeline: Pipeline,
    training: pa.Table,
    validation: pa.Table,
    home: Home,
    *,
    model: ModelSpec | None = None,
    before: Stopped | None = None,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> FitResult:
    """Fit without MLflow and without a search, `model` in place of the declared one, such as a
    baseline.

    Args:
        before: where an earlier training was stopped that is to be done again.

    Raises:
        DataError, ModelError, DeclarationError: as `train`.
    """
    chosen = model or pipeline.spec.training.model
    ready = make_ready(pipeline, training, validation, chosen)
    return fit_ready(
        pipeline, ready, home, chosen, progress, checkpoints=checkpoints, before=before
    )


def fit_ready(
    pipeline: Pipeline,
    ready: TrainingData,
    home: Home,
    model: ModelSpec,
    progress: Progress | None = None,
    watch: Watch | None = None,
    checkpoints: Path | None = None,
    before: Stopped | None = None,
) -> FitResult:
    """Fit a model of the kind and the window that the rows were made ready for.

    Args:
        watch: told of each epoch of a network; what it raises ends the fit.

    Raises:
        ModelError, DeclarationError: as `train`.
    """
    spec, target = pipeline.spec.training, ready.target
    balanced = target.classes and spec.class_weights == "balanced"
    stops = model_class(model, pipeline.folder).stops
    if spec.budget and model == spec.model and not stops:
        raise ModelError(
            "a scikit-learn estimator learns in one go and cannot be stopped in between",
            where="train.budget",
            remedy="leave the budget out, or choose a network or lightgbm",
        )
    # What begins anew after a kill may spend all of it again.
    kept = checkpoints if isinstance(model, Network) else None
    with (
        home.scratch() as scratch,
        account_of(spec.budget if stops else None, before, kept) as account,
    ):
        setting = FitContext(
            spec=model,
            shape=shape_of(ready.features, target),
            seed=spec.seed,
            class_weights=_balanced(ready.rows.target, target.outputs) if balanced else None,
            folder=pipeline.folder,
            scratch=scratch,
            progress=progress or silent,
            trainer=spec.trainer,
            checkpoints=checkpoints,
            watch=watch,
            budget=Share(account) if account else None,
            mapped=ready.mapped,
        )
        found = fit_model(setting, ready.rows, ready.held)
        stopped = account.stopped() if account else None
    outputs = found.model.outputs(ready.held.inputs)
    calibration = fit_calibration(spec.calibrate, ready.held.target, outputs)
    if calibration:
        outputs = calibration.apply(outputs)
    binary = target.task == "binary"
    threshold = best_threshold(ready.held.target, outputs[:, 1]) if binary else None
    description = Description(
        spec=model,
        ingest=pipeline.spec.ingest,
        clean=pipeline.spec.clean,
        features=ready.features,
        target=target,
        threshold=threshold,
        calibration=calibration,
    )
    scored = _scored(target, ready.truth, outputs, threshold)
    return FitResult(
        TrainedModel(description, found.model),
        found.history,
        found.best_epoch,
        scored,
        stopped,
        found.halved,
    )


def best_threshold(truth: NDArray[np.int64], scores: NDArray[np.float64]) -> float:
    """The probability from which a row is positive, with the highest F1 on these rows.

    It lies halfway between two scores, so that the last digits of a score decide nothing.
    """
    import numpy as np

    positives = int((truth == 1).sum())
    if not positives:
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    hits = np.cumsum(truth[order] == 1)
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + positives)
    # Rows of equal score stand or fall together: only the last of them may be a cut.
    last_of_equals = np.append(ranked[1:] != ranked[:-1], True)
    best = int(np.argmax(np.where(last_of_equals, f1, -1.0)))
    below = ranked[best + 1] if best + 1 < len(ranked) else 0.0
    return float((ranked[best] + below) / 2)


def _balanced(codes: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Every class weighs the same in sum: rows / (classes * rows of the class)."""
    import numpy as np

    weights: NDArray[np.float64] = len(codes) / (classes * np.bincount(codes, minlength=classes))
    return weights


def _scored(
    target: Target, truth: NDArray[Any], outputs: NDArray[Any], threshold: float | None
) -> ScoredRows:
    from factory_assets.ml.metrics.metrics import ScoredRows

    if target.task == "regression":
        outputs = target.unscaled(outputs)
    return ScoredRows(target.task, truth, outputs, 0.5 if threshold is None else threshold)


def silent(_: str) -> None:
    pass
