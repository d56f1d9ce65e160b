"""Which files lie where a declaration looks for them, and whose partition each is: names only.

Nothing is opened here, and a file that vanishes meanwhile is no error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from factory_assets.spec import FileSource, Partition, Pipeline, PythonSource
from factory_assets.spec.partition_places import PLACE
from factory_assets.spec.partitions import DynamicPartitions, partitions_until
from factory_assets.stages.patterns import Pattern
from factory_resources.sources import expand, split_glob

Keys = Mapping[str, Sequence[str]]
"""Dimension to keys of it."""
Matches = dict[tuple[str, ...], list[Path]]
"""Keys of a pattern's dimensions, in order of name, to the files whose names have them."""


@dataclass(frozen=True)
class Listing:
    """What is there of a pipeline in partitions."""

    partitions: tuple[Partition, ...]
    """Those that are over and have all the files that they need, in the order of their keys."""
    absent: int
    """How many are over and have none."""
    files: Mapping[str, tuple[Path, ...]]
    """Key of a partition to its files; none where sources are no files."""
    dynamic: Keys
    """The keys of dynamic dimensions."""


def listing(pipeline: Pipeline, now: datetime, known: Keys) -> Listing:
    """The partitions whose files are there.

    Args:
        known: keys of dynamic dimensions, beside those that the files' names tell.

    Raises:
        SourceError: a variable that is not set.
    """
    dimensions = pipeline.spec.partitions
    named = [text for text in patterns_of(pipeline) if PLACE.search(text)]
    patterns = [Pattern.of(str(_full(text, pipeline.folder)), dimensions, now) for text in named]
    matches = [
        _matches(pattern, files_of(text, pipeline.folder))
        for text, pattern in zip(named, patterns, strict=True)
    ]
    dynamic = {
        name: sorted({*known.get(name, ()), *_told(name, patterns, matches)})
        for name, dimension in dimensions.items()
        if isinstance(dimension, DynamicPartitions)
    }
    there: dict[str, Partition] = {}
    files: dict[str, tuple[Path, ...]] = {}
    absent = 0
    for partition in partitions_until(dimensions, now, dynamic):
        own = [
            found.get(tuple(partition.keys[name] for name in pattern.names), [])
            for pattern, found in zip(patterns, matches, strict=True)
        ]
        if all(own):
            there[partition.key] = partition
            files[partition.key] = tuple(path for paths in own for path in paths)
        else:
            absent += 1
    return Listing(tuple(there[key] for key in sorted(there)), absent, files, dynamic)


def patterns_of(pipeline: Pipeline) -> tuple[str, ...]:
    """The file patterns of all sources, in order."""
    found: list[str] = []
    for source in pipeline.spec.ingest.every_source:
        if isinstance(source, FileSource):
            found += source.files.values() if isinstance(source.files, dict) else source.files
        elif isinstance(source, PythonSource):
            found += source.reads or ()
    return tuple(found)


def files_of(pattern: str, folder: Path) -> list[Path]:
    """The files that a pattern matches, in order of name; what names a dimension matches any key.

    Raises:
        SourceError: a variable that is not set.
    """
    fixed, glob = split_glob(_full("/".join(_wild(pattern)), folder))
    return [path for path in sorted(fixed.glob(glob)) if path.is_file()]


def _wild(pattern: str) -> Iterator[str]:
    """The parts of the path, with `*` for what names a dimension."""
    anything = "\0"
    marked = PLACE.sub(
        lambda place: "/".join(anything for _ in (place[2] or "").split("/")), pattern
    )
    for part in marked.split("/"):
        # Side by side two would mean folders at any depth.
        yield re.sub(r"[*\0]+", "*", part) if anything in part else part


def _full(pattern: str, folder: Path) -> Path:
    return folder / Path(expand(pattern)).expanduser()


def _matches(pattern: Pattern, paths: Sequence[Path]) -> Matches:
    found: Matches = {}
    for path in paths:
        for keys in pattern.keys_of(str(path)):
            found.setdefault(keys, []).append(path)
    return found


def _told(name: str, patterns: Sequence[Pattern], matches: Sequence[Matches]) -> Iterator[str]:
    for pattern, found in zip(patterns, matches, strict=True):
        if name in pattern.names:
            place = pattern.names.index(name)
            yield from (keys[place] for keys in found)
