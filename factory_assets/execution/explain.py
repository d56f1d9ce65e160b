"""Explain what a run would compute, what it would reuse, and why; nothing is computed.

The reasons are the differences between the key components of a record and those of today.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from factory_assets.execution.cache_key import cache_key_components
from factory_assets.execution.loaded_components import LOADED, REPETITION
from factory_assets.execution.plan import plan_stage
from factory_assets.execution.requests import StagePlan, StageRequest
from factory_assets.results.base import KeyComponents, digest, result_as
from factory_assets.results.data import IngestResult
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.record_graph import value_in
from factory_assets.results.stages import UPSTREAM, Stage
from factory_assets.spec import Partition
from factory_resources.durations import minute
from factory_resources.errors import FactoryError
from factory_resources.tracking.record import Record, damaged_record
from factory_resources.tracking.records import Records

What = Literal["reuse", "compute", "waits", "fails"]

_GONE: dict[Stage, str] = {
    "train": "the model version is gone",
    "evaluate": "a picture or the predictions' file is gone",
    "deploy": "another version serves",
}

_NEVER = "never computed"


@dataclass(frozen=True)
class Explained:
    """What a run would do with one stage, of one partition if the stage is partitioned."""

    stage: Stage
    partition: str | None
    what: What
    why: str
    record: Record | None = None
    """The record that would be reused."""


def explain(
    call: StageRequest, stages: Sequence[Stage], partitions: Sequence[Partition]
) -> Iterator[Explained]:
    """Yield the stages in order; partitioned ones partition by partition.

    Args:
        call: the request to explain; its own stage and partition are ignored.
        partitions: of the pipeline; empty if it has none.
    """
    # What a run would change, as (stage, partition).
    changing: set[tuple[Stage, str | None]] = set()
    for stage in stages:
        waiting = _Waiting(replace(call, stage=stage))
        by_partition = bool(call.pipeline.spec.partitions) and stage in PARTITIONED
        for partition in partitions if by_partition else [None]:
            own = replace(call, stage=stage, partition=partition)
            key = partition.key if partition else None
            waits_for = [
                name
                for name in UPSTREAM[stage]
                if any(name == other and key in (None, its) for other, its in changing)
            ]
            explained = waiting.explained(own, waits_for) if waits_for else _explained(own)
            if explained.what != "reuse" or not _is_latest(explained, call):
                changing.add((stage, key))
            yield explained


def _is_latest(explained: Explained, call: StageRequest) -> bool:
    record = explained.record
    return record is not None and Records(call.home).is_latest(record)


class _Waiting:
    """A stage whose inputs are not known yet: it is computed at any rate if more has changed.

    Args:
        stage: the request; its partition is ignored.
    """

    def __init__(self, stage: StageRequest) -> None:
        self._stage = stage

    def explained(self, call: StageRequest, upstream: Sequence[Stage]) -> Explained:
        """Explain a partition of the stage, or the whole, that waits for stages before it."""
        if not call.reuse:
            return _describe(call, "compute", "nothing is to be reused")
        first = " and ".join(upstream)
        runs = "run" if len(upstream) > 1 else "runs"
        try:
            latest = Records(call.home).latest(call.pipeline.name, call.stage, call.partition_key)
            reasons = self._reasons(call, latest) if latest else []
        except FactoryError as error:
            return _describe(call, "fails", str(error))
        if reasons:
            return _describe(call, "compute", ", ".join(reasons))
        then = "reused if the result is the same" if latest else _NEVER
        return _describe(call, "waits", f"{first} {runs} first; {then}")

    def _reasons(self, call: StageRequest, latest: Record) -> list[str]:
        """Return why no stored result can be reused, whatever the inputs will be."""
        if call.partition_key in self._possible:
            return []
        return _diff_keys(call.stage, latest, _as_today(latest, self._today), ())

    @cached_property
    def _today(self) -> KeyComponents:
        return cache_key_components(self._stage.pipeline, self._stage.stage, {})

    @cached_property
    def _possible(self) -> set[str | None]:
        """The partitions whose stored result differs from today's in its inputs alone."""
        records = Records(self._stage.home).all(self._stage.pipeline.name, self._stage.stage)
        return {r.partition for r in records if _as_today(r, self._today) == r.parts}


def _as_today(record: Record, today: KeyComponents) -> KeyComponents:
    """Return the components of a record with those of today that are known without inputs."""
    known = {name: today[name] for name in ("code", "declaration", "user code")}
    # Whether answers are compared, which takes a library more, is known with the inputs.
    versions = {**(record.parts.get("libraries") or {}), **today["libraries"]}
    return {**record.parts, **known, "libraries": versions}


def _explained(call: StageRequest) -> Explained:
    try:
        with plan_stage(call) as plan:
            return _of_plan(call, plan)
    except FactoryError as error:
        return _describe(call, "fails", str(error))


def _of_plan(call: StageRequest, plan: StagePlan) -> Explained:
    if not call.reuse:
        return _describe(call, "compute", "nothing is to be reused")
    record = plan.record
    if record:
        when = minute(record.finished)
        why = f"computed {when} by run {record.run_id[:8]}, {record.seconds:.1f} s"
        return replace(_describe(call, "reuse", why), record=record)
    records = Records(call.home)
    if records.find(call.pipeline.name, call.stage, digest(plan.components)):
        return _describe(call, "compute", _GONE.get(call.stage, "a file of the snapshot is gone"))
    latest = records.latest(call.pipeline.name, call.stage, call.partition_key)
    if latest is None:
        return _describe(call, "compute", _NEVER)
    if digest(latest.parts) != latest.key:
        raise damaged_record(latest.name)
    found = [NamedSource(one.name, one.version) for one in plan.sources]
    reasons = _diff_keys(call.stage, latest, plan.components, found)
    return _describe(call, "compute", ", ".join(reasons))


def _describe(call: StageRequest, what: What, why: str) -> Explained:
    return Explained(call.stage, call.partition_key, what, why)


Path = tuple[str, ...]
"""The keys of the declaration from the stage down."""

_NAMED: Mapping[Path, str] = {
    ("clean", "where"): "rule",
    ("clean", "derive"): "derived column",
    ("ingest", "joins"): "join",
    ("ingest", "sources"): "source",
    ("ingest", "contract", "columns"): "contract of column",
}
"""Where a declaration names things of the user's own, and the word for such a thing."""

_SHORT = 40


@dataclass(frozen=True)
class NamedSource:
    """A source that was found, or that a record names."""

    name: str
    """That of a file; empty for another source."""
    version: str
    """The digest of its content, or of everything that determines it."""


def diff_records(stage: Stage, before: Record, now: Record) -> list[str]:
    """Return why a stage gave another result, each reason in a few words; none if it did not."""
    value = value_in(now)
    sources = value.sources if isinstance(value, IngestResult) else ()
    found = [NamedSource(one.name, one.sha256) for one in sources]
    return _diff_keys(stage, before, now.parts, found)


def _diff_keys(
    stage: Stage, record: Record, parts: KeyComponents, found: Sequence[NamedSource]
) -> list[str]:
    """Return the differences, each in a few words; none if the components are equal.

    Args:
        parts: the key components of today, or of a later record.
        found: for `ingest`, its sources then.
    """
    before = record.parts
    reasons = [*dict.fromkeys(_declaration(stage, before.get("declaration"), parts["declaration"]))]
    if before.get("source") != parts["source"]:
        reasons.append(_sources(record, found))
    reasons += _inputs(before.get("inputs") or {}, parts["inputs"])
    if before.get("champion") != parts["champion"]:
        reasons.append(f"champion {_version(before)} → {_version(parts)}")
    if before.get("answers") != parts.get("answers"):
        reasons.append("answers with outcomes changed")
    if before.get("user code") != parts["user code"]:
        reasons.append("your code changed")
    loaded_before, loaded_now = before.get(LOADED), parts.get(LOADED)
    if loaded_before and loaded_now:
        reasons += _modules(loaded_before["modules"], loaded_now["modules"])
        reasons += _libraries(loaded_before["libraries"], loaded_now["libraries"])
    if before.get("code") != parts["code"]:
        reasons.append("code of the stage changed")
    reasons += _libraries(before.get("libraries") or {}, parts["libraries"])
    if not reasons and before.get(REPETITION) != parts.get(REPETITION):
        reasons.append("trained once more")
    return reasons


def _version(parts: Mapping[str, Any]) -> str:
    champion = parts.get("champion")
    return "none" if champion is None else f"v{champion}"


def _inputs(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in now:
        if before.get(name) != now[name]:
            yield f"result of {name} changed"


def _libraries(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        old, new = before.get(name), now.get(name)
        if old and new and old != new:
            yield f"library {name} {old} → {new}"
        elif old != new:
            yield f"library {name} {old or new} {_how(old, new)}"


def _modules(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"your module {name} {_how(before.get(name) or None, now.get(name) or None)}"


def _sources(record: Record, found: Sequence[NamedSource]) -> str:
    old = Counter(source.sha256 for source in result_as(IngestResult, record).sources)
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
    """Yield (path, old, new) of the innermost differences; named things in lists match by name."""
    old, new = _by_name(old), _by_name(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences((*at, str(key)), old.get(key), new.get(key))
    elif old != new:
        yield at, old, new


def _by_name(value: Any) -> Any:
    named = isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value)
    return {part["name"]: part for part in value} if named else value
