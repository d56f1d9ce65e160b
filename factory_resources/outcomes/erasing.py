"""Erase the outcomes of answers; the hashes of their batches stay.

An interrupted step is repeated: the ledger first gets the numbers of the outcomes, then their rows
are deleted. Erasing the answers themselves belongs in `factory_resources.prediction_log`.
"""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.store import OutcomeStore
from factory_resources.prediction_log.archive import archiving_paused
from factory_resources.prediction_log.ids import ROWS, row_id

if TYPE_CHECKING:
    from factory_resources.ledger.prediction_entries import OutcomesErased

_NUMBERS_PER_ENTRY = 3_000


def erase_outcomes(home: Home, pipeline: str, requests: Collection[bytes], erasure: str) -> int:
    """Erase all outcomes of the rows of requests; erase the answers first, so that no more come.

    Args:
        requests: ids of requests, not of rows.
        erasure: the UUID of the erasure, which the ledger names.

    Returns:
        How many outcomes of a pipeline this erasure has erased, also in an earlier call.

    Raises:
        StorageError: a database cannot be read or written; done again, it is finished.
    """
    if not requests or not has_outcomes(home):
        return 0
    # Only bound outcomes have hashes that stay.
    bind_outcomes(home)
    with (
        # So that whoever compares a copy of the ledger with the databases finds what it names.
        archiving_paused(home),
        home.lock("outcomes"),
        open_outcomes(home) as store,
        storage_faults(home),
    ):
        known = _entered(home, pipeline)
        numbers = [*_numbers(store, pipeline, requests)]
        entered = {number for entry in known for number in entry.outcomes}
        new = [number for number in numbers if number not in entered]
        if new:
            enter_erased_outcomes(home, pipeline, new, erasure)
        delete_outcomes(store, numbers)
        store.database.scrub("outcome")
    earlier = sum(len(entry.outcomes) for entry in known if entry.erasure == erasure)
    return earlier + len(new)


def _numbers(store: OutcomeStore, pipeline: str, requests: Collection[bytes]) -> Iterator[int]:
    """Yield the numbers of the outcomes of requests that are bound."""
    query = "SELECT number FROM outcome WHERE pipeline = ? AND id >= ? AND id <= ? AND number <= ?"
    last = store.last_bound()
    for request in sorted(set(requests)):
        ends = request, row_id(request, ROWS - 1)
        for (number,) in store.database.run(query, [pipeline, *ends, last]):
            yield int(number)


def _entered(home: Home, pipeline: str) -> "list[OutcomesErased]":
    """Return the entries by which outcomes of a pipeline were erased."""
    from factory_resources.ledger.ledger import Ledger, entries_in
    from factory_resources.ledger.prediction_entries import OutcomesErased

    subject = OutcomesErased.subject_of(pipeline=pipeline)
    with Ledger(home).reading() as log:
        return [entry for _, entry in entries_in(log, OutcomesErased, subject)]


def enter_erased_outcomes(home: Home, pipeline: str, numbers: Sequence[int], erasure: str) -> None:
    """Append the entries of erased outcomes to the ledger."""
    from factory_resources.ledger.ledger import Ledger
    from factory_resources.ledger.prediction_entries import OutcomesErased

    Ledger(home).append(
        [
            OutcomesErased(
                subject=OutcomesErased.subject_of(pipeline=pipeline),
                pipeline=pipeline,
                erasure=erasure,
                outcomes=tuple(numbers[start : start + _NUMBERS_PER_ENTRY]),
            )
            for start in range(0, len(numbers), _NUMBERS_PER_ENTRY)
        ]
    )


def delete_outcomes(store: OutcomeStore, numbers: Sequence[int]) -> None:
    """Delete erased outcomes; the hashes of their batches stay."""
    with store.database.writing():
        for number in numbers:
            store.database.run("DELETE FROM outcome WHERE number = ?", [number])
