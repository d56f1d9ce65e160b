"""Which columns the declared sources have: local files, SQLite, and tables of other pipelines.

Of a file no more is read than the header needs, of SQLite no row, and of another pipeline its
declaration alone. PostgreSQL is not asked. What is wrong with the sources belongs in `sources`.
"""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.cli.check.expressions import KnownColumns
from factory_assets.data.sources.files import text_rules
from factory_assets.data.sources.partition_listing import list_partitions
from factory_assets.data.sources.partition_patterns import bind
from factory_assets.data.sources.tables import database_query
from factory_assets.declarations.dependencies import require_no_circle
from factory_assets.declarations.loader import pipeline_named
from factory_assets.spec import DatabaseSource, FileSource, Join, Pipeline, SnapshotSource
from factory_assets.spec.contract import ColumnType
from factory_assets.spec.ingest import Source
from factory_resources.errors import DeclarationError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.databases.reader import address_of
from factory_resources.sources.databases.sqlite import column_names
from factory_resources.sources.files.archives import first_bytes, take_member
from factory_resources.sources.files.arff_header import attribute_names
from factory_resources.sources.files.delimited_text import find_layout
from factory_resources.sources.files.discovery import File, find_files, format_of, require_distinct
from factory_resources.sources.files.reader import parquet_columns
from factory_resources.sources.files.text_errors import LONGEST
from factory_resources.sql.engine import sealed

Headers = dict[str, tuple[str, ...]]
"""Name of a file or a table to its columns."""


def bind_newest_partition(pipeline: Pipeline) -> Pipeline:
    """Bind the sources to the newest partition that has data; unchanged if there is none."""
    if not pipeline.spec.partitions:
        return pipeline
    try:
        partitions = list_partitions(pipeline, datetime.now(UTC), {}, Home.from_env()).partitions
    except SourceError:
        return pipeline
    return bind(pipeline, partitions[-1]) if partitions else pipeline


def known_columns(pipeline: Pipeline, files: Headers) -> KnownColumns | None:
    """Return the columns before cleaning with their contract types; None if they are unknown.

    Args:
        pipeline: the declaration.
        files: the columns of its sources, of which all are read without a contract.
    """
    ingest = pipeline.spec.ingest
    label_names = (*ingest.labels, *pipeline.spec.partitions)
    labels: dict[str, ColumnType | None] = dict.fromkeys(label_names, "string")
    if ingest.contract.columns:
        return {column.name: column.type for column in ingest.contract.columns} | labels
    if not files:
        return None
    return {name: None for columns in files.values() for name in columns} | labels


def headers(pipeline: Pipeline) -> Headers | None:
    """Return the columns of each source file and those joined to it; None if some are unknown."""
    ingest, files = pipeline.spec.ingest, dict[str, tuple[str, ...]]()
    for source in ingest.tables.values():
        columns = columns_of(source, pipeline.folder)
        if not columns:
            return None
        files |= columns
    for _, join in sorted(ingest.joins.items()):
        joined = joined_columns(join, pipeline.folder)
        if join.columns is None and not joined:
            return None
        files = widened(files, join, joined)
    return files


def joined_columns(join: Join, folder: Path) -> Headers:
    """Return the columns of each joined file, with the label of the files."""
    source = join.source
    label = (source.label,) if isinstance(source, FileSource) and source.label else ()
    return {name: (*columns, *label) for name, columns in columns_of(source, folder).items()}


def widened(files: Headers, join: Join, joined: Headers) -> Headers:
    """Return the columns of each file with those that a join adds to it."""
    added = [name for columns in joined.values() or [()] for name in join.adds(columns).values()]
    return {name: tuple(dict.fromkeys((*columns, *added))) for name, columns in files.items()}


def columns_of(source: Source, folder: Path) -> Headers:
    """Return the columns of each file or table of a source; empty if they are not known."""
    try:
        match source:
            case FileSource():
                return source_columns(source, folder)
            case DatabaseSource():
                return database_columns(source, folder)
            case SnapshotSource():
                return _snapshot_columns(source)
    except SourceError:
        pass
    return {}


def _snapshot_columns(source: SnapshotSource) -> Headers:
    """Return the columns that another pipeline is declared to have.

    Nothing of one that is wrong or reads itself, which is reported elsewhere.
    """
    upstream = pipeline_named(source.pipeline)
    if upstream is None:
        return {}
    try:
        require_no_circle(upstream)
    except DeclarationError:
        return {}
    declared = upstream.spec.ingest.contract.columns
    known = known_columns(upstream, {} if declared else headers(upstream) or {})
    if known is None:
        return {}
    added = upstream.spec.clean.columns if source.stage == "clean" else ()
    return {f"{source.pipeline}/{source.stage}": (*known, *added)}


def database_columns(source: DatabaseSource, folder: Path) -> Headers:
    """Return the columns of a table or query of SQLite; nothing of a database that is not local.

    Raises:
        SourceError: the database cannot be read, or refuses the query.
    """
    try:
        address = address_of(source.database, folder, Home.from_env())
        query = database_query(source)
    except SourceError:
        return {}
    if address.dialect != "sqlite":
        return {}
    return {query.name: column_names(query, address.url)}


MAX_ZIP_BYTES = 50_000_000
"""Bytes of the largest zip that is unpacked only to read a header."""


def source_columns(source: FileSource, folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the columns of each file; missing files, and headers that cost too much, are left out.

    Raises:
        SourceError: an existing file cannot be read, or would be read twice.
    """
    try:
        files = find_files(source.files, folder)
    except SourceError:
        return {}
    require_distinct(files, "source.files")
    headers_of_files = ((file.name, _header(file, source)) for file in files[:20])
    return {name: columns for name, columns in headers_of_files if columns}


def _header(file: File, source: FileSource) -> tuple[str, ...]:
    """Return the columns of a file; empty if reading them would cost too much."""
    path, name = file.path, file.name
    kind, packing = format_of(str(path), source.format)
    if path.stat().st_size > MAX_ZIP_BYTES and packing == "zip":
        return ()
    with tempfile.TemporaryDirectory() as scratch:
        if packing == "zip":
            path, inner = take_member(path, name, source.member, Path(scratch))
            kind, packing = format_of(inner, source.format)
        # Both would need the whole file: any line of JSON Lines may add a key, and the schema of
        # Parquet is at its end, which cannot be unpacked alone.
        if kind == "jsonl" or (kind == "parquet" and packing != "plain"):
            return ()
        if kind == "parquet":
            with sealed(read=[path], write=Path(scratch)) as connection:
                return tuple(parquet_columns(connection, path, name))
        head = first_bytes(path, name, packing, LONGEST)
        if kind == "arff":
            return attribute_names(head, name, source.encoding)
        return find_layout(head, name, text_rules(source)).columns
