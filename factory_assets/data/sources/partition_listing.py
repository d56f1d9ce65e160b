"""List the partitions whose files exist, from the names of the files alone.

No file is opened, and one that vanishes meanwhile is not an error. Files are read only if an
erasure has emptied some, which are left out. Matching a name against a pattern belongs in
`partition_patterns`.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from glob import escape
from pathlib import Path

from factory_assets.data.sources.emptied_files import without_emptied
from factory_assets.data.sources.partition_patterns import Pattern, places_in
from factory_assets.spec import FileSource, ImageSource, Partition, Pipeline, PythonSource
from factory_assets.spec.ingest import Source
from factory_assets.spec.partition_places import PLACE
from factory_assets.spec.partitions import DynamicPartitions, excluded, partitions_until
from factory_resources.home.home import Home
from factory_resources.sources.files.discovery import expand, glob_paths, split_glob
from factory_resources.sources.object_storage import S3_PREFIX

Keys = Mapping[str, Sequence[str]]
"""Keys of each dimension."""

Matches = dict[tuple[str, ...], list[str]]
"""Files by the keys in their names: one key for each dimension of a pattern, in order of name."""


@dataclass(frozen=True)
class PartitionListing:
    """The partitions of a pipeline whose files exist."""

    partitions: tuple[Partition, ...]
    """Partitions that have ended and have all their files, in the order of their keys."""
    absent: int
    """Number of partitions that have ended and lack a file."""
    files: Mapping[str, tuple[str, ...]]
    """Files and objects of each partition by its key; none for other kinds of source."""
    dynamic: Keys
    """All keys of the dynamic dimensions, but for excluded ones."""
    impossible: tuple[str, ...]
    """What names of files have in place of a dynamic key, and no key can be: they are not read."""


def list_partitions(pipeline: Pipeline, now: datetime, known: Keys, home: Home) -> PartitionListing:
    """List the partitions whose files exist.

    Args:
        now: the time by which a partition must have ended.
        known: keys of dynamic dimensions in addition to those in the names of files.

    Raises:
        SourceError: a variable is not set, or the object storage refuses access.
    """
    dimensions = pipeline.spec.partitions
    patterns, matches, impossible = [], [], set[str]()
    for source, text in patterns_of(pipeline):
        if any(places_in(text, dimensions)):
            pattern = Pattern.of(_escaped(text, pipeline.folder), dimensions, now)
            patterns.append(pattern)
            files = files_of(source, text, pipeline.folder, home)
            member = source.member if isinstance(source, FileSource) else None
            matches.append(_matches(pattern, without_emptied(files, home, member)))
            impossible.update(key for file in files for key in pattern.impossible_keys(file))
    dynamic = {
        name: sorted(
            {*known.get(name, ()), *_keys_in_names(name, patterns, matches)}
            - {*excluded(dimension)}
        )
        for name, dimension in dimensions.items()
        if isinstance(dimension, DynamicPartitions)
    }
    complete: dict[str, Partition] = {}
    files_by_key: dict[str, tuple[str, ...]] = {}
    absent = 0
    for partition in partitions_until(dimensions, now, dynamic):
        own_files = [
            files_by_keys.get(tuple(partition.keys[name] for name in pattern.names), [])
            for pattern, files_by_keys in zip(patterns, matches, strict=True)
        ]
        if all(own_files):
            complete[partition.key] = partition
            files_by_key[partition.key] = tuple(name for names in own_files for name in names)
        else:
            absent += 1
    return PartitionListing(
        tuple(complete[key] for key in sorted(complete)),
        absent,
        files_by_key,
        dynamic,
        tuple(sorted(impossible)),
    )


def patterns_of(pipeline: Pipeline) -> Iterator[tuple[Source, str]]:
    """Yield the patterns of all files and objects, each with its source."""
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
    """Return the files that a pattern matches, in order of name; `{dimension}` matches any key.

    Hidden files are left out, as if no pattern matched them.

    Raises:
        SourceError: a variable is not set, or a folder or the object storage refuses access.
    """
    wild = "/".join(_wild(pattern))
    if pattern.startswith(S3_PREFIX) and isinstance(source, FileSource):
        from factory_assets.data.sources.files import matching_objects

        return matching_objects(source, wild, home)
    fixed, glob = split_glob(Path(_full(wild, folder)))
    return [str(path) for path in glob_paths(fixed, glob) if path.is_file()]


def _wild(pattern: str) -> Iterator[str]:
    """Yield the parts of the path, with `*` in place of each `{dimension}`."""
    anything = "\0"
    marked = PLACE.sub(
        lambda place: "/".join(anything for _ in (place[2] or "").split("/")), pattern
    )
    for part in marked.split("/"):
        # Two stars side by side would match folders at any depth.
        yield re.sub(r"[*\0]+", "*", part) if anything in part else part


def _full(pattern: str, folder: Path) -> str:
    text = expand(pattern)
    return text if text.startswith(S3_PREFIX) else str(folder / os.path.expanduser(text))


def _escaped(pattern: str, folder: Path) -> str:
    """Return the full pattern, in which brackets in the names of existing folders are escaped.

    So a folder may be named `data [1]`, as in `split_glob`.
    """
    text = _full(pattern, folder)
    if text.startswith(S3_PREFIX):
        return text
    fixed, _ = split_glob(Path(_full("/".join(_wild(pattern)), folder)))
    return os.path.join(escape(str(fixed)), *Path(text).parts[len(fixed.parts) :])


def _matches(pattern: Pattern, names: Sequence[str]) -> Matches:
    files_by_keys: Matches = {}
    for name in names:
        for keys in pattern.keys_of(name):
            files_by_keys.setdefault(keys, []).append(name)
    return files_by_keys


def _keys_in_names(
    name: str, patterns: Sequence[Pattern], matches: Sequence[Matches]
) -> Iterator[str]:
    for pattern, files_by_keys in zip(patterns, matches, strict=True):
        if name in pattern.names:
            place = pattern.names.index(name)
            yield from (keys[place] for keys in files_by_keys)
