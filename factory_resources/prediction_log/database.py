"""The interface of a database in the home and of one on a server, for stores that use either.

The tables belong in the stores; the engines, in `sqlite_database` and `postgres_database`.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    import pyarrow


V = TypeVar("V", bytes, str)


class Database(ABC):
    """One connection. It is used by one thread, and closed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def run(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """Run a statement whose parameters are written `?`, and return its rows."""

    @abstractmethod
    def batches(self, statement: str, values: Sequence[Any]) -> Iterator[list[Any]]:
        """Yield the rows of a SELECT, some thousands at a time."""

    @abstractmethod
    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert rows with a value for every column, within `writing`."""

    @abstractmethod
    @contextmanager
    def writing(self) -> Iterator[None]:
        """Run the `with` block in one durable transaction; no other writes meanwhile."""

    @abstractmethod
    def arrow(
        self, statement: str, longest: int
    ) -> "AbstractContextManager[pyarrow.RecordBatchReader]":
        """Read the rows of a SELECT, at least one, as Arrow.

        Args:
            longest: bytes of the longest row.
        """

    @abstractmethod
    def scrub(self, table: str) -> None:
        """Overwrite rows that were ever deleted from a table: none stays in a free page of the
        database, or in a log that belongs to it alone."""

    @abstractmethod
    def literal(self, content: bytes) -> str:
        """Return bytes as an SQL literal."""


def in_batches(values: Collection[V], size: int) -> Iterator[list[V]]:
    """Yield values in their order, in lists of limited length, as statements need them."""
    ordered = sorted(values)
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def placeholders(values: Sequence[object]) -> str:
    """Return a parameter of SQL for each value, as in `?, ?, ?`."""
    return ", ".join("?" * len(values))
