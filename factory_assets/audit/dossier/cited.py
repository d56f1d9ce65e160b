"""Values with the place that they were read from: a file or entry, its digest, and a JSON pointer.

A value is only made by reading it at its pointer, so that it is what the file says. Which values
belong in a dossier is decided in the modules of facts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory_assets.audit.requirements.catalogue import EvidenceKind
from factory_resources.errors import ModelError

Scalar = str | int | float | bool | None
"""A value of JSON without parts."""

Step = str | int
"""A name in an object, or an index in an array."""


@dataclass(frozen=True)
class Citation:
    """A JSON document that values are read from."""

    path: str
    """Of the file in the home; of an entry of the ledger `ledger/<number>`."""
    sha256: str
    """The digest of the file, or of the bytes of the entry."""
    entry: int
    """The number of the ledger's entry that names this digest, or that is cited itself."""
    leaf: str
    """The leaf hash of the entry (RFC 6962), in hexadecimal."""


@dataclass(frozen=True)
class CitedValue:
    """A value, and where it stands."""

    value: Scalar
    citation: Citation
    pointer: str
    """RFC 6901."""


Cell = str | CitedValue
"""A label, or a value."""


def cell_value(cell: Cell) -> object:
    """Return what a cell says, without its citation."""
    return cell if isinstance(cell, str) else cell.value


@dataclass(frozen=True)
class CitedDocument:
    """A document with its place; values are read from it by pointer."""

    citation: Citation
    content: Any

    def at(self, *steps: Step) -> CitedValue:
        """Return the value at the place.

        Raises:
            ModelError: there is none, or it has parts.
        """
        value = self._find(steps)
        if isinstance(value, dict | list):
            raise self._unreadable(steps)
        return CitedValue(value, self.citation, pointer(steps))

    def get(self, *steps: Step) -> Cell:
        """Return the value at the place; an empty label if it is missing or null.

        Raises:
            ModelError: it has parts.
        """
        return self.at(*steps) if self.has(*steps) else ""

    def has(self, *steps: Step) -> bool:
        """Whether there is something at the place other than null."""
        try:
            return self._find(steps) is not None
        except ModelError:
            return False

    def children(self, *steps: Step) -> list[Step]:
        """Return the names or indexes of what is at the place; none if nothing is there."""
        if not self.has(*steps):
            return []
        value = self._find(steps)
        return [*value] if isinstance(value, dict) else [*range(len(value))]

    def leaves(self, *steps: Step) -> Iterator[CitedValue]:
        """Yield each value below the place that is not null, in order."""
        value = self._find(steps)
        if isinstance(value, dict | list):
            for child in self.children(*steps):
                yield from self.leaves(*steps, child)
        elif value is not None:
            yield CitedValue(value, self.citation, pointer(steps))

    def _find(self, steps: tuple[Step, ...]) -> Any:
        value = self.content
        for step in steps:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                raise self._unreadable(steps) from None
        return value

    def _unreadable(self, steps: tuple[Step, ...]) -> ModelError:
        return ModelError(
            f"there is no value at {pointer(steps)}",
            where=self.citation.path,
            remedy="the file is of another version of the factory, or was changed: factory verify",
        )


@dataclass(frozen=True)
class FactTable:
    """What is recorded about one thing: a table of labels and values."""

    kind: EvidenceKind
    name: str
    """Unique in a dossier."""
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    """Each has as many cells as the header; the first one identifies it."""
    omitted: int = 0
    """How many rows there are beside these."""

    def values(self) -> Iterator[CitedValue]:
        """Yield each value of the rows."""
        for row in self.rows:
            yield from (cell for cell in row if isinstance(cell, CitedValue))


MOST_ROWS = 200
"""Rows of a table; others are counted."""


def fact_table(
    kind: EvidenceKind,
    name: str,
    title: str,
    header: tuple[str, ...],
    rows: Iterable[tuple[Cell, ...]],
) -> Iterator[FactTable]:
    """Yield the table, unless it would be empty."""
    every = tuple(rows)
    if every:
        kept = every[:MOST_ROWS]
        yield FactTable(kind, name, title, header, kept, len(every) - len(kept))


def property_rows(
    document: CitedDocument, labels: Mapping[str, tuple[Step, ...]]
) -> Iterator[tuple[Cell, ...]]:
    """Yield label and value of each place that has a value."""
    for label, steps in labels.items():
        if document.has(*steps):
            yield label, document.at(*steps)


def item_rows(
    document: CitedDocument, fields: Sequence[str], *steps: Step
) -> Iterator[tuple[Cell, ...]]:
    """Yield these fields of each item of the array at the place."""
    for i in document.children(*steps):
        yield tuple(document.at(*steps, i, field) for field in fields)


def setting_rows(document: CitedDocument, *steps: Step) -> Iterator[tuple[Cell, ...]]:
    """Yield each value below the place that is not null, with its path from there."""
    start = len(pointer(steps)) + 1
    if document.has(*steps):
        for leaf in document.leaves(*steps):
            yield leaf.pointer[start:].replace("/", "."), leaf


def pointer(steps: Iterable[Step]) -> str:
    """Return the JSON pointer of a place (RFC 6901)."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps)
