"""Tables as sources: databases, Delta tables, Dagster assets, snapshots of other pipelines.

Each file of a Delta table is a source. So is each file of a snapshot: it keeps its digest, which
lets a trace continue into the other pipeline. Reading a database or a Delta log belongs in
`factory_resources.sources`.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from shlex import quote

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.declarations.folders import pipeline_folders
from factory_assets.declarations.loader import pipeline_named
from factory_assets.results.base import result_as
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.spec import (
    IDENTITY,
    AssetSource,
    DatabaseSource,
    DeltaSource,
    SnapshotSource,
    partition_of,
)
from factory_assets.spec.base import suggest
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.databases.query import DatabaseQuery
from factory_resources.sources.databases.reader import read_database
from factory_resources.sources.delta import DeltaFile, delta_files, read_delta_file, read_no_rows
from factory_resources.sources.digest_cache import DigestedFile
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, expand_all
from factory_resources.sources.files.reader import SourceTable, read_file
from factory_resources.sql.engine import ZONED
from factory_resources.tables.asset_tables import path_of
from factory_resources.tables.frames import require_units
from factory_resources.tables.snapshot import Snapshot, TableFile, exists, fetch, require_unchanged
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records


def discover_database(source: DatabaseSource, context: SourceContext) -> SourceHandle:
    """Read a table or query, and return its handle.

    It is identified by its rows and the names of its columns: a database has no cheaper way to
    detect every change.

    Raises:
        SourceError: the database cannot be reached or refuses the query, in one line.
    """
    query = database_query(source)
    table = read_database(query, context.folder, context.home, context.scratch)
    # The rows are stored without the names: a renamed column changes none of their bytes.
    version = sha256(f"{table.sha256} {json.dumps([*table.columns])}".encode()).hexdigest()
    return SourceHandle(version, {}, lambda own, **_: table, identity=table.sha256)


def database_query(source: DatabaseSource) -> DatabaseQuery:
    """Return what is read from the database."""
    return DatabaseQuery(
        database=source.database,
        table=source.table,
        query=source.query,
        key=source.key,
        parameters=expand_all(source.parameters),
        timeout=source.timeout,
    )


def discover_delta(source: DeltaSource, context: SourceContext) -> Iterator[SourceHandle]:
    """Yield the files of a Delta table's version in the order in which they were written.

    A table without files, such as one of which every row was deleted, is one source without rows.

    Raises:
        SourceError: there is no such table or version, or a file is missing.
    """
    table_files = delta_files(source.delta, source.version, context.folder)
    if not table_files:
        table = read_no_rows(source.delta, source.version, context.folder, context.scratch)
        yield SourceHandle(table.sha256, {}, lambda own, **_: table, identity=table.sha256)
    files = tuple(one.file for one in table_files)
    for one, digested in zip(table_files, context.digests.of_files(files), strict=True):
        yield _delta_file(one, digested)


def _delta_file(one: DeltaFile, digested: DigestedFile) -> SourceHandle:
    def read(own: Path, **_: object) -> SourceTable:
        return read_delta_file(one, digested.sha256, own)

    # The log adds to the bytes of a file: its columns, and the values of its partition.
    added = json.dumps([one.columns, one.partition], default=str)
    version = sha256(f"{digested.sha256} {added}".encode()).hexdigest()
    return SourceHandle(
        version,
        {},
        read,
        digested.bytes,
        require_unchanged=digested.require_unchanged,
        identity=digested.sha256,
    )


def discover_asset(source: AssetSource, context: SourceContext) -> SourceHandle:
    """Return the handle of the table that a Dagster asset last stored, identified by its bytes.

    Raises:
        SourceError: the asset has not been materialised yet.
    """
    path = path_of(context.home, source.asset.split("/"))
    if not path.is_file():
        raise SourceError(
            "has not been materialised yet",
            where=f"asset {source.asset}",
            remedy="materialise it in the UI, or with: dagster asset materialize "
            f"-m factory_assets.definitions --select {quote(source.asset)}; "
            "if you have no asset of this key, correct source.asset",
        )
    [digested] = context.digests.of_files((File(path, f"asset {source.asset}"),))

    def read(own: Path, **_: object) -> SourceTable:
        from pyarrow.parquet import read_schema

        require_units(read_schema(path), digested.file.name)
        table = read_file(
            digested.file,
            own,
            declared="parquet",
            rules=TextRules(),
            digest=digested.sha256,
        )
        return replace(table, format=None)

    return SourceHandle(
        digested.sha256,
        {},
        read,
        digested.bytes,
        require_unchanged=digested.require_unchanged,
        identity=digested.sha256,
    )


def discover_snapshot(source: SnapshotSource, context: SourceContext) -> Iterator[SourceHandle]:
    """Yield the files of another pipeline's newest snapshot, partition by partition.

    Raises:
        SourceError: there is no snapshot yet, its files are gone, or it is in partitions and its
            declaration has a mistake.
    """
    name = f"{source.pipeline}/{source.stage}"
    records = _current_records(source, context.home)
    if not records:
        raise _no_result(source)
    for record in records:
        if source.stage == "ingest":
            snapshot = result_as(IngestResult, record).snapshot
        else:
            snapshot = result_as(CleanResult, record).snapshot
        if not exists(snapshot, context.home):
            raise SourceError(
                f"snapshot {snapshot.data_version[:12]} is gone",
                where=name,
                remedy=f"compute it again: factory run {source.pipeline}",
            )
        for file, path in zip(snapshot.files, snapshot.paths(context.home), strict=True):
            version = f"{name}@{snapshot.data_version}"
            yield _snapshot_file(snapshot, file, path, version, context.home)


def _no_result(source: SnapshotSource) -> SourceError:
    where = f"{source.pipeline}/{source.stage}"
    names = [folder.name for folder in pipeline_folders()]
    if source.pipeline not in names:
        return SourceError(
            f"no pipeline {source.pipeline!r}", where=where, remedy=suggest(source.pipeline, names)
        )
    run = " ".join(_with_upstream(source.pipeline))
    return SourceError(
        "there is no result yet", where=where, remedy=f"run it first: factory run {run}"
    )


def _with_upstream(name: str) -> list[str]:
    """Return the names of the pipelines that a pipeline reads, directly or not, and its own."""
    names = [name]
    for one in names:
        pipeline = pipeline_named(one)
        read = pipeline.spec.ingest.every_source if pipeline else ()
        others = dict.fromkeys(s.pipeline for s in read if isinstance(s, SnapshotSource))
        names += [other for other in others if other not in names]
    return names[::-1]


def _current_records(source: SnapshotSource, home: Home) -> list[Record]:
    """Return the records that form the table; of partitions, those that are declared.

    Raises:
        SourceError: there are partitions, and a mistake in the declaration that says which count.
    """
    records, declared = Records(home), pipeline_named(source.pipeline)
    if declared is None:
        is_wrong = source.pipeline in {folder.name for folder in pipeline_folders()}
        if is_wrong and records.partitions(source.pipeline, source.stage):
            raise SourceError(
                "its declaration, which may exclude partitions, cannot be read",
                where=f"{source.pipeline}/{source.stage}",
                remedy=f"correct it: factory check {source.pipeline}",
            )
        return records.current(source.pipeline, source.stage)
    keys: list[str | None] = [None]
    if dimensions := declared.spec.partitions:
        known = records.partitions(source.pipeline, source.stage)
        keys = [key for key in known if partition_of(dimensions, key)]
    found = (records.latest(source.pipeline, source.stage, key) for key in keys)
    return [one for one in found if one]


def _snapshot_file(
    snapshot: Snapshot, file: TableFile, path: Path, name: str, home: Home
) -> SourceHandle:
    # Its times are in UTC already: the zone that a contract declares does not move them again.
    columns = {
        c: (c, ZONED if kind == "TIMESTAMP" else kind)
        for c, kind in snapshot.columns.items()
        if c not in IDENTITY
    }

    def read(own: Path, **_: object) -> SourceTable:
        fetch([path], home)
        require_unchanged([path])
        return SourceTable(path, name, file.sha256, {}, file.rows, columns, None)

    return SourceHandle(file.sha256, {}, read, file.bytes, identity=file.sha256)
