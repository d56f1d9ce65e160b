"""Explain: what a run would compute, what it would use again, and why; nothing is computed here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from factory_assets.results.base import digest
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Partition
from factory_assets.stages.changes import changes
from factory_assets.stages.runner import Asked, Call, asked
from factory_resources.errors import FactoryError
from factory_resources.tracking.records import Record, Records

What = Literal["reuse", "compute", "waits", "fails"]
_GONE: dict[Stage, str] = {
    "train": "the model version is gone",
    "evaluate": "a picture or the predictions' file is gone",
    "deploy": "another version serves",
}


@dataclass(frozen=True)
class Explained:
    """What would become of one stage, of one partition where it has some."""

    stage: Stage
    partition: str | None
    what: What
    why: str
    record: Record | None = None
    """Of what would be used again."""


def explain(
    call: Call, stages: Sequence[Stage], partitions: Sequence[Partition]
) -> Iterator[Explained]:
    """The stages in order, each partition by partition where it runs so.

    Args:
        call: how they would run; its own stage and partition say nothing.
        partitions: of a pipeline that has some; empty for one that has none.
    """
    # What does not stay as it is, by (stage, partition).
    moving: set[tuple[Stage, str | None]] = set()
    for stage in stages:
        by_partition = bool(call.pipeline.spec.partitions) and stage in PARTITIONED
        for partition in partitions if by_partition else [None]:
            own = replace(call, stage=stage, partition=partition)
            key = partition.key if partition else None
            before = [
                name
                for name in UPSTREAM[stage]
                if any(name == other and key in (None, its) for other, its in moving)
            ]
            told = _waiting(own, before) if before else _explained(own)
            if told.what != "reuse" or not _is_latest(told, call):
                moving.add((stage, key))
            yield told


def _is_latest(told: Explained, call: Call) -> bool:
    return told.record is not None and Records(call.home).is_latest(told.record)


def _waiting(call: Call, before: Sequence[Stage]) -> Explained:
    first = " and ".join(before)
    runs = "run" if len(before) > 1 else "runs"
    if not call.reuse:
        return _told(call, "compute", "nothing is to be reused")
    return _told(call, "waits", f"{first} {runs} first; reused if the result is the same")


def _explained(call: Call) -> Explained:
    try:
        with asked(call) as known:
            return _of_known(call, known)
    except FactoryError as error:
        return _told(call, "fails", str(error))


def _of_known(call: Call, known: Asked) -> Explained:
    if not call.reuse:
        return _told(call, "compute", "nothing is to be reused")
    record = known.record
    if record:
        when = record.finished[:16].replace("T", " ")
        why = f"computed {when} by run {record.run_id[:8]}, {record.seconds:.1f} s"
        return replace(_told(call, "reuse", why), record=record)
    records = Records(call.home)
    if records.find(call.pipeline.name, call.stage, digest(known.parts)):
        return _told(call, "compute", _GONE.get(call.stage, "a file of the snapshot is gone"))
    latest = records.latest(call.pipeline.name, call.stage, _key(call))
    if latest is None:
        return _told(call, "compute", "never computed")
    told = changes(call.stage, latest, known.parts, known.found)
    return _told(call, "compute", ", ".join(told))


def _told(call: Call, what: What, why: str) -> Explained:
    return Explained(call.stage, _key(call), what, why)


def _key(call: Call) -> str | None:
    return call.partition.key if call.partition else None
