"""Where a backup goes: a folder of backups, or one tar file.

Either gets its name when it is whole and on the disk, so that a kill leaves a backup or none.
"""

import io
import os
import re
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from errno import EEXIST, ENOTEMPTY
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol
from uuid import uuid4

from msgspec import structs

from factory_resources.backup.contents import HomeFile, digest_in_name
from factory_resources.backup.copying import copy_file
from factory_resources.backup.manifest import FILES, MANIFEST, NOTE, Manifest, SavedFile
from factory_resources.durability import sync_disk, sync_path
from factory_resources.errors import FactoryError, StorageError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import scratch_prefix

TAR = ".tar"

_NAME, _MOMENT = re.compile(r"\d{8}T\d{6}Z"), "%Y%m%dT%H%M%SZ"
"""The name of a backup in its folder: when it was made."""

_MAKING, _MAKER = ".making-", r"((\d+)\.\d+-)"
"""What is not whole yet: it is called by the process that makes it."""


class BackupTarget(Protocol):
    """A backup that is written."""

    path: Path
    """What it is called; another one may get that name until it is whole."""

    @property
    def scratch(self) -> Path:
        """A folder on its disk for what is made for it; it is removed before the end."""

    def add(self, file: HomeFile) -> SavedFile | None:
        """Store a file of the home; return None if it has vanished."""

    def add_made(self, file: HomeFile) -> SavedFile:
        """Store a file that was made for the backup; it may be moved away."""

    def finish(self, manifest: bytes, note: bytes) -> None:
        """Store what describes the files, and make everything durable."""


class FolderTarget:
    """A backup as files; those that an earlier backup has are linked.

    Args:
        path: what it is called when it is whole.
        folder: a new one.
        previous: the folder of the backup before; None for the first.
        known: the files of that backup by path.
    """

    def __init__(
        self, path: Path, folder: Path, previous: Path | None, known: Manifest | None
    ) -> None:
        self.path, self._folder, self._previous = path, folder, previous
        self._known = {one.path: one for one in known.files} if known else {}
        self._copied: dict[tuple[int, int], SavedFile] = {}
        self.scratch = folder / ".made"
        self.scratch.mkdir(mode=0o700)

    def add(self, file: HomeFile) -> SavedFile | None:
        target = self._place(file.path)
        try:
            if saved := self._linked(file, target) or self._again(file, target):
                return saved
            copy_file(file.source, target, _mode(file))
        except FileNotFoundError:
            return None
        digest = digest_in_name(file.path) or file_sha256(target)
        saved = _saved(file, digest, target.stat().st_size)
        self._copied[file.inode] = saved
        return saved

    def add_made(self, file: HomeFile) -> SavedFile:
        target, digest = self._place(file.path), file_sha256(file.source)
        before = self._known.get(file.path)
        if before and before.sha256 == digest and self._link(file.path, target):
            return before
        try:
            file.source.rename(target)
            target.chmod(0o600)
        except OSError:
            copy_file(file.source, target)
        return _saved(file, digest, file.bytes, modified=0)

    def finish(self, manifest: bytes, note: bytes) -> None:
        shutil.rmtree(self.scratch)
        for name, content in ((MANIFEST, manifest), (NOTE, note)):
            handle = os.open(self._folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content)
        sync_disk(self._folder)

    def _place(self, path: str) -> Path:
        target = self._folder / FILES / path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return target

    def _linked(self, file: HomeFile, target: Path) -> SavedFile | None:
        """Link the file of the backup before, if it is the same by size and time."""
        before = self._known.get(file.path)
        if before is None or (before.bytes, before.modified) != (file.bytes, file.modified):
            return None
        return before if self._link(file.path, target) else None

    def _link(self, path: str, target: Path) -> bool:
        if self._previous is None:
            return False
        try:
            os.link(self._previous / FILES / path, target)
        except OSError:
            return False
        return True

    def _again(self, file: HomeFile, target: Path) -> SavedFile | None:
        """Link a file that has a second name in the home.

        The content decides: when one file is gone, the next one may get its inode.
        """
        first = self._copied.get(file.inode)
        if first is None or first.bytes != file.bytes or first.sha256 != file_sha256(file.source):
            return None
        try:
            os.link(self._folder / FILES / first.path, target)
        except OSError:
            # Not every disk has links, and no file has any number of them.
            return None
        return structs.replace(first, path=file.path, mode=_mode(file))


class TarTarget:
    """A backup as one file, which is written from front to end."""

    def __init__(self, path: Path, tar: tarfile.TarFile, scratch: Path) -> None:
        self.path, self._tar, self.scratch = path, tar, scratch

    def add(self, file: HomeFile) -> SavedFile | None:
        try:
            opened = file.source.open("rb")
        except FileNotFoundError:
            return None
        with opened:
            size = os.fstat(opened.fileno()).st_size
            known = digest_in_name(file.path)
            read = opened if known else _Hashing(opened, size)
            self._write(f"{FILES}/{file.path}", read, size, _mode(file))  # type: ignore[arg-type]
        return _saved(file, known or read.hexdigest, size)  # type: ignore[union-attr]

    def add_made(self, file: HomeFile) -> SavedFile:
        saved = self.add(file)
        assert saved is not None, file.path
        file.source.unlink()
        return structs.replace(saved, modified=0, mode=0o600)

    def finish(self, manifest: bytes, note: bytes) -> None:
        for name, content in ((MANIFEST, manifest), (NOTE, note)):
            self._write(name, io.BytesIO(content), len(content), 0o600)

    def _write(self, name: str, content: BinaryIO, size: int, mode: int) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, mode
        self._tar.addfile(info, content)


class _Hashing:
    """A file that is hashed while it is read; not more of it than it had at first."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left, self._hash = file, size, sha256()

    def read(self, size: int = -1) -> bytes:
        content = self._file.read(min(size, self._left) if size >= 0 else self._left)
        self._left -= len(content)
        self._hash.update(content)
        return content

    @property
    def hexdigest(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def folder_target(parent: Path, key: str) -> Iterator[FolderTarget]:
    """Yield a new backup in a folder of backups, which gets its name in the end.

    Args:
        key: the public key of the ledger that is backed up.

    Raises:
        StorageError: the folder has backups of another factory, among which the oldest would be
            removed, and the newest restored, whosever it is.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_unfinished(parent, _MAKING)
    making = parent / f"{_MAKING}{scratch_prefix()}{uuid4().hex}"
    (making / FILES).mkdir(mode=0o700, parents=True)
    making.chmod(0o700)
    try:
        previous = newest_backup(parent)
        known = _known(previous)
        if known and known.ledger.key != key:
            raise StorageError(
                f"this folder has backups of another factory, the one in {known.home}",
                where=str(parent),
                remedy="name another folder",
            )
        target = FolderTarget(parent / new_name(parent), making, previous, known)
        yield target
        target.path = _renamed(making, target.path)
        sync_path(parent)
    except BaseException:
        shutil.rmtree(making, ignore_errors=True)
        raise


@contextmanager
def tar_target(file: Path) -> Iterator[TarTarget]:
    """Yield a new backup as a tar file, which gets its name in the end."""
    # Who may only add files to a folder cannot see what is in it.
    with suppress(PermissionError):
        _remove_unfinished(file.parent, f".{file.name}.")
    making = file.with_name(f".{file.name}.{scratch_prefix()}making")
    scratch = making.with_name(f"{making.name}.made")
    try:
        scratch.mkdir(mode=0o700)
        handle = os.open(making, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as opened:
            with tarfile.open(fileobj=opened, mode="w", format=tarfile.PAX_FORMAT) as tar:
                yield TarTarget(file, tar, scratch)
            opened.flush()
            os.fsync(opened.fileno())
        making.rename(file)
        sync_path(file.parent)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def new_name(folder: Path) -> str:
    """Return the name of a new backup in a folder: behind all others, even if a clock was ahead.

    Otherwise it would not be the newest one, and be removed as the oldest.
    """
    moment = datetime.now(UTC)
    if newest := newest_backup(folder):
        moment = max(moment, _moment_of(newest.name) + timedelta(seconds=1))
    return f"{moment:{_MOMENT}}"


def _moment_of(name: str) -> datetime:
    return datetime.strptime(name, _MOMENT).replace(tzinfo=UTC)


def _is_backup(path: Path) -> bool:
    try:
        return bool(_NAME.fullmatch(path.name) and _moment_of(path.name))
    except ValueError:
        return False


def _renamed(making: Path, wanted: Path) -> Path:
    """Give a backup its name, or a later one if another has got it meanwhile; return which."""
    while True:
        try:
            return making.rename(wanted)
        except OSError as error:
            if error.errno not in (EEXIST, ENOTEMPTY):
                raise
            wanted = wanted.with_name(new_name(wanted.parent))


def newest_backup(folder: Path) -> Path | None:
    """Return the newest backup in a folder of backups; None if there is none."""
    return next(iter(_backups(folder)), None)


def remove_oldest(folder: Path, keep: int) -> None:
    """Remove all backups in a folder but the newest ones."""
    for path in [*_backups(folder)][keep:]:
        # Another backup may remove it, too.
        with suppress(FileNotFoundError):
            # What is removed in part must not look like a backup.
            gone = path.rename(folder / f"{_MAKING}{scratch_prefix()}{path.name}")
            shutil.rmtree(gone, ignore_errors=True)


def _backups(folder: Path) -> list[Path]:
    """Return the backups in a folder, the newest first."""
    return sorted(filter(_is_backup, folder.iterdir()), reverse=True)


def _known(previous: Path | None) -> Manifest | None:
    """Return what the backup before has, as its manifest says."""
    from factory_resources.backup.manifest import read_manifest

    try:
        return read_manifest(previous) if previous else None
    except FactoryError:
        # It was changed: nothing of it is used.
        return None


def _remove_unfinished(parent: Path, begins: str) -> None:
    """Remove what processes have left that do not run any more."""
    maker = re.compile(re.escape(begins) + _MAKER)
    for path in parent.iterdir():
        match = maker.match(path.name)
        if match and scratch_prefix(int(match[2])) != match[1]:
            shutil.rmtree(path, ignore_errors=True)
            if path.is_file():
                path.unlink(missing_ok=True)


def _saved(file: HomeFile, digest: str, size: int, *, modified: int | None = None) -> SavedFile:
    # What was changed while it was copied is copied again the next time.
    same = size == file.bytes
    time = (file.modified if same else 0) if modified is None else modified
    return SavedFile(path=file.path, bytes=size, sha256=digest, mode=_mode(file), modified=time)


def _mode(file: HomeFile) -> int:
    try:
        return stat.S_IMODE(file.source.stat().st_mode) & 0o700
    except FileNotFoundError:
        return 0o600
