"""Find the sources that a pipeline reads now, each with a version that identifies its content.

Validating their rows belongs in `validated_blocks`.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.spec import (
    AnswersSource,
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
from factory_resources.erasure.manifest import erased_rows, of_source
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.sources.digest_cache import Hashing


def discover_sources(
    pipeline: Pipeline, home: Home, scratch: Path, hashing: Hashing | None = None
) -> tuple[SourceHandle, ...]:
    """Return the sources in the order of their rows, then the tables that are joined to them.

    Args:
        scratch: the folder for sources that must be read to be identified.
        hashing: what is hashed although its digest is known, shared by all sources of a run.

    Raises:
        SourceError: a source is missing or unreadable.
    """
    ingest = pipeline.spec.ingest
    shared = hashing or Hashing()

    def context(name: str) -> SourceContext:
        return SourceContext(pipeline.folder, home, scratch / name, shared)

    with name_pipeline_in_errors(pipeline):
        handles: list[SourceHandle] = []
        for name, source in ingest.tables.items():
            label = {ingest.label: name} if ingest.label and name else {}
            handles += (
                replace(one, labels={**one.labels, **label})
                for one in discover(source, context(f"rows_{name}"))
            )
        for name, join in sorted(ingest.joins.items()):
            found = discover(join.source, context(f"join_{name}"))
            handles += (replace(one, join=name) for one in found)
        return tuple(_without_erased(handles, pipeline.name, home))


def _without_erased(
    handles: Iterable[SourceHandle], pipeline: str, home: Home
) -> Iterator[SourceHandle]:
    """Yield the sources with the numbers of those of their rows that were erased.

    A source whose identity is not known yet may have any of the rows that were erased from the
    pipeline.
    """
    every = erased_rows(home)
    for one in handles:
        if one.identity is None:
            erased = erased_rows(home, pipeline) if every else {}
        else:
            erased = {key: every[key] for key in of_source(every, one.identity)}
        yield replace(one, erased=erased) if erased else one


def sources_key(handles: tuple[SourceHandle, ...]) -> str:
    """Return the digest of what reading would yield, without the code of a Python source."""
    content = [
        [
            dict(source.labels),
            source.version,
            source.join,
            *([dict(source.erased)] if source.erased else []),
        ]
        for source in handles
    ]
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def name_pipeline_in_errors(pipeline: Pipeline) -> Iterator[None]:
    """Name the pipeline in every error that is raised within the context."""
    try:
        yield
    except FactoryError as error:
        place = f"{pipeline.name}/ingest"
        if not error.where.startswith(place):
            error.where = f"{place}: {error.where}" if error.where else place
        raise


def discover(source: Source, context: SourceContext) -> Iterable[SourceHandle]:
    """Return handles on what a declared source holds now, in the order of its rows.

    Raises:
        SourceError: the source is missing or unreadable.
    """
    match source:
        case FileSource(remote=True):
            from factory_assets.data.sources.files import discover_objects

            return discover_objects(source, context)
        case FileSource():
            from factory_assets.data.sources.files import discover_files

            return discover_files(source, context)
        case ImageSource():
            from factory_assets.data.sources.files import discover_images

            return [discover_images(source, context)]
        case PythonSource():
            from factory_assets.data.sources.python import discover_python

            return [discover_python(source, context)]
        case DatabaseSource():
            from factory_assets.data.sources.tables import discover_database

            return [discover_database(source, context)]
        case DeltaSource():
            from factory_assets.data.sources.tables import discover_delta

            return discover_delta(source, context)
        case SnapshotSource():
            from factory_assets.data.sources.tables import discover_snapshot

            return discover_snapshot(source, context)
        case AssetSource():
            from factory_assets.data.sources.tables import discover_asset

            return [discover_asset(source, context)]
        case AnswersSource():
            from factory_assets.data.sources.answers import discover_answers

            return discover_answers(source, context)
