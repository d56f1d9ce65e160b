"""Tables and queries of databases as sources.

Delta tables of other systems as sources: each of their files is one.

The table that a Dagster asset of the code location last yielded, as a source.

Another pipeline's newest snapshot as a source; its files keep their digests, and the trace goes
on from there.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.spec import IDENTITY, AssetSource, DatabaseSource, DeltaSource, SnapshotSource
from factory_resources.errors import SourceError
from factory_resources.home.home import Home
from factory_resources.sources.databases.query import DatabaseQuery
from factory_resources.sources.databases.reader import read_database
from factory_resources.sources.delta import DeltaFile, delta_files, read_delta_file
from factory_resources.sources.digest_cache import DigestCache, Digested
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import File, expand_all
from factory_resources.sources.files.reader import SourceTable, read_file
from factory_resources.tables.asset_tables import path_of
from factory_resources.tables.snapshot import Snapshot, TableFile, exists
from factory_resources.tracking.records import Record, Records


def discover_database(source: DatabaseSource, place: SourceContext) -> SourceHandle:
    """Known by what it answers: a database tells of no change in any cheaper way that is sure.

    Raises:
        SourceError: whatever the database says, in one line.
    """
    question = DatabaseQuery(
        database=source.database,
        table=source.table,
        query=source.query,
        key=source.key,
        parameters=expand_all(source.parameters),
        timeout=source.timeout,
    )
    raw = read_database(question, place.folder, place.home, place.scratch)
    return SourceHandle(raw.sha256, {}, lambda own: raw)


def discover_delta(source: DeltaSource, place: SourceContext) -> Iterator[SourceHandle]:
    """The files of the version in the order in which they were written.

    Raises:
        SourceError: no such table or version, or a file is missing.
    """
    ones = delta_files(source.delta, source.version, place.folder)
    files = tuple(one.file for one in ones)
    for one, there in zip(ones, DigestCache(place.home).of_files(files), strict=True):
        yield _delta_file(one, there)


def _delta_file(one: DeltaFile, there: Digested) -> SourceHandle:
    def read(own: Path) -> SourceTable:
        return read_delta_file(one, there.sha256, own)

    # What the log adds to a file's bytes: the values of its partition, and columns.
    added = json.dumps([one.columns, one.partition], default=str)
    version = sha256(f"{there.sha256} {added}".encode()).hexdigest()
    return SourceHandle(version, {}, read, there.bytes, require_unchanged=there.require_unchanged)


def discover_asset(source: AssetSource, place: SourceContext) -> SourceHandle:
    """Known by the digest of the table's bytes.

    Raises:
        SourceError: the asset was not materialised yet.
    """
    path = path_of(place.home, source.asset.split("/"))
    if not path.is_file():
        raise SourceError(
            "has not been materialised yet",
            where=f"asset {source.asset}",
            remedy="materialise it in the UI, or with: dagster asset materialize",
        )
    [there] = DigestCache(place.home).of_files((File(path, f"asset {source.asset}"),))

    def read(own: Path) -> SourceTable:
        raw = read_file(
            there.file,
            own,
            declared="parquet",
            rules=TextRules(None, True, (), "utf-8"),
            digest=there.sha256,
        )
        return replace(raw, format=None)

    return SourceHandle(
        there.sha256, {}, read, there.bytes, require_unchanged=there.require_unchanged
    )


def discover_snapshot(source: SnapshotSource, place: SourceContext) -> Iterator[SourceHandle]:
    """The files of the snapshot in order; of a pipeline in partitions, partition by partition.

    Raises:
        SourceError: there is none yet, or its files are gone.
    """
    name = f"{source.pipeline}/{source.stage}"
    records = _records(source, place.home)
    if not records:
        raise SourceError(
            "there is no result yet",
            where=name,
            remedy=f"run it first: factory run {source.pipeline} --stages {source.stage}",
        )
    for record in records:
        snapshot = Snapshot.model_validate(record.value["snapshot"])
        if not exists(snapshot, place.home):
            raise SourceError(
                f"snapshot {snapshot.data_version[:12]} is gone",
                where=name,
                remedy=f"make it again: factory run {source.pipeline}",
            )
        for file, path in zip(snapshot.files, snapshot.paths(place.home), strict=True):
            yield _snapshot(snapshot, file, path, f"{name}@{snapshot.data_version}")


def _records(source: SnapshotSource, home: Home) -> list[Record]:
    records = Records(home)
    whole = records.latest(source.pipeline, source.stage)
    keys = records.partitions(source.pipeline, source.stage)
    found = (records.latest(source.pipeline, source.stage, key) for key in keys)
    parts = [record for record in found if record]
    # A pipeline that came to have partitions, or has them no more, left both kinds behind.
    if whole and all(record.finished < whole.finished for record in parts):
        return [whole]
    return parts


def _snapshot(snapshot: Snapshot, file: TableFile, path: Path, name: str) -> SourceHandle:
    columns = {c: (c, kind) for c, kind in snapshot.columns.items() if c not in IDENTITY}

    def read(own: Path) -> SourceTable:
        return SourceTable(path, name, file.sha256, {}, file.rows, columns, None)

    return SourceHandle(file.sha256, {}, read, file.bytes)
