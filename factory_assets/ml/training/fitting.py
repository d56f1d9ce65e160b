"""Fit one model on prepared rows, with class weights, calibration and threshold.

Also writes what was fitted as files that another process reads.

Preparing the rows belongs in `preparation`, trying several settings in `search`, choosing the
threshold in `threshold`; MLflow is not used here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.calibration import fit_calibration
from factory_assets.ml.artifacts.conformal import fit_regions
from factory_assets.ml.artifacts.trained_model import (
    Description,
    TrainedModel,
    model_shape,
    read_trained,
    save_trained,
)
from factory_assets.ml.features.target import Target
from factory_assets.ml.models.base import EpochCallback, FitContext, FitMembers
from factory_assets.ml.models.budget import Share, open_account
from factory_assets.ml.models.kinds import fit_model, model_class
from factory_assets.ml.training.fit_tasks import load_arrays, save_arrays
from factory_assets.ml.training.preparation import TrainingData, prepare_rows
from factory_assets.ml.training.threshold import choose_threshold
from factory_assets.results.base import StageResult
from factory_assets.results.model import Epoch, Stopped
from factory_assets.results.uncertainty import RegionBounds
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

_MODEL, _TRAINING = "model", "training.json"


@dataclass(frozen=True)
class FitResult:
    """A trained model and how its training went."""

    trained: TrainedModel
    history: tuple[Epoch, ...]
    best_epoch: int | None
    scored: ScoredRows
    """The validation rows with the model's outputs for them."""
    stopped: Stopped | None = None
    """Where the budget ended the training; None if it did not."""
    halved: bool = False
    """Whether batches were half as large as declared, for lack of memory."""

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
    """Prepare the rows and fit, without MLflow and without a search.

    Args:
        model: fitted in place of the declared model, for example a baseline.
        before: where the budget stopped an earlier training that this one repeats.
        checkpoints: as for `train`.

    Raises:
        DataError, ModelError, DeclarationError: as for `train`.
    """
    chosen = model or pipeline.spec.training.model
    ready = prepare_rows(pipeline, training, validation, chosen)
    return fit_prepared(
        pipeline, ready, home, chosen, progress, checkpoints=checkpoints, before=before
    )


def fit_prepared(
    pipeline: Pipeline,
    ready: TrainingData,
    home: Home,
    model: ModelSpec,
    progress: Progress | None = None,
    watch: EpochCallback | None = None,
    checkpoints: Path | None = None,
    before: Stopped | None = None,
    members: FitMembers | None = None,
) -> FitResult:
    """Fit a model on rows that were prepared for its kind and window.

    Args:
        watch: called after each epoch of a network; an exception that it raises ends the fit.
        checkpoints: as for `train`.
        before: where the budget stopped an earlier training that this one repeats.
        members: fits the members of an ensemble of networks; None if they are fitted here.

    Raises:
        ModelError, DeclarationError: as for `train`.
    """
    spec, target = pipeline.spec.training, ready.target
    stops = model_class(model, pipeline.folder).stops
    if spec.budget and model == spec.model and not stops:
        raise ModelError(
            "a scikit-learn estimator learns in one go and cannot be stopped in between",
            where="train.budget",
            remedy="leave the budget out, or choose a network or lightgbm",
        )
    # Only a network resumes after a kill; other models start again, with the whole budget.
    resume_folder = checkpoints if isinstance(model, Network) else None
    with (
        home.scratch() as scratch,
        open_account(spec.budget if stops else None, before, resume_folder) as account,
    ):
        plain = fit_context(pipeline, ready, model, scratch, progress, checkpoints)
        share = Share(account) if account else None
        context = replace(plain, watch=watch, budget=share, members=members)
        fitted = fit_model(context, ready.rows, ready.validation)
        stopped = account.stopped() if account else None
    outputs = fitted.model.outputs(ready.validation.inputs)
    calibration = fit_calibration(spec.calibrate, ready.validation.target, outputs)
    if calibration:
        outputs = calibration.apply(outputs)
    binary = target.task == "binary"
    rule = pipeline.spec.decision_rule
    threshold = choose_threshold(rule, ready.validation.target, outputs[:, 1]) if binary else None
    description = Description(
        spec=model,
        # What a process of these stages needs says nothing of the rows.
        ingest=pipeline.spec.ingest.model_copy(update={"resources": None}),
        clean=pipeline.spec.clean.model_copy(update={"resources": None}),
        features=ready.features,
        target=target,
        threshold=threshold,
        calibration=calibration,
        regions=_regions(pipeline, ready, outputs),
    )
    scored = _scored(target, ready.truth, outputs, threshold)
    return FitResult(
        TrainedModel(description, fitted.model),
        fitted.history,
        fitted.best_epoch,
        scored,
        stopped,
        fitted.halved,
    )


def _regions(
    pipeline: Pipeline, ready: TrainingData, outputs: NDArray[np.float64]
) -> RegionBounds | None:
    declared, target = pipeline.spec.training.uncertainty, ready.target
    if declared is None:
        return None
    if target.task == "regression":
        outputs = target.unscaled(outputs)
    inputs = ready.validation.inputs
    return fit_regions(declared, ready.features, target, inputs, ready.truth, outputs)


def fit_context(
    pipeline: Pipeline,
    ready: TrainingData,
    model: ModelSpec,
    scratch: Path,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> FitContext:
    """Return what a fit on prepared rows needs, without a watch or a budget.

    Args:
        scratch: a folder for files that are not needed after the fit.
        checkpoints: as for `train`.
    """
    spec, target = pipeline.spec.training, ready.target
    is_balanced = target.classes and spec.class_weights == "balanced"
    return FitContext(
        spec=model,
        shape=model_shape(ready.features, target),
        seed=spec.seed,
        class_weights=_balanced_weights(ready.rows.target, target.outputs) if is_balanced else None,
        folder=pipeline.folder,
        scratch=scratch,
        progress=progress or no_progress,
        trainer=spec.trainer,
        checkpoints=checkpoints,
        mapped=ready.mapped,
    )


def _balanced_weights(codes: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """[classes]: rows / (classes * rows of the class), so that each class has the same total."""
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


def no_progress(_: str) -> None:
    pass
