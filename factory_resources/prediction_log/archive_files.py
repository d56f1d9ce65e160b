"""Write the files of the archive, and replace one by another without some of its records.

A file is complete and durable before the ledger names it, and is removed only after the ledger says
so. Steps that a killed process has left undone are done by the next one.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from factory_resources.durability import sync_path
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home, storage_errors
from factory_resources.prediction_log.archive import (
    GROUP_ROWS,
    STAGED,
    ArchivedFile,
    archive_folder,
    list_leaves,
)
from factory_resources.prediction_log.archive_entries import (
    archived_entries,
    erased_entries,
)

if TYPE_CHECKING:
    import pyarrow

    from factory_resources.ledger.prediction_entries import PredictionsArchived


@dataclass(frozen=True)
class WrittenFile:
    """A complete file in scratch, to be moved into the archive."""

    path: Path
    first: bytes
    last: bytes
    count: int
    leaves: bytes


def write_rows(rows: "pyarrow.Table", leaves: bytes, path: Path) -> WrittenFile:
    """Write records to one file, durably.

    Args:
        rows: at least one: `id`, `block` (UUID), `leaf` (int32) and `record`, by their ids.
        leaves: the list of their leaves.
    """
    from pyarrow.parquet import write_table

    with storage_errors(path):
        write_table(
            rows,
            path,
            row_group_size=GROUP_ROWS,
            compression="zstd",
            compression_level=1,
            use_dictionary=["block"],
            write_statistics=["id"],
        )
        sync_path(path)
    first, last = (rows.column("id")[place].as_py() for place in (0, -1))
    return WrittenFile(path, first, last, rows.num_rows, leaves)


def install(home: Home, pipeline: str, day: date, written: WrittenFile) -> "PredictionsArchived":
    """Move a file from scratch into the archive, durably; return its entry."""
    entry = _entry(pipeline, day, written)
    file = file_of(home, entry)
    with storage_errors(file.path):
        file.path.parent.mkdir(parents=True, exist_ok=True)
        _move(written.path, file.path)
        # Not before: a list without its file means a removed day.
        home.write_atomic(file.leaves, written.leaves)
        sync_path(file.path.parent)
    return entry


def stage(home: Home, pipeline: str, day: date, written: WrittenFile) -> "PredictionsArchived":
    """Move a file from scratch beside those of the archive, durably; return its entry.

    It becomes part of the archive in `finish_rewriting`.
    """
    entry = _entry(pipeline, day, written)
    file = file_of(home, entry)
    with storage_errors(file.path):
        _move(written.path, file.staged)
    return entry


def file_of(home: Home, entry: "PredictionsArchived") -> ArchivedFile:
    """Return the file of an entry, whether it exists or not."""
    ends = bytes.fromhex(entry.first), bytes.fromhex(entry.last)
    day = date.fromisoformat(entry.day)
    return ArchivedFile.named(home, entry.pipeline, day, *ends, entry.sha256)


def _move(path: Path, into: Path) -> None:
    path.replace(into)
    for folder in (into.parent, *into.parent.parents[:3]):
        sync_path(folder)


def _entry(pipeline: str, day: date, written: WrittenFile) -> "PredictionsArchived":
    from factory_resources.ledger.prediction_entries import PredictionsArchived

    return PredictionsArchived(
        subject=PredictionsArchived.subject_of(pipeline=pipeline, day=day.isoformat()),
        pipeline=pipeline,
        day=day.isoformat(),
        count=written.count,
        first=written.first.hex(),
        last=written.last.hex(),
        sha256=file_sha256(written.path),
        leaves=sha256(written.leaves).hexdigest(),
    )


def leaves_of(rows: "pyarrow.Table") -> bytes:
    """Return the list of the leaves of records, whose columns are `block` and `leaf`."""
    blocks = rows.column("block").combine_chunks().dictionary_encode()
    names = dict(enumerate(blocks.dictionary.to_pylist()))
    return list_leaves(names, blocks.indices.to_numpy(), rows.column("leaf").to_numpy())


def finish_rewriting(home: Home, pipeline: str, day: date) -> None:
    """Replace files of a day by those that were written again without erased answers.

    Staged files that the ledger does not name are removed.

    Raises:
        StorageError: the disk cannot be written.
    """
    folder = archive_folder(home) / pipeline / day.isoformat()
    staged = [*folder.glob(f"*{STAGED}")]
    if staged:
        named = {file.staged: file for file in _files(home, pipeline, day)}
        for path in staged:
            _place(home, path, named.get(path))
    for _, entry in erased_entries(home, pipeline, day):
        if entry.file:
            for path in folder.glob(f"*-{entry.file[:8]}.parquet"):
                remove_file(ArchivedFile(path))


def _files(home: Home, pipeline: str, day: date) -> Iterator[ArchivedFile]:
    return (file_of(home, entry) for entry in archived_entries(home, pipeline, day))


def _place(home: Home, staged: Path, file: ArchivedFile | None) -> None:
    from pyarrow.parquet import read_table

    with storage_errors(staged):
        if file is None:
            staged.unlink()
            return
        rows = read_table(staged, columns=["block", "leaf"], use_threads=False)
        home.write_atomic(file.leaves, leaves_of(rows))
        _move(staged, file.path)


def remove_file(file: ArchivedFile) -> None:
    """Remove a file with its list of leaves, which without its file would mean a removed day."""
    with storage_errors(file.path):
        file.leaves.unlink(missing_ok=True)
        file.path.unlink(missing_ok=True)
        sync_path(file.path.parent)
