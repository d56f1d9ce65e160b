"""Train a model version again from what was recorded, and hold the two against each other.

Nothing is registered: what is trained here is compared and forgotten.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from factory_assets.audit.model_diff import FileApart, compare
from factory_assets.audit.references import ModelName, parse
from factory_assets.audit.resolver import find_model
from factory_assets.audit.trace.verification import Checker
from factory_assets.data.privacy.sensitive_columns import redact_errors
from factory_assets.execution.provenance import Environment, Provenance, environment, read_origin
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
from factory_resources.errors import DeclarationError, StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import exists
from factory_resources.tracking.registry import Registry, Version

Progress = Callable[[str], None]


class EnvironmentChange(StageResult):
    """One thing that is not as it was."""

    what: str
    recorded: str
    now: str


class MetricChange(StageResult):
    """A metric on the validation rows."""

    metric: str
    recorded: float
    now: float


class Reproduction(StageResult):
    """What came of training again."""

    format: Literal["factory.reproduce"] = "factory.reproduce"
    version: Literal[1] = 1
    name: str
    identical: bool
    """Whether every byte of the model is the same."""
    digest_recorded: str
    digest_now: str
    environment: tuple[EnvironmentChange, ...]
    """What beside declaration and rows is not as it was; it may explain a difference."""
    files: tuple[FileApart, ...]
    metrics: tuple[MetricChange, ...]
    seconds: float


@dataclass(frozen=True)
class Recorded:
    """A model version, ready to be trained again."""

    version: Version
    origin: Provenance
    pipeline: Pipeline
    """As it was declared then; the folder is today's."""
    environment: tuple[EnvironmentChange, ...]
    """What is not as it was."""

    @property
    def name(self) -> str:
        return f"{self.version.model}@{self.version.version}"


def recorded(text: str, home: Home, folders: Mapping[str, Path]) -> Recorded:
    """Find all that is needed to train a version again.

    Args:
        text: `pipeline@3` or `pipeline@champion`.
        home: where it was trained.
        folders: where pipelines are declared today; a user's own module is found there.

    Raises:
        UnknownNameError: no such version.
        ModelError: how it was trained is not recorded, or the record was changed.
        StorageError: its rows are gone, or are not those that were written.
        DeclarationError: the user's own module is gone.
    """
    name = parse(text)
    if not isinstance(name, ModelName):
        raise UnknownNameError(f"{text!r} is no model version", remedy="write pipeline@3")
    version = find_model(name, Registry(home))
    origin = read_origin(version, home)
    spec = origin.declaration
    own = isinstance(spec.training.model, OwnModule)
    if own and version.model not in folders:
        raise DeclarationError(
            f"the folder of {version.model}, which holds its own module, is gone",
            remedy="put it back, or name its parent in FACTORY_DEFS",
        )
    pipeline = Pipeline(version.model, spec, folders.get(version.model, home.path))
    found = Recorded(version, origin, pipeline, tuple(_changes(origin, environment(pipeline))))
    _require_rows(found, home)
    return found


def reproduce(found: Recorded, home: Home, progress: Progress) -> Reproduction:
    """Train again, and compare.

    Raises:
        ModelError: the recorded model's own files were changed.
        FactoryError: whatever training says, as it did then.
    """
    from factory_assets.ml.training.fitting import fit_ready
    from factory_assets.ml.training.preparation import read_ready

    digest = found.version.tags.get(MODEL_TAG, "")
    started = time.perf_counter()
    with (
        home.working(),
        redact_errors(found.pipeline),
        home.scratch() as before,
        home.scratch() as now,
    ):
        copy_checked(found.version.files, before, digest, found.name)
        chosen = Description.model_validate_json((before / DESCRIPTION).read_bytes()).spec
        rows = found.origin.rows
        _, ready = read_ready(found.pipeline, rows.train, rows.validation, home, chosen)
        # A budget is spent in no two trainings alike: this one stops where that one did.
        end = found.origin.end.stopped
        fitted = fit_ready(found.pipeline, ready, home, chosen, progress, before=end)
        again = save_trained(fitted.trained, now)
        files = compare(before, now)
    return Reproduction(
        name=found.name,
        identical=again == digest,
        digest_recorded=digest,
        digest_now=again,
        environment=found.environment,
        files=files,
        metrics=tuple(_moved(found.version, fitted.validation, home)),
        seconds=time.perf_counter() - started,
    )


def _require_rows(found: Recorded, home: Home) -> None:
    rows = found.origin.rows
    for part, snapshot in (("training", rows.train), ("validation", rows.validation)):
        if not exists(snapshot, home):
            raise StorageError(
                f"the {part} rows of {found.name} were removed, or are not whole",
                where=f"{snapshot.table}@{snapshot.data_version[:12]}",
                remedy="they come back with a backup of the home's tables, and with nothing else",
            )
        checker = Checker(home, verify=True)
        if checker.snapshot(snapshot) != "whole":
            raise StorageError(
                f"the {part} rows of {found.name} cannot be learned from: {checker.problems[0]}",
                remedy=f"factory trace {found.name} tells what else is not as it was written",
            )


def _changes(origin: Provenance, now: Environment) -> Iterator[EnvironmentChange]:
    """What of the environment is not as it was, code first."""
    before = origin.environment
    yield from _differing("", before.code, now.code)
    if before.user_code != now.user_code:
        yield EnvironmentChange(
            what=getattr(origin.declaration.training.model, "python", "your own code"),
            recorded=_digest(before.user_code),
            now=_digest(now.user_code),
        )
    yield from _differing("library ", before.libraries, now.libraries, short=False)
    for what in ("python", "system", "processor", "device", "threads"):
        old, new = str(getattr(before, what)), str(getattr(now, what))
        if old != new:
            yield EnvironmentChange(what=what, recorded=old, now=new)


def _differing(
    kind: str, before: Mapping[str, str], now: Mapping[str, str], *, short: bool = True
) -> Iterator[EnvironmentChange]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old != new:
            told = [_digest(text) if short else text or "none" for text in (old, new)]
            yield EnvironmentChange(what=f"{kind}{name}", recorded=told[0], now=told[1])


def _digest(text: str | None) -> str:
    return text[:12] if text else "none"


def _moved(version: Version, now: Mapping[str, float], home: Home) -> Iterator[MetricChange]:
    """The validation metrics that are not those that MLflow has."""
    kept = Registry(home).client.get_run(version.run_id).data.metrics
    for metric, value in sorted(now.items()):
        before = kept.get(f"validation_{metric}")
        if before is not None and before != value:
            yield MetricChange(metric=metric, recorded=before, now=value)
