"""Bind outcomes in the ledger, in batches, after they were recorded.

A batch has the outcomes of consecutive numbers. It is stored, then entered in the ledger, then
marked as entered; an interrupted step is repeated.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.outcome import Outcome
from factory_resources.outcomes.store import OutcomeStore, values_of
from factory_resources.prediction_log.blocks import TILE

if TYPE_CHECKING:
    from factory_resources.ledger.entries import Kind
    from factory_resources.ledger.log import Log

BATCH = 100_000
"""The most outcomes of one batch."""


@dataclass(frozen=True)
class OutcomeBatch:
    """Consecutive outcomes that one entry of the ledger binds."""

    number: int
    identity: str
    """A UUID."""
    count: int
    leaves: tuple[bytes, ...]
    """The hash of each."""

    @property
    def root(self) -> str:
        """The tree hash of RFC 6962."""
        from factory_resources.ledger.factory_verify import tree_hash

        return tree_hash(self.leaves).hex()


def bind_outcomes(home: Home) -> int:
    """Enter the recorded outcomes in the ledger; return in how many batches.

    Any number of processes may do so at any time. Nothing is done if there is no ledger, or no
    outcome was ever recorded.

    Raises:
        StorageError: a database cannot be written, or a batch was changed.
    """
    from factory_resources.ledger.ledger import Ledger

    if not has_outcomes(home) or not Ledger(home).exists:
        return 0
    with home.lock("outcomes"), open_outcomes(home) as store, storage_faults(home):
        while store_batch(store):
            pass
        batches = unentered(store)
        for batch in batches:
            enter(home, batch)
            mark(store, batch)
        return len(batches)


def store_batch(store: OutcomeStore) -> bool:
    """Store a batch of the next outcomes; return whether there were any."""
    first = store.last_bound() + 1
    leaves = [*map(leaf_of, store.from_number(first, BATCH))]
    if not leaves:
        return False
    with store.database.writing():
        # Another machine may have stored the batch meanwhile.
        if store.last_bound() + 1 == first:
            [(number,)] = store.database.run(
                "SELECT coalesce(max(number), 0) + 1 FROM outcome_batch"
            )
            tiles = [b"".join(leaves[n : n + TILE]) for n in range(0, len(leaves), TILE)]
            store.database.insert(
                "outcome_tile", [(number, tile, hashes) for tile, hashes in enumerate(tiles)]
            )
            batch = (number, str(uuid4()), first, len(leaves), 0)
            store.database.insert("outcome_batch", [batch])
    return True


def leaf_of(one: Outcome) -> bytes:
    """Return the hash of an outcome in the tree of its batch."""
    from factory_resources.ledger.factory_verify import outcome_leaf

    return outcome_leaf(*values_of(one))


def unentered(store: OutcomeStore) -> Sequence[OutcomeBatch]:
    """Return the batches that are not marked as entered, in their order."""
    rows = store.database.run(
        "SELECT number, identity, count FROM outcome_batch WHERE entered = 0 ORDER BY number"
    )
    return [
        OutcomeBatch(number, identity, count, _leaves(store, number))
        for number, identity, count in rows
    ]


def _leaves(store: OutcomeStore, number: int) -> tuple[bytes, ...]:
    tiles = store.database.run(
        "SELECT hashes FROM outcome_tile WHERE batch = ? ORDER BY tile", [number]
    )
    content = b"".join(hashes for (hashes,) in tiles)
    return tuple(content[n : n + 32] for n in range(0, len(content), 32))


def enter(home: Home, batch: OutcomeBatch) -> None:
    """Append the entry of a batch to the ledger, unless it has it.

    Raises:
        StorageError: the ledger has another entry of this batch.
    """
    from factory_resources.ledger.ledger import Ledger

    def missing(log: "Log") -> list["Kind"]:
        entry = _missing(log, batch)
        return [entry] if entry else []

    Ledger(home).append_decided(missing)


def _missing(log: "Log", batch: OutcomeBatch) -> "Kind | None":
    from factory_resources.ledger.ledger import latest_in
    from factory_resources.ledger.prediction_entries import OutcomesRecorded

    subject = OutcomesRecorded.subject_of(batch=batch.identity)
    known = latest_in(log, OutcomesRecorded, subject)
    if known is None:
        return OutcomesRecorded(
            subject=subject, batch=batch.identity, root=batch.root, count=batch.count
        )
    if known[1].root != batch.root:
        raise StorageError(
            f"batch {batch.identity} of outcomes was changed: entry {known[0]} of the ledger names "
            "other outcomes",
            remedy="restore the database of outcomes from a backup",
        )
    return None


def mark(store: OutcomeStore, batch: OutcomeBatch) -> None:
    """Mark a batch as entered in the ledger."""
    with store.database.writing():
        store.database.run("UPDATE outcome_batch SET entered = 1 WHERE number = ?", [batch.number])
