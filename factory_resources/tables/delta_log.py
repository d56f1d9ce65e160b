"""The Delta Lake log of a table: the files of its current version and of earlier versions."""

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.tables.snapshot import Snapshot, TableFile

if TYPE_CHECKING:
    from deltalake.transaction import AddAction, RemoveAction


_PARTITION = "_partition"
"""The log's column that names the partition of a file; the files do not contain it."""


def publish(snapshot: Snapshot, home: Home, partition: str | None = None) -> Snapshot:
    """Record the snapshot in the table's log as the newest version of the table or partition.

    Raises:
        StorageError: the log cannot be written.
    """
    with storage_errors(home.tables / snapshot.table):
        for path, file in zip(snapshot.paths(home), snapshot.files, strict=True):
            if file.copy_number and not path.exists():
                os.link(path.with_name(f"{file.sha256}.parquet"), path)
    with home.lock(f"{snapshot.table.replace('/', '.')}.log"):
        _log(snapshot, home.tables / snapshot.table, partition)
    return snapshot


def past_versions(folder: Path) -> list[str]:
    """Return every data version in a table's log, newest first; its files may be removed."""
    from deltalake import DeltaTable

    if not DeltaTable.is_deltatable(str(folder)):
        return []
    commits = DeltaTable(str(folder)).history()
    return [str(commit["data_version"]) for commit in commits if "data_version" in commit]


def _log(snapshot: Snapshot, folder: Path, partition: str | None) -> None:
    import pyarrow
    import pyarrow.parquet
    from deltalake import CommitProperties, DeltaTable, Schema
    from deltalake.exceptions import DeltaError
    from deltalake.transaction import create_table_with_add_actions

    properties = CommitProperties(custom_metadata={"data_version": snapshot.data_version})
    partition_by = None if partition is None else [_PARTITION]
    of_partition = None if partition is None else [(_PARTITION, "=", partition)]
    # Partitions without rows would share one file, but a log names a file only once.
    files = [file for file in snapshot.files if file.rows or partition is None]
    adds = [_add(file, partition) for file in files]
    try:
        # Nullability may differ between files; the schema of the table must not.
        stored = pyarrow.parquet.read_schema(folder / snapshot.files[0].name)
        fields = [field.with_nullable(True) for field in stored]
        fields += [pyarrow.field(_PARTITION, pyarrow.string())] if partition_by else []
        schema = Schema.from_arrow(pyarrow.schema(fields))
        if not DeltaTable.is_deltatable(str(folder)):
            create_table_with_add_actions(
                str(folder), schema, adds, partition_by=partition_by, commit_properties=properties
            )
            return
        delta = DeltaTable(str(folder))
        logged = {Path(uri).name for uri in delta.file_uris(of_partition)}
        new = [add for add in adds if add.path not in logged]
        removed = logged - {file.name for file in files}
        if not new and not removed:
            return
        if partition_by is None and delta.schema() != schema:
            # The columns changed, so no old file can be part of the new version.
            delta.create_write_transaction(
                [*adds], mode="overwrite", schema=schema, commit_properties=properties
            )
            return
        delta.create_write_transaction(
            [*new, *(_remove(name, partition) for name in sorted(removed))],
            mode="append",
            schema=schema,
            partition_by=partition_by,
            commit_properties=properties,
        )
    except (DeltaError, OSError) as error:
        raise StorageError(
            f"cannot record version {snapshot.data_version[:12]} ({error})",
            where=str(folder),
            remedy="free space or make the folder writable; if another run wrote it, run again",
        ) from error


def _add(file: TableFile, partition: str | None) -> "AddAction":
    from deltalake.transaction import AddAction

    return AddAction(
        path=file.name,
        size=file.bytes,
        partition_values=_partition_values(partition),
        modification_time=_now(),
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )


def _remove(name: str, partition: str | None) -> "RemoveAction":
    from deltalake.transaction import RemoveAction

    return RemoveAction(name, True, _now(), partition_values=_partition_values(partition))


def _partition_values(partition: str | None) -> dict[str, str | None]:
    return {} if partition is None else {_PARTITION: partition}


def _now() -> int:
    return int(time.time() * 1000)
