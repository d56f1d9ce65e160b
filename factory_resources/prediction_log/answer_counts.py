"""Count the answers of each version of a pipeline, and list their ids.

Counts are stored with each block, so that no record is read; the records of blocks that are older
than these counts are read. Answers that were removed are counted, but have no ids.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from factory_resources.prediction_log.ids import row_id
from factory_resources.prediction_log.lookup import PredictionLookup

_SMALLEST = bytes(16)
"""No id is smaller."""


@dataclass(frozen=True)
class AnswerCount:
    """The answers of a version."""

    answers: int
    """Rows of requests that were not refused."""
    first: bytes
    """The id of the first of these requests."""
    last: bytes


def count_answers(lookup: PredictionLookup, pipeline: str) -> dict[int, AnswerCount]:
    """Return the answers of each version of a pipeline that gave any.

    Raises:
        StorageError: a place where answers are cannot be read.
    """
    found: dict[int, AnswerCount] = {}
    # Records move from the journal to the database, never back. A record that is stored after this
    # is still counted as waiting in the journal.
    waiting = {request: (version, rows) for version, request, rows in lookup.waiting(pipeline)}
    last = lookup.store.last_block()
    for one in lookup.store.answer_counts(pipeline, last):
        _add(found, one.version, AnswerCount(one.answers, one.first, one.last))
    for block in (block for block in lookup.store.uncounted_blocks() if block <= last):
        for version in lookup.versions(pipeline, block):
            read = lookup.answered(pipeline, version, block - 1, block, _SMALLEST)
            _add_requests(found, version, read)
    for request in waiting.keys() - lookup.collected(waiting, last):
        version, rows = waiting[request]
        _add_requests(found, version, [(request, rows)])
    return found


def answer_ids(
    lookup: PredictionLookup, pipeline: str, version: int, limit: int | None = None
) -> list[bytes]:
    """Return the ids of the answered rows of a version that are on record, in their order.

    Args:
        limit: return at most so many ids, of the last blocks; None for all.

    Raises:
        StorageError: a place where answers are cannot be read.
    """
    waiting = {
        (request, rows) for known, request, rows in lookup.waiting(pipeline) if known == version
    }
    if limit is None:
        stored = lookup.answered(pipeline, version, 0, lookup.store.last_block(), _SMALLEST)
        return [*_rows(sorted({*stored, *waiting}))]
    found = waiting
    for block in lookup.store.answer_blocks(pipeline, version):
        if sum(rows for _, rows in found) >= limit:
            break
        found = found.union(lookup.answered(pipeline, version, block - 1, block, _SMALLEST))
    return [*_rows(sorted(found))][-limit:]


def _rows(requests: Iterable[tuple[bytes, int]]) -> Iterator[bytes]:
    for request, rows in requests:
        for row in range(rows):
            yield row_id(request, row)


def _add_requests(
    found: dict[int, AnswerCount], version: int, requests: Iterable[tuple[bytes, int]]
) -> None:
    for request, rows in requests:
        if rows:
            _add(found, version, AnswerCount(rows, request, request))


def _add(found: dict[int, AnswerCount], version: int, more: AnswerCount) -> None:
    before = found.get(version, more)
    answers = more.answers + (before.answers if version in found else 0)
    found[version] = AnswerCount(
        answers, min(before.first, more.first), max(before.last, more.last)
    )
