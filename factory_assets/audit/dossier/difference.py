"""What differs between the dossiers of two versions: values that came, went or changed."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from factory_assets.audit.dossier.cited import Cell, FactTable, cell_value
from factory_assets.audit.dossier.dossier import Dossier
from factory_assets.audit.dossier.printing import (
    PrintedDocument,
    PrintedParagraph,
    PrintedSection,
    PrintedTable,
    print_cell,
    print_text,
)
from factory_assets.audit.requirements.catalogue import EVIDENCE_KINDS, EvidenceKind


@dataclass(frozen=True)
class FactChange:
    """One value of a fact that is not the same in both dossiers."""

    kind: EvidenceKind
    change: Literal["added", "removed", "changed"]
    fact: str
    """The title of its table, its row and its column."""
    before: str
    now: str


def dossier_difference(before: Dossier, now: Dossier) -> tuple[FactChange, ...]:
    """Return what differs, by kind of evidence; values are compared exactly."""
    old, new = ({one.name: one for one in dossier.tables} for dossier in (before, now))
    names = dict.fromkeys([*new, *old])
    changes = [change for name in names for change in _changes(old.get(name), new.get(name))]
    return tuple(sorted(changes, key=lambda one: EVIDENCE_KINDS.index(one.kind)))


def print_difference(before: Dossier, now: Dossier) -> PrintedDocument:
    """Return what differs as a document."""
    changes = dossier_difference(before, now)
    sections = []
    for kind in dict.fromkeys(change.kind for change in changes):
        rows = tuple(
            (change.change, print_text(change.fact), change.before, change.now)
            for change in changes
            if change.kind == kind
        )
        header = ("change", "fact", before.name, now.name)
        title = kind.replace("_", " ").capitalize()
        table = PrintedTable(title, header, rows, (), ())
        sections.append(PrintedSection(f"difference-{kind}", title, (table,)))
    counts = ", ".join(
        f"{sum(one.change == word for one in changes)} {word}"
        for word in ("added", "removed", "changed")
    )
    about = PrintedParagraph(f"Values of the dossiers of {before.name} and {now.name}: {counts}.")
    lacking = [
        PrintedParagraph(f"Gap, {dossier.name}: {one.text}.", "gap")
        for dossier in (before, now)
        for one in dossier.damage(dossier.damaged)
    ]
    return PrintedDocument(
        f"Differences between {before.name} and {now.name}",
        now.made,
        (PrintedSection("about", "About this document", (about, *lacking)), *sections),
        (),
    )


def _changes(old: FactTable | None, new: FactTable | None) -> Iterator[FactChange]:
    table = new or old
    assert table
    before, now = (_values(one) if one else {} for one in (old, new))
    for place in dict.fromkeys([*now, *before]):
        fact = f"{table.title}: {', '.join(filter(None, place))}"
        was, has = before.get(place), now.get(place)
        if has is None and was is not None:
            yield FactChange(table.kind, "removed", fact, print_cell(was), "")
        elif was is None and has is not None:
            yield FactChange(table.kind, "added", fact, "", print_cell(has))
        elif was is not None and has is not None and cell_value(was) != cell_value(has):
            yield FactChange(table.kind, "changed", fact, print_cell(was), print_cell(has))


def _values(table: FactTable) -> Mapping[tuple[str, str], Cell]:
    """Return the cells after the first of each row, by the text of the first and the column.

    Rows of partitions may begin alike; from the second on they are numbered.
    """
    known, values = Counter[str](), dict[tuple[str, str], Cell]()
    for first, *others in table.rows:
        text = print_cell(first)
        known[text] += 1
        place = text if known[text] == 1 else f"{text} ({known[text]})"
        values |= {(place, name): cell for name, cell in zip(table.header[1:], others, strict=True)}
    return values
