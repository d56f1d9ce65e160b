"""Restore a backup into a new home, or only compare it with its manifest.

The files are copied and compared beside the new home and get its name when all are right, so that a
kill leaves no half home.

Hashing costs twice what copying does. Tables and statements, which are most of a home, have their
digest in their name and are compared whenever they are read: only on request here, too.
"""

import re
import shutil
import sqlite3
import tarfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from errno import EBUSY
from pathlib import Path, PurePosixPath
from typing import Any, Literal
from urllib.parse import quote

from factory_resources.backup.contents import digest_in_name
from factory_resources.backup.copying import copy_file
from factory_resources.backup.manifest import FILES, MANIFEST, Manifest, SavedFile, read_manifest
from factory_resources.backup.targets import newest_backup
from factory_resources.durability import sync_disk, sync_path
from factory_resources.errors import StorageError
from factory_resources.file_digest import file_sha256
from factory_resources.home.database import chosen_database
from factory_resources.home.home import Home, scratch_prefix, storage_errors
from factory_resources.home.schema import VersionedTables
from factory_resources.ledger.keys import LogKey
from factory_resources.migration.report import check_ledger
from factory_resources.progress import Progress

Compared = Literal["all", "unnamed"]

_OTHER = "restore another backup"


def restore_backup(
    backup: Path, home: Home, progress: Progress, compare: Compared = "unnamed"
) -> Manifest:
    """Restore a backup, or the newest one of a folder of backups, as the home of a path.

    Every file must have the size that the manifest says. What is compared must also have its
    digest, and the root of the ledger is computed anew.

    Args:
        compare: whether all files are compared, or only those that are not named by their digest.

    Raises:
        StorageError: the home is not empty, the backup is not whole or was changed, a newer
            factory has made it, or the disk cannot be written. There is no new home, and no new
            folder for it.
    """
    with storage_errors(home.path):
        _require_free(home.path)
    with _staged(home) as staging:
        manifest, folder = _opened(backup, staging, progress)
        restored = staging / "restored"
        restored.mkdir(mode=0o700)
        for file in _each_file(manifest, progress):
            _restore(file, folder, restored)
            if compare == "all" or digest_in_name(file.path) != file.sha256:
                # The copy is what counts.
                _require_same(file, restored / file.path, folder)
        for below in ("tmp", "logs"):
            (restored / below).mkdir(mode=0o700)
        _require_known_forms(Home(restored), backup)
        _require_ledger(manifest, Home(restored), backup)
        with storage_errors(home.path):
            sync_disk(restored)
            _give_name(restored, home.path)
            sync_path(home.path.parent)
    return manifest


def check_backup(backup: Path, progress: Progress) -> Manifest:
    """Compare every file of a backup in a folder with its manifest, and return that.

    Raises:
        StorageError: as `restore_backup`; a tar file has to be restored to be compared.
    """
    if backup.is_file():
        raise StorageError(
            "a tar file is compared when it is restored",
            where=str(backup),
            remedy="restore it to a new folder: factory restore FILE --home FOLDER --check",
        )
    folder = _folder(backup)
    manifest = read_manifest(folder)
    for file in _each_file(manifest, progress):
        _require_same(file, folder / FILES / file.path)
    return manifest


def _require_free(path: Path) -> None:
    if path.is_mount():
        raise _is_disk(path)
    if path.is_dir() and not path.is_symlink() and not any(path.iterdir()):
        return
    if path.exists() or path.is_symlink():
        raise StorageError(
            "something exists here already",
            where=str(path),
            remedy="name a new or an empty folder; nothing was changed",
        )


def _give_name(restored: Path, path: Path) -> None:
    try:
        restored.rename(path)
    except OSError as error:
        # A folder of the same disk may be mounted here, which is not seen before.
        if error.errno == EBUSY:
            raise _is_disk(path) from error
        raise


def _is_disk(path: Path) -> StorageError:
    return StorageError(
        "a disk is mounted here, so the restored home cannot take its place",
        where=str(path),
        remedy=f"name a new folder on it, such as {path / 'home'}",
    )


@contextmanager
def _staged(home: Home) -> Iterator[Path]:
    """Yield a private folder on the disk of the new home; what killed ones left is removed."""
    parent, name = home.path.parent, f".{home.path.name}.restoring-"
    missing = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    staging = parent / f"{name}{scratch_prefix()}"
    try:
        with storage_errors(parent):
            parent.mkdir(parents=True, exist_ok=True)
            for path in parent.glob(f"{_escaped(name)}*"):
                owner = re.match(r"(\d+)\.\d+-", path.name.removeprefix(name))
                if owner and scratch_prefix(int(owner[1])) != owner[0]:
                    shutil.rmtree(path, ignore_errors=True)
            staging.mkdir(mode=0o700)
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        # They are empty unless there is a new home in them.
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()


def _escaped(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def _opened(backup: Path, staging: Path, progress: Progress) -> tuple[Manifest, Path]:
    """Return the manifest of a backup, and the folder in which its files are."""
    if not backup.is_file():
        folder = _folder(backup)
        return read_manifest(folder), folder
    progress("unpacking")
    folder = staging / "unpacked"
    try:
        with storage_errors(staging), tarfile.open(backup) as tar:
            _unpack(tar, folder, backup)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise StorageError(
            "this is not a tar file, or it is damaged", where=str(backup), remedy=_OTHER
        ) from error
    return read_manifest(folder), folder


def _unpack(tar: tarfile.TarFile, folder: Path, backup: Path) -> None:
    """Unpack files and folders, and nothing else; the oldest Python 3.11 has no filter for that."""
    folder.mkdir(mode=0o700)
    for member in tar:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not (member.isreg() or member.isdir()):
            raise StorageError(
                f"the backup is damaged or was changed: it contains {member.name!r}, which is a "
                "link, a device or a path out of its folder",
                where=str(backup),
                remedy=_OTHER,
            )
        target = folder / name
        (target if member.isdir() else target.parent).mkdir(mode=0o700, parents=True, exist_ok=True)
        content = tar.extractfile(member)
        if content is not None:
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)


def _folder(backup: Path) -> Path:
    """Return the backup, or the newest one of a folder of backups."""
    if not backup.is_dir():
        raise StorageError(
            "there is no such backup", where=str(backup), remedy="name a folder or a tar file"
        )
    return backup if (backup / MANIFEST).exists() else newest_backup(backup) or backup


def _each_file(manifest: Manifest, progress: Progress) -> Iterator[SavedFile]:
    """Yield the files, and report how many percent of their bytes are done."""
    total, done, shown = sum(file.bytes for file in manifest.files) or 1, 0, -1
    for file in manifest.files:
        if (percent := 100 * done // total) != shown:
            shown = percent
            progress(f"copying and comparing: {percent} %")
        yield file
        done += file.bytes


def _restore(file: SavedFile, folder: Path, restored: Path) -> None:
    source, target = folder / FILES / file.path, restored / file.path
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not source.is_file() or source.stat().st_size != file.bytes:
        raise _damaged(file, folder)
    with storage_errors(target):
        if restored.parent in source.parents:
            source.rename(target)
        else:
            copy_file(source, target, file.mode)
        target.chmod(file.mode)


def _require_same(file: SavedFile, path: Path, folder: Path | None = None) -> None:
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise _damaged(file, folder or path) from error
    if digest != file.sha256:
        raise _damaged(file, folder or path)


def _damaged(file: SavedFile, where: Path) -> StorageError:
    return StorageError(
        f"the backup is damaged or was changed: {file.path} does not match the manifest",
        where=str(where),
        remedy=_OTHER,
    )


def _require_known_forms(restored: Home, backup: Path) -> None:
    """Check that no database has a form that only a newer factory knows."""
    from factory_resources.ledger import connection as ledger
    from factory_resources.outcomes import store as outcomes
    from factory_resources.prediction_log import store as predictions

    for file, schema in (
        (restored.ledger, ledger.SCHEMA),
        (restored.predictions_database, predictions.SCHEMA),
        (restored.outcomes_database, outcomes.SCHEMA),
    ):
        if file.exists():
            address = f"file:{quote(str(file))}?immutable=1"
            with closing(sqlite3.connect(address, uri=True)) as opened:

                def run(statement: str, opened: sqlite3.Connection = opened) -> list[Any]:
                    return opened.execute(statement).fetchall()

                VersionedTables(schema, "sqlite", run, str(backup)).is_newest()


def _require_ledger(manifest: Manifest, restored: Home, backup: Path) -> None:
    """Check that the ledger is the one that the manifest names, and its key the one that signs."""
    with chosen_database(None):
        found = check_ledger(restored)
    key = str(LogKey.load(restored).verifier)
    if (found, key) != ((manifest.ledger.size, manifest.ledger.root), manifest.ledger.key):
        raise StorageError(
            "the ledger in the backup is not the one that its manifest names",
            where=str(backup),
            remedy=_OTHER,
        )
