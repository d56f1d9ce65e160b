"""What differs between two versions of a pipeline: what they were made from, and what came out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from factory_assets.execution.explain import diff_records
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.base import result_as
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.stages import STAGES
from factory_assets.web.auditor.records import CountedRecord
from factory_assets.web.auditor.time_line import VersionLine
from factory_resources.errors import FactoryError, ModelError
from factory_resources.home.home import Home
from factory_resources.tracking.registry import Registry


@dataclass(frozen=True)
class StageDifference:
    """Why a stage gave another result."""

    stage: str
    reasons: tuple[str, ...]
    """Empty if all that could change the result is the same."""
    is_known: bool
    """Whether the records of both versions are there."""


@dataclass(frozen=True)
class MetricOfBoth:
    """A metric of both versions."""

    name: str
    before: float | None
    after: float | None


@dataclass(frozen=True)
class FileChange:
    """A file of the model."""

    name: str
    state: str
    """`the same`, `other bytes`, or which version alone has it."""


@dataclass(frozen=True)
class VersionDifference:
    """What the page shows."""

    before: VersionLine
    after: VersionLine
    stages: tuple[StageDifference, ...]
    metrics: tuple[MetricOfBoth, ...]
    files: tuple[FileChange, ...]
    files_unknown: str
    """Why the files cannot be compared; empty if they are."""


def version_difference(
    before: VersionLine,
    after: VersionLine,
    records: tuple[Mapping[str, CountedRecord], Mapping[str, CountedRecord]],
    home: Home,
) -> VersionDifference:
    """Compare two versions.

    Args:
        records: those behind each version, by stage.
    """
    try:
        files, unknown = tuple(_files((before, after), records, home)), ""
    except FactoryError as error:
        files, unknown = (), str(error)
    return VersionDifference(
        before, after, tuple(_stages(*records)), tuple(_metrics(*records)), files, unknown
    )


def _stages(
    old: Mapping[str, CountedRecord], new: Mapping[str, CountedRecord]
) -> Iterator[StageDifference]:
    # Each partition has its own records; `split` names those that changed together.
    apart = ("ingest", "clean") if _has_partitions(old) or _has_partitions(new) else ()
    for stage in (stage for stage in STAGES if stage not in apart):
        if stage not in old or stage not in new:
            yield StageDifference(stage, (), is_known=False)
            continue
        reasons = diff_records(stage, old[stage].record, new[stage].record)
        yield StageDifference(stage, tuple(reasons), is_known=True)


def _has_partitions(found: Mapping[str, CountedRecord]) -> bool:
    return "split" in found and len(found["split"].record.inputs.get("clean", ())) > 1


def _metrics(
    old: Mapping[str, CountedRecord], new: Mapping[str, CountedRecord]
) -> Iterator[MetricOfBoth]:
    before, after = (
        result_as(EvaluationResult, one["evaluate"].record).metrics if "evaluate" in one else {}
        for one in (old, new)
    )
    for name in dict.fromkeys([*after, *before]):
        yield MetricOfBoth(name, before.get(name), after.get(name))


def _files(
    lines: tuple[VersionLine, VersionLine],
    records: tuple[Mapping[str, CountedRecord], Mapping[str, CountedRecord]],
    home: Home,
) -> Iterator[FileChange]:
    old, new = (_manifest(line, found, home) for line, found in zip(lines, records, strict=True))
    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            line = lines[0] if name in old else lines[1]
            yield FileChange(name, f"only in version {line.version}")
        else:
            yield FileChange(name, "the same" if old[name] == new[name] else "other bytes")


def _manifest(
    line: VersionLine, found: Mapping[str, CountedRecord], home: Home
) -> Mapping[str, str]:
    """Return the digest of each file of a version.

    Raises:
        ModelError: they are gone, or not those that the record of the training names.
    """
    file = Registry(home).version(line.pipeline, line.version).files / MANIFEST
    content = file.read_bytes() if file.is_file() else b""
    trained = found.get("train")
    if trained is None or sha256(content).hexdigest() != trained.record.value.get("digest"):
        raise ModelError(
            "its files are gone, or not those that were trained",
            where=line.name,
            remedy="factory verify shows what does not hold",
        )
    digests: dict[str, str] = json.loads(content)
    return digests
