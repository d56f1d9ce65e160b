"""Make a backup of a home that is in use.

First a moment: the databases, the records and the pointers to the latest ones are those of one
moment, between two acts of the factory, which wait for it. Answers are not moved from the journal
to the database meanwhile. Everything else may be copied later: tables and artifacts are never
changed once they are there, and small files, such as the salts of people's names, are only replaced
whole. What is newer than the moment is as what a killed process leaves.
"""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from errno import ENOSPC
from hashlib import sha256
from pathlib import Path

from factory_resources.backup.contents import CHANGING, JOURNAL, HomeFile, file_at, home_files
from factory_resources.backup.copying import copy_file, naming_unreadable
from factory_resources.backup.databases import copy_databases
from factory_resources.backup.manifest import Manifest, SavedFile, SavedLedger, signed_note
from factory_resources.backup.targets import (
    TAR,
    BackupTarget,
    folder_target,
    remove_oldest,
    tar_target,
)
from factory_resources.errors import OUTPUT_REMEDY, StorageError
from factory_resources.home.database import chosen_database
from factory_resources.home.home import Home, storage_errors, unreadable
from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.archive import archiving_paused
from factory_resources.prediction_log.collector import collecting_paused
from factory_resources.prediction_log.segments import OPEN, SEALED
from factory_resources.progress import Progress
from factory_resources.store.location import uses_store

_COMPRESSED = frozenset({".gz", ".tgz", ".bz2", ".xz", ".zst", ".zip"})
"""Ends of names that nobody gives a folder."""


@dataclass(frozen=True)
class MadeBackup:
    """A backup, and the entry of the ledger about it."""

    path: Path
    files: int
    bytes: int
    entries: int
    """Of the ledger in it."""
    root: str
    number: int
    """Of the entry."""


def make_backup(
    home: Home, target: Path, progress: Progress, keep: int | None = None
) -> MadeBackup:
    """Back up a home into a folder of backups, or into a new file whose name ends in `.tar`.

    Args:
        keep: how many backups stay in the folder, with the new one; None for all.

    Raises:
        StorageError: nothing has run yet, the file exists, the target is in the home or has backups
            of another factory, or something cannot be read or written. Then there is no new backup.
    """
    ledger = Ledger(home)
    if not ledger.exists:
        raise StorageError(
            "there is nothing to back up: nothing has run yet",
            where=str(home.path),
            remedy="name the home in FACTORY_HOME",
        )
    opened = _opened(home, target)
    with (
        storage_faults(home),
        storage_errors(target, OUTPUT_REMEDY),
        home.working(),
        opened as backup,
    ):
        saved, files = _copy(home, target, backup, progress)
        manifest = Manifest(
            made=datetime.now(UTC).isoformat(timespec="seconds"),
            home=str(home.path),
            ledger=saved,
            files=tuple(sorted(files, key=lambda file: file.path)),
        )
        content = manifest.content
        backup.finish(content, signed_note(content, home))
    entry = BackupMade(
        subject=BackupMade.subject_of(),
        manifest=sha256(content).hexdigest(),
        size=manifest.ledger.size,
        files=len(files),
        bytes=sum(file.bytes for file in files),
    )
    [number] = ledger.append([entry])
    path = backup.path
    if keep is not None and path != target.absolute():
        remove_oldest(path.parent, keep)
    size, root = manifest.ledger.size, manifest.ledger.root
    return MadeBackup(path, entry.files, entry.bytes, size, root, number)


@contextmanager
def _copying(home: Home, target: Path) -> Iterator[None]:
    """Blame the target, and not the home, unless a file or folder of the home cannot be read."""
    with storage_errors(target, OUTPUT_REMEDY):
        try:
            yield
        except OSError as error:
            path = Path(os.fsdecode(error.filename or ""))
            if not path.is_relative_to(home.path):
                raise
            if error.errno != ENOSPC:
                raise unreadable(path, error) from error
            # The files of locks are made there.
            with storage_errors(path):
                raise


def _opened(home: Home, target: Path) -> AbstractContextManager[BackupTarget]:
    """Return what opens the backup."""
    target = target.absolute()
    if target.resolve().is_relative_to(home.path.resolve()):
        raise StorageError(
            "a backup inside the home would be lost together with it",
            where=str(target),
            remedy="name a folder elsewhere, best on another disk",
        )
    if target.suffix != TAR:
        remedy = f"name a folder of backups, or a new file that ends in {TAR}"
        if target.exists() and not target.is_dir():
            raise StorageError("this is not a folder", where=str(target), remedy=remedy)
        if target.suffix in _COMPRESSED and not target.exists():
            raise StorageError("a backup is not compressed", where=str(target), remedy=remedy)
        return folder_target(target, str(LogKey.load(home).verifier))
    if target.exists():
        raise StorageError(
            "this file exists", where=str(target), remedy="name a new one, or a folder of backups"
        )
    return tar_target(target)


def _copy(
    home: Home, target: Path, backup: BackupTarget, progress: Progress
) -> tuple[SavedLedger, list[SavedFile]]:
    """Copy everything; return what the copied ledger says of itself, and the files."""
    saved: list[SavedFile] = []

    def add(file: HomeFile) -> SavedFile | None:
        with naming_unreadable(file.source):
            return backup.add(file)

    def copy_changing() -> None:
        # The ledger is open meanwhile, and takes faults of a disk for its own.
        with _copying(home, target):
            for below in CHANGING:
                saved.extend(filter(None, map(add, home_files(home, below=below))))

    made = Home(backup.scratch)
    # Nobody moves answers meanwhile: from the journal to the database, and on to the archive.
    with _copying(home, target), archiving_paused(home), collecting_paused(home):
        copy_databases(home, made.path, copy_changing, progress)
        ledger = _ledger_in(home, made)
        saved += _journal(home, backup)
        saved += map(backup.add_made, home_files(made, databases=True))
        known = {file.path for file in saved}
        if uses_store(home):
            # A home without one does not import its client.
            from factory_resources.tables.carrying_over import fetch_tables

            progress("fetching tables")
            fetch_tables(home)
        progress("copying files")
        for file in home_files(home):
            changing = file.path.startswith(tuple(f"{folder}/" for folder in CHANGING))
            if file.path not in known and not changing and (copied := add(file)):
                saved.append(copied)
    return ledger, saved


def _journal(home: Home, backup: BackupTarget) -> Iterator[SavedFile]:
    """Copy the answers that no database has; the files go on growing, and are cut when sealed."""
    folder = home.path / JOURNAL
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        # Its writer may just have sealed it.
        for place in (path, path.with_suffix(SEALED)) if path.suffix == OPEN else (path,):
            copied = backup.scratch / place.name
            with suppress(FileNotFoundError):
                copy_file(place, copied)
                file = file_at(copied, f"{JOURNAL}/{place.name}")
                assert file is not None, copied
                yield backup.add_made(file)
                break


def _ledger_in(home: Home, made: Home) -> SavedLedger:
    """Return what the copied ledger says of itself; that it is true, restoring it tells."""
    from factory_resources.ledger.factory_verify import LogCheckpoint, SignedNote

    with chosen_database(None), Ledger(made).reading() as log:
        _, note = log.signed
    signed = LogCheckpoint.parse(SignedNote.parse(note.encode()).text)
    key = str(LogKey.load(home).verifier)
    return SavedLedger(key=key, size=signed.size, root=signed.root.hex())
