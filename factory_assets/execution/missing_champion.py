"""Say that a pipeline has no champion, and why: it has no models, or a version waits."""

from factory_assets.declarations.folders import pipeline_folders
from factory_assets.declarations.loader import pipeline_named
from factory_assets.execution.standing import standing, waiting_text
from factory_assets.spec.base import suggest
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records

NO_MODELS = "without `train` it has no models; declare `train`, or use its clean table"
"""Why a data product has no champion."""


def no_champion(name: str, home: Home) -> ModelError:
    """Return the error that no version of a pipeline serves, nor was stopped."""
    what, declared = f"{name!r} has no champion yet", [one.name for one in pipeline_folders()]
    if name not in declared:
        return ModelError(f"{what}, nor is it declared", remedy=suggest(name, declared))
    remedy = why_none(name, home) or f"train and deploy one: factory run {name}"
    return ModelError(what, remedy=remedy)


def why_none(name: str, home: Home) -> str | None:
    """Return in a line for what the newest version waits, or that there will be none; else None.

    Raises:
        StorageError: the ledger cannot be read, or was changed.
    """
    pipeline, record = pipeline_named(name), Records(home).latest(name, "deploy")
    if pipeline and pipeline.spec.train is None:
        return NO_MODELS
    if pipeline is None or record is None:
        return None
    return waiting_text(standing(pipeline, record, home), name, int(record.value["version"]))
