"""Which files lie where a declaration looks for them, and whose partition each is: names only.

Nothing is opened here, and a file that vanishes meanwhile is no error.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from factory_assets.data.sources.partition_patterns import Pattern
from factory_assets.spec import FileSource, ImageSource, Partition, Pipeline, PythonSource
from factory_assets.spec.ingest import Source
from factory_assets.spec.partitions import PLACE, DynamicPartitions, partitions_until
from factory_resources.home.home import Home
from factory_resources.sources.files.discovery import expand, split_glob
from factory_resources.sources.object_storage import PREFIX

Keys = Mapping[str, Sequence[str]]
"""Dimension to keys of it."""

Matches = dict[tuple[str, ...], list[str]]
"""Keys of a pattern's dimensions, in order of name, to the files whose names have them."""


@dataclass(frozen=True)
class PartitionListing:
    """What is there of a pipeline in partitions."""

    partitions: tuple[Partition, ...]
    """Those that are over and have all the files that they need, in the order of their keys."""
    absent: int
    """How many are over and have none."""
    files: Mapping[str, tuple[str, ...]]
    """Key of a partition to its files and objects; none where sources are neither."""
    dynamic: Keys
    """The keys of dynamic dimensions."""


def list_partitions(pipeline: Pipeline, now: datetime, known: Keys, home: Home) -> PartitionListing:
    """The partitions whose files are there.

    Args:
        known: keys of dynamic dimensions, beside those that the files' names tell.

    Raises:
        SourceError: a variable that is not set, or a storage of objects that says no.
    """
    dimensions = pipeline.spec.partitions
    patterns, matches = [], []
    for source, text in patterns_of(pipeline):
        if PLACE.search(text):
            pattern = Pattern.of(_full(text, pipeline.folder), dimensions, now)
            patterns.append(pattern)
            matches.append(_matches(pattern, files_of(source, text, pipeline.folder, home)))
    dynamic = {
        name: sorted({*known.get(name, ()), *_told(name, patterns, matches)})
        for name, dimension in dimensions.items()
        if isinstance(dimension, DynamicPartitions)
    }
    there: dict[str, Partition] = {}
    files: dict[str, tuple[str, ...]] = {}
    absent = 0
    for partition in partitions_until(dimensions, now, dynamic):
        own = [
            found.get(tuple(partition.keys[name] for name in pattern.names), [])
            for pattern, found in zip(patterns, matches, strict=True)
        ]
        if all(own):
            there[partition.key] = partition
            files[partition.key] = tuple(name for names in own for name in names)
        else:
            absent += 1
    return PartitionListing(tuple(there[key] for key in sorted(there)), absent, files, dynamic)


def patterns_of(pipeline: Pipeline) -> Iterator[tuple[Source, str]]:
    """The patterns of all files and objects, each with its source."""
    for source in pipeline.spec.ingest.every_source:
        texts: Sequence[str] = ()
        if isinstance(source, FileSource):
            texts = [*source.files.values()] if isinstance(source.files, dict) else source.files
        elif isinstance(source, ImageSource):
            texts = source.images
        elif isinstance(source, PythonSource):
            texts = source.reads or ()
        yield from ((source, text) for text in texts)


def files_of(source: Source, pattern: str, folder: Path, home: Home) -> list[str]:
    """What a pattern matches, in order of name; a place that names a dimension matches any key.

    Raises:
        SourceError: a variable that is not set, or a storage of objects that says no.
    """
    wild = "/".join(_wild(pattern))
    if pattern.startswith(PREFIX) and isinstance(source, FileSource):
        from factory_assets.data.sources.files import objects_there

        return objects_there(source, wild, home)
    fixed, glob = split_glob(Path(_full(wild, folder)))
    return [str(path) for path in sorted(fixed.glob(glob)) if path.is_file()]


def _wild(pattern: str) -> Iterator[str]:
    """The parts of the path, with `*` for what names a dimension."""
    anything = "\0"
    marked = PLACE.sub(
        lambda place: "/".join(anything for _ in (place[2] or "").split("/")), pattern
    )
    for part in marked.split("/"):
        # Side by side two would mean folders at any depth.
        yield re.sub(r"[*\0]+", "*", part) if anything in part else part


def _full(pattern: str, folder: Path) -> str:
    text = expand(pattern)
    return text if text.startswith(PREFIX) else str(folder / Path(text).expanduser())


def _matches(pattern: Pattern, names: Sequence[str]) -> Matches:
    found: Matches = {}
    for name in names:
        for keys in pattern.keys_of(name):
            found.setdefault(keys, []).append(name)
    return found


def _told(name: str, patterns: Sequence[Pattern], matches: Sequence[Matches]) -> Iterator[str]:
    for pattern, found in zip(patterns, matches, strict=True):
        if name in pattern.names:
            place = pattern.names.index(name)
            yield from (keys[place] for keys in found)
