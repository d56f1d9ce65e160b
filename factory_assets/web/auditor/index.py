"""An index of what the ledger and its records name, which grows with the ledger.

It only says where to look: what a page shows is read from the ledger and the records themselves.
"""

from __future__ import annotations

import json
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from factory_assets.web.auditor.paths import MOST
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import leaf_hash
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log, changed_error

_TABLES = """\
CREATE TABLE act (number INTEGER PRIMARY KEY, kind TEXT NOT NULL, pipeline TEXT NOT NULL,
  version INTEGER, time TEXT NOT NULL, detail TEXT NOT NULL);
CREATE INDEX act_about ON act (pipeline, kind, version);
CREATE TABLE digest (start INTEGER, number INTEGER, PRIMARY KEY (start, number)) WITHOUT ROWID;
CREATE TABLE record (name TEXT PRIMARY KEY, number INTEGER NOT NULL, pipeline TEXT NOT NULL,
  stage TEXT NOT NULL, data_version TEXT NOT NULL, wh REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX record_of ON record (pipeline, stage, data_version);
CREATE TABLE source (sha256 TEXT, name TEXT, pipeline TEXT, record TEXT NOT NULL,
  number INTEGER NOT NULL, PRIMARY KEY (sha256, name, pipeline)) WITHOUT ROWID;
"""

_DIGEST = re.compile(rb"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

_DIGITS = 15
"""Hexadecimal digits of a digest that are indexed."""

_BATCH = 5_000

_NO_ENTRY = (ValueError, TypeError, LookupError, AttributeError, RecursionError, sqlite3.Error)
"""Raised by bytes that are not what the factory enters."""

_DETAILS = {
    "approval": "decision",
    "serving": "action",
    "verdict": "passed",
    "rollout": "mode",
    "rollout_ended": "outcome",
}
"""By the kind of an entry: its field that a time line shows."""


@dataclass(frozen=True)
class IndexedAct:
    """An entry about a pipeline or one of its versions."""

    number: int
    kind: str
    version: int | None
    time: str
    """UTC, ISO 8601."""
    detail: str


@dataclass(frozen=True)
class IndexedSource:
    """A source that a record names."""

    sha256: str
    name: str
    pipeline: str
    record: str
    """The path of the record of the pipeline's last ingest that read it under this name."""
    number: int
    """The record's entry."""


class AuditIndex:
    """The index of one home, in memory; may be used by several threads.

    Raises:
        StorageError: from `reading`, if the ledger cannot be read, or an entry of it was changed.
    """

    def __init__(self, home: Home) -> None:
        self._home, self._lock = home, threading.RLock()
        self._database = self._new()
        self._size = 0

    @staticmethod
    def _new() -> sqlite3.Connection:
        made = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        made.executescript(_TABLES)
        return made

    @contextmanager
    def reading(self) -> Iterator[Log]:
        """Yield the log, with everything in it indexed.

        Raises:
            UnknownNameError: there is no ledger yet.
        """
        ledger = Ledger(self._home)
        if not ledger.exists:
            raise UnknownNameError("there is no ledger yet", remedy="run a pipeline first")
        with ledger.reading() as log:
            self._update(log)
            yield log

    def pipelines(self) -> list[str]:
        """Return the pipelines that entries are about."""
        rows = self._rows("SELECT DISTINCT pipeline FROM act WHERE pipeline > '' ORDER BY pipeline")
        return [name for (name,) in rows]

    def versions(self, pipeline: str) -> list[int]:
        """Return the versions of a pipeline, the newest first."""
        query = "SELECT DISTINCT version FROM act WHERE pipeline = ? AND kind = 'model_version'"
        return [version for (version,) in self._rows(f"{query} ORDER BY version DESC", pipeline)]

    def has_version(self, pipeline: str, version: int) -> bool:
        """Whether an entry says that the version was trained."""
        return version <= MOST and bool(self.acts(pipeline, "model_version", version))

    def acts(self, pipeline: str, kind: str, version: int | None = None) -> list[IndexedAct]:
        """Return the entries of a kind about a pipeline, or about one of its versions."""
        about = "" if version is None else " AND version = ?"
        values = (pipeline, kind) if version is None else (pipeline, kind, version)
        return self._acts(f"pipeline = ? AND kind = ?{about}", *values)

    def acts_about(self, pipeline: str, version: int) -> list[IndexedAct]:
        """Return the entries of all kinds about a version."""
        return self._acts("pipeline = ? AND version = ?", pipeline, version)

    def _acts(self, which: str, *values: Any) -> list[IndexedAct]:
        query = f"SELECT number, kind, version, time, detail FROM act WHERE {which}"
        return [IndexedAct(*row) for row in self._rows(f"{query} ORDER BY number", *values)]

    def last_number(self, pipeline: str) -> int:
        """Return the last entry about a pipeline; -1 if there is none."""
        [(number,)] = self._rows("SELECT max(number) FROM act WHERE pipeline = ?", pipeline)
        return -1 if number is None else int(number)

    def watt_hours(self, pipeline: str) -> float:
        """Return the energy of all records of a pipeline, in Wh."""
        [(total,)] = self._rows("SELECT sum(wh) FROM record WHERE pipeline = ?", pipeline)
        return float(total or 0)

    def numbers(self, digest: str, most: int) -> list[int]:
        """Return entries that a digest, or its beginning, is in, or whose own or whose record's
        contents it is; rarely others, the newest first."""
        start = digest[:_DIGITS].ljust(_DIGITS, "0")
        stop = digest[:_DIGITS].ljust(_DIGITS, "f")
        query = "SELECT DISTINCT number FROM digest WHERE start >= ? AND start <= ?"
        rows = self._rows(f"{query} ORDER BY number DESC LIMIT ?", _int(start), _int(stop), most)
        return [number for (number,) in rows]

    def sources(self, digest: str) -> list[IndexedSource]:
        """Return the names of the source with a digest, the last one that was read first."""
        query = "SELECT * FROM source WHERE sha256 = ? ORDER BY number DESC"
        return [IndexedSource(*row) for row in self._rows(query, digest)]

    def sources_called(self, text: str, most: int) -> list[IndexedSource]:
        """Return sources whose digest begins with a text, or whose name has it in it."""
        plain = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        query = (
            "SELECT * FROM source WHERE sha256 LIKE ? ESCAPE '\\' OR name LIKE ? ESCAPE '\\' "
            "ORDER BY number DESC LIMIT ?"
        )
        rows = self._rows(query, f"{plain}%", f"%{plain}%", most)
        return [IndexedSource(*row) for row in rows]

    def record_named(self, pipeline: str, stage: str, data_version: str) -> str | None:
        """Return the path of the last record of a stage with a data version."""
        query = "SELECT name FROM record WHERE pipeline = ? AND stage = ? AND data_version = ?"
        rows = self._rows(f"{query} ORDER BY number DESC", pipeline, stage, data_version)
        return str(rows[0][0]) if rows else None

    def records_of(self, pipeline: str, stage: str) -> list[str]:
        """Return the paths of the records of a stage that have an entry, the last one first."""
        query = "SELECT name FROM record WHERE pipeline = ? AND stage = ? ORDER BY number DESC"
        return [name for (name,) in self._rows(query, pipeline, stage)]

    def _rows(self, query: str, *values: Any) -> list[Any]:
        with self._lock:
            return self._database.execute(query, values).fetchall()

    @property
    def size(self) -> int:
        """How many entries are indexed."""
        return self._size

    def _update(self, log: Log) -> None:
        size = log.size
        with self._lock:
            if size < self._size:
                # Another ledger is in its place.
                self._database, self._size = self._new(), 0
        while self._add_batch(log, size):
            pass

    def _add_batch(self, log: Log, size: int) -> bool:
        """Index some more entries; in between, others may read what is indexed."""
        with self._lock:
            if self._size >= size:
                return False
            stop = min(size, self._size + _BATCH)
            self._add(log.bodies(self._size, stop))
            self._size = stop
            return True

    def _add(self, bodies: Iterable[tuple[int, bytes]]) -> None:
        digests: set[tuple[int, int]] = set()
        # What was added before a fault is taken back, and is added with the rest the next time.
        with self._database:
            self._database.execute("BEGIN")
            for number, body in bodies:
                try:
                    digests |= self._add_entry(number, body)
                except _NO_ENTRY as error:
                    raise changed_error(f"entry {number} cannot be read") from error
            rows = sorted(digests)
            self._database.executemany("INSERT OR IGNORE INTO digest VALUES (?, ?)", rows)

    def _add_entry(self, number: int, body: bytes) -> set[tuple[int, int]]:
        """Index an entry, and return the digests in it and in its record."""
        entry = json.loads(body)
        row = _act(number, entry)
        self._database.execute("INSERT INTO act VALUES (?, ?, ?, ?, ?, ?)", row)
        digests = {(_start(leaf_hash(body).hex()), number), *_digests_in(body, number)}
        return digests | self._add_record(number, entry) if entry["kind"] == "stage" else digests

    def _add_record(self, number: int, entry: Any) -> set[tuple[int, int]]:
        """Index a record, if it is as its entry says, and return the digests in it."""
        name = entry["subject"]
        try:
            content = (self._home.path / name).read_bytes()
        except OSError:
            # It was removed, which is an entry of its own.
            return set()
        if sha256(content).hexdigest() != entry["sha256"]:
            return set()
        record = json.loads(content)
        self._database.execute(
            "INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)",
            (name, number, *(record[key] for key in ("pipeline", "stage", "data_version", "wh"))),
        )
        sources = record["value"].get("sources", ()) if record["stage"] == "ingest" else ()
        self._database.executemany(
            "INSERT OR REPLACE INTO source VALUES (?, ?, ?, ?, ?)",
            [
                (source["sha256"], source["name"], record["pipeline"], name, number)
                for source in sources
            ],
        )
        return _digests_in(content, number)


def _act(number: int, entry: Any) -> tuple[Any, ...]:
    kind = entry["kind"]
    pipeline = entry.get("pipeline") or _pipeline_in(str(entry.get("subject", "")), kind)
    detail = entry.get(_DETAILS.get(kind, ""), "")
    if kind == "verdict":
        detail = "passed" if detail else "failed"
    return number, kind, pipeline, entry.get("version"), entry["time"], str(detail)


def _pipeline_in(subject: str, kind: str) -> str:
    return subject.rpartition("/")[2] if kind in {"declaration", "alarms"} else ""


def _digests_in(content: bytes, number: int) -> set[tuple[int, int]]:
    return {(_start(found.decode()), number) for found in _DIGEST.findall(content)}


def _start(digest: str) -> int:
    return _int(digest[:_DIGITS])


def _int(digits: str) -> int:
    return int(digits, 16)
