"""Build Dagster definitions from a spec: assets, checks, jobs, schedules, sensors.

One module per Dagster concept. What a stage computes belongs in `stages`; whether it needs to run,
in `execution`.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # A `defs.yaml` may name its type `factory_assets.components.ModelPipeline`.
    if name == "ModelPipeline":
        from factory_assets.components.model_pipeline import ModelPipeline

        return ModelPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
