"""The names that the command line accepts, and the kind of thing that each one refers to.

| written | means |
|---|---|
| `apples@3`, `apples@champion` | a model version |
| `apples/clean`, `apples/clean@1f3a9c` | a snapshot: the latest, or that of a data version |
| `apples/split.train@1f3a9c`, `apples/clean.quarantine` | a part of what a stage stored |
| `data/apples.csv`, `./apples`, `sha256:1f3a9c` | a source file, by its path or its digest |

Six characters of a data version or digest are enough if no other begins with them. Finding the
thing in a home belongs in `resolver`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from factory_assets.results.stages import STAGES, Stage
from factory_assets.spec.base import suggest
from factory_resources.errors import UnknownNameError
from factory_resources.tracking.record import Record

FORMS = "pipeline@3, pipeline/stage@<data version>, a path, or sha256:<digest>"

SHOWN_DIGITS = 12
"""Number of characters of a digest that are shown."""

PARTS: Mapping[Stage, tuple[str, ...]] = {
    "ingest": ("snapshot", "quarantine"),
    "clean": ("snapshot", "quarantine"),
    "split": ("train", "validation", "test"),
    "evaluate": ("predictions",),
}
"""The tables that each stage stores; the part name `snapshot` may be left out."""

_SHOWN_LENGTH = 40
"""Number of characters that are shown of a text that cannot be a name."""

_MODEL = re.compile(r"([a-z][a-z0-9_]{0,63})@([1-9][0-9]{0,8}|champion)")

_SNAPSHOT = re.compile(r"([a-z][a-z0-9_]{0,63})/([a-z]+)(?:\.([a-z]+))?(?:@([0-9a-f]{6,64}))?")

_DIGEST = re.compile(r"sha256:([0-9a-f]{6,64})")


@dataclass(frozen=True)
class ModelName:
    """A model version."""

    pipeline: str
    version: int | Literal["champion"]


@dataclass(frozen=True)
class SnapshotName:
    """Everything that a stage stored, or one part of it."""

    pipeline: str
    stage: Stage
    part: str | None
    version: str | None
    """A data version or its beginning; None for the latest."""


@dataclass(frozen=True)
class SourceName:
    """A source file, by its path or by its digest."""

    path: Path | None
    digest: str | None
    """A SHA-256 or its beginning."""


Name = ModelName | SnapshotName | SourceName


def parse(text: str) -> Name:
    """Parse a name, without looking up the thing that it refers to.

    Raises:
        UnknownNameError: the name is of no known kind.
    """
    if model := _MODEL.fullmatch(text):
        version = model[2]
        return ModelName(model[1], "champion" if version == "champion" else int(version))
    if digest := _DIGEST.fullmatch(text):
        return SourceName(None, digest[1])
    snapshot = _SNAPSHOT.fullmatch(text)
    if snapshot and snapshot[2] in STAGES:
        stage = cast(Stage, snapshot[2])
        _require_part(text, stage, snapshot[3])
        return SnapshotName(snapshot[1], stage, snapshot[3], snapshot[4])
    if text.startswith("sha256:") or (not _exists(text) and _looks_like_a_name(text)):
        raise UnknownNameError(f"{text!r} is not a valid name", remedy=f"write {FORMS}")
    return SourceName(Path(text), None)


def parse_model(text: str) -> ModelName:
    """Parse the name of a model version.

    Raises:
        UnknownNameError: it is no such name.
    """
    name = parse(text)
    if not isinstance(name, ModelName):
        raise UnknownNameError(f"{text!r} is not a model version", remedy="write pipeline@3")
    return name


def snapshot_name(pipeline: str, stage: str, part: str | None, version: str) -> str:
    """Return the full name of a snapshot."""
    part = "" if part in {None, "snapshot"} else f".{part}"
    return f"{pipeline}/{stage}{part}@{version}"


def step_name(record: Record) -> str:
    """Return the full name of what a record's computation stored."""
    return snapshot_name(record.pipeline, record.stage, None, record.data_version)


def _exists(text: str) -> bool:
    try:
        return Path(text).exists()
    except OSError as error:
        raise UnknownNameError(
            f"'{text[:_SHOWN_LENGTH]}…' is not a valid file name ({error.strerror})",
            remedy=f"write {FORMS}",
        ) from error


def _require_part(text: str, stage: Stage, part: str | None) -> None:
    parts = PARTS.get(stage, ())
    if not parts:
        pipeline = text.partition("/")[0]
        raise UnknownNameError(
            f"{stage} stores no table", remedy=f"write {pipeline}@3 for a model version"
        )
    if part is not None and part not in parts:
        raise UnknownNameError(f"{stage} has no part {part!r}", remedy=suggest(part, parts))


def _looks_like_a_name(text: str) -> bool:
    pipeline, mark, rest = text.partition("@")
    return bool(mark) and "/" not in rest and bool(re.fullmatch(r"[\w./-]+", pipeline))
