"""Spec to assets, checks, job and schedule; only wiring."""

from factory_assets.components.model_pipeline import ModelPipeline

__all__ = ["ModelPipeline"]
