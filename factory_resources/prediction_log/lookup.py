"""Look up many logged answers at once, wherever they are: journal, database or archive.

One answer, and what is proven about it, is looked up by `prediction_log`.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.prediction_log.archive import (
    ArchivedFile,
    archive_folder,
    blocks_in,
    files_of,
)
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.database import in_batches, placeholders
from factory_resources.prediction_log.ids import ID_BYTES, day_of
from factory_resources.prediction_log.record import RecordHead, decode_head
from factory_resources.prediction_log.segments import OPEN, SEALED, first_id, read, segments_of
from factory_resources.prediction_log.store import PredictionStore, StoredBlock

_FACTS_PER_QUERY, _RECORDS_PER_QUERY = 500, 50
"""A record may have some megabytes."""

LARGEST = b"\xff" * ID_BYTES
"""No id is larger."""


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """What is known of a request without its rows."""

    pipeline: str
    version: int
    rows: int
    """0 if it was refused."""


@dataclass(frozen=True)
class PredictionLookup:
    """Looks up the answers of a home in every place where they may be; used by one thread.

    Raises:
        StorageError: one of them cannot be read.
    """

    home: Home
    store: PredictionStore
    footer: Callable[[Path], Any]
    """Returns where in a file of the archive its row groups are."""

    def facts(self, requests: Collection[bytes]) -> dict[bytes, AnswerFacts]:
        """Return what is known of those of these requests that are on record."""
        found = self._stored_facts(requests)
        for request, payload in self._journal(set(requests) - found.keys()):
            found[request] = _facts(payload)
        if missing := set(requests) - found.keys():
            # What left the journal in the meantime is stored now.
            found |= self._stored_facts(missing)
        return found

    def records(self, requests: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        """Yield id and record of those of these requests that are on record, in no order."""
        missing = set(requests)
        # Records move from the journal to the database and the archive, never back.
        for source in (self._journal, self._database, self._archive):
            for request, payload in source(missing):
                if request in missing:
                    missing.discard(request)
                    yield request, payload

    def every(self, pipeline: str, first: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield id and record of all requests of a pipeline from an id on.

        They come in no order; one that is moved meanwhile comes twice.
        """
        for request, payload in self.waiting_records(pipeline):
            if request >= first:
                yield request, payload
        last = first
        query = (
            "SELECT id, record FROM prediction WHERE pipeline = ? AND id >= ? "
            f"ORDER BY id LIMIT {_RECORDS_PER_QUERY}"
        )
        while rows := self.store.run(query, [pipeline, last]):
            yield from rows
            last = _next(rows[-1][0])
        for file in self._files(pipeline, first, LARGEST):
            with suppress(FileNotFoundError):
                yield from (row for row in file.every(self.footer(file.path)) if row[0] >= first)

    def count_rows(self, pipeline: str, first: bytes, stop: bytes) -> int:
        """Return how many rows of a pipeline were answered from an id on up to another."""
        # Records move from the journal to the database, never back.
        waiting = {id_: rows for _, id_, rows in self.waiting(pipeline) if first <= id_ < stop}
        last = self.store.last_block()
        query = (
            "SELECT sum(rows) FROM prediction WHERE pipeline = ? AND id >= ? AND id < ? "
            "AND block <= ?"
        )
        [(total,)] = self.store.run(query, [pipeline, first, stop, last])
        collected = self.collected(waiting, last)
        count = int(total or 0) + sum(waiting[one] for one in waiting.keys() - collected)
        for file in self._files(pipeline, first, stop):
            with suppress(FileNotFoundError):
                archived = {
                    request: _facts(payload).rows
                    for request, payload in file.every(self.footer(file.path))
                    if first <= request < stop
                }
                # A file is in the archive before its records leave the database.
                is_moving = self.store.has(pipeline, day_of(file.first))
                counted = self.collected(archived, last) if is_moving else set()
                count += sum(archived[one] for one in archived.keys() - counted)
        return count

    def answered(
        self, pipeline: str, version: int, after: int, until: int, since: bytes
    ) -> list[tuple[bytes, int]]:
        """Return id and rows of the requests to a version, those refused with 0 rows, by their ids.

        Args:
            after: only of blocks that were stored after the one with this number.
            until: the number of the last block.
            since: no id is smaller.
        """
        if not (blocks := self.store.blocks(after, until)):
            return []
        batches = self.store.answered(pipeline, version, after, until)
        found = [one for batch in batches for one in batch if one[0] >= since]
        # Read afterwards: records move to the archive, never back.
        archived = [
            (request, head.rows)
            for request, head in self._archived(pipeline, blocks, since)
            if head.version == version
        ]
        return sorted({*found, *archived}) if archived else found

    def versions(self, pipeline: str, block: int) -> set[int]:
        """Return the versions of a pipeline that have requests in a block."""
        [one] = self.store.blocks(block - 1, block)
        rows = self.store.run(
            "SELECT DISTINCT version FROM prediction WHERE id >= ? AND id <= ? AND block = ? "
            "AND pipeline = ?",
            [one.first, one.last, block, pipeline],
        )
        archived = self._archived(pipeline, [one], one.first)
        return {*(version for (version,) in rows), *(head.version for _, head in archived)}

    def collected(self, requests: Collection[bytes], until: int) -> set[bytes]:
        """Return those of these requests that are in the database, up to a block with a number."""
        found: set[bytes] = set()
        for part in in_batches(requests, _FACTS_PER_QUERY):
            ids = placeholders(part)
            query = f"SELECT id FROM prediction WHERE block <= ? AND id IN ({ids})"
            found.update(request for (request,) in self.store.run(query, [until, *part]))
        return found

    def waiting(self, pipeline: str) -> Iterator[tuple[int, bytes, int]]:
        """Yield version, id and rows of the requests to a pipeline that are still in the journal.

        Of those that were refused, and of what a shadow computed, there are 0 rows.
        """
        for request, payload in self.waiting_records(pipeline):
            facts = _facts(payload)
            yield facts.version, request, facts.rows

    def waiting_records(self, pipeline: str) -> Iterator[tuple[bytes, bytes]]:
        """Yield id and record of the requests to a pipeline that are still in the journal."""
        for request, payload in self._journal(None):
            if _facts(payload).pipeline == pipeline:
                yield request, payload

    def _archived(
        self, pipeline: str, blocks: Sequence[StoredBlock], since: bytes
    ) -> Iterator[tuple[bytes, RecordHead]]:
        """Yield the requests of blocks that are in the archive, from an id on."""
        names = {block.identity for block in blocks}
        first = max(since, min(block.first for block in blocks))
        for file in self._files(pipeline, first, _next(max(block.last for block in blocks))):
            # A file may be removed by now.
            with suppress(FileNotFoundError):
                if own := names.intersection(blocks_in(file.leaves.read_bytes())):
                    for row in file.of_blocks(own).select(["id", "record"]).to_pylist():
                        if row["id"] >= since:
                            yield row["id"], decode_head(row["record"])

    def _stored_facts(self, requests: Collection[bytes]) -> dict[bytes, AnswerFacts]:
        found: dict[bytes, AnswerFacts] = {}
        for part in in_batches(requests, _FACTS_PER_QUERY):
            rows = self.store.run(
                "SELECT id, pipeline, version, rows FROM prediction "
                f"WHERE id IN ({placeholders(part)})",
                part,
            )
            found.update((request, AnswerFacts(*facts)) for request, *facts in rows)
        for request, payload in self._archive(set(requests) - found.keys()):
            found[request] = _facts(payload)
        return found

    def _database(self, requests: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for part in in_batches(requests, _RECORDS_PER_QUERY):
            yield from self.store.run(
                f"SELECT id, record FROM prediction WHERE id IN ({placeholders(part)})", part
            )

    def _archive(self, requests: Collection[bytes]) -> Iterator[tuple[bytes, bytes]]:
        days: dict[Any, list[bytes]] = {}
        for request in requests:
            days.setdefault(day_of(request), []).append(request)
        for day, wanted in days.items():
            for file in files_of(self.home, day):
                inside = [request for request in wanted if file.first <= request <= file.last]
                if inside:
                    # A file may be removed by now.
                    with suppress(FileNotFoundError):
                        yield from file.find_several(inside, self.footer(file.path))

    def _files(self, pipeline: str, first: bytes, stop: bytes) -> Iterator[ArchivedFile]:
        days = day_of(first).isoformat(), day_of(stop).isoformat()
        for folder in sorted((archive_folder(self.home) / pipeline).glob("*")):
            if days[0] <= folder.name <= days[1]:
                for file in map(ArchivedFile, sorted(folder.glob("*.parquet"))):
                    if file.last >= first and file.first < stop:
                        yield file

    def _journal(self, requests: Collection[bytes] | None) -> Iterator[tuple[bytes, bytes]]:
        """Yield requests that were not collected yet: these, or all."""
        if requests is not None and not requests:
            return
        last = LARGEST if requests is None else max(requests)
        for segment in segments_of(journal_folder(self.home)):
            for request, payload in _segment_rows(segment, last):
                if requests is None or request in requests:
                    yield request, payload


def _segment_rows(segment: Path, last: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of a segment up to an id; it may be sealed or removed meanwhile."""
    try:
        if first_id(segment) > last:
            return
        for request, payload in read(segment):
            if request > last:
                return
            yield request, payload
    except StorageError:
        if segment.exists():
            raise
        if segment.suffix == OPEN:
            yield from _segment_rows(segment.with_suffix(SEALED), last)


def _facts(payload: bytes) -> AnswerFacts:
    head = decode_head(payload)
    return AnswerFacts(head.pipeline, head.version, head.rows)


def _next(request: bytes) -> bytes:
    return (int.from_bytes(request, "big") + 1).to_bytes(ID_BYTES, "big")
