"""Partitions in which nobody else has rows: they go with their keys, which may name the person.

A file of such a partition would have no rows, and its key stands in records, names of files, logs
of tables, and Dagster's history.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from factory_assets.erasure.read_sources import read_sources
from factory_assets.erasure.table_rows import PersonalRows
from factory_assets.results.base import digest
from factory_assets.results.latest import PARTITIONED
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_resources.delta_protocol import LOG
from factory_resources.home.home import Home, storage_errors
from factory_resources.tables.log_renewal import renew_log
from factory_resources.tables.logged_files import logged_files
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import key_at, pointers

PartitionKeys = Mapping[str, tuple[str, ...]]
"""Pipeline to keys of partitions."""


def emptied_partitions(graph: RecordGraph, rows: PersonalRows) -> dict[str, tuple[str, ...]]:
    """Return the partitions in which every row that was ever read is the person's."""
    erased = {(file.table, file.sha256): len(p) for file, p in rows.positions.items()}
    read: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for record in graph.records:
        if record.stage != "ingest" or record.partition is None:
            continue
        for snapshot in tables_of(value_in(record)).values():
            counts = read.setdefault((record.pipeline, record.partition), [])
            for file in snapshot.files:
                counts.append((file.rows, erased.get((snapshot.table, file.sha256), 0)))
    found: dict[str, list[str]] = {}
    for (pipeline, key), counts in sorted(read.items()):
        if sum(own for _, own in counts) and all(every == own for every, own in counts):
            found.setdefault(pipeline, []).append(key)
    return {pipeline: tuple(keys) for pipeline, keys in found.items()}


def emptied_files(graph: RecordGraph, rows: PersonalRows) -> Iterator[str]:
    """Yield the key of each source in which every row is the person's."""
    for identity, source in sorted(read_sources(graph).items()):
        if 0 < source.rows == len(rows.sources.get(identity, ())):
            yield identity


def is_of(record: Record, partitions: PartitionKeys) -> bool:
    """Whether a record is of one of the partitions."""
    return record.partition in partitions.get(record.pipeline, ())


def remove_partitions(partitions: PartitionKeys, records: Iterable[str], home: Home) -> None:
    """Remove what names the partitions beside their records: pointers, locks, logs of tables.

    Args:
        records: the paths of the records, in the home.

    Raises:
        StorageError: something cannot be read, written or removed.
    """
    keys = {Path(name).stem for name in records}
    for pipeline, names in sorted(partitions.items()):
        for path in pointers(home, pipeline):
            if key_at(path) in keys:
                with storage_errors(path):
                    path.unlink()
        for stage in PARTITIONED:
            for name in names:
                home.forget_lock(f"{pipeline}.{stage}.{digest({'': name})[:16]}")
        for folder in sorted((home.tables / pipeline).glob(f"*/{LOG}")):
            if None not in logged_files(folder.parent):
                renew_log(f"{pipeline}/{folder.parent.name}", home)
