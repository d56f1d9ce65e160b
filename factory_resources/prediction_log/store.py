"""The database of recent answers, which is filled with the blocks of the journal and asked by id.

This is what both engines share; their differences belong in `sqlite_store` and `postgres_store`,
the choice of one in `engines`. Older answers belong in `archive`.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from factory_resources.home.schema import Engine, Schema, SchemaMigration
from factory_resources.prediction_log.blocks import TILE, PredictionBlock
from factory_resources.prediction_log.database import Database, in_batches, placeholders
from factory_resources.prediction_log.ids import day_of, first_of
from factory_resources.prediction_log.record import decode

if TYPE_CHECKING:
    import pyarrow

_NAMES_PER_STATEMENT = 10_000
"""SQLite takes 32,766 values."""

_TABLES = """\
CREATE TABLE block (number {integer} PRIMARY KEY, identity TEXT UNIQUE NOT NULL,
  first {bytes} NOT NULL, last {bytes} NOT NULL, count {integer} NOT NULL);
CREATE TABLE leaf_tile (block {integer}, tile {integer}, hashes {bytes} NOT NULL,
  PRIMARY KEY (block, tile)){compact};
CREATE TABLE prediction (id {bytes} PRIMARY KEY, block {integer} NOT NULL,
  leaf {integer} NOT NULL, pipeline TEXT NOT NULL, version {integer} NOT NULL,
  rows {integer} NOT NULL, record {bytes} NOT NULL){compact};
"""
"""`leaf_tile` has the hashes of all records of a block, 256 in a row of the table; they stay when a
record moves to the archive or is removed."""

_LONGEST = """\
ALTER TABLE block ADD COLUMN longest {integer} NOT NULL DEFAULT 0;
UPDATE block SET longest = (SELECT coalesce(max(length(record)), 0) FROM prediction
  WHERE prediction.block = block.number AND id >= first AND id <= last);
"""
"""Size of the longest record of a block; of an older block, of those that were still here when the
column was added."""

_ID = "CASE WHEN rows > 0 THEN id END"

_END: dict[Engine, str] = {
    "sqlite": "{end}({ids})",
    # Before its version 18, PostgreSQL compares bytes, but has no smallest and largest of them.
    "postgresql": "decode({end}(encode({ids}, 'hex') COLLATE \"C\"), 'hex')",
}


def _ends(engine: Engine, first: str, last: str) -> str:
    ids = {"min": first, "max": last}
    return ", ".join(_END[engine].format(end=end, ids=ids[end]) for end in ids)


def _count(engine: Engine, where: str = "") -> str:
    return (
        "INSERT INTO answer_count SELECT block, pipeline, version, count(*), sum(rows), "
        f"{_ends(engine, _ID, _ID)} FROM prediction{where} GROUP BY block, pipeline, version"
    )


_COUNTS = """\
CREATE TABLE answer_count (block {integer}, pipeline TEXT, version {integer},
  requests {integer} NOT NULL, answers {integer} NOT NULL, first {bytes}, last {bytes},
  PRIMARY KEY (block, pipeline, version)){compact};
"""
"""The requests of each version in each block, the rows of those that were not refused, and the
first and last id of these. Counts stay when a record moves to the archive or is removed. Of blocks
older than this table, they cover the records that were still here when it was added."""

SCHEMA = Schema(
    "predictions",
    "the database of the prediction log",
    (
        SchemaMigration(_TABLES, ("prediction", "id")),
        SchemaMigration(_LONGEST, ("block", "longest")),
        SchemaMigration(
            _COUNTS, sqlite=f"{_count('sqlite')};", postgresql=f"{_count('postgresql')};"
        ),
    ),
)

_UNCOUNTED = (
    "SELECT number FROM block WHERE count <> "
    "(SELECT coalesce(sum(requests), 0) FROM answer_count WHERE block = number)"
)

_BLOCK = "SELECT number, identity, first, last, count FROM block"

StoredRow = tuple[bytes, int, int, str, int, int, bytes]
"""A row of `prediction`."""


@dataclass(frozen=True)
class StoredBlock:
    """A block as the database describes it."""

    number: int
    identity: str
    first: bytes
    last: bytes
    count: int


@dataclass(frozen=True)
class StoredCount:
    """How many answers a version of a pipeline gave."""

    version: int
    answers: int
    """Rows of the requests that were not refused."""
    first: bytes
    """The id of the first such request."""
    last: bytes


@dataclass(frozen=True)
class StoredPrediction:
    """A record with its block and leaf."""

    id: bytes
    block: str
    leaf: int
    record: bytes


class PredictionStore(Database):
    """The database of one home. It is used by one thread, and closed."""

    ENGINE: Engine = "sqlite"
    TABLE = "prediction"
    """How the table of records is named to Arrow's drivers."""

    @abstractmethod
    def insert_rows(self, rows: Sequence[StoredRow]) -> None:
        """Insert rows, within `writing`; ids that are there already stay as they are."""

    def add(self, block: PredictionBlock) -> bool:
        """Store a block; return whether it was not stored before.

        Raises:
            StorageError: one of its records cannot be read.
        """
        with self.writing():
            if self.run("SELECT 1 FROM block WHERE identity = ?", [block.identity]):
                return False
            [(number,)] = self.run("SELECT coalesce(max(number), 0) + 1 FROM block")
            count, longest = len(block.records), max(len(content) for _, content in block.records)
            self.run(
                "INSERT INTO block VALUES (?, ?, ?, ?, ?, ?)",
                [number, block.identity, block.first, block.last, count, longest],
            )
            for tile, hashes in enumerate(block.tiles):
                self.run("INSERT INTO leaf_tile VALUES (?, ?, ?)", [number, tile, hashes])
            self.insert_rows([*_rows(number, block)])
            self.run("DELETE FROM answer_count WHERE block = ?", [number])
            where = " WHERE id >= ? AND id <= ? AND block = ?"
            self.run(_count(self.ENGINE, where), [block.first, block.last, number])
        return True

    def find(self, request: bytes) -> StoredPrediction | None:
        """Return the record of a request."""
        rows = self.run(
            "SELECT id, identity, leaf, record FROM prediction "
            "JOIN block ON block.number = prediction.block WHERE id = ?",
            [request],
        )
        return StoredPrediction(*rows[0]) if rows else None

    def blocks(self, after: int = 0, until: int = 1 << 62) -> list[StoredBlock]:
        """Return the blocks after a number, up to another, in the order of their numbers."""
        query = f"{_BLOCK} WHERE number > ? AND number <= ? ORDER BY number"
        rows = self.run(query, [after, until])
        return [StoredBlock(*row) for row in rows]

    def block(self, identity: str) -> StoredBlock:
        """Return a block, which is stored, by its UUID."""
        [row] = self.run(f"{_BLOCK} WHERE identity = ?", [identity])
        return StoredBlock(*row)

    def blocks_around(self, request: bytes) -> list[StoredBlock]:
        """Return the blocks that begin before an id and end after it."""
        rows = self.run(
            f"{_BLOCK} WHERE first <= ? AND last >= ? ORDER BY number", [request, request]
        )
        return [StoredBlock(*row) for row in rows]

    def blocks_of(self, day: date) -> list[StoredBlock]:
        """Return the blocks that may have records of a day."""
        rows = self.run(f"{_BLOCK} WHERE first < ? AND last >= ?", [day_after(day), first_of(day)])
        return [StoredBlock(*row) for row in rows]

    def neighbours(
        self, block: StoredBlock, request: bytes
    ) -> tuple[StoredPrediction | None, StoredPrediction | None]:
        """Return the records of a block, of those that are here, before and after an id."""
        query = "SELECT id, leaf, record FROM prediction WHERE block = ? AND id {} ORDER BY id {}"
        sides = [
            self.run(f"{query.format(*side)} LIMIT 1", [block.number, request, end])
            for side, end in (
                (("< ? AND id >= ?", "DESC"), block.first),
                (("> ? AND id <= ?", ""), block.last),
            )
        ]
        left, right = (
            StoredPrediction(rows[0][0], block.identity, *rows[0][1:]) if rows else None
            for rows in sides
        )
        return left, right

    def leaves(self, block: StoredBlock, start: int, stop: int) -> list[bytes]:
        """Return the hashes of the leaves from `start` up to `stop`."""
        tiles = self.run(
            "SELECT hashes FROM leaf_tile WHERE block = ? AND tile >= ? AND tile <= ? "
            "ORDER BY tile",
            [block.number, start // TILE, (stop - 1) // TILE],
        )
        hashes = b"".join(row[0] for row in tiles)
        skipped = start // TILE * TILE
        return [hashes[32 * (n - skipped) : 32 * (n - skipped + 1)] for n in range(start, stop)]

    def counts(self) -> dict[str, int]:
        """Return how many requests of each pipeline the database has."""
        return dict(self.run("SELECT pipeline, count(*) FROM prediction GROUP BY pipeline"))

    def answer_counts(self, pipeline: str, until: int) -> list[StoredCount]:
        """Return the counts of each version of a pipeline that gave answers, up to a block.

        Those of `uncounted_blocks` are left out.
        """
        # The engine adds them up: there is a block every few seconds.
        rows = self.run(
            f"SELECT version, sum(answers), {_ends(self.ENGINE, 'first', 'last')} "
            "FROM answer_count WHERE pipeline = ? AND block <= ? AND answers > 0 "
            f"AND block NOT IN ({_UNCOUNTED}) GROUP BY version",
            [pipeline, until],
        )
        return [StoredCount(version, int(answers), *ends) for version, answers, *ends in rows]

    def answer_blocks(self, pipeline: str, version: int) -> list[int]:
        """Return the numbers of the blocks that may have answers of a version, the last first."""
        query = (
            "SELECT block FROM answer_count WHERE pipeline = ? AND version = ? AND answers > 0 "
            f"UNION {_UNCOUNTED} ORDER BY 1 DESC"
        )
        return [number for (number,) in self.run(query, [pipeline, version])]

    def uncounted_blocks(self) -> list[int]:
        """Return the numbers of the blocks of which `answer_count` does not have all requests."""
        return [number for (number,) in self.run(f"{_UNCOUNTED} ORDER BY number")]

    def last_block(self) -> int:
        """Return the number of the block that was stored last; 0 if there is none."""
        return int(self.run("SELECT coalesce(max(number), 0) FROM block")[0][0])

    def answered(
        self, pipeline: str, version: int, after: int, until: int
    ) -> Iterator[list[tuple[bytes, int]]]:
        """Yield id and rows of the requests to a version, those refused with 0 rows, by thousands.

        Args:
            after: only of blocks that were stored after the one with this number.
            until: the number of the last block.
        """
        blocks = "FROM block WHERE number > ? AND number <= ?"
        first = self.run(f"SELECT first {blocks} ORDER BY first LIMIT 1", [after, until])
        last = self.run(f"SELECT last {blocks} ORDER BY last DESC LIMIT 1", [after, until])
        if first and last:
            yield from self.batches(
                "SELECT id, rows FROM prediction WHERE id >= ? AND id <= ? AND block > ? "
                "AND block <= ? AND pipeline = ? AND version = ? ORDER BY id",
                [*first[0], *last[0], after, until, pipeline, version],
            )

    def shadows(self, pipeline: str, version: int, first: bytes) -> Iterator[bytes]:
        """Yield the records of a version without rows from an id on: errors, and what it computed
        as a shadow."""
        query = (
            "SELECT record FROM prediction WHERE id >= ? AND pipeline = ? AND version = ? "
            "AND rows = 0 ORDER BY id"
        )
        for rows in self.batches(query, [first, pipeline, version]):
            yield from (content for (content,) in rows)

    def days_before(self, day: date) -> Iterator[date]:
        """Yield the days before this one that have records here."""
        stop, start = first_of(day), bytes(16)
        query = "SELECT id FROM prediction WHERE id >= ? AND id < ? ORDER BY id LIMIT 1"
        while found := self.run(query, [start, stop]):
            yield (one := day_of(found[0][0]))
            start = day_after(one)

    def pipelines(self, day: date) -> list[str]:
        """Return the pipelines that answered on a day."""
        rows = self.run(
            "SELECT DISTINCT pipeline FROM prediction WHERE id >= ? AND id < ? ORDER BY pipeline",
            [first_of(day), day_after(day)],
        )
        return [name for (name,) in rows]

    def has(self, pipeline: str, day: date) -> bool:
        """Whether the database has records of a pipeline of a day."""
        query = "SELECT 1 FROM prediction WHERE id >= ? AND id < ? AND pipeline = ? LIMIT 1"
        return bool(self.run(query, [first_of(day), day_after(day), pipeline]))

    def has_all(self, requests: Collection[bytes]) -> bool:
        """Whether the database has the records of all these requests."""
        query = "SELECT count(*) FROM prediction WHERE id IN ({})"
        parts = in_batches(requests, _NAMES_PER_STATEMENT)
        found = (self.run(query.format(placeholders(part)), part) for part in parts)
        return sum(int(count) for [(count,)] in found) == len(requests)

    def export(
        self, pipeline: str, day: date
    ) -> "AbstractContextManager[pyarrow.RecordBatchReader]":
        """Read id, number of the block, leaf and record of a day, at least one, by their ids."""
        name, ends = pipeline.replace("'", "''"), (first_of(day), day_after(day))
        query = "SELECT max(longest) FROM block WHERE last >= ? AND first < ?"
        [(longest,)] = self.run(query, ends)
        return self.arrow(
            f"SELECT id, block, leaf, record FROM {self.TABLE} WHERE id >= {self.literal(ends[0])} "
            f"AND id < {self.literal(ends[1])} AND pipeline = '{name}' ORDER BY id",
            longest,
        )

    def delete(self, pipeline: str, first: bytes, last: bytes, blocks: Sequence[str]) -> None:
        """Delete the records of blocks from one id to another; the hashes of their leaves stay."""
        with self.writing():
            for part in in_batches(blocks, _NAMES_PER_STATEMENT):
                self.run(
                    "DELETE FROM prediction WHERE id >= ? AND id <= ? AND pipeline = ? AND block "
                    f"IN (SELECT number FROM block WHERE identity IN ({placeholders(part)}))",
                    [first, last, pipeline, *part],
                )


def day_after(day: date) -> bytes:
    """Return the smallest id that the day after may have: all ids of the day are smaller."""
    return first_of(date.fromordinal(day.toordinal() + 1))


def _rows(number: int, block: PredictionBlock) -> Iterator[StoredRow]:
    for leaf, (identifier, payload) in enumerate(block.records):
        record = decode(payload)
        yield identifier, number, leaf, record.pipeline, record.version, record.rows, payload
