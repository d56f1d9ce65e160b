"""Learn from the training rows: fit preprocessing and model, keep both as a candidate in MLflow.

Validation rows say when to stop and where to cut; test rows are never opened here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from factory_assets.spec import ModelSpec, Pipeline
from factory_assets.spec.network import Network
from factory_assets.stages.artifact import (
    MODEL_TAG,
    Description,
    TrainedModel,
    save_trained,
    shape_of,
)
from factory_assets.stages.calibration import fit_calibration, require_calibrable
from factory_assets.stages.features import Features, fit_features
from factory_assets.stages.large import Columns, Mapped, encoded, is_large
from factory_assets.stages.models import Rows, Setting, Watch, fit_model, kind_of, model_class
from factory_assets.stages.models.budget import Share, account_of
from factory_assets.stages.sensitive import sensitive_columns
from factory_assets.stages.series import series_of
from factory_assets.stages.target import Target, fit_target
from factory_assets.stages.values import Candidate, Epoch, Parts, Stopped, Tuned
from factory_resources.errors import DataError, ModelError
from factory_resources.home import Home
from factory_resources.snapshot import read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_assets.stages.metrics import Scored
    from factory_resources.registry_run import RegistryRun, Signature

Progress = Callable[[str], None]
STOPPED_TAG = "factory.stopped"
"""The tag of a model version whose training its budget ended, and how."""
Tables = tuple["pa.Table", "pa.Table"]
"""Training and validation rows; large ones as `Columns`, which are a table to those who ask."""
HALVED = "half as large as declared, because memory was short"
_NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Ready:
    """Rows made ready to be learned from, which no setting of a model changes but its window."""

    features: Features
    target: Target
    rows: Rows
    held: Rows
    """Validation rows of a class that training rows have too."""
    truth: NDArray[Any]
    """Of the same rows, as metrics take it."""
    mapped: Mapped | None = None
    """The files in which the rows lie; None where they are in memory."""


@dataclass(frozen=True)
class Fitted:
    """A trained model, and how it came about."""

    trained: TrainedModel
    history: tuple[Epoch, ...]
    best_epoch: int | None
    scored: Scored
    """What it said of the validation rows."""
    stopped: Stopped | None = None
    """Whether its budget ended the training."""
    halved: bool = False
    """Whether batches were half as large as declared, because memory was short."""

    @property
    def validation(self) -> dict[str, float]:
        """Metrics on the validation rows."""
        return self.scored.metrics()


def train(
    pipeline: Pipeline,
    parts: Parts,
    home: Home,
    *,
    tags: Mapping[str, str] = _NO_TAGS,
    progress: Progress | None = None,
    checkpoints: Path | None = None,
) -> Candidate:
    """Make the candidate: a run and a new model version in MLflow.

    Args:
        checkpoints: the folder in which it is kept how far the training came, and from which an
            earlier one that was killed goes on.

    Raises:
        DataError: when the rows cannot be learned from.
        ModelError: when the loss is not a number, or a user's own module fails.
        DeclarationError: when a user's own module cannot be found.
    """
    from factory_resources.registry import Registry

    started = time.time_ns() // 1_000_000
    spec, tell = pipeline.spec.training, progress or _silent
    tables, ready = _read(pipeline, parts, home)
    fitted, tuned = None, None
    if not spec.tune:
        # Before there is a run: what cannot be learned from leaves none.
        fitted = fit_ready(pipeline, ready, home, spec.model, tell, checkpoints=checkpoints)
    with (
        home.scratch() as files,
        Registry(home).run(pipeline.name, kind_of(spec.model), tags, started=started) as run,
    ):
        if fitted is None:
            from factory_assets.stages.tuning import search

            fitted, tuned = search(pipeline, tables, ready, home, run, tell, checkpoints)
        digest = save_trained(fitted.trained, files)
        _log(run, pipeline, parts, fitted, tuned)
        version = run.register(
            files,
            signature_of(fitted.trained),
            _typical_row(fitted.trained, sensitive_columns(pipeline)),
            {**tags, MODEL_TAG: digest, **_stopped(fitted)},
        )
    rows = tables[0].num_rows
    return _candidate(pipeline, fitted, version, run.run_id, digest, rows, tuned)


def _read(pipeline: Pipeline, parts: Parts, home: Home) -> tuple[Tables, Ready]:
    """Training and validation rows; of large tables no more than a column at a time is read."""
    model = pipeline.spec.training.model
    if is_large(parts.train) and model_class(model, pipeline.folder).streams:
        tables: Tables = Columns(parts.train, home), Columns(parts.validation, home)
        return tables, stream_ready(pipeline, parts, home, model)
    tables = read_arrow(parts.train, home), read_arrow(parts.validation, home)
    return tables, make_ready(pipeline, *tables, model)


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
) -> Fitted:
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


def make_ready(
    pipeline: Pipeline, training: pa.Table, validation: pa.Table, model: ModelSpec
) -> Ready:
    """Fit target and inputs on the training rows, and transform both parts.

    Raises:
        DataError: when the rows cannot be learned from.
    """
    cls = model_class(model, pipeline.folder)
    target = fit_target(pipeline, training)
    require_calibrable(pipeline.spec.training.calibrate, target.task)
    features = fit_features(pipeline, training, vocabulary=cls.vocabulary, series=series_of(model))
    known = _of_known_classes(target, validation)
    return Ready(
        features=features,
        target=target,
        rows=Rows(features.arrays(training, scaled=cls.scaled), _truth(target, training)),
        held=Rows(
            features.arrays(validation, scaled=cls.scaled, rows=known),
            _truth(target, validation)[known],
        ),
        truth=target.values(validation)[known],
    )


def stream_ready(pipeline: Pipeline, parts: Parts, home: Home, model: ModelSpec) -> Ready:
    """As `make_ready`, of rows that need not fit in memory: what they become lies in files.

    Raises:
        DataError: when the rows cannot be learned from.
        StorageError: when the disk does not hold them.
    """
    cls = model_class(model, pipeline.folder)
    training = Columns(parts.train, home)
    target = fit_target(pipeline, training)
    require_calibrable(pipeline.spec.training.calibrate, target.task)
    features = fit_features(pipeline, training, vocabulary=cls.vocabulary)
    mapped = Mapped()
    (rows, _), (held, truth) = (
        encoded(part, home, features, target, mapped, scaled=cls.scaled)
        for part in (parts.train, parts.validation)
    )
    _require_known(len(held))
    return Ready(features, target, rows, held, truth, mapped)


def fit_ready(
    pipeline: Pipeline,
    ready: Ready,
    home: Home,
    model: ModelSpec,
    progress: Progress | None = None,
    watch: Watch | None = None,
    checkpoints: Path | None = None,
    before: Stopped | None = None,
) -> Fitted:
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
        setting = Setting(
            spec=model,
            shape=shape_of(ready.features, target),
            seed=spec.seed,
            class_weights=_balanced(ready.rows.target, target.outputs) if balanced else None,
            folder=pipeline.folder,
            scratch=scratch,
            progress=progress or _silent,
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
    return Fitted(
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


def signature_of(trained: TrainedModel) -> Signature:
    """The served model's inputs and output."""
    from factory_resources.registry_run import Signature

    kinds = dict.fromkeys((n.name for n in trained.features.numeric), "float")
    names = dict.fromkeys(_texts(trained), "string")
    if trained.target.task == "regression":
        return Signature({**kinds, **names}, "prediction", None)
    return Signature({**kinds, **names}, "probabilities", trained.target.outputs)


def _typical_row(trained: TrainedModel, hidden: Collection[str]) -> dict[str, object]:
    """An input example that is nobody's row: medians and the most frequent names."""
    numbers = {n.name: n.median for n in trained.features.numeric}
    names = dict.fromkeys(_texts(trained), "")
    names |= {c.name: c.vocabulary[0] for c in trained.features.categorical if c.vocabulary}
    shown = {**numbers, **names}
    empty = {**dict.fromkeys(numbers, 0.0), **dict.fromkeys(names, "")}
    return {name: empty[name] if name in hidden else shown[name] for name in shown}


def _texts(trained: TrainedModel) -> tuple[str, ...]:
    """The input columns that hold text: categories, sentences, the picture."""
    picture = trained.features.picture
    features = trained.features
    texts = (text.name for text in features.texts)
    names = (*(category.name for category in features.categorical), *texts)
    return (*names, picture.name) if picture else names


def _candidate(
    pipeline: Pipeline,
    fitted: Fitted,
    version: int,
    run_id: str,
    digest: str,
    rows: int,
    tuned: Tuned | None = None,
) -> Candidate:
    trained = fitted.trained
    return Candidate(
        model=pipeline.name,
        version=version,
        run_id=run_id,
        kind=kind_of(trained.description.spec),
        task=trained.target.task,
        target=trained.target.column,
        classes=trained.target.classes,
        numeric=tuple(n.name for n in trained.features.numeric),
        categorical=_texts(trained),
        digest=digest,
        history=fitted.history,
        best_epoch=fitted.best_epoch,
        threshold=trained.description.threshold,
        validation=fitted.validation,
        rows=rows,
        parameters=trained.model.parameters,
        tuned=tuned,
        stopped=fitted.stopped,
        halved=fitted.halved,
    )


def _log(
    run: RegistryRun, pipeline: Pipeline, parts: Parts, fitted: Fitted, tuned: Tuned | None
) -> None:
    declared = pipeline.spec.training.model_dump(mode="json", exclude={"model", "tune", "leaks"})
    trained = fitted.trained.description.spec.model_dump(mode="json")
    declared |= {f"model.{key}": value for key, value in trained.items()}
    if tuned:
        run.log_parameters({f"tune.{key}": value for key, value in tuned.figures().items()})
        run.log_metrics(list(enumerate({"tune_best": best} for best in tuned.best_so_far())))
    features, calibration = fitted.trained.features, fitted.trained.description.calibration
    run.log_parameters(
        {
            **declared,
            **({"batches": HALVED} if fitted.halved else {}),
            "task": fitted.trained.target.task,
            "inputs": len(features.columns),
            "constant": ", ".join(features.constant),
            "ignored": ", ".join(features.ignored),
            "calibration": calibration.model_dump_json() if calibration else "none",
        }
    )
    for context, part in (("training", parts.train), ("validation", parts.validation)):
        run.log_dataset(part.table, part.data_version, f"{part.table}@{part.data_version}", context)
    epochs = [
        (e.epoch, {"train_loss": e.train_loss, "validation_loss": e.validation_loss})
        for e in fitted.history
    ]
    last = {f"validation_{name}": value for name, value in fitted.validation.items()}
    run.log_metrics([*epochs, (fitted.best_epoch or 0, last)])


def _stopped(fitted: Fitted) -> dict[str, str]:
    return {STOPPED_TAG: fitted.stopped.text} if fitted.stopped else {}


def _truth(target: Target, table: pa.Table) -> NDArray[Any]:
    values = target.values(table)
    return values if target.classes else target.scaled(values)


def _of_known_classes(target: Target, validation: pa.Table) -> NDArray[np.int64]:
    """The places of the validation rows whose class training rows have too; others cannot say when
    to stop."""
    import numpy as np

    if not target.classes:
        return np.arange(validation.num_rows)
    places: NDArray[np.int64] = np.flatnonzero(target.values(validation) >= 0)
    _require_known(len(places))
    return places


def _require_known(rows: int) -> None:
    if not rows:
        raise DataError(
            "there is no validation row of a class that was trained on",
            remedy="give more data or a larger split.validation",
        )


def _balanced(codes: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
    """Every class weighs the same in sum: rows / (classes * rows of the class)."""
    import numpy as np

    weights: NDArray[np.float64] = len(codes) / (classes * np.bincount(codes, minlength=classes))
    return weights


def _scored(
    target: Target, truth: NDArray[Any], outputs: NDArray[Any], threshold: float | None
) -> Scored:
    from factory_assets.stages.metrics import Scored

    if target.task == "regression":
        outputs = target.unscaled(outputs)
    return Scored(target.task, truth, outputs, 0.5 if threshold is None else threshold)


def _silent(_: str) -> None:
    pass
