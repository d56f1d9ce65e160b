"""How a file is read that is to be scored: as its pipeline declares its source, and with its joins.

Which of its columns are needed belongs in `scoring_rows`.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from glob import escape, has_magic
from pathlib import Path

from factory_assets.data.contract.sql_types import SQL_TYPES
from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.data.sources.discovery import discover
from factory_assets.spec import Column, FileSource, ImageSource, Ingest, Join
from factory_assets.spec.ingest import Source
from factory_assets.spec.partition_places import names_partition
from factory_assets.spec.sources import FileFormat
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.discovery import Packing, conversion, format_of
from factory_resources.sources.files.images import SUFFIXES

_COMPARED = frozenset(("int64", "float64", "date", "timestamp"))
"""Types in which one value can be written in several ways."""

_PARQUET = b"PAR1"
"""The first bytes of every Parquet file."""


def as_declared(ingest: Ingest, file: Path) -> FileSource | ImageSource:
    """Return the declared way of reading text or images, at another path.

    Raises:
        SourceError: the path is that of a folder, or a pattern; or images are scored, and its name
            is neither that of an image nor of a table.
    """
    if file.is_dir() or (has_magic(str(file)) and not file.exists()):
        raise SourceError(
            "one file is scored at a time", where=str(file), remedy="name a file with all rows"
        )
    path = (escape(str(file.absolute())),)
    images = [source for source in ingest.tables.values() if isinstance(source, ImageSource)]
    if images and file.suffix.lower() in SUFFIXES:
        return images[0].model_copy(update={"images": path, "label": None})
    if len(images) == len(ingest.tables) and _shown(file.name) is None:
        raise SourceError(
            "is not an image",
            where=str(file),
            remedy=f"name a file that ends in {', '.join(SUFFIXES)}",
        )
    sources = [source for source in ingest.tables.values() if isinstance(source, FileSource)]
    declared = _common_way(sources)
    patterns = [pattern for source in sources for pattern in source.patterns]
    return declared.model_copy(
        update={
            "files": path,
            "format": _format(declared.format, file, patterns),
            "member": declared.member if _has_several_members(file) else None,
        }
    )


def read_once(
    source: FileSource | ImageSource,
    folder: Path,
    home: Home,
    scratch: Path,
    trained: Mapping[str, str],
) -> tuple[SourceHandle, Collection[str]]:
    """Read the file; return a handle that yields what was read, and the names of its columns.

    Args:
        trained: the types that columns had in the source of training.

    Raises:
        SourceError: the file cannot be read.
    """
    own = scratch / "read"
    own.mkdir()
    [handle] = discover(source, SourceContext(folder, home, scratch / "file"))
    table = replace(handle.read(own), trained=trained)
    known = replace(handle, read=lambda own, **_: table)
    return known, table.columns.keys()


def needed_joins(
    joins: Mapping[str, Join], columns: Collection[str], needed: Collection[str]
) -> dict[str, Join]:
    """Return the joins that apply to a file.

    A file that lacks needed columns is in the format of the source: every join applies for which it
    has the keys. A file that has them all is complete: of a required join, only the rule applies.

    Args:
        columns: the columns of the file.
        needed: the columns that are read, by their names in the source.
    """
    possible = {name: join for name, join in joins.items() if {*join.on} <= {*columns}}
    if not {*needed} <= {*columns}:
        return possible
    return {
        name: join.model_copy(update={"columns": ()})
        for name, join in possible.items()
        if join.required
    }


def trained_types(ingest: Ingest, columns: Iterable[Column]) -> dict[str, str]:
    """Return the numbers, dates and times that a source of training had; none if all were text.

    What is scored may be text all the same, in which `1.0` would not be the `1` of a joined table.

    Args:
        ingest: as declared when the model was trained.
        columns: the contract of the columns, with the types of the training rows.
    """
    if not any(map(_has_types, ingest.tables.values())):
        return {}
    return {one.source_name: SQL_TYPES[one.type] for one in columns if one.type in _COMPARED}


def _has_types(source: Source) -> bool:
    if not isinstance(source, FileSource):
        return not isinstance(source, ImageSource)
    shown = {(_shown(pattern) or (None,))[0] for pattern in source.patterns}
    return source.format == "parquet" or (source.format is None and shown == {"parquet"})


def joined_sources(
    joins: Mapping[str, Join], folder: Path, home: Home, scratch: Path
) -> Iterator[SourceHandle]:
    """Yield the tables of the joins as they are now, in the order of the joins' names.

    Raises:
        SourceError: a table is missing or unreadable, or there is one for each partition.
    """
    for name, join in sorted(joins.items()):
        if names_partition(join.source.model_dump()):
            raise SourceError(
                "the table differs between partitions, and a scored file has no partition",
                where=f"joins.{name}",
                remedy="put the columns of the table into the file",
            )
        context = SourceContext(folder, home, scratch / f"join_{name}")
        yield from (replace(one, join=name) for one in discover(join.source, context))


def _common_way(sources: Sequence[FileSource]) -> FileSource:
    """Return how all sources are read; the default if there are none, or if they differ."""
    ways = [s.model_copy(update={"files": ("",), "label": None, "storage": None}) for s in sources]
    return ways[0] if ways and all(way == ways[0] for way in ways) else FileSource(files=("",))


def _format(declared: FileFormat | None, file: Path, patterns: Iterable[str]) -> FileFormat | None:
    """Return the format to read the file by; None to recognise it by its name.

    A declared format holds for every name, unless one of the two is Parquet and the other is not.
    Without one, a file whose name shows no format has that of the files of the source.
    """
    if declared:
        other = _is_plain(file) and _is_parquet(file) != (declared == "parquet")
        return None if other else declared
    if _shown(file.name):
        return None
    of_source = {kind for pattern in patterns if (kind := (_shown(pattern) or (None,))[0])}
    # That of a workbook is not shown, but known: its name is told with what to do.
    if len(of_source) != 1 or (conversion(file) and of_source != {"jsonl"}):
        return None
    return of_source.pop()


def _shown(name: str) -> tuple[FileFormat | None, Packing] | None:
    try:
        return format_of(name)
    except SourceError:
        return None


def _is_plain(file: Path) -> bool:
    return format_of(file.name, "csv")[1] == "plain"


def _is_parquet(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return opened.read(len(_PARQUET)) == _PARQUET
    except OSError:
        return False


def _has_several_members(file: Path) -> bool:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile):
        return False
    return len([name for name in names if not name.startswith("__MACOSX/")]) > 1
