"""Record versions of a table in its Delta Lake log.

Reading the log belongs in `logged_files`, the features of the protocol that it declares in
`delta_protocol`.
"""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.delta_protocol import (
    LOG,
    commit_path,
    declare_features,
    declare_missing_feature,
    lacks_feature,
    newest_commit,
    sync_commits,
    withdraw_commits,
)
from factory_resources.durability import sync_path
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.store.location import uses_store
from factory_resources.tables.snapshot import Snapshot, fetch

if TYPE_CHECKING:
    from deltalake import DeltaTable, Schema
    from deltalake.transaction import AddAction, RemoveAction


PARTITION = "_partition"
"""The log's column that names the partition of a file; the files do not contain it."""

_COMMITS_PER_CHECKPOINT = 10
"""Whoever opens a table reads its last checkpoint and every commit since, each of which takes as
long as hundreds of files in the checkpoint. The library writes one only every 100 commits."""

_TURNS = 20
"""How often a commit to a store is tried while others are first."""

_FILES_PER_COMMIT = 100
"""A checkpoint names every file, so a table of many files gets one less often: together they would
take more space than the table."""


def publish(
    snapshot: Snapshot, home: Home, partition: str | None = None, *, shared: bool = True
) -> Snapshot:
    """Record the snapshot in the table's log as the newest version of the table or partition.

    Args:
        shared: whether the table may leave the home, if the factory has a store.

    Raises:
        StorageError: the log cannot be written, or reads differently from what was written; or
            others were first each time.
    """
    folder = home.tables / snapshot.table
    # An older version may be in the store alone.
    copied = [folder / f"{file.sha256}.parquet" for file in snapshot.files if file.copy_number]
    fetch([*snapshot.paths(home)[:1], *copied], home)
    with storage_errors(folder):
        for path, file in zip(snapshot.paths(home), snapshot.files, strict=True):
            if file.copy_number and not path.exists():
                os.link(path.with_name(f"{file.sha256}.parquet"), path)
        # The names of the files; and of the folder, if it is new.
        sync_path(folder)
        if newest_commit(folder) < 0:
            for above in (folder.parent, home.tables, home.path):
                sync_path(above)
    with home.lock(f"{snapshot.table.replace('/', '.')}.log"), _recording(snapshot, folder):
        for _ in _turns(snapshot.table, home) if shared else (None,):
            _repair(folder)
            _log(snapshot, folder, partition)
    return snapshot


def _turns(table: str, home: Home) -> Iterator[None]:
    """Yield until what was committed meanwhile is in the store too, if the factory has one."""
    if not uses_store(home):
        yield
        return
    from factory_resources.store.store import shared_store
    from factory_resources.tables.shared_log import SharedLog

    store = shared_store(home)
    assert store is not None
    log = SharedLog(store, table)
    for _ in range(_TURNS):
        log.catch_up()
        yield
        if log.publish():
            return
    raise StorageError(
        f"others have committed to this table {_TURNS} times meanwhile",
        where=f"{store.address}/tables/{table}",
        remedy="run again",
    )


def repair_log(snapshot: Snapshot, home: Home, *, shared: bool = True) -> None:
    """Repair the log of the snapshot's table if an earlier version of the factory broke it.

    It broke none of a table with partitions.

    Args:
        shared: as for `publish`.
    """
    folder = home.tables / snapshot.table
    if lacks_feature(folder):
        with home.lock(f"{snapshot.table.replace('/', '.')}.log"), _recording(snapshot, folder):
            for _ in _turns(snapshot.table, home) if shared else (None,):
                _repair(folder)


@contextmanager
def _recording(snapshot: Snapshot, folder: Path) -> Iterator[None]:
    from deltalake.exceptions import DeltaError

    try:
        yield
    except (DeltaError, OSError, ValueError) as error:
        raise StorageError(
            f"cannot record version {snapshot.data_version[:12]} ({_reason(error)})",
            where=str(folder),
            remedy="free space or make the folder writable; if another run wrote it, run again; if "
            f"its {LOG} is damaged, restore that from a backup, or move it away and run again",
        ) from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:300]


def _repair(folder: Path) -> None:
    if lacks_feature(folder):
        declare_missing_feature(folder)


def _log(snapshot: Snapshot, folder: Path, partition: str | None) -> None:
    from deltalake import CommitProperties, DeltaTable
    from deltalake.transaction import create_table_with_add_actions

    properties = CommitProperties(custom_metadata={"data_version": snapshot.data_version})
    partition_by = None if partition is None else [PARTITION]
    # Partitions without rows would share one file, but a log names a file only once.
    files = [file for file in snapshot.files if file.rows or partition is None]
    adds = [add_action(file.name, file.rows, file.bytes, partition) for file in files]
    schema = _schema(folder / snapshot.files[0].name, partition)
    delta = DeltaTable(str(folder)) if newest_commit(folder) >= 0 else None
    # A table is in partitions as a whole, or not at all.
    anew = delta is None or delta.metadata().partition_columns != (partition_by or [])
    logged = _logged(delta, partition) if delta and not anew else set()
    new = [add for add in adds if add.path not in logged]
    removed = logged - {file.name for file in files}
    if delta and not new and not removed:
        return
    before = newest_commit(folder)
    try:
        if delta and not anew:
            declare_features(delta, schema)
        if delta is None or anew:
            create_table_with_add_actions(
                str(folder),
                schema,
                [*adds, *_other_partitions(folder, schema, partition)],
                mode="overwrite" if delta else "error",
                partition_by=partition_by,
                commit_properties=properties,
            )
            delta = DeltaTable(str(folder))
        elif delta.schema() != schema:
            # The columns changed: the new version has only files with these columns. In another
            # order they are equal, to the library too, because readers find them by their names.
            delta.create_write_transaction(
                [*adds, *_other_partitions(folder, schema, partition)],
                mode="overwrite",
                schema=schema,
                partition_by=partition_by,
                commit_properties=properties,
            )
            delta = DeltaTable(str(folder))
        else:
            delta.create_write_transaction(
                [*new, *(_remove(name, partition) for name in sorted(removed))],
                mode="append",
                schema=schema,
                partition_by=partition_by,
                commit_properties=properties,
            )
            # Reads the new commit alone.
            delta.update_incremental()
        names = {file.name for file in files}
        if delta.schema() != schema or _logged(delta, partition) != names:
            raise ValueError("the log reads differently from what was written")
        _checkpoint(delta)
        sync_commits(folder, before)
    except BaseException:
        # A commit that cannot be read does not count. The lock keeps others from committing.
        withdraw_commits(folder, before)
        raise


def _checkpoint(delta: "DeltaTable") -> None:
    """Write a checkpoint of the table if enough commits were added since the last one."""
    version = delta.version()
    if not version or version % _COMMITS_PER_CHECKPOINT:
        return
    if version % max(_COMMITS_PER_CHECKPOINT, len(delta.file_uris()) // _FILES_PER_COMMIT) == 0:
        delta.create_checkpoint()


def _schema(file: Path, partition: str | None) -> "Schema":
    """Return the columns of a table as its log records them."""
    import pyarrow
    import pyarrow.parquet
    from deltalake import Schema

    # Nullability may differ between files; the schema of the table must not.
    fields = [field.with_nullable(True) for field in pyarrow.parquet.read_schema(file)]
    fields += [] if partition is None else [pyarrow.field(PARTITION, pyarrow.string())]
    return Schema.from_arrow(pyarrow.schema(fields))


def _logged(delta: "DeltaTable", partition: str | None = None) -> set[str]:
    """Return the names of the files of the table, or of a partition of it."""
    of_partition = None if partition is None else [(PARTITION, "=", partition)]
    return {Path(uri).name for uri in delta.file_uris(of_partition)}


def _other_partitions(folder: Path, schema: "Schema", partition: str | None) -> list["AddAction"]:
    """Return the files of the other partitions, as they were when the table last had the columns.

    Without that, a change of the columns that is taken back would leave them out.
    """
    import pyarrow
    from deltalake import DeltaTable

    version = None if partition is None else _last_version(folder, schema)
    if version is None:
        return []
    delta = DeltaTable(str(folder), version=version)
    return [
        add_action(add["path"], add["num_records"], add["size_bytes"], add["partition"][PARTITION])
        for add in pyarrow.table(delta.get_add_actions()).to_pylist()
        if add["partition"][PARTITION] != partition and (folder / add["path"]).is_file()
    ]


def _last_version(folder: Path, schema: "Schema") -> int | None:
    """Return the newest version of the table that had the columns; None if there is none."""
    from deltalake import Schema

    last = newest_commit(folder)
    for number in range(last, -1, -1):
        path = commit_path(folder, number)
        for line in path.read_bytes().splitlines() if path.is_file() else ():
            if b'"metaData"' not in line or "metaData" not in (action := json.loads(line)):
                continue
            if Schema.from_json(action["metaData"]["schemaString"]) == schema:
                return last
            last = number - 1
    return None


def add_action(name: str, rows: int | None, size: int, partition: str | None) -> "AddAction":
    """Return what the log says of a new file of a table, or of a partition of it."""
    from deltalake.transaction import AddAction

    return AddAction(
        path=name,
        size=size,
        partition_values=_partition_values(partition),
        modification_time=_now(),
        data_change=True,
        stats=json.dumps({"numRecords": rows}),
    )


def _remove(name: str, partition: str | None) -> "RemoveAction":
    from deltalake.transaction import RemoveAction

    return RemoveAction(name, True, _now(), partition_values=_partition_values(partition))


def _partition_values(partition: str | None) -> dict[str, str | None]:
    return {} if partition is None else {PARTITION: partition}


def _now() -> int:
    return int(time.time() * 1000)
