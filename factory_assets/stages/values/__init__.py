"""What one stage hands to the next.

Frozen, small, JSON; the data itself stays in snapshots and MLflow.
"""

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from factory_assets.stages.values.base import Value
from factory_assets.stages.values.data import (
    Block,
    Cleaned,
    Drift,
    Duplicates,
    Findings,
    Implied,
    Ingested,
    Leaks,
    Moved,
    Parts,
    SourceFile,
)
from factory_assets.stages.values.model import Candidate, Champion, Epoch, Stopped, Trial, Tuned
from factory_assets.stages.values.verdict import (
    Disturbed,
    FoldMetric,
    Folds,
    GateResult,
    Group,
    GroupRate,
    Importance,
    Importances,
    Influence,
    Slice,
    Variant,
    Verdict,
)

__all__ = [
    "STAGES",
    "UPSTREAM",
    "VALUES",
    "Block",
    "Candidate",
    "Champion",
    "Cleaned",
    "Disturbed",
    "Drift",
    "Duplicates",
    "Epoch",
    "Findings",
    "FoldMetric",
    "Folds",
    "GateResult",
    "Group",
    "GroupRate",
    "Implied",
    "Importance",
    "Importances",
    "Influence",
    "Ingested",
    "Leaks",
    "Moved",
    "Parts",
    "Slice",
    "SourceFile",
    "Stage",
    "Stopped",
    "Trial",
    "Tuned",
    "Value",
    "Variant",
    "Verdict",
    "most",
    "summed",
]

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


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Rule to rows, over several tables."""
    total: dict[str, int] = {}
    for count in counts:
        for rule, rows in count.items():
            total[rule] = total.get(rule, 0) + rows
    return total


def most(counts: Mapping[str, int]) -> str:
    """The rule that most rows broke."""
    return max(counts, key=lambda name: counts[name])
