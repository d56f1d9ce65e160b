"""The stages in their order, what each returns and what it reads."""

from collections.abc import Mapping
from typing import Literal, get_args

from factory_assets.results.base import Value
from factory_assets.results.data import (
    Cleaned,
    Ingested,
    Parts,
)
from factory_assets.results.evaluation import (
    Verdict,
)
from factory_assets.results.model import Candidate, Champion

Stage = Literal["ingest", "clean", "split", "train", "evaluate", "deploy"]

STAGES: tuple[Stage, ...] = get_args(Stage)

VALUES: Mapping[Stage, type[Value]] = {
    "ingest": Ingested,
    "clean": Cleaned,
    "split": Parts,
    "train": Candidate,
    "evaluate": Verdict,
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
