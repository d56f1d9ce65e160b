"""The prediction log of a home: writes, finds, counts, proves, archives and erases logged answers.

Writing belongs in `journal`, moving what was written into the database in `collector`.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from factory_resources.errors import StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import connection_faults
from factory_resources.prediction_log.answer_counts import (
    AnswerCount,
    answer_ids,
    count_answers,
)
from factory_resources.prediction_log.archive import (
    archived_neighbours,
    find_archived,
    read_footer,
    removed_days,
)
from factory_resources.prediction_log.archiving import RECENT, archive_days, remove_days
from factory_resources.prediction_log.collector import collect, journal_folder
from factory_resources.prediction_log.engines import has_store, open_store
from factory_resources.prediction_log.erasing import erase_answers, erased_error, find_erased
from factory_resources.prediction_log.ids import parse, request_of
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.lookup import AnswerFacts, PredictionLookup
from factory_resources.prediction_log.proofs import prove_absence, prove_answer, require_row
from factory_resources.prediction_log.record import PredictionRecord, decode
from factory_resources.prediction_log.segments import OPEN, SEALED, read, segments_of
from factory_resources.prediction_log.store import PredictionStore, StoredBlock, StoredPrediction

if TYPE_CHECKING:
    from factory_resources.ledger.factory_verify import PredictionProof
    from factory_resources.ledger.prediction_entries import PredictionsErased

_CACHED_FOOTERS = 32
"""Footers of archive files that are cached, about half a megabyte each."""


@dataclass(frozen=True)
class FoundPrediction:
    """A logged answer that was looked up by the id of one of its rows."""

    row: int
    """Which of its rows, counted from 0."""
    record: PredictionRecord
    place: Literal["journal", "database", "archive"]
    block: str | None
    """The UUID of its block; None as long as it is in the journal."""


class PredictionLog:
    """The prediction log of one home, used by one thread.

    It keeps its connection to the database open until it is closed: connecting takes longer than a
    look-up.

    Raises:
        StorageError: the disk or a database cannot be read or written.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._opened: PredictionStore | None = None
        self._footer = lru_cache(_CACHED_FOOTERS)(read_footer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the database; a later call opens it again."""
        if self._opened:
            self._opened.close()
            self._opened = None

    def journal(self) -> Journal:
        """Return a new segment of the journal to write to, which the caller closes."""
        return Journal(journal_folder(self._home))

    def collect(self) -> int:
        """Move sealed segments into the ledger and the database; return how many blocks.

        Any number of processes may do so at any time. Without a ledger nothing is moved.
        """
        from factory_resources.ledger.ledger import Ledger

        if not Ledger(self._home).exists:
            return 0
        with self._faults():
            return collect(self._home, self.database)

    def find(self, written: str) -> FoundPrediction | None:
        """Return the answer that has a row with this id; None if there is none.

        Raises:
            UnknownNameError: the text is not an id.
        """
        request, row = request_of(parse(written))
        with self._faults():
            found = self._stored(request, row) or self._waiting(request, row)
            # A record that has left the journal in the meantime is stored now.
            found = found or self._stored(request, row)
        return found if found and row < max(1, found.record.rows) else None

    def facts(self, requests: Collection[bytes]) -> dict[bytes, AnswerFacts]:
        """Return pipeline, version and number of rows of those of these requests on record."""
        with self._faults():
            return self._lookup().facts(requests)

    def records(self, requests: Collection[bytes]) -> Iterator[tuple[bytes, PredictionRecord]]:
        """Yield id and record of each of these requests that is on record, in no order."""
        with self._faults():
            for request, payload in self._lookup().records(requests):
                yield request, decode(payload)

    def every(self, pipeline: str, first: bytes) -> Iterator[tuple[bytes, PredictionRecord]]:
        """Yield id and record of all requests of a pipeline from an id on.

        They come in no order, and one that is moved meanwhile may come twice.
        """
        with self._faults():
            for request, payload in self._lookup().every(pipeline, first):
                yield request, decode(payload)

    def answered(
        self, pipeline: str, version: int, after: int, until: int, since: bytes
    ) -> list[tuple[bytes, int]]:
        """Return id and rows of the requests to a version, those refused with 0 rows, by their ids.

        Args:
            after: only of blocks that were stored after the one with this number.
            until: the number of the last block.
            since: no id is smaller.
        """
        with self._faults():
            return self._lookup().answered(pipeline, version, after, until, since)

    def count_answers(self, pipeline: str) -> dict[int, AnswerCount]:
        """Return the answers of each version of a pipeline that gave any.

        Answers that were removed since count too.
        """
        with self._faults():
            return count_answers(self._lookup(), pipeline)

    def answer_ids(self, pipeline: str, version: int, limit: int | None = None) -> list[bytes]:
        """Return the ids of the answered rows of a version that are on record, in their order.

        Args:
            limit: return at most so many ids, of the last blocks; None for all.
        """
        with self._faults():
            return answer_ids(self._lookup(), pipeline, version, limit)

    def count_rows(self, pipeline: str, first: bytes, stop: bytes) -> int:
        """Return how many rows of a pipeline were answered from an id on up to another."""
        with self._faults():
            return self._lookup().count_rows(pipeline, first, stop)

    def prove(self, written: str) -> "PredictionProof":
        """Return the proof that the request of a row was answered as it was, or is in no block.

        Raises:
            UnknownNameError: the text is not an id, its request has fewer rows, its record is
                still in the journal, it was erased, or nobody can tell, because records around it
                were removed, or there are none of later yet.
        """
        request, row = request_of(parse(written))
        with self._faults():
            found = self._collected(request)
            if not found and self._waiting(request, 0):
                raise UnknownNameError(
                    f"{written!r} is still in the journal",
                    remedy="try again in a minute",
                )
            # A record that has left the journal in the meantime is stored now.
            found = found or self._collected(request)
            if found:
                require_row(found.record, row)
                return prove_answer(self.database, found)
            for number, entry in find_erased(self._home, self.database, [request]).values():
                raise erased_error(written, number, entry)
            return prove_absence(self.database, request, self._neighbours)

    def archive(self, before: date | None = None) -> int:
        """Move the answers of past days into the archive; return how many days.

        Any number of processes may do so at any time; a kill loses and doubles nothing.

        Args:
            before: the first day, in UTC, whose answers stay; None for 30 days ago.
        """
        before = before or datetime.now(UTC).date() - RECENT
        with self._faults():
            return archive_days(self._home, self.database, before)

    def remove(self, pipeline: str, before: date, reason: str) -> int:
        """Remove the answers of a pipeline of all days before one; return how many.

        Args:
            reason: is entered in the ledger.

        Raises:
            RefusedError: some of them are younger than six months.
        """
        today = datetime.now(UTC).date()
        with self._faults():
            return remove_days(self._home, self.database, pipeline, before, reason, today)

    def erase(self, pipeline: str, requests: Collection[bytes], erasure: str) -> int:
        """Erase requests of a pipeline with all their rows, and what shadows computed for them.

        Their ids and the hashes of their records stay in the ledger and the database, so that all
        other answers are proven as before. A kill loses and doubles nothing: call it again.

        Args:
            requests: ids of requests, not of rows; of those that are not on record, nothing is
                done.
            erasure: the UUID of the erasure, which the ledger names.

        Returns:
            How many of these requests this erasure has erased, also in an earlier call.

        Raises:
            RefusedError: one of them is in a part of the journal that a server still writes.
        """
        with self._faults():
            return erase_answers(self._lookup(), pipeline, requests, erasure)

    def erased(
        self, requests: Collection[bytes]
    ) -> "Mapping[bytes, tuple[int, PredictionsErased]]":
        """Return those of these requests that were erased, each with number and entry."""
        with self._faults():
            return find_erased(self._home, self.database, requests)

    def _lookup(self) -> PredictionLookup:
        return PredictionLookup(self._home, self.database, self._footer)

    def removed_days(self, pipeline: str) -> frozenset[date]:
        """Return the days of a pipeline whose answers were removed."""
        return removed_days(self._home, pipeline)

    def _neighbours(
        self, block: StoredBlock, request: bytes
    ) -> tuple[StoredPrediction | None, StoredPrediction | None]:
        """Return the records of a block before and after an id, in the database or the archive."""
        pairs = zip(
            self.database.neighbours(block, request),
            archived_neighbours(self._home, block, request),
            strict=True,
        )
        before, after = ([one for one in pair if one] for pair in pairs)
        return (
            max(before, key=lambda one: one.id, default=None),
            min(after, key=lambda one: one.id, default=None),
        )

    def _faults(self) -> AbstractContextManager[None]:
        return connection_faults(self._home, self.close)

    @property
    def database(self) -> PredictionStore:
        """The records that were collected and are not in the archive yet."""
        if self._opened is None:
            self._opened = open_store(self._home)
        return self._opened

    def _collected(self, request: bytes) -> StoredPrediction | None:
        found = self.database.find(request)
        return found or find_archived(self._home, request, self._footer)

    def _stored(self, request: bytes, row: int) -> FoundPrediction | None:
        if self._opened is None and not has_store(self._home):
            return None
        place: Literal["database", "archive"] = "database"
        found = self.database.find(request)
        if found is None:
            place, found = "archive", find_archived(self._home, request, self._footer)
        return FoundPrediction(row, decode(found.record), place, found.block) if found else None

    def _waiting(self, request: bytes, row: int) -> FoundPrediction | None:
        for segment in segments_of(journal_folder(self._home)):
            payload = _payload(segment, request)
            if payload is not None:
                return FoundPrediction(row, decode(payload), "journal", None)
        return None


def _payload(segment: Path, request: bytes) -> bytes | None:
    """Return the record of a request in a segment, which may be sealed or removed meanwhile."""
    try:
        for identifier, payload in read(segment):
            if identifier >= request:
                return payload if identifier == request else None
    except StorageError:
        if segment.exists():
            raise
        if segment.suffix == OPEN:
            return _payload(segment.with_suffix(SEALED), request)
    return None
