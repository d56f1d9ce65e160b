"""What of a home is in its store: files of the same names, fetched when needed and stored once.

The files of tables are named by their digests; each is fetched when it is read, and compared.
Copying records, models and plots belongs in `copies`, logs of tables in `tables.shared_log`.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, md5
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from factory_resources.delta_protocol import LOG
from factory_resources.errors import SourceError, StorageError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home, scratch_prefix, storage_errors
from factory_resources.ledger.entries import LedgerStarted, StageComputed
from factory_resources.ledger.ledger import Ledger, entry_in
from factory_resources.security.secrets import secret
from factory_resources.store.client import StoreClient
from factory_resources.store.location import (
    ACCESS_KEY,
    SECRET_KEY,
    StoreLocation,
    declared_store,
    location_file,
    recorded_address,
)
from factory_resources.store.signing import StoreKeys

OWNER = "factory.json"
"""The object that names the ledger of the factory to which a store belongs."""

T = TypeVar("T")
R = TypeVar("R")

_AT_ONCE = 8
"""Parallel requests."""

_FEW = 8
"""Up to so many objects are asked for one by one; else all of their table are listed."""


class ChangedObjectError(StorageError):
    """A file in the store that is not what was written."""


@dataclass(frozen=True)
class SharedStore:
    """The part of a home that is in its store.

    Raises:
        StorageError: the store cannot be used, or the home cannot be written.
    """

    home: Home
    client: StoreClient

    @property
    def address(self) -> str:
        return self.client.location.address

    def key(self, path: Path) -> str:
        """Return the key of a file of the home."""
        return path.relative_to(self.home.path).as_posix()

    def sizes(self, paths: Sequence[Path]) -> dict[Path, int]:
        """Return the bytes of each file that is in the store."""
        if len(paths) <= _FEW:
            found = ((path, self.client.size(self.key(path))) for path in paths)
            return {path: size for path, size in found if size is not None}
        keys = {self.key(path): path for path in paths}
        folders = sorted({key.rpartition("/")[0] for key in keys})
        listed = (one for folder in folders for one in self.client.list(f"{folder}/"))
        return {keys[one.key]: one.bytes for one in listed if one.key in keys}

    def fetch(self, paths: Iterable[Path]) -> None:
        """Fetch the files of tables that the home lacks.

        Raises:
            StorageError: one has other content than its name says. A file that the store lacks is
                left to whoever reads it.
        """
        in_parallel(self._fetch, [path for path in paths if not path.is_file()])

    def _fetch(self, path: Path) -> None:
        with self.downloaded(path) as digest:
            if digest is not None and digest != path.stem.partition("-")[0]:
                raise ChangedObjectError(
                    "the object is not what was written: its SHA-256 differs from its name",
                    where=f"{self.address}/{self.key(path)}",
                    remedy="find out who changed it, then delete it and run again, or put it back "
                    "from a backup of the storage",
                )

    @contextmanager
    def downloaded(self, path: Path) -> Iterator[str | None]:
        """Fetch a file, and put it in its place unless the block raises.

        Yields:
            Its SHA-256; None if the store lacks it.
        """
        unfinished = self.home.tmp / f"{scratch_prefix()}{uuid4().hex}"
        with storage_errors(path):
            self.home.tmp.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            digest = self.client.download(self.key(path), unfinished)
            yield digest
            if digest is not None:
                with storage_errors(path):
                    os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)

    def upload(self, paths: Sequence[Path]) -> None:
        """Store the files of tables that the store lacks, of those that the home has."""
        there = self.sizes(paths)
        here = [path for path in paths if path.is_file()]
        in_parallel(self._upload, [p for p in here if there.get(p) != p.stat().st_size])

    def upload_folder(self, folder: Path) -> int:
        """Store the files below a folder that are not as they are in the store; return how many."""
        there = {one.key: one.tag for one in self.client.list(f"{self.key(folder)}/")}
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name[0] != "."]
        changed = [path for path in files if there.get(self.key(path)) != etag_of(path)]
        in_parallel(self._upload, changed)
        return len(files)

    def _upload(self, path: Path) -> None:
        self.client.upload(self.key(path), path, file_sha256(path))

    def write(self, path: Path, content: bytes) -> None:
        """Store what a file of the home has or gets; there may be other content."""
        self.client.write(self.key(path), content)

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder that the home still has, from the store."""
        if path.is_dir():
            for one in [*self.client.list(f"{self.key(path)}/")]:
                self.client.remove(one.key)
        else:
            self.client.remove(self.key(path))

    def take_back(self, prefix: str) -> None:
        """Remove what the store has below a prefix; table files that the home lacks come first."""
        listed = [*self.client.list(prefix)]
        self.fetch(self.home.path / one.key for one in listed if is_table_file(one.key))
        # The home is about to have the only copy.
        self.home.sync()
        for one in listed:
            self.client.remove(one.key)

    def claim(self) -> None:
        """Let the store belong to the factory of the home's ledger, which exists.

        Raises:
            StorageError: it belongs to another one.
        """
        content = json.dumps({"ledger": _ledger_key(self.home)}).encode()
        if not self.client.write(OWNER, content, new=True):
            self._require_own(self.client.read(OWNER))
        self.record()

    def is_claimed(self) -> bool:
        """Whether the store has something of this factory.

        Raises:
            StorageError: it belongs to another one, or has not what was put there.
        """
        if not self.is_of_this_factory():
            if logs_folder(self.home).is_dir():
                raise StorageError(
                    "the store is empty, but tables of this factory were there",
                    where=self.address,
                    remedy="find out who emptied it, and put it back from a backup of the storage",
                )
            if recorded_address(self.home) is None and _has_results(self.home):
                # All would be computed again here, and count for the homes that have it.
                raise StorageError(
                    "the store is empty, but the ledger of this factory has results",
                    where=self.address,
                    remedy="name the store that has them in FACTORY_STORE; if they are files of "
                    f"another home, carry them over there: factory migrate --to {self.address}",
                )
            return False
        self.record()
        return True

    def is_of_this_factory(self) -> bool:
        """Whether the store says that it belongs to this factory; it may say nothing yet.

        Raises:
            StorageError: it belongs to another one.
        """
        content = self.client.read(OWNER)
        if content is not None:
            self._require_own(content)
        return content is not None

    def _require_own(self, content: bytes | None) -> None:
        try:
            owner = json.loads(content or b"")["ledger"]
        except (ValueError, TypeError, KeyError) as error:
            raise self.client.foreign(OWNER) from error
        ledger = Ledger(self.home)
        if not ledger.exists or owner != _ledger_key(self.home):
            raise StorageError(
                "the store belongs to a factory with another ledger",
                where=self.address,
                remedy="name the database of that factory in FACTORY_DATABASE_URL, or another "
                "prefix in FACTORY_STORE",
            )

    def record(self) -> None:
        """Let the home know that its tables are here."""
        if recorded_address(self.home) is None:
            self.home.write_atomic(location_file(self.home), f"{self.address}\n".encode())


def in_parallel(work: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """Do the same with each item, several at a time, and return the results in order."""
    if len(items) < 2:
        return [work(item) for item in items]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return [*pool.map(work, items)]


def shared_store(home: Home) -> SharedStore | None:
    """Return the store that the environment names; None if all is in the home.

    Raises:
        StorageError: what it names is not an address.
        SourceError: a key of the storage is not set.
    """
    location = declared_store()
    return store_of(home, location) if location else None


def store_of(home: Home, location: StoreLocation) -> SharedStore:
    """Return the store at a location, with its keys.

    Raises:
        SourceError: a key of the storage is not set, or cannot be one.
    """
    access, hidden = (_key(name, home) for name in (ACCESS_KEY, SECRET_KEY))
    return SharedStore(home, StoreClient(location, StoreKeys(access, hidden)))


def _key(name: str, home: Home) -> str:
    value = secret(name, home)
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise SourceError(
            f"secret {name} has blanks, line breaks or letters that no key has",
            where=name,
            remedy="write the key alone, as the storage shows it",
        )
    return value


def logs_folder(home: Home) -> Path:
    """Return the folder of the notes about the logs of tables."""
    return home.path / "store" / "logs"


def note_file(home: Home, table: str) -> Path:
    """Return the file that says up to which commit a table's log is that of the store."""
    return logs_folder(home) / table


def is_table_file(key: str) -> bool:
    """Whether an object is rows of a table, not its log."""
    return key.startswith("tables/") and key.endswith(".parquet") and f"/{LOG}/" not in key


def _ledger_key(home: Home) -> str:
    with Ledger(home).reading() as log:
        first = entry_in(log, 0)
    assert isinstance(first, LedgerStarted)
    return first.key


def _has_results(home: Home) -> bool:
    ledger = Ledger(home)
    if not ledger.exists:
        return False
    with ledger.reading() as log:
        return any(isinstance(entry_in(log, n), StageComputed) for n in range(log.size))


def etag_of(path: Path) -> str:
    """Return what the ETag of an object is in most storages."""
    with path.open("rb") as file:
        return file_digest(file, lambda: md5(usedforsecurity=False)).hexdigest()
