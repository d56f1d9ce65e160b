"""The append-only log in its tables: entries, the hashes above them, and the signed checkpoint.

What the entries mean belongs in `entries`; which home has which log, in `ledger`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from factory_resources.errors import StorageError
from factory_resources.ledger.connection import Connection
from factory_resources.ledger.keys import LogKey

if TYPE_CHECKING:
    from factory_resources.ledger.factory_verify import CompactRange
    from factory_resources.ledger.proofs import StoredTree

_BATCH = 1000

EPOCH = 131_072
"""Entries whose subjects are together in the index."""

_HEAD = "SELECT size, frontier, checkpoint FROM head"


class GrownError(StorageError):
    """Others appended to the ledger after it was read."""


@dataclass(frozen=True)
class NewEntry:
    """The bytes of an entry to append."""

    body: bytes
    subject: str | None = None
    """What it is looked up by."""


class Log:
    """A log; everything is read through one connection.

    Raises:
        StorageError: its tables were changed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @classmethod
    def create(cls, connection: Connection, key: LogKey, entries: Sequence[NewEntry]) -> "Log":
        """Create the tables, with the first entries."""
        from factory_resources.ledger.factory_verify import CompactRange, LogCheckpoint

        connection.create_tables()
        log = cls(connection)
        first = key.sign(LogCheckpoint(key.origin, 0, CompactRange().root))
        connection.execute("INSERT INTO head VALUES (1, 0, ?, ?)", (b"", first))
        log.append(entries, key)
        return log

    def append(self, entries: Sequence[NewEntry], key: LogKey, *, size: int | None = None) -> range:
        """Append the entries in one durable transaction.

        Args:
            size: how many entries there must be before; None for any number.

        Returns:
            Their numbers.

        Raises:
            GrownError: there are more by now; nothing was appended.
        """
        from factory_resources.ledger.factory_verify import LogCheckpoint, leaf_hash

        with self._connection.writing(_HEAD) as head:
            tree = _tree(head, key)
            first = tree.size
            if size is not None and size != first:
                raise GrownError(
                    "the ledger grew meanwhile", remedy="nothing was changed; try again"
                )
            subtrees: list[tuple[int, int, bytes]] = []
            for entry in entries:
                subtrees += tree.append(leaf_hash(entry.body))
            numbered = [(first + place, entry) for place, entry in enumerate(entries)]
            subjects = {(subject_key(e.subject, n // EPOCH), n) for n, e in numbered if e.subject}
            self._connection.insert("entry", [(n, e.body) for n, e in numbered])
            self._connection.insert("subtree", subtrees)
            self._connection.insert("subject", sorted(subjects))
            note = key.sign(LogCheckpoint(key.origin, tree.size, tree.root))
            self._connection.write(
                "UPDATE head SET size = ?, frontier = ?, checkpoint = ?",
                (tree.size, tree.frontier, note),
            )
        return range(first, tree.size)

    def _head(self) -> tuple[int, bytes, str]:
        return _only(self._connection.execute(_HEAD))

    @property
    def size(self) -> int:
        return self._head()[0]

    @property
    def signed(self) -> tuple[int, str]:
        """The number of entries and the checkpoint of one moment, signed by the log alone."""
        size, _, note = self._head()
        return size, note

    def body(self, number: int) -> bytes:
        """Return the bytes of an entry."""
        rows = self._connection.execute("SELECT body FROM entry WHERE number = ?", (number,))
        # A page of zeroes is rows without values.
        if not rows or rows[0][0] is None:
            raise changed_error(f"entry {number} is missing")
        return bytes(rows[0][0])

    def bodies(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield number and bytes of the entries, in order, a thousand at a time."""
        stop = self.size if stop is None else stop
        while start < stop:
            rows = self._connection.execute(
                "SELECT number, body FROM entry WHERE number >= ? AND number < ? ORDER BY number",
                (start, min(stop, start + _BATCH)),
            )
            yield from rows
            start += _BATCH

    def numbers(self, subject: str) -> list[int]:
        """Return the numbers of the entries about a subject, and rarely others, newest first."""
        keys = [subject_key(subject, epoch) for epoch in range(self.size // EPOCH + 1)]
        marks = ", ".join("?" * len(keys))
        rows = self._connection.execute(
            f"SELECT entry FROM subject WHERE digest IN ({marks}) ORDER BY entry DESC", keys
        )
        return [number for (number,) in rows]

    @property
    def tree(self) -> "StoredTree":
        """The tree, for proofs."""
        from factory_resources.ledger.proofs import StoredTree

        return StoredTree(self._hashes)

    def _hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        from factory_resources.ledger.factory_verify import leaf_hash

        if level == 0:
            found = [leaf_hash(body) for _, body in self.bodies(start, stop)]
        else:
            rows = self._connection.execute(
                "SELECT hash FROM subtree WHERE level = ? AND number >= ? AND number < ? "
                "ORDER BY number",
                (level, start, stop),
            )
            found = [bytes(row[0]) for row in rows]
        if len(found) != stop - start:
            raise changed_error(f"hashes {start} to {stop - 1} of level {level} are missing")
        return found

    def cosigned(self) -> list[tuple[int, str]]:
        """Return the checkpoints that were given to witnesses, by size."""
        return self._connection.execute("SELECT size, note FROM checkpoint ORDER BY size")

    def store_checkpoint(self, size: int, decide: Callable[[str | None], str]) -> None:
        """Store a checkpoint with the cosignatures that it has so far.

        Args:
            decide: returns what to store, given what is stored; nobody else stores meanwhile.
        """
        query = f"SELECT note FROM checkpoint WHERE size = {size}"
        with self._connection.writing(query) as rows:
            self._connection.write(
                "INSERT INTO checkpoint VALUES (?, ?) "
                "ON CONFLICT (size) DO UPDATE SET note = excluded.note",
                (size, decide(rows[0][0] if rows else None)),
            )

    def copy_to(self, other: Connection) -> None:
        """Copy the log, as it is at this moment, to an empty SQLite database."""
        if not self._connection.postgres:
            self._connection.copy_file(other)
            return
        other.create_tables()
        with self._connection.frozen(), other.writing(_HEAD):
            size, frontier, note = self._head()
            other.insert("head", [(1, size, frontier, note)])
            other.insert("checkpoint", self.cosigned())
            for table in ("subtree", "subject"):
                for rows in self._connection.batches(f"SELECT * FROM {table}"):
                    other.insert(table, rows)
            for row in self.bodies(0, size):
                other.insert("entry", [row])


def _tree(head: list[Any], key: LogKey) -> "CompactRange":
    """Return the tree that the signed checkpoint names."""
    from factory_resources.ledger.factory_verify import (
        CompactRange,
        InvalidError,
        LogCheckpoint,
        SignedNote,
    )

    size, frontier, note = _only(head)
    try:
        tree = CompactRange(size, frontier)
        signed = SignedNote.parse(note.encode())
        if signed.time_of(key.verifier) is None:
            raise InvalidError(f"it was not signed by the key of {key.origin}")
        if signed.text != LogCheckpoint(key.origin, tree.size, tree.root).text:
            raise InvalidError("the checkpoint names another tree")
    except InvalidError as error:
        raise changed_error(str(error)) from error
    return tree


def _only(head: list[Any]) -> tuple[int, bytes, str]:
    if len(head) != 1:
        raise changed_error("it has no head")
    size, frontier, note = head[0]
    return size, frontier, note


def subject_key(subject: str, epoch: int) -> int:
    """Return the number by which the entries of an epoch about a subject are found.

    The index is ordered by epoch, so that new entries change few of its pages however long the
    ledger is. In the first epoch the number is the whole digest.
    """
    digest = int.from_bytes(sha256(subject.encode()).digest()[:8], "big", signed=True)
    return epoch << 47 | digest % 2**47 if epoch else digest


def changed_error(what: str) -> StorageError:
    """Return the error of a ledger that is not as the factory left it."""
    return StorageError(
        f"the ledger was changed: {what}",
        remedy="factory verify shows what does not hold; restore the ledger from a backup",
    )
