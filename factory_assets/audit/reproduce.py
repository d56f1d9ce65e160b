"""Train a model version again from its records, and compare the new model with the recorded one.

Nothing is registered: the new model is discarded. How the files of two models differ belongs in
`model_diff`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from factory_assets.audit.erased import erasures_from
from factory_assets.audit.model_diff import FileDifference, compare
from factory_assets.audit.references import parse_model
from factory_assets.audit.resolver import find_model
from factory_assets.audit.trace.verification import Checker
from factory_assets.data.privacy.sensitive_columns import redact_errors
from factory_assets.execution.provenance import (
    Environment,
    Provenance,
    environment,
    read_provenance,
)
from factory_assets.ml.artifacts.trained_model import (
    DESCRIPTION,
    MODEL_TAG,
    Description,
    copy_checked,
    save_trained,
)
from factory_assets.results.base import StageResult
from factory_assets.spec import Pipeline
from factory_assets.spec.models import OwnModule
from factory_assets.spec.threshold import DEFAULT
from factory_assets.spec.train import Task
from factory_assets.stages.train import as_ingested
from factory_resources.durations import moment
from factory_resources.errors import DeclarationError, StorageError
from factory_resources.home.home import Home
from factory_resources.progress import Progress
from factory_resources.tables.snapshot import exists
from factory_resources.tracking.registry import Registry, Version


class EnvironmentChange(StageResult):
    """One thing in the environment that changed."""

    what: str
    recorded: str
    now: str


class MetricChange(StageResult):
    """A metric on the validation rows that changed."""

    metric: str
    recorded: float
    now: float


class Reproduction(StageResult):
    """The result of training again."""

    format: Literal["factory.reproduce"] = "factory.reproduce"
    version: Literal[1] = 1
    name: str
    identical: bool
    """Whether every byte of the model is the same."""
    digest_recorded: str
    digest_now: str
    environment: tuple[EnvironmentChange, ...]
    """Changes besides declaration and rows; they may explain a difference."""
    files: tuple[FileDifference, ...]
    metrics: tuple[MetricChange, ...]
    seconds: float


@dataclass(frozen=True)
class RecordedVersion:
    """A recorded model version, ready to be trained again."""

    version: Version
    origin: Provenance
    pipeline: Pipeline
    """The declaration of that time, with today's folder."""
    environment: tuple[EnvironmentChange, ...]
    """Changes since that time."""

    @property
    def name(self) -> str:
        return f"{self.version.model}@{self.version.version}"


def find_recorded_training(text: str, home: Home, folders: Mapping[str, Path]) -> RecordedVersion:
    """Collect everything that is needed to train a version again.

    Args:
        text: `pipeline@3` or `pipeline@champion`.
        home: the home in which it was trained.
        folders: pipeline to the folder of its declaration today; a user's own module is read there.

    Raises:
        UnknownNameError: there is no such version.
        ModelError: its training was not recorded, or the record was changed.
        StorageError: its rows are gone or were changed.
        DeclarationError: the user's own module is gone.
    """
    name = parse_model(text)
    version = find_model(name, Registry(home))
    origin = read_provenance(version, home)
    spec = origin.declaration
    own = isinstance(spec.training.model, OwnModule)
    if own and version.model not in folders:
        raise DeclarationError(
            f"the folder of {version.model}, which contains its own module, is gone",
            remedy="restore it, or name its parent in FACTORY_DEFS",
        )
    pipeline = Pipeline(version.model, spec, folders.get(version.model, home.path))
    original = RecordedVersion(
        version, origin, pipeline, tuple(_changes(origin, environment(pipeline)))
    )
    _require_rows(original, home)
    return original


def reproduce(original: RecordedVersion, home: Home, progress: Progress) -> Reproduction:
    """Train a recorded version again and compare the models.

    Raises:
        ModelError: the recorded model's own files were changed.
        FactoryError: any error of the training.
    """
    from factory_assets.ml.training.fitting import Fitter
    from factory_assets.ml.training.preparation import read_training_data

    digest_recorded = original.version.tags.get(MODEL_TAG, "")
    started = time.perf_counter()
    with (
        home.working(),
        redact_errors(original.pipeline),
        home.scratch() as before,
        home.scratch() as now,
    ):
        copy_checked(original.version.files, before, digest_recorded, original.name)
        recorded = Description.stored((before / DESCRIPTION).read_bytes())
        chosen, rows = recorded.spec, original.origin.rows
        pipeline = with_threshold_rule(original.pipeline, recorded.target.task)
        _, ready = read_training_data(pipeline, rows.train, rows.validation, home, chosen)
        # No two trainings spend a budget at the same step, so stop where the original stopped.
        end = original.origin.end.stopped
        fitted = Fitter(pipeline, ready, home, chosen, progress).fit(before=end)
        trained = fitted.trained
        if recorded.ingest.contract != trained.description.ingest.contract:
            # Versions of before these types were stored have none.
            trained = as_ingested(trained, rows.train.columns)
        digest_now = save_trained(trained, now)
        files = compare(before, now)
    return Reproduction(
        name=original.name,
        identical=digest_now == digest_recorded,
        digest_recorded=digest_recorded,
        digest_now=digest_now,
        environment=original.environment,
        files=files,
        metrics=tuple(_metric_changes(original.version, fitted.validation, home)),
        seconds=time.perf_counter() - started,
    )


def with_threshold_rule(pipeline: Pipeline, task: Task) -> Pipeline:
    """Return the declaration with the threshold of its time.

    Before `train.threshold` existed, it always had the best F1, whatever the primary metric.
    """
    training = pipeline.spec.training
    if task != "binary" or "threshold" in training.model_fields_set:
        return pipeline
    then = training.model_copy(update={"threshold": DEFAULT})
    return replace(pipeline, spec=pipeline.spec.model_copy(update={"train": then}))


def _require_rows(original: RecordedVersion, home: Home) -> None:
    rows = original.origin.rows
    for part, snapshot in (("training", rows.train), ("validation", rows.validation)):
        if not exists(snapshot, home):
            version = original.version
            for erased in erasures_from(version.model, version.version, home):
                when = moment(erased.time)
                raise StorageError(
                    f"rows that {original.name} learned from were erased {when} UTC "
                    f"(entry {erased.entry}): trained without them, it would be another model",
                    remedy=f"it cannot be trained again; train a new one: "
                    f"factory run {version.model}",
                )
            raise StorageError(
                f"the {part} rows of {original.name} were removed or are incomplete",
                where=f"{snapshot.table}@{snapshot.data_version[:12]}",
                remedy="restore the home's tables from a backup; they cannot be computed again",
            )
        checker = Checker(home, verify=True)
        if checker.snapshot(snapshot) != "whole":
            raise StorageError(
                f"the {part} rows of {original.name} cannot be used: {checker.problems[0]}",
                remedy=f"run `factory trace {original.name}` to see all that was changed",
            )


def _changes(origin: Provenance, now: Environment) -> Iterator[EnvironmentChange]:
    """Yield what changed in the environment, code first."""
    before = origin.environment
    yield from _differences("", before.code, now.code)
    if before.user_code != now.user_code:
        yield EnvironmentChange(
            what=getattr(origin.declaration.training.model, "python", "your own code"),
            recorded=_digest(before.user_code),
            now=_digest(now.user_code),
        )
    yield from _differences("library ", before.libraries, now.libraries, short=False)
    for what in ("python", "system", "processor", "device", "threads"):
        old, new = str(getattr(before, what)), str(getattr(now, what))
        if old != new:
            yield EnvironmentChange(what=what, recorded=old, now=new)


def _differences(
    kind: str, before: Mapping[str, str], now: Mapping[str, str], *, short: bool = True
) -> Iterator[EnvironmentChange]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            shown = [_digest(text) if short else text or "none" for text in (old, new)]
            yield EnvironmentChange(what=f"{kind}{name}", recorded=shown[0], now=shown[1])


def _digest(text: str | None) -> str:
    return text[:12] if text else "none"


def _metric_changes(
    version: Version, now: Mapping[str, float], home: Home
) -> Iterator[MetricChange]:
    """Yield the validation metrics that differ from those in MLflow."""
    logged = Registry(home).client.get_run(version.run_id).data.metrics
    for metric, value in sorted(now.items()):
        before = logged.get(f"validation_{metric}")
        if before is not None and before != value:
            yield MetricChange(metric=metric, recorded=before, now=value)
