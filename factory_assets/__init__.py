"""The pipelines: their vocabulary, their stages, their wiring to Dagster and the command line.

Storage and other capabilities of the machine belong in `factory_resources`; schedules and sensors
belong in `schedules`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factory_assets.components.model_pipeline import ModelPipeline

__all__ = ["ModelPipeline"]


def __dir__() -> list[str]:
    # `dg` searches these names for components.
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    # Imported on demand, so that importing the spec or a stage does not import Dagster.
    if name == "ModelPipeline":
        from factory_assets.components.model_pipeline import ModelPipeline

        return ModelPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
