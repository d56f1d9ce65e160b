"""What a dossier cannot show, because the file that an entry names is missing or was changed.

Which files a version has belongs in `cited_home`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from factory_assets.audit.requirements.catalogue import EvidenceKind
from factory_assets.results.stages import STAGES, Stage

ProvenancePart = Literal["declaration", "environment"]

Origin = Literal[Stage, ProvenancePart]
"""What a fact is read from: the records of a stage, or a part of the provenance."""

PROVENANCE_PARTS: tuple[ProvenancePart, ...] = get_args(ProvenancePart)

RESTS_ON: Mapping[EvidenceKind, tuple[Origin, ...]] = {
    "sources": ("ingest",),
    "data_contract": ("ingest", "declaration"),
    "lineage": ("ingest", "clean", "split"),
    "splits": ("split",),
    "leaks": ("split",),
    "personal_data": ("ingest", "declaration"),
    "drift": ("ingest",),
    "training": ("train",),
    "search": ("train",),
    "environment": ("environment",),
    "hardware": ("environment",),
    "energy": STAGES,
    "code": (*STAGES, "environment"),
    "metrics": ("evaluate",),
    "slices": ("evaluate",),
    "fairness": ("evaluate",),
    "calibration": ("train", "evaluate"),
    "robustness": ("evaluate",),
    "influence": ("evaluate",),
    "gates": ("evaluate",),
    "version_chain": ("declaration",),
    "version_difference": STAGES,
    "interface": ("ingest", "train", "deploy"),
    "retention": ("declaration",),
    "boundary": STAGES,
}
"""What each kind of evidence is read from; without kinds that are read from the ledger alone."""


@dataclass(frozen=True)
class DamagedFile:
    """A file that an entry names, and that is missing or not as the entry says."""

    path: str
    entry: int
    origin: Origin

    @property
    def text(self) -> str:
        """What is wrong with the file, in words."""
        what = "provenance" if self.origin in PROVENANCE_PARTS else "record"
        return f"the {what} of entry {self.entry} is missing or was changed"


def damage_by_kind(
    damaged: Sequence[DamagedFile], present: Collection[Origin]
) -> Mapping[EvidenceKind, tuple[DamagedFile, ...]]:
    """Return which files each kind of evidence lacks.

    Args:
        present: the stages that have records. Only a record tells what it was computed from, so
            that a stage without any may be hidden by a later one.
    """
    lacking = {origin: _lacking(origin, damaged, present) for origin in get_args(Origin)}
    found = {
        kind: tuple(dict.fromkeys(one for origin in origins for one in lacking[origin]))
        for kind, origins in RESTS_ON.items()
    }
    return {kind: files for kind, files in found.items() if files}


def _lacking(
    origin: str, damaged: Sequence[DamagedFile], present: Collection[Origin]
) -> list[DamagedFile]:
    hiding = {origin}
    if origin in STAGES and origin not in present:
        hiding |= {*STAGES[STAGES.index(origin) :]}
    return [one for one in damaged if one.origin in hiding]
