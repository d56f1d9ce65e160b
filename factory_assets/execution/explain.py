"""Explain: what a run would compute, what it would use again, and why; nothing is computed here.

What is different between what made a record and what would make it now, in a person's words.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from factory_assets.data.sources.base import SourceHandle
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.execution.runner import plan_stage
from factory_assets.results.base import KeyComponents, digest
from factory_assets.results.data import IngestResult
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Partition
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
    call: StageRequest, stages: Sequence[Stage], partitions: Sequence[Partition]
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


def _is_latest(told: Explained, call: StageRequest) -> bool:
    return told.record is not None and Records(call.home).is_latest(told.record)


def _waiting(call: StageRequest, before: Sequence[Stage]) -> Explained:
    first = " and ".join(before)
    runs = "run" if len(before) > 1 else "runs"
    if not call.reuse:
        return _told(call, "compute", "nothing is to be reused")
    return _told(call, "waits", f"{first} {runs} first; reused if the result is the same")


def _explained(call: StageRequest) -> Explained:
    try:
        with plan_stage(call) as known:
            return _of_known(call, known)
    except FactoryError as error:
        return _told(call, "fails", str(error))


def _of_known(call: StageRequest, known: StagePlan) -> Explained:
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
    told = diff_keys(call.stage, latest, known.parts, known.found)
    return _told(call, "compute", ", ".join(told))


def _told(call: StageRequest, what: What, why: str) -> Explained:
    return Explained(call.stage, _key(call), what, why)


def _key(call: StageRequest) -> str | None:
    return call.partition.key if call.partition else None


Path = tuple[str, ...]
"""Keys from the stage down."""

_NAMED: Mapping[Path, str] = {
    ("clean", "where"): "rule",
    ("clean", "derive"): "derived column",
    ("ingest", "joins"): "join",
    ("ingest", "sources"): "source",
    ("ingest", "contract", "columns"): "contract of column",
}
"""Where a declaration names things of its user's: what such a thing is called."""

_SHORT = 40


def diff_keys(
    stage: Stage, record: Record, parts: KeyComponents, found: Sequence[SourceHandle]
) -> list[str]:
    """The differences, each in a few words; none where the record was made of exactly this.

    Args:
        parts: what the stage would be computed from now.
        found: of ingest, its sources as they are now.
    """
    before = record.parts
    told = [*dict.fromkeys(_declaration(stage, before.get("declaration"), parts["declaration"]))]
    if before.get("source") != parts["source"]:
        told.append(_sources(record, found))
    told += _inputs(before.get("inputs") or {}, parts["inputs"])
    if before.get("champion") != parts["champion"]:
        told.append(f"champion {_version(before)} → {_version(parts)}")
    if before.get("user code") != parts["user code"]:
        told.append("your code changed")
    if before.get("code") != parts["code"]:
        told.append("code of the stage changed")
    return told + list(_libraries(before.get("libraries") or {}, parts["libraries"]))


def _version(parts: Mapping[str, Any]) -> str:
    champion = parts.get("champion")
    return "none" if champion is None else f"v{champion}"


def _inputs(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in now:
        if before.get(name) != now[name]:
            yield f"result of {name} changed"


def _libraries(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name, "none"), now.get(name, "none")
        if old != new:
            yield f"library {name} {old} → {new}"


def _sources(record: Record, found: Sequence[SourceHandle]) -> str:
    old = Counter(source.sha256 for source in IngestResult.model_validate(record.value).sources)
    now = Counter(one.version for one in found)
    count, fresh, gone = len(found), (now - old).total(), (old - now).total()
    names = [one.name for one in found if one.name and one.version not in old]
    shown = f" ({', '.join(names[:3])}{', …' * (len(names) > 3)})" if names else ""
    if count == 1 and old.total() == 1:
        return f"the source changed{shown}"
    if fresh and gone:
        return f"{fresh} of {count} sources changed{shown}"
    if fresh:
        return f"{fresh} new source{'s' * (fresh > 1)}{shown}"
    if gone:
        return f"{gone} of {old.total()} sources are gone"
    return "the sources have another order or other labels"


def _declaration(stage: Stage, before: Any, now: Any) -> Iterator[str]:
    for path, old, new in _differences((stage,), before, now):
        named = next((at for at in _NAMED if path[: len(at)] == at and path != at), None)
        if named:
            whole = len(path) == len(named) + 1
            yield f"{_NAMED[named]} {path[len(named)]} {_how(old, new) if whole else 'changed'}"
        elif all(isinstance(value, int | float | str | None) for value in (old, new)):
            yield f"{'.'.join(path)} {_shown(old)} → {_shown(new)}"
        else:
            yield f"{'.'.join(path)} changed"


def _how(old: Any, new: Any) -> str:
    if old is None:
        return "is new"
    return "is gone" if new is None else "changed"


def _shown(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _differences(
    at: tuple[str, ...], old: Any, new: Any
) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    """(path, old, new) of the innermost differences; lists of named things are told by name."""
    old, new = _by_name(old), _by_name(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences((*at, str(key)), old.get(key), new.get(key))
    elif old != new:
        yield at, old, new


def _by_name(value: Any) -> Any:
    named = isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value)
    return {part["name"]: part for part in value} if named else value
