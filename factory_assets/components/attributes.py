"""Presentation of a pipeline's assets in the UI: descriptions, kinds, owners, code references.

Includes the asset that stands for a pipeline that did not load. What Dagster shows of a stage's
result belongs in `metadata`.
"""

import sys
import textwrap
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.utils import is_valid_owner

from factory_assets.execution.cache_key import asset_code_version
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.models import Network
from factory_resources.narrow_names import narrow_name

POOL = "gpu"

BROKEN = "broken"
"""Last part of the key of the asset that stands for a pipeline that did not load."""

_LONGEST = 200
"""Characters of the name of a folder that is shown."""

_SHOWN = 80
"""Characters of a line for which the page of an asset has room."""

_KINDS: dict[Stage, set[str]] = {
    "ingest": {"duckdb", "deltalake"},
    "clean": {"duckdb", "deltalake"},
    "split": {"duckdb", "deltalake"},
    "train": {"mlflow"},
    "evaluate": {"scikitlearn", "mlflow"},
    "deploy": {"onnx", "mlflow"},
}

_DESCRIPTIONS: dict[Stage, str] = {
    "ingest": "The source rows that satisfy the contract; rows that break it are in quarantine.",
    "clean": "Trusted rows: rules applied, duplicates dropped, columns derived.",
    "split": "The clean rows, each in exactly one of train, validation and test.",
    "train": "A candidate: the model version just trained, in MLflow.",
    "evaluate": "The candidate's metrics on the test set, and whether its gates pass.",
    "deploy": "The champion: exported to ONNX, verified against the trained model, and serving.",
}


def asset(function: Callable[..., Any], **arguments: Any) -> dg.AssetsDefinition:
    """Call `dg.asset`, whose type annotations do not allow arguments from a mapping."""
    with warnings.catch_warnings():
        # Parts of it are beta in Dagster 1.13; without this, every process would warn at its start.
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        definition = dg.asset(**arguments)(function)
    assert isinstance(definition, dg.AssetsDefinition)
    return definition


def asset_attributes(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    """Return the arguments of `dg.asset` that describe a stage but do not affect how it runs."""
    return {
        **shared_attributes(pipeline, _DESCRIPTIONS[stage]),
        "kinds": _KINDS[stage] | _model_kinds(pipeline, stage),
        "code_version": asset_code_version(pipeline, stage),
    }


def pool_of(pipeline: Pipeline, stage: Stage) -> str | None:
    """Return the pool with a single slot for training that may use a GPU; None for the rest."""
    if stage != "train" or not isinstance(pipeline.spec.training.model, Network):
        return None
    accelerator = pipeline.spec.training.trainer.accelerator
    has_gpu = Path("/dev/nvidia0").exists() or sys.platform == "darwin"
    return POOL if accelerator in ("cuda", "mps") or (accelerator == "auto" and has_gpu) else None


def shared_attributes(pipeline: Pipeline, description: str) -> dict[str, Any]:
    """Return the arguments of `dg.asset` that all assets of a pipeline share.

    Dagster takes no address such as o'neil@example.org or ann@plant.technology: the description
    names it.
    """
    owners = {owner: is_valid_owner(owner) for owner in pipeline.spec.owners}
    others = [owner for owner, is_taken in owners.items() if not is_taken]
    named = f"\n\nOwners: {', '.join(others)}" if others else ""
    return {
        "group_name": pipeline.name,
        "description": f"{description}\n\n{shown_purpose(pipeline)}{named}",
        "owners": [owner for owner, is_taken in owners.items() if is_taken],
        "tags": {"risk": pipeline.spec.risk.tier},
        "metadata": _code_reference(pipeline),
    }


def shown_purpose(pipeline: Pipeline) -> str:
    """Return the purpose as Markdown in which `<word>` is no tag, which the UI would leave out."""
    return pipeline.spec.purpose.replace("<", "\\<")


def _model_kinds(pipeline: Pipeline, stage: Stage) -> set[str]:
    if stage != "train":
        return set()
    network = isinstance(pipeline.spec.training.model, Network)
    return {"lightning", "pytorch"} if network else {"scikitlearn"}


def _code_reference(pipeline: Pipeline) -> dict[str, Any]:
    file = str(pipeline.folder / "defs.yaml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        reference = dg.LocalFileCodeReference(file_path=file, line_number=1)
        value = dg.CodeReferencesMetadataValue(code_references=[reference])
    return {"dagster/code_references": value}


def broken_pipeline(name: str, error: Exception, what: str = "pipeline") -> dg.AssetsDefinition:
    """Return the asset `<name>/broken`, which shows the error and fails with it.

    The folders `a-b` and `a.b` have assets of their own, as everything would be gone otherwise.
    """
    name = narrow_name(name, r"[^A-Za-z0-9_]", _LONGEST)
    message = str(error) or type(error).__name__
    # The page does not wrap what is set as code, and the remedy comes last.
    shown = textwrap.fill(message, _SHOWN, break_long_words=False, break_on_hyphens=False)

    @dg.asset(
        key=[name, BROKEN],
        group_name=name,
        description=f"This {what} did not load:\n\n```\n{shown}\n```",
        kinds={"error"},
    )
    def _broken() -> None:
        raise dg.Failure(f"{what} {name!r} did not load: {message}", allow_retries=False)

    return _broken
