"""What is wrong with the declared sources, as far as that is known without running anything.

The columns of a source, where its files are at hand; reads no more of them than it must.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.data.sources.partition_listing import list_partitions
from factory_assets.data.sources.partition_patterns import bind
from factory_assets.declarations.dependencies import require_no_circle
from factory_assets.declarations.loader import pipeline_folders
from factory_assets.declarations.messages import Mistake
from factory_assets.declarations.yaml_document import At
from factory_assets.spec import DatabaseSource, FileSource, Ingest, Pipeline, SnapshotSource
from factory_assets.spec.base import suggest
from factory_assets.spec.ingest import Source
from factory_resources.errors import DeclarationError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.archives import first_bytes, take_member
from factory_resources.sources.files.delimited_text import LONGEST, TextRules, find_layout
from factory_resources.sources.files.discovery import File, find_files, format_of
from factory_resources.sources.files.reader import parquet_columns
from factory_resources.sql.engine import sealed

Headers = dict[str, tuple[str, ...]]
"""A source's name to its columns."""


def placed_sources(ingest: Ingest) -> Iterator[tuple[At, Source]]:
    """Every declared source with its place in the declaration, joined tables last."""
    for name, source in ingest.tables.items():
        yield ("ingest", "source") if name is None else ("ingest", "sources", name), source
    for name, join in ingest.joins.items():
        yield ("ingest", "joins", name, "source"), join.source


def of_a_partition(pipeline: Pipeline) -> Pipeline:
    """With the sources of the newest partition that has its files, where there is one."""
    if not pipeline.spec.partitions:
        return pipeline
    try:
        there = list_partitions(pipeline, datetime.now(UTC), {}, Home.from_env()).partitions
    except SourceError:
        return pipeline
    return bind(pipeline, there[-1]) if there else pipeline


def wrong_sources(pipeline: Pipeline) -> Iterator[Mistake]:
    """Files that are there and cannot be read, and queries that are none."""
    for at, source in placed_sources(pipeline.spec.ingest):
        try:
            match source:
                case FileSource():
                    source_columns(source, pipeline.folder)
                case DatabaseSource(query=str()):
                    _require_query(source)
        except SourceError as error:
            asked = isinstance(source, DatabaseSource)
            yield Mistake((*at, "query") if asked else at, str(error), at_key=True)


def wrong_upstream(pipeline: Pipeline) -> Iterator[Mistake]:
    """Pipelines that are not there, and those that read each other."""
    names = [folder.name for folder in pipeline_folders()]
    for at, source in placed_sources(pipeline.spec.ingest):
        if isinstance(source, SnapshotSource) and source.pipeline not in names:
            message = f"no pipeline {source.pipeline!r}; {suggest(source.pipeline, names)}"
            yield Mistake((*at, "pipeline"), message)
    try:
        require_no_circle(pipeline)
    except DeclarationError as error:
        yield Mistake(("ingest",), f"{error.what}; {error.remedy}", at_key=True)


def _require_query(source: DatabaseSource) -> None:
    from factory_resources.sources.databases.query import bound_query
    from factory_resources.sources.databases.reader import dialect_of

    bound_query(
        source.query or "", dialect_of(source.database), source.parameters, str, source.database
    )


def headers(pipeline: Pipeline) -> Headers | None:
    """The columns of each source with those that are joined to it; None where some are unknown."""
    ingest, found = pipeline.spec.ingest, dict[str, tuple[str, ...]]()
    for source in ingest.tables.values():
        columns = _columns(source, pipeline.folder)
        if not columns:
            return None
        found |= columns
    for join in ingest.joins.values():
        added = join.columns
        if added is None:
            there = _columns(join.source, pipeline.folder)
            if not there:
                return None
            added = tuple(
                column
                for columns in there.values()
                for column in columns
                if column not in (join.key or join.on)
            )
        found = {name: tuple(dict.fromkeys((*columns, *added))) for name, columns in found.items()}
    return found


def wrong_joins(pipeline: Pipeline) -> Iterator[Mistake]:
    """Columns of joins that the tables do not have."""
    ingest = pipeline.spec.ingest
    for name, join in ingest.joins.items():
        at: At = ("ingest", "joins", name)
        there = _columns(join.source, pipeline.folder)
        tables = (_columns(source, pipeline.folder) for source in ingest.tables.values())
        wrong = [m for table in tables for m in _missing((*at, "on"), join.on, table)]
        if join.key or not wrong:
            key = "key" if join.key else "on"
            wrong += _missing((*at, key), join.key or join.on, there)
        yield from wrong
        yield from _missing((*at, "columns"), join.columns or (), there)


def _missing(at: At, wanted: tuple[str, ...], there: Headers) -> Iterator[Mistake]:
    for file, columns in there.items():
        for column in wanted:
            if column not in columns:
                yield Mistake(at, f"no column {column!r} in {file}; {suggest(column, columns)}")
                return


def _columns(source: Source, folder: Path) -> Headers:
    if not isinstance(source, FileSource):
        return {}
    try:
        return source_columns(source, folder)
    except SourceError:
        return {}


MOST_ZIPPED = 50_000_000
"""Bytes of a zip that is still unpacked for its header alone."""


def source_columns(source: FileSource, folder: Path) -> dict[str, tuple[str, ...]]:
    """Each file's name to its columns; a file that is not there or costs too much is left out.

    Raises:
        SourceError: a file that is there cannot be read.
    """
    try:
        files = find_files(source.files, folder)
    except SourceError:
        return {}
    found = ((file.name, _first_columns(file, source)) for file in files[:20])
    return {name: columns for name, columns in found if columns}


def _first_columns(file: File, source: FileSource) -> tuple[str, ...]:
    path, name = file.path, file.name
    kind, packing = format_of(str(path), source.format)
    if path.stat().st_size > MOST_ZIPPED and packing == "zip":
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        if packing == "zip":
            path, inner = take_member(path, name, source.member, Path(scratch))
            kind, packing = format_of(inner, source.format)
        # The keys of JSON Lines are known only from all lines; packed Parquet has its header last.
        if kind == "jsonl" or (kind == "parquet" and packing != "plain"):
            return ()
        if kind == "parquet":
            with sealed(read=[path], write=Path(scratch)) as connection:
                return tuple(parquet_columns(connection, path, name))
        rules = TextRules(source.delimiter, source.header, source.columns, source.encoding)
        return find_layout(first_bytes(path, name, packing, LONGEST), name, rules).columns
