"""Move answers of past days into the archive, and remove answers that need not be kept longer.

An interrupted step is repeated. To move a day, its files are made durable, then entered in the
ledger, then its records are deleted from the database. To remove it, the ledger first gets what is
removed and why, then the files are deleted; their lists of leaves stay, so that removed answers
differ from missing ones.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_resources.errors import RefusedError, StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.prediction_log.archive import (
    FILE_BYTES,
    FILE_ROWS,
    ArchivedFile,
    archive_folder,
    archiving_paused,
    blocks_in,
    files_of,
    list_leaves,
)
from factory_resources.prediction_log.archive_entries import archived_entries, removed_entries
from factory_resources.prediction_log.archive_files import (
    WrittenFile,
    file_of,
    finish_rewriting,
    install,
    remove_file,
    write_rows,
)
from factory_resources.prediction_log.store import PredictionStore

if TYPE_CHECKING:
    import pyarrow

    from factory_resources.ledger.prediction_entries import PredictionsArchived

RECENT = timedelta(days=30)
"""Younger answers stay in the database, unless another day is named."""

SHORTEST = timedelta(days=184)
"""Younger answers must not be removed: logs are kept for at least six months."""


def archive_days(home: Home, store: PredictionStore, before: date) -> int:
    """Move the records of all days before one; return how many days.

    Raises:
        StorageError: a disk or database cannot be written; what was moved stays moved.
    """
    days = [*store.days_before(before)]
    for day in days:
        for pipeline in store.pipelines(day):
            with archiving_paused(home):
                archive_day(home, store, pipeline, day)
    return len(days)


def archive_day(home: Home, store: PredictionStore, pipeline: str, day: date) -> None:
    """Move the records of a pipeline of one day."""
    finish_rewriting(home, pipeline, day)
    entered = archived_entries(home, pipeline, day)
    for entry in entered:
        # A process may have been killed after it had entered these, and before it deleted them.
        _delete_archived(home, store, entry)
    if not store.has(pipeline, day):
        return
    _remove_unentered(home, store, pipeline, day, {file_of(home, entry) for entry in entered})
    with home.scratch() as scratch:
        names = {block.number: block.identity for block in store.blocks_of(day)}
        with store.export(pipeline, day) as reader:
            written = write_files(reader, names, scratch)
        entries = [install(home, pipeline, day, file) for file in written]
    enter_archived(home, entries)
    for entry in entries:
        _delete_archived(home, store, entry)


def _remove_unentered(
    home: Home,
    store: PredictionStore,
    pipeline: str,
    day: date,
    entered: Collection[ArchivedFile],
) -> None:
    """Remove files that a killed process had not entered, if their records are all in the database.

    If answers of the day came late, or by a newer Arrow, the same records make another file.
    """
    for file in files_of(home, day, pipeline):
        if file not in entered and store.has_all(file.ids()):
            remove_file(file)


def write_files(
    reader: "pyarrow.RecordBatchReader", names: Mapping[int, str], folder: Path
) -> list[WrittenFile]:
    """Write records of a store in files of limited size, durably.

    Args:
        names: number of a block to its UUID.
    """
    from concurrent.futures import Future, ThreadPoolExecutor

    written: list[Future[WrittenFile]] = []
    # One file is written while the next one is read: both release the GIL.
    with ThreadPoolExecutor(1) as writer:
        for number, table in enumerate(_tables(reader)):
            if number:
                written[-1].result()
            path = folder / f"{number}.parquet"
            written.append(writer.submit(_write, table, names, path))
    return [file.result() for file in written]


def _tables(reader: "pyarrow.RecordBatchReader") -> "Iterator[pyarrow.Table]":
    """Yield the records in tables, each for one file."""
    import pyarrow as pa

    batches, rows, size = list[Any](), 0, 0
    for batch in reader:
        batches.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= FILE_ROWS or size >= FILE_BYTES:
            yield pa.Table.from_batches(batches)
            batches, rows, size = [], 0, 0
    if batches:
        yield pa.Table.from_batches(batches)


def _write(table: "pyarrow.Table", names: Mapping[int, str], path: Path) -> WrittenFile:
    """Write records to one file."""
    import pyarrow as pa
    import pyarrow.compute as pc

    numbers, identities = pa.array(names.keys(), pa.int64()), pa.array(names.values(), pa.string())
    blocks = pc.take(identities, pc.index_in(table.column("block"), numbers))
    leaves = list_leaves(names, table.column("block").to_numpy(), table.column("leaf").to_numpy())
    columns = {
        "id": table.column("id"),
        "block": blocks,
        "leaf": table.column("leaf").cast(pa.int32()),
        "record": table.column("record"),
    }
    return write_rows(pa.table(columns), leaves, path)


def enter_archived(home: Home, entries: "Sequence[PredictionsArchived]") -> None:
    """Append the entries of files to the ledger."""
    from factory_resources.ledger.ledger import Ledger

    Ledger(home).append(entries)


def _delete_archived(home: Home, store: PredictionStore, entry: "PredictionsArchived") -> None:
    """Delete the records of an archived file from the database."""
    leaves = file_of(home, entry).leaves
    try:
        blocks = blocks_in(leaves.read_bytes())
    except FileNotFoundError as error:
        raise StorageError(
            f"the ledger says that answers of {entry.pipeline} of {entry.day} are in the archive, "
            "and their list is missing",
            where=str(leaves),
            remedy="restore predictions/archive from a backup; if the home of another machine has "
            "it, archive there",
        ) from error
    store.delete(entry.pipeline, bytes.fromhex(entry.first), bytes.fromhex(entry.last), blocks)


def remove_days(
    home: Home, store: PredictionStore, pipeline: str, before: date, reason: str, today: date
) -> int:
    """Remove the records of a pipeline of all days before one; return how many.

    Raises:
        RefusedError: some of them are younger than six months.
        StorageError: a disk or database cannot be written.
    """
    if today - before < SHORTEST:
        raise RefusedError(
            f"answers of {before.isoformat()} are younger than six months",
            remedy=f"name a day before {(today - SHORTEST).isoformat()}",
        )
    for day in [*store.days_before(before)]:
        with archiving_paused(home):
            archive_day(home, store, pipeline, day)
    count = 0
    for folder in sorted((archive_folder(home) / pipeline).glob("*")):
        day = date.fromisoformat(folder.name)
        if day < before:
            with archiving_paused(home):
                count += _remove_day(home, pipeline, day, reason)
    return count


def _remove_day(home: Home, pipeline: str, day: date, reason: str) -> int:
    """Enter in the ledger what is removed, then remove it; return how many records."""
    finish_rewriting(home, pipeline, day)
    removed = {digest for entry in removed_entries(home, pipeline, day) for digest in entry.files}
    archived = archived_entries(home, pipeline, day)
    due = [entry for entry in archived if entry.sha256 not in removed]
    count = sum(entry.count for entry in due)
    if due:
        enter_removed(home, due, count, reason)
    for entry in archived:
        with storage_errors(path := file_of(home, entry).path):
            path.unlink(missing_ok=True)
    return count


def enter_removed(
    home: Home, due: "Sequence[PredictionsArchived]", count: int, reason: str
) -> None:
    """Append the entry of the removal of files of one day to the ledger."""
    from factory_resources.ledger.ledger import Ledger
    from factory_resources.ledger.prediction_entries import PredictionsRemoved

    one = due[0]
    entry = PredictionsRemoved(
        subject=one.subject,
        pipeline=one.pipeline,
        day=one.day,
        count=count,
        files=tuple(entry.sha256 for entry in due),
        reason=reason,
    )
    Ledger(home).append([entry])
