"""The database of outcomes: rows are only added, except by an erasure, and bound in batches later.

The choice of an engine belongs in `engines`; binding outcomes in the ledger, in `binding`.
"""

import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, Self

from factory_resources.home.schema import Schema, SchemaMigration
from factory_resources.outcomes.outcome import Decision, Feedback, Outcome, decide
from factory_resources.prediction_log.database import Database, in_batches, placeholders

_TABLES = """\
CREATE TABLE outcome (number {integer} PRIMARY KEY, id {bytes} NOT NULL,
  pipeline TEXT NOT NULL, value TEXT NOT NULL, observed {integer} NOT NULL,
  recorded {integer} NOT NULL, source TEXT NOT NULL, caller TEXT NOT NULL);
CREATE INDEX outcome_of_row ON outcome (pipeline, id, number);
CREATE TABLE outcome_batch (number {integer} PRIMARY KEY, identity TEXT UNIQUE NOT NULL,
  first {integer} NOT NULL, count {integer} NOT NULL, entered {integer} NOT NULL);
CREATE TABLE outcome_tile (batch {integer}, tile {integer}, hashes {bytes} NOT NULL,
  PRIMARY KEY (batch, tile)){compact};
CREATE TABLE feedback_count (pipeline TEXT, day TEXT, kind TEXT,
  number {integer} NOT NULL, PRIMARY KEY (pipeline, day, kind)){compact};
"""
"""`outcome_tile` has the hashes of the outcomes of a batch, 256 in a row of the table; `entered` is
1 if the ledger has the batch. `feedback_count` counts feedback that left no outcome."""

SCHEMA = Schema(
    "outcomes", "the database of outcomes", (SchemaMigration(_TABLES, ("outcome", "number")),)
)

Uncounted = Literal["repeated", "refused"]
"""Feedback that leaves no outcome."""

SETTLED = 5_000_000
"""Microseconds after which every outcome that was recorded can be read."""

_COLUMNS = "number, id, pipeline, value, observed, recorded, source, caller"

_IDS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class KnownRow:
    """An answered row, and what turned out to be true of it."""

    id: bytes
    first: int
    """When its first outcome was recorded, in microseconds since 1970."""
    value: str
    """The current outcome, as JSON."""
    observed: int


class OutcomeStore:
    """The outcomes of one home. It is used by one thread, and closed."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.database.close()

    def add(
        self, sent: Sequence[Feedback], refused: Mapping[str, int] | None = None
    ) -> list[Decision]:
        """Record outcomes durably, all or none, and return the decision about each.

        Args:
            refused: how many others could not be recorded, by pipeline.
        """
        counts = Counter[tuple[str, Uncounted]]()
        for pipeline, number in (refused or {}).items():
            counts[pipeline, "refused"] += number
        with self.database.writing():
            recorded = time.time_ns() // 1000
            # A number is never given out again, also if its outcome was erased.
            last = max(self.last_number(), self.last_bound())
            history = self._history(sent)
            decisions, rows = list[Decision](), list[Outcome]()
            for one in sent:
                before = history.setdefault(one.id, [])
                decisions.append(decision := decide(before, one))
                if decision == "repeated":
                    counts[one.pipeline, "repeated"] += 1
                    continue
                observed = recorded if one.observed is None else one.observed
                number = last + len(rows) + 1
                row = Outcome(
                    number, one.id, one.pipeline, one.value, observed, recorded, one.source,
                    one.caller,
                )  # fmt: skip
                before.append(row)
                rows.append(row)
            self.database.insert("outcome", [*map(values_of, rows)])
            self._count(counts)
        return decisions

    def _history(self, sent: Sequence[Feedback]) -> dict[bytes, list[Outcome]]:
        wanted: dict[str, list[bytes]] = {}
        for one in sent:
            wanted.setdefault(one.pipeline, []).append(one.id)
        found: dict[bytes, list[Outcome]] = {}
        for pipeline, ids in wanted.items():
            for row in self.history(pipeline, ids):
                found.setdefault(row.id, []).append(row)
        return found

    def _count(self, counts: Mapping[tuple[str, Uncounted], int]) -> None:
        day = datetime.now(UTC).date().isoformat()
        for (pipeline, kind), number in counts.items():
            self.database.run(
                "INSERT INTO feedback_count VALUES (?, ?, ?, ?) ON CONFLICT (pipeline, day, kind) "
                "DO UPDATE SET number = feedback_count.number + excluded.number",
                [pipeline, day, kind, number],
            )

    def history(self, pipeline: str, ids: Collection[bytes]) -> Iterator[Outcome]:
        """Yield the outcomes of rows of a pipeline; those of one row in their order."""
        for part in in_batches(set(ids), _IDS_PER_QUERY):
            rows = self.database.run(
                f"SELECT {_COLUMNS} FROM outcome WHERE pipeline = ? "
                f"AND id IN ({placeholders(part)}) ORDER BY number",
                [pipeline, *part],
            )
            yield from (Outcome(*row) for row in rows)

    def current(self, pipeline: str) -> Iterator[Outcome]:
        """Yield the outcome of each row of a pipeline, the last that was recorded, by their ids."""
        query = (
            f"SELECT {_COLUMNS} FROM outcome WHERE number IN "
            "(SELECT max(number) FROM outcome WHERE pipeline = ? GROUP BY id) ORDER BY id"
        )
        for rows in self.database.batches(query, [pipeline]):
            yield from (Outcome(*row) for row in rows)

    def last_number(self, until: int = 1 << 62) -> int:
        """Return the number of the last outcome, 0 if there is none.

        Args:
            until: microseconds since 1970; what was recorded later does not count.
        """
        query = "SELECT coalesce(max(number), 0) FROM outcome WHERE recorded <= ?"
        [(number,)] = self.database.run(query, [until])
        return int(number)

    def last_bound(self) -> int:
        """Return the number of the last outcome that is in a batch, 0 if there is none."""
        query = "SELECT coalesce(max(first + count), 1) - 1 FROM outcome_batch"
        return int(self.database.run(query)[0][0])

    def known_rows(
        self,
        pipeline: str,
        last: int,
        start: int = 0,
        stop: int = 1 << 62,
        *,
        since: bytes = b"",
    ) -> Iterator[KnownRow]:
        """Yield the rows of a pipeline with outcomes, in the order of the first outcome of each.

        A row keeps its place when it is corrected, and others follow it.

        Args:
            last: the number of the last outcome that counts.
            start, stop: microseconds since 1970, between which the first one was recorded.
            since: no row has a smaller id.
        """
        query = (
            "SELECT one.id, one.recorded, two.value, two.observed FROM "
            "(SELECT min(number) AS low, max(number) AS high FROM outcome "
            "WHERE pipeline = ? AND id >= ? AND number <= ? GROUP BY id) AS ends "
            "JOIN outcome AS one ON one.number = ends.low "
            "JOIN outcome AS two ON two.number = ends.high "
            "WHERE one.recorded >= ? AND one.recorded < ? ORDER BY one.number"
        )
        for rows in self.database.batches(query, [pipeline, since, last, start, stop]):
            yield from (KnownRow(*row) for row in rows)

    def count_first(self, pipeline: str, after: int, last: int, start: int) -> int:
        """Return how many rows of a pipeline have their first outcome among these numbers.

        It reads these numbers only, however many outcomes there are.

        Args:
            after, last: the number before the first one that counts, and the last one.
            start: microseconds since 1970; what was recorded earlier does not count.
        """
        # As conditions of WHERE, they would make SQLite read the index of all rows of the pipeline.
        query = (
            "SELECT count(CASE WHEN pipeline = ? AND recorded >= ? AND NOT EXISTS "
            "(SELECT 1 FROM outcome AS earlier WHERE earlier.pipeline = one.pipeline "
            "AND earlier.id = one.id AND earlier.number < one.number) THEN 1 END) "
            "FROM outcome AS one WHERE number > ? AND number <= ?"
        )
        [(count,)] = self.database.run(query, [pipeline, start, after, last])
        return int(count)

    def from_number(self, first: int, count: int) -> Iterator[Outcome]:
        """Yield outcomes in the order in which they were recorded."""
        query = f"SELECT {_COLUMNS} FROM outcome WHERE number >= ? ORDER BY number LIMIT ?"
        for rows in self.database.batches(query, [first, count]):
            yield from (Outcome(*row) for row in rows)


def values_of(one: Outcome) -> tuple[int, bytes, str, str, int, int, str, str]:
    """Return the columns of the row of an outcome, of which its leaf is the hash."""
    return (
        one.number,
        one.id,
        one.pipeline,
        one.value,
        one.observed,
        one.recorded,
        one.source,
        one.caller,
    )
