"""Records of computed stages, stored by the digest of everything that went into them, for reuse.

A record is one JSON file that is never changed. It counts from the moment at which the ledger has
an entry with its digest: until then it is as if it were not there, and the one that it replaces, if
the same was computed again, is still there. Pointers name the latest record
of a stage (or partition), and the records that each run computed or reused. What a record's value
means is defined by the stages.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote, unquote

from pydantic import ValidationError

from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors, unreadable
from factory_resources.ledger.entries import StageComputed
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.ledger.log import Log
from factory_resources.store.location import uses_store
from factory_resources.tracking.record import Record, damaged_record

_BESIDE = ".new"
"""Ends the name of a record that is to replace another, until the ledger has it."""


class Records:
    """The records of one home that count.

    Args:
        counted: whether to leave out records that the ledger does not know; audits read all.
        shared: whether what is stored goes to the factory's store too, if it has one.
    """

    def __init__(self, home: Home, *, counted: bool = True, shared: bool = True) -> None:
        self._home = home
        self._shared = shared
        self._counted = counted and Ledger(home).exists

    def find(self, pipeline: str, stage: str, key: str) -> Record | None:
        """Return the record of exactly this computation, or None if it never counted.

        Raises:
            StorageError: the record is damaged, or cannot be read.
        """
        return self._find(pipeline, stage, key)

    def _find(self, pipeline: str, stage: str, key: str, log: Log | None = None) -> Record | None:
        """As `find`.

        Args:
            log: of the ledger, for a caller that looks up many; None to open it.
        """
        path = self._home.records / pipeline / stage / f"{key}.json"
        # A process that was killed has left a record that counts beside the file. One that goes on
        # may just have put it in its place.
        for file in (path, _beside(path), path):
            try:
                content = file.read_bytes()
                record = Record.model_validate_json(content)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise unreadable(file, error) from error
            except ValidationError as error:
                raise damaged_record(str(file)) from error
            if (record.pipeline, record.stage, record.key) != (pipeline, stage, key):
                raise damaged_record(str(file))
            file_digest = sha256(content).hexdigest()
            if not self._counted or self._is_entered(record, file_digest, log):
                if file != path:
                    # Whoever may only read the home reads it where it is.
                    with suppress(StorageError):
                        self.put_in_place(record, file_digest)
                return record
        return None

    def _is_entered(self, record: Record, file_digest: str, log: Log | None) -> bool:
        if log is None:
            return entry_of(self._home, record, file_digest) is not None
        return _number_in(log, record, file_digest) is not None

    @contextmanager
    def _reading(self) -> Iterator[Log | None]:
        """Open the ledger once for many records; each look sees what was entered by then."""
        if not self._counted:
            yield None
            return
        with Ledger(self._home).reading() as log:
            yield log

    def latest(self, pipeline: str, stage: str, partition: str | None = None) -> Record | None:
        """Return the record that the last run of the stage (or partition) computed or reused."""
        return self._pointed(pipeline, stage, self._pointer(pipeline, stage, partition))

    def is_latest(self, record: Record) -> bool:
        """Whether the last run of the stage (or partition) computed or reused this record."""
        pointer = self._pointer(record.pipeline, record.stage, record.partition)
        return pointer.is_file() and pointer.read_bytes() == _pointing_at(record)

    def newest(
        self, pipeline: str, stage: str, partition: str | None, run_id: str | None
    ) -> Record | None:
        """Return the record that a run computed or reused, else the latest."""
        own = self._run(pipeline, run_id) / _slot(stage, partition) if run_id else None
        record = self._pointed(pipeline, stage, own) if own else None
        return record or self.latest(pipeline, stage, partition)

    def current(self, pipeline: str, stage: str) -> list[Record]:
        """Return the records that form the stage's table now, one per partition."""
        whole = self.latest(pipeline, stage)
        slots = [self._pointer(pipeline, stage, key) for key in self.partitions(pipeline, stage)]
        with self._reading() as log:
            latest = [self._pointed(pipeline, stage, slot, log) for slot in slots]
        parts = [record for record in latest if record]
        # A pipeline that had no partitions before, or has none any more, has both kinds of record.
        if whole and all(record.finished < whole.finished for record in parts):
            return [whole]
        return parts

    def foreseen(self, pipeline: str, stage: str, key: str) -> Record | None:
        """Return the last record that `foresee` stored for a key, or None."""
        return self._pointed(pipeline, stage, self._foreseen(pipeline, stage, key))

    def foresee(self, record: Record, key: str) -> None:
        """Let a record be found by the digest of what was known before it was computed.

        The record's own key covers more: what the user's code loaded while it ran.
        """
        pointer = self._foreseen(record.pipeline, record.stage, key)
        self._write(pointer, _pointing_at(record))

    def partitions(self, pipeline: str, stage: str) -> list[str]:
        """Return the keys of the partitions that have a record, sorted."""
        folder = self._home.records / pipeline / "latest"
        start, end = f"{stage}@", ".json"
        # A pattern of `pathlib` takes ten times as long, and there may be many partitions.
        names = os.listdir(folder) if folder.is_dir() else ()
        return sorted(
            unquote(name[len(start) : -len(end)])
            for name in names
            if name.startswith(start) and name.endswith(end)
        )

    def used(self, pipeline: str, run_id: str) -> list[Record]:
        """Return the records that a run computed or reused."""
        folder = self._run(pipeline, run_id)
        files = sorted(folder.iterdir()) if folder.is_dir() else []
        records = (self._pointed(pipeline, re.split("[.@]", path.name)[0], path) for path in files)
        return [record for record in records if record]

    def all(self, pipeline: str | None = None, stage: str | None = None) -> Iterator[Record]:
        """Yield every record, in no particular order."""
        folders = self._home.records.glob(pipeline or "*") if self._home.records.is_dir() else ()
        with self._reading() as log:
            for folder in folders:
                for path in folder.glob(f"{stage or '*'}/*.json"):
                    if path.parent.name not in {"latest", "runs"}:
                        record = self._find(folder.name, path.parent.name, path.stem, log)
                        if record:
                            yield record

    def save(self, record: Record) -> str:
        """Store the record, and return the SHA-256 of its file.

        If it is to replace one, it waits beside that until the ledger has it, for `put_in_place`.
        """
        path, content = self._home.path / record.name, record.model_dump_json(indent=1).encode()
        if self._counted and path.exists():
            self._home.write_durable(_beside(path), content)
        else:
            with self._in_store(path, content):
                self._home.write_durable(path, content)
        return sha256(content).hexdigest()

    def put_in_place(self, record: Record, file_digest: str) -> None:
        """Let a record that the ledger has replace the one before it, if there was one.

        Args:
            file_digest: as `save` returned it.
        """
        path = self._home.path / record.name
        with suppress(FileNotFoundError):
            content = _beside(path).read_bytes()
            if sha256(content).hexdigest() == file_digest:
                # Whoever reads it may be faster.
                with (
                    self._in_store(path, content),
                    storage_errors(path),
                    suppress(FileNotFoundError),
                ):
                    _beside(path).replace(path)

    def share(self, record: Record) -> None:
        """Put a record that the home has into the factory's store, if it has one."""
        if self._shared and uses_store(self._home):
            path = self._home.path / record.name
            self._write(path, path.read_bytes())

    def point(self, record: Record, run_id: str) -> None:
        """Make the record the stage's latest, and the one that the run uses."""
        content = _pointing_at(record)
        slot = _slot(record.stage, record.partition)
        self._write(self._run(record.pipeline, run_id) / slot, content)
        if not self.is_latest(record):
            pointer = self._pointer(record.pipeline, record.stage, record.partition)
            self._write(pointer, content)

    def _write(self, path: Path, content: bytes) -> None:
        with self._in_store(path, content):
            self._home.write_atomic(path, content)

    @contextmanager
    def _in_store(self, path: Path, content: bytes) -> Iterator[None]:
        """Write a file in the store, if there is one, before the block writes it in the home.

        What the home alone has is not known elsewhere.
        """
        if not self._shared or not uses_store(self._home):
            yield
            return
        from factory_resources.store.store import shared_store

        store = shared_store(self._home)
        assert store is not None
        # Else what was fetched a moment ago could take its place.
        with self._home.lock("store"):
            store.write(path, content)
            yield

    def _pointed(
        self, pipeline: str, stage: str, pointer: Path, log: Log | None = None
    ) -> Record | None:
        if not pointer.is_file():
            return None
        return self._find(pipeline, stage, key_at(pointer), log)

    def _pointer(self, pipeline: str, stage: str, partition: str | None) -> Path:
        return self._home.records / pipeline / "latest" / _slot(stage, partition)

    def _foreseen(self, pipeline: str, stage: str, key: str) -> Path:
        return self._home.records / pipeline / "foreseen" / stage / f"{key}.json"

    def _run(self, pipeline: str, run_id: str) -> Path:
        return self._home.records / pipeline / "runs" / run_id


def unfinished_records(home: Home) -> list[Path]:
    """Return the files of records that killed processes did not bring to count.

    All records must have been read before: those that count are in place then.
    """
    return sorted(home.records.glob(f"*/*/*.json{_BESIDE}"))


def finish_records(home: Home) -> None:
    """Put records in place that the ledger has, and that killed processes left beside others."""
    records = Records(home)
    for path in unfinished_records(home):
        pipeline, stage = path.parts[-3:-1]
        # Whoever reads a damaged one is told.
        with suppress(StorageError):
            records.find(pipeline, stage, path.name.removesuffix(f".json{_BESIDE}"))


def pointers(home: Home, pipeline: str) -> list[Path]:
    """Return the files that name the latest record of each stage, and those that runs used."""
    folder = home.records / pipeline
    return sorted([*folder.glob("latest/*.json"), *folder.glob("runs/*/*.json")])


def key_at(pointer: Path) -> str:
    """Return the key of the record that a pointer names.

    Raises:
        StorageError: the pointer is damaged, or cannot be read.
    """
    try:
        return str(json.loads(pointer.read_bytes())["key"])
    except OSError as error:
        raise unreadable(pointer, error) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise damaged_record(str(pointer)) from error


def entry_of(home: Home, record: Record, file_digest: str) -> int | None:
    """Return the number of the entry about the record's present file; None if there is none."""
    with Ledger(home).reading() as log:
        return _number_in(log, record, file_digest)


def _number_in(log: Log, record: Record, file_digest: str) -> int | None:
    found = latest_in(log, StageComputed, record.name)
    return found[0] if found and found[1].sha256 == file_digest else None


def _beside(path: Path) -> Path:
    return path.with_name(path.name + _BESIDE)


def _pointing_at(record: Record) -> bytes:
    return json.dumps({"key": record.key}).encode()


def _slot(stage: str, partition: str | None) -> str:
    return f"{stage}.json" if partition is None else f"{stage}@{quote(partition, safe='')}.json"
