"""WHAT is made: the declared pipelines.

Their vocabulary, their stages and their wiring to Dagster.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from factory_assets.components.model_pipeline import ModelPipeline

__all__ = ["ModelPipeline"]


def __dir__() -> list[str]:
    # What `dg` looks through for components.
    return [*globals(), *__all__]


def __getattr__(name: str) -> Any:
    # Lazy, so that importing the spec or a stage does not import Dagster.
    if name == "ModelPipeline":
        from factory_assets.components.model_pipeline import ModelPipeline

        return ModelPipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
