"""How the assets of a pipeline look in the UI: words, kinds, owners, where they are declared.

The red asset that stands for what did not load.
"""

import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg

from factory_assets.execution.cache_key import asset_code_version
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_assets.spec.models import Network

POOL = "gpu"

_KINDS: dict[Stage, set[str]] = {
    "ingest": {"duckdb", "deltalake"},
    "clean": {"duckdb", "deltalake"},
    "split": {"duckdb", "deltalake"},
    "train": {"mlflow"},
    "evaluate": {"scikitlearn", "mlflow"},
    "deploy": {"onnx", "mlflow"},
}

_DESCRIPTIONS: dict[Stage, str] = {
    "ingest": "The source as it came, held to its contract; rows that break it are in quarantine.",
    "clean": "Trusted rows: rules applied, duplicates dropped, columns derived.",
    "split": "The clean rows, each in exactly one of train, validation and test.",
    "train": "A candidate: the model version just trained, in MLflow.",
    "evaluate": "What the untouched test rows say of the candidate, and whether its gates pass.",
    "deploy": "The champion: exported to ONNX, proven equal to the trained model, and serving.",
}


def asset(function: Callable[..., Any], **arguments: Any) -> dg.AssetsDefinition:
    """`dg.asset`, whose types allow no arguments from elsewhere."""
    with warnings.catch_warnings():
        # Parts of it are beta in Dagster 1.13, which would be said on every start of every process.
        warnings.simplefilter("ignore", category=dg.BetaWarning)
        made = dg.asset(**arguments)(function)
    assert isinstance(made, dg.AssetsDefinition)
    return made


def asset_attributes(pipeline: Pipeline, stage: Stage) -> dict[str, Any]:
    """Arguments of `dg.asset` that say nothing of what it does."""
    return {
        **looks_of(pipeline, _DESCRIPTIONS[stage]),
        "kinds": _KINDS[stage] | _model_kinds(pipeline, stage),
        "code_version": asset_code_version(pipeline, stage),
    }


def pool_of(pipeline: Pipeline, stage: Stage) -> str | None:
    """The pool whose one slot a training needs that may take a GPU; others never wait for it."""
    if stage != "train" or not isinstance(pipeline.spec.training.model, Network):
        return None
    accelerator = pipeline.spec.training.trainer.accelerator
    there = Path("/dev/nvidia0").exists() or sys.platform == "darwin"
    return POOL if accelerator in ("cuda", "mps") or (accelerator == "auto" and there) else None


def looks_of(pipeline: Pipeline, description: str) -> dict[str, Any]:
    """What all assets of a pipeline have in common."""
    return {
        "group_name": pipeline.name,
        "description": f"{description}\n\n{pipeline.spec.purpose}",
        "owners": list(pipeline.spec.owners),
        "tags": {"risk": pipeline.spec.risk.tier},
        "metadata": _code_reference(pipeline),
    }


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
    """`<name>/broken`, carrying the error; materialising it fails with the same words."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    message = str(error) or type(error).__name__

    @dg.asset(
        key=[name, "broken"],
        group_name=name,
        description=f"This {what} did not load:\n\n```\n{message}\n```",
        kinds={"error"},
    )
    def _broken() -> None:
        raise dg.Failure(f"{what} {name!r} did not load: {message}", allow_retries=False)

    return _broken
