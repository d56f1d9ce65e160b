"""A document as it is printed: sections of paragraphs and tables, all text, and numbered notes.

Every format is rendered from this. What belongs in which document is in `outlines`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from factory_assets.audit.dossier.cited import Cell, Citation, CitedValue, FactTable, Scalar
from factory_resources.ledger.factory_verify import printable

LONGEST = 500
"""Characters of a text that are printed; the dossier's JSON has all of them."""

ParagraphKind = Literal["text", "notice", "signed", "signature", "gap", "stale"]


@dataclass(frozen=True)
class PrintedParagraph:
    """A paragraph; `gap` says what is missing, `stale` what has changed since it was signed."""

    text: str
    """In one line, unless a person signed it in several."""
    kind: ParagraphKind = "text"
    notes: tuple[int, ...] = ()


@dataclass(frozen=True)
class PrintedTable:
    """A table; each row has as many cells as the header."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[int, ...]
    """Of the whole table."""
    row_notes: tuple[tuple[int, ...], ...]
    """Of each row; empty if all rows have those of the table."""


@dataclass(frozen=True)
class PrintedSection:
    """A section with its own blocks, then its sub-sections."""

    id: str
    title: str
    blocks: tuple[PrintedParagraph | PrintedTable, ...]
    sections: tuple["PrintedSection", ...] = ()


@dataclass(frozen=True)
class PrintedNote:
    """Where values stand, and what names it in the ledger."""

    number: int
    text: str


@dataclass(frozen=True)
class PrintedDocument:
    """A document in English."""

    title: str
    made: str
    """The time of what it describes: UTC, ISO 8601."""
    sections: tuple[PrintedSection, ...]
    notes: tuple[PrintedNote, ...]


@dataclass(frozen=True)
class NoteNumbers:
    """The number of the note of each cited document."""

    numbers: Mapping[Citation, int]

    @classmethod
    def of(cls, citations: Iterable[Citation]) -> "NoteNumbers":
        return cls({citation: number for number, citation in enumerate(citations, 1)})

    def of_cells(self, cells: Iterable[Cell]) -> tuple[int, ...]:
        """Return the notes of cells, ascending."""
        cited = {cell.citation for cell in cells if isinstance(cell, CitedValue)}
        return tuple(sorted(self.numbers[citation] for citation in cited))

    def of_citation(self, citation: Citation | None) -> tuple[int, ...]:
        """Return the note of a document; none without one."""
        return (self.numbers[citation],) if citation else ()

    def of_tables(self, tables: Iterable[FactTable]) -> tuple[int, ...]:
        """Return the notes of all cells of tables, ascending."""
        return self.of_cells(cell for table in tables for row in table.rows for cell in row)

    @property
    def notes(self) -> tuple[PrintedNote, ...]:
        return tuple(PrintedNote(n, _note(citation)) for citation, n in self.numbers.items())


def print_table(table: FactTable, numbers: NoteNumbers) -> PrintedTable:
    """Return a table as text; the notes stand once if all rows have the same."""
    by_row = tuple(numbers.of_cells(row) for row in table.rows)
    whole = numbers.of_tables([table])
    same = len(set(by_row)) == 1 or len(whole) == 1
    title = table.title + (f" (and {table.omitted:,} more rows)" if table.omitted else "")
    return PrintedTable(
        title=print_text(title),
        header=tuple(map(print_text, table.header)),
        rows=tuple(tuple(map(print_cell, row)) for row in table.rows),
        notes=whole if same else (),
        row_notes=() if same else by_row,
    )


def print_cell(cell: Cell) -> str:
    """Return a label or value as text."""
    return print_text(cell) if isinstance(cell, str) else print_value(cell.value)


def print_value(value: Scalar) -> str:
    """Return a value as text: numbers to six digits."""
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.6g}"
        case _:
            return print_text(str(value))


def print_text(text: str) -> str:
    """Return a text in one line without what could control or reverse it, shortened if long."""
    clean = print_whole(text)
    return clean if len(clean) <= LONGEST else f"{clean[:LONGEST]}… ({len(text):,} characters)"


def print_whole(text: str) -> str:
    """Return a text as `print_text` does, however long it is: what a person signed."""
    return printable(" ".join(text.split()))


def print_lines(text: str) -> str:
    """Return a whole text with its lines, each as `print_whole` does."""
    return "\n".join(map(print_whole, text.strip().splitlines()))


def _note(citation: Citation) -> str:
    path = print_text(citation.path)
    if citation.path.startswith("ledger/"):
        return f"Entry {citation.entry} of the ledger, leaf hash {citation.leaf}."
    return (
        f"{path}, SHA-256 {citation.sha256}; named by entry {citation.entry} of the ledger, "
        f"leaf hash {citation.leaf}."
    )
