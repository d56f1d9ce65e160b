"""Fetch: which sources a pipeline reads at this moment, each with a version that tells its content.

Nothing is held against a contract here; that is `ingest`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.spec import (
    AssetSource,
    DatabaseSource,
    DeltaSource,
    FileSource,
    ImageSource,
    Pipeline,
    PythonSource,
    SnapshotSource,
)
from factory_assets.spec.ingest import Source
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home


def discover_sources(pipeline: Pipeline, home: Home, scratch: Path) -> tuple[SourceHandle, ...]:
    """The sources in the order of their rows, and then the tables that are joined to them.

    Args:
        scratch: where a source that must be read to be known is kept until it is asked for.

    Raises:
        SourceError: a source is missing or unreadable.
    """
    ingest = pipeline.spec.ingest
    with name_pipeline_in_errors(pipeline):
        found: list[SourceHandle] = []
        for name, source in ingest.tables.items():
            added = {ingest.label: name} if ingest.label and name else {}
            found += (
                replace(one, labels={**one.labels, **added})
                for one in discover(source, _place(pipeline, home, scratch, f"rows_{name}"))
            )
        for name, join in sorted(ingest.joins.items()):
            place = _place(pipeline, home, scratch, f"join_{name}")
            found += (replace(one, join=name) for one in discover(join.source, place))
        return tuple(found)


def _place(pipeline: Pipeline, home: Home, scratch: Path, name: str) -> SourceContext:
    return SourceContext(pipeline.folder, home, scratch / name)


def sources_key(found: tuple[SourceHandle, ...]) -> str:
    """Digest of what reading would yield; the code of a Python source is not part of it."""
    content = [[dict(source.labels), source.version, source.join] for source in found]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def name_pipeline_in_errors(pipeline: Pipeline) -> Iterator[None]:
    """Name the pipeline in what went wrong."""
    try:
        yield
    except FactoryError as error:
        place = f"{pipeline.name}/ingest"
        if not error.where.startswith(place):
            error.where = f"{place}: {error.where}" if error.where else place
        raise


def discover(source: Source, place: SourceContext) -> Iterable[SourceHandle]:
    """Return handles on what a declared source holds now, in the order of its rows.

    Raises:
        SourceError: the source is missing or unreadable.
    """
    match source:
        case FileSource(remote=True):
            from factory_assets.data.sources.files import discover_objects

            return discover_objects(source, place)
        case FileSource():
            from factory_assets.data.sources.files import discover_files

            return discover_files(source, place)
        case ImageSource():
            from factory_assets.data.sources.files import discover_images

            return [discover_images(source, place)]
        case PythonSource():
            from factory_assets.data.sources.python import discover_python

            return [discover_python(source, place)]
        case DatabaseSource():
            from factory_assets.data.sources.tables import discover_database

            return [discover_database(source, place)]
        case DeltaSource():
            from factory_assets.data.sources.tables import discover_delta

            return discover_delta(source, place)
        case SnapshotSource():
            from factory_assets.data.sources.tables import discover_snapshot

            return discover_snapshot(source, place)
        case AssetSource():
            from factory_assets.data.sources.tables import discover_asset

            return [discover_asset(source, place)]
