"""The stages in order: the result that each returns, and the stages whose results it reads."""

from collections.abc import Mapping
from typing import Literal, get_args

from factory_assets.results.base import StageResult
from factory_assets.results.data import (
    CleanResult,
    IngestResult,
    SplitResult,
)
from factory_assets.results.evaluation import (
    EvaluationResult,
)
from factory_assets.results.model import Candidate, Champion

Stage = Literal["ingest", "clean", "split", "train", "evaluate", "deploy"]

STAGES: tuple[Stage, ...] = get_args(Stage)

RESULT_TYPES: Mapping[Stage, type[StageResult]] = {
    "ingest": IngestResult,
    "clean": CleanResult,
    "split": SplitResult,
    "train": Candidate,
    "evaluate": EvaluationResult,
    "deploy": Champion,
}

UPSTREAM: Mapping[Stage, tuple[Stage, ...]] = {
    "ingest": (),
    "clean": ("ingest",),
    "split": ("clean",),
    "train": ("split",),
    "evaluate": ("split", "train"),
    "deploy": ("split", "train", "evaluate"),
}
