"""The ledger of a home: begin it, append acts to it, and look up what it says.

An act counts when its entry is durable. Which acts there are, and when they are appended, is
decided in `factory_assets.execution`.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from factory_resources.durability import sync_path
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.connection import (
    begin_postgres,
    connected,
    has_tables,
    in_postgres,
    new_sqlite,
)
from factory_resources.ledger.entries import (
    ChampionMade,
    Kind,
    LedgerStarted,
    ServingChanged,
    read_entry,
)
from factory_resources.ledger.entry import Entry
from factory_resources.ledger.keys import LogKey, key_file
from factory_resources.ledger.log import GrownError, Log, NewEntry

K = TypeVar("K", bound=Entry)

_ATTEMPTS = 20

_SETTLED = 1_000_000_000
"""Nanoseconds after which a file that is written again surely has another time."""

Stamp = tuple[int, int, int]


@dataclass(frozen=True)
class Ledger:
    """The ledger of one home.

    Raises:
        StorageError: it cannot be read or written, or it was changed.
    """

    home: Home

    @property
    def exists(self) -> bool:
        """Whether it was begun.

        Raises:
            StorageError: it is gone, but its key is there.
        """
        # Before the tables are looked for: whoever begins the ledger installs its key last. Who may
        # not see the key, as an auditor may not, cannot know of it.
        was_begun = os.path.exists(key_file(self.home))
        with storage_faults(self.home):
            found = has_tables(self.home)
        if was_begun and not found:
            raise StorageError(
                "the ledger is gone, but its key is there",
                where=str(self.home.path),
                remedy="restore ledger.db (or the database of FACTORY_DATABASE_URL) from a "
                f"backup; to begin a new one nonetheless, move {key_file(self.home)} away",
            )
        return found

    def begin(self, found: Iterable[Kind] = ()) -> None:
        """Begin it unless it exists, with a key of its own.

        Args:
            found: what the home contains already; read only if the ledger is begun.
        """
        if self.exists:
            return
        with self.home.lock("ledger"), storage_faults(self.home):
            if self.exists:
                return
            key = LogKey.generate()
            first = LedgerStarted(origin=key.origin, key=str(key.verifier))
            entries = [_new(entry) for entry in (first, *found)]
            # A process that is killed before the last step leaves the key beside its place.
            if in_postgres():
                with begin_postgres() as connection:
                    # Not before: if another machine was faster, the key is that of no ledger.
                    key.save(self.home)
                    Log.create(connection, key, entries)
            else:
                key.save(self.home)
                self._install(key, entries)
            key.install(self.home)

    def _install(self, key: LogKey, entries: Sequence[NewEntry]) -> None:
        """Make the database in scratch, and move it in when it is complete."""
        with self.home.scratch() as scratch:
            made = scratch / self.home.ledger.name
            with closing(new_sqlite(str(made))) as connection:
                Log.create(connection, key, entries)
            with storage_errors(self.home.ledger):
                os.replace(made, self.home.ledger)
                sync_path(self.home.path)

    def stamp(self) -> Stamp | None:
        """Return what differs once it has grown: inode, size and time of its file.

        None if only reading tells: it is in PostgreSQL, does not exist, or was just written.
        """
        if in_postgres():
            return None
        try:
            found = os.stat(self.home.ledger)
        except OSError:
            return None
        settled = time.time_ns() - found.st_mtime_ns > _SETTLED
        return (found.st_ino, found.st_size, found.st_mtime_ns) if settled else None

    @contextmanager
    def reading(self) -> Iterator[Log]:
        """Yield the log; it exists."""
        with storage_faults(self.home), connected(self.home) as connection:
            yield Log(connection)

    @contextmanager
    def writing(self) -> Iterator[Log]:
        """Yield the log, to append to it or to store checkpoints."""
        with storage_faults(self.home), connected(self.home, write=True) as connection:
            yield Log(connection)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Keep everybody from appending in the block; who wants to append waits for its end."""
        with (
            storage_faults(self.home),
            connected(self.home, write=True) as connection,
            connection.writers_blocked(),
        ):
            yield

    def copy(self, file: Path) -> None:
        """Write the ledger as it is now to a new SQLite file."""
        with self.reading() as log, closing(new_sqlite(str(file))) as copy:
            log.copy_to(copy)

    def append(self, entries: Sequence[Kind]) -> range:
        """Append entries, all or none, and return their numbers when they are durable."""
        key = LogKey.load(self.home)
        with self.writing() as log:
            return log.append([_new(entry) for entry in entries], key)

    def append_decided(self, decide: Callable[[Log], Sequence[Kind]]) -> range:
        """Append what is decided by reading the ledger; decide again if it grew meanwhile.

        Returns:
            Their numbers.

        Raises:
            GrownError: it grew each time.
        """
        for attempt in range(_ATTEMPTS):
            with self.reading() as log:
                size = log.size
                entries = [_new(entry) for entry in decide(log)]
            if not entries:
                return range(size, size)
            key = LogKey.load(self.home)
            try:
                with self.writing() as log:
                    return log.append(entries, key, size=size)
            except GrownError:
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def latest(self, kind: type[K], subject: str) -> tuple[int, K] | None:
        """Return number and content of the newest entry of this kind about the subject."""
        with self.reading() as log:
            return latest_in(log, kind, subject)


def latest_in(log: Log, kind: type[K], subject: str) -> tuple[int, K] | None:
    """Return number and content of the newest entry of this kind about the subject."""
    return next(entries_in(log, kind, subject), None)


def entries_in(log: Log, kind: type[K], subject: str) -> Iterator[tuple[int, K]]:
    """Yield number and content of the entries of this kind about the subject, the newest first.

    Raises:
        StorageError: one was changed.
    """
    for number in log.numbers(subject):
        body = log.body(number)
        try:
            entry = kind.model_validate_json(body)
        except ValidationError:
            # It is of another kind, or was changed.
            entry_in(log, number)
            continue
        if getattr(entry, "subject", None) == subject:
            yield number, entry


def champion_in(log: Log, pipeline: str) -> tuple[int, ChampionMade] | None:
    """Return the entry by which a version became champion; None if none did."""
    return latest_in(log, ChampionMade, ChampionMade.subject_of(pipeline=pipeline))


def stopped_in(log: Log, pipeline: str) -> tuple[int, ServingChanged] | None:
    """Return the entry by which a person stopped a pipeline; None if it may serve."""
    changed = latest_in(log, ServingChanged, ServingChanged.subject_of(pipeline=pipeline))
    return changed if changed and changed[1].action == "stopped" else None


def latest_before(log: Log, kind: type[K], subject: str, number: int) -> K | None:
    """Return the newest entry of this kind about the subject before a number."""
    for earlier in log.numbers(subject):
        if earlier < number and isinstance(entry := entry_in(log, earlier), kind):
            return entry
    return None


def entry_in(log: Log, number: int) -> Kind:
    """Return an entry of the log.

    Raises:
        StorageError: it was changed.
    """
    try:
        return read_entry(log.body(number))
    except ValidationError as error:
        raise StorageError(
            f"entry {number} of the ledger was changed",
            remedy="factory verify shows what does not hold; restore the ledger from a backup",
        ) from error


def _new(entry: Kind) -> NewEntry:
    return NewEntry(entry.body, getattr(entry, "subject", None))
