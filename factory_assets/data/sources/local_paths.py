"""List the files and folders of this machine from which the sources of a pipeline are read.

Checking their content belongs to the modules that read them.
"""

import os
from collections.abc import Iterator
from glob import has_magic
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from factory_assets.spec import (
    DatabaseSource,
    DeltaSource,
    FileSource,
    ImageSource,
    Pipeline,
    PythonSource,
)
from factory_assets.spec.ingest import Source
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.sources.databases.reader import address_of
from factory_resources.sources.files.discovery import expand, expand_all, split_glob

_SOCKETS = "/var/run/postgresql"
"""The folder of PostgreSQL's socket, unless an address names another."""


def local_paths(pipeline: Pipeline, home: Home) -> Iterator[Path]:
    """Yield the existing files and folders from which the sources and outcomes are read.

    A pattern that cannot be expanded, or a missing secret, yields nothing: reading reports it.
    """
    watch = pipeline.spec.watch
    sources = [*pipeline.spec.ingest.every_source]
    if watch and watch.outcomes:
        sources.append(watch.outcomes.source)
    for source in sources:
        for path in _paths(source, pipeline.folder, home):
            if path != Path(path.anchor) and path.exists():
                yield path


def _paths(source: Source, folder: Path, home: Home) -> Iterator[Path]:
    match source:
        case FileSource():
            yield from () if source.remote else _of_patterns(source.patterns, folder)
        case ImageSource():
            yield from _of_patterns(source.images, folder)
        case DeltaSource():
            yield folder / os.path.expanduser(source.delta)
        case DatabaseSource():
            yield from _of_database(source.database, folder, home)
        case PythonSource():
            yield from _of_patterns(source.reads or (), folder)
            yield from _of_arguments(source)


def _of_patterns(patterns: tuple[str, ...], folder: Path) -> Iterator[Path]:
    for pattern in patterns:
        try:
            full = folder / os.path.expanduser(expand(pattern))
        except FactoryError:
            continue
        if os.path.lexists(full):
            yield full
        elif has_magic(str(full)):
            yield split_glob(full)[0]
        else:
            # So that the message can say what is there instead.
            yield full.parent


def _of_database(database: str, folder: Path, home: Home) -> Iterator[Path]:
    """Yield the folder of an SQLite file, which may have a journal beside it, or of a socket."""
    try:
        address = address_of(database, folder, home)
    except FactoryError:
        return
    if address.dialect == "sqlite":
        yield Path(address.url).parent
        return
    parts = urlsplit(address.url)
    hosts = parse_qs(parts.query).get("host") or ([] if parts.hostname else [_SOCKETS])
    yield from (Path(name) for name in hosts if name.startswith("/"))


def _of_arguments(source: PythonSource) -> Iterator[Path]:
    """Yield each argument that is an absolute path."""
    try:
        values = [*expand_all(source.args).values()]
    except FactoryError:
        return
    while values:
        match value := values.pop():
            case str() if value.startswith("/"):
                yield Path(value)
            case dict():
                values += value.values()
            case list():
                values += value
