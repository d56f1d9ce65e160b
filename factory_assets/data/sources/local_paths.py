"""List the files and folders of this machine from which the sources of a pipeline are read.

Of a path with the key of a partition, that is the folder above the key. Checking the content of
files belongs to the modules that read them.
"""

import os
from collections.abc import Iterator
from glob import has_magic
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from factory_assets.data.sources.partition_patterns import places_in
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
from factory_resources.home.database_client import CERTIFICATES, CLIENT_FILES, SOCKETS
from factory_resources.home.home import Home
from factory_resources.sources.databases.reader import SQLITE, address_of
from factory_resources.sources.files.discovery import expand, expand_all, split_glob


def local_paths(pipeline: Pipeline, home: Home) -> Iterator[Path]:
    """Yield the existing files and folders from which the sources and outcomes are read.

    A pattern that cannot be expanded, or a missing secret, yields nothing: reading reports it.
    """
    watch = pipeline.spec.watch
    sources = [*pipeline.spec.ingest.every_source]
    if watch and watch.outcomes:
        sources.append(watch.outcomes.source)
    for source in sources:
        for path in _paths(source, pipeline, home):
            if path != Path(path.anchor) and path.exists():
                yield path


def _paths(source: Source, pipeline: Pipeline, home: Home) -> Iterator[Path]:
    match source:
        case FileSource():
            yield from () if source.remote else _of_patterns(source.patterns, pipeline)
        case ImageSource():
            yield from _of_patterns(source.images, pipeline)
        case DeltaSource():
            yield from _of_patterns((source.delta,), pipeline)
        case DatabaseSource():
            yield from _of_database(source.database, pipeline, home)
        case PythonSource():
            yield from _of_patterns(source.reads or (), pipeline)
            yield from _of_arguments(source, pipeline)


def _of_patterns(patterns: tuple[str, ...], pipeline: Pipeline) -> Iterator[Path]:
    for pattern in patterns:
        try:
            text = os.path.expanduser(expand(pattern))
        except FactoryError:
            continue
        full = pipeline.folder / _above_places(text, pipeline)
        if os.path.lexists(full):
            yield full
        elif has_magic(str(full)):
            yield split_glob(full)[0]
        else:
            # So that the message can say what is there instead.
            yield full.parent


def _above_places(path: str, pipeline: Pipeline) -> str:
    """Return the folder above the first placeholder of a partition; without one, the path."""
    place = next(places_in(path, pipeline.spec.partitions), None)
    return os.path.dirname(path[: place.start()]) if place else path


def _of_database(database: str, pipeline: Pipeline, home: Home) -> Iterator[Path]:
    """Yield the folder of an SQLite file, which may have a journal beside it, or of a socket.

    The files are there, too, that the client of a server reads, such as a certificate.
    """
    if database.startswith(SQLITE):
        for path in _of_patterns((database.removeprefix(SQLITE),), pipeline):
            yield path if path.is_dir() else path.parent
        return
    try:
        address = address_of(database, pipeline.folder, home)
    except FactoryError:
        return
    if address.dialect == "sqlite":
        yield Path(address.url).parent
        return
    parts = urlsplit(address.url)
    options = parse_qs(parts.query)
    hosts = options.get("host") or ([] if parts.hostname else [SOCKETS])
    files = [file for name in CLIENT_FILES for file in options.get(name, ())]
    files.append(os.path.expanduser(f"~/{CERTIFICATES}"))
    yield from (Path(name) for name in (*hosts, *files) if name.startswith("/"))


def _of_arguments(source: PythonSource, pipeline: Pipeline) -> Iterator[Path]:
    """Yield each argument that is an absolute path."""
    try:
        values = [*expand_all(source.args).values()]
    except FactoryError:
        return
    while values:
        match value := values.pop():
            case str() if value.startswith("/"):
                yield Path(_above_places(value, pipeline))
            case dict():
                values += value.values()
            case list():
                values += value
