"""What stands in which document: the technical documentation, the model card, the data sheet."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, assert_never

from factory_assets.audit.dossier.answers import PersonAnswer
from factory_assets.audit.dossier.dossier import Dossier
from factory_assets.audit.dossier.printing import (
    NoteNumbers,
    PrintedDocument,
    PrintedParagraph,
    PrintedSection,
    PrintedTable,
    print_lines,
    print_table,
    print_text,
    print_whole,
)
from factory_assets.audit.requirements.catalogue import (
    EVIDENCE_KINDS,
    Catalogue,
    EvidenceKind,
    Requirement,
    RequirementSource,
    applying_to,
    catalogue,
)
from factory_assets.audit.requirements.statement_state import STATEMENT_FILE
from factory_resources.durations import moment

DocumentKind = Literal["dossier", "model-card", "data-sheet"]

CLAIM = (
    "This document lists evidence. It does not claim that the system conforms to any law: that is "
    "for people to judge and to declare. Every value was read from a record of the factory; its "
    "note says which, with the digest of the record and the entry of the ledger that names it. "
    "No sentence was written by a model. What only a person can say is printed only as far as a "
    "named person has signed it; what is missing is printed as missing."
)

_APPLIES = {
    "high": "Asked of systems of high risk.",
    "all": "Asked of every system.",
    "products": "Asked of products.",
}


@dataclass(frozen=True)
class _Part:
    """A section of a card or sheet."""

    title: str
    kinds: tuple[EvidenceKind, ...]
    asked: tuple[str, ...] = ()
    """Requirements whose question a person answers here."""


_MODEL_CARD = (
    _Part("Model", ("version_chain", "training", "interface"), ("annex-iv.1a",)),
    _Part("Use", (), ("annex-iv.1h",)),
    _Part("Data", ("sources", "splits")),
    _Part("Metrics", ("metrics", "calibration", "gates"), ("annex-iv.4",)),
    _Part("Parts of the data and groups of persons", ("slices", "fairness")),
    _Part("Robustness and influence", ("robustness", "influence")),
    _Part("Limits and risks", ("drift",), ("annex-iv.3",)),
    _Part("Cost", ("energy", "hardware")),
)

_DATA_SHEET = (
    _Part("Origin and collection", ("sources",), ("annex-iv.2d",)),
    _Part("Composition", ("data_contract", "splits")),
    _Part("Personal data", ("personal_data",)),
    _Part("Preparation", ("lineage",)),
    _Part("Quality", ("leaks", "drift")),
    _Part("Retention", ("retention",)),
)


def print_document(dossier: Dossier, kind: DocumentKind) -> PrintedDocument:
    """Return a dossier as one of its documents."""
    match kind:
        case "dossier":
            every = catalogue()
            asked = [one.id for one in every.requirements]
            return _Printer(dossier, EVIDENCE_KINDS, asked).technical_documentation(every)
        case "model-card":
            return _card(dossier, "Model card", _MODEL_CARD)
        case "data-sheet":
            return _card(dossier, "Data sheet", _DATA_SHEET)
        case _:
            assert_never(kind)


def _card(dossier: Dossier, title: str, parts: Sequence[_Part]) -> PrintedDocument:
    kinds = tuple(kind for part in parts for kind in part.kinds)
    asked = [name for part in parts for name in part.asked]
    return _Printer(dossier, kinds, asked).card(title, parts, catalogue())


class _Printer:
    """Prints a dossier; notes are numbered over the kinds and requirements that are shown."""

    def __init__(
        self, dossier: Dossier, kinds: Sequence[EvidenceKind], asked: Sequence[str]
    ) -> None:
        self._dossier = dossier
        tables = [table for kind in kinds for table in dossier.of(kind)]
        values = (value.citation for table in tables for value in table.values())
        signed = (dossier.answer(name).citation for name in asked)
        self._numbers = NoteNumbers.of(dict.fromkeys(filter(None, chain(values, signed))))

    def technical_documentation(self, every: Catalogue) -> PrintedDocument:
        """Print every requirement with its evidence, then the evidence by kind."""
        return self._document(
            "Technical documentation",
            [
                self._overview(every),
                *(self._source(source) for source in every.sources),
                self._evidence(),
            ],
        )

    def card(self, title: str, parts: Sequence[_Part], every: Catalogue) -> PrintedDocument:
        """Print the parts, each with a person's answers and the evidence."""
        sections = []
        for number, part in enumerate(parts, 1):
            asked = [every.by_id(name) for name in part.asked]
            answers = [one for point in asked for one in self._person(point)]
            tables = [table for kind in part.kinds for table in self._tables(kind)]
            sections.append(PrintedSection(f"part-{number}", part.title, (*answers, *tables)))
        claim = PrintedSection("claim", "About this document", (*self._subject(),))
        return self._document(title, [claim, *sections])

    def _document(self, title: str, sections: Sequence[PrintedSection]) -> PrintedDocument:
        return PrintedDocument(
            f"{title} of {self._dossier.name}",
            self._dossier.made,
            tuple(sections),
            self._numbers.notes,
        )

    def _subject(self) -> Iterator[PrintedParagraph]:
        dossier = self._dossier
        yield PrintedParagraph(CLAIM, "notice")
        standing = "It is the champion" if dossier.champion else "It is not the champion"
        if dossier.champion and dossier.stopped:
            standing += ", but a person has stopped it, so that it does not serve"
        yield PrintedParagraph(
            f"Version {dossier.version} of {dossier.pipeline} is of "
            f"{moment(dossier.made)} UTC. {standing}, as the first "
            f"{dossier.size:,} entries of the ledger say."
        )

    def _overview(self, every: Catalogue) -> PrintedSection:
        tier = self._dossier.tier
        asked = [one for one in every.requirements if one.person]
        applying = [one for one in asked if one.applies in applying_to(tier)]
        states = [self._dossier.answer(one.id).state for one in applying]
        counts = ", ".join(
            f"{states.count(state)} {state}" for state in ("signed", "stale", "open")
        )
        summary = PrintedParagraph(
            f"Questions that only a person can answer, for risk tier {tier}: {counts}. "
            f"Others, for products or another tier: {len(asked) - len(states)}."
        )
        return PrintedSection("claim", "About this document", (*self._subject(), summary))

    def _source(self, source: RequirementSource) -> PrintedSection:
        dates = (
            PrintedParagraph(f"{one.on.isoformat()}: {one.what} ({one.source}).")
            for one in source.dates
        )
        status = PrintedParagraph(f"{source.source}; {source.status}. The wording is our own.")
        return PrintedSection(
            f"source-{_slug(source.title)}",
            source.title,
            (status, *dates),
            tuple(self._requirement(one) for one in source.requirements),
        )

    def _requirement(self, asked: Requirement) -> PrintedSection:
        blocks: list[PrintedParagraph] = [PrintedParagraph(_APPLIES[asked.applies])]
        for kind in asked.evidence:
            tables = self._dossier.of(kind)
            if tables:
                titles = "; ".join(table.title for table in tables)
                text = f"Evidence, {_words(kind)}: {print_text(titles)}."
                blocks.append(PrintedParagraph(text, notes=self._numbers.of_tables(tables)))
            blocks += self._gaps(kind)
        return PrintedSection(
            f"requirement-{asked.id}",
            f"{asked.id}: {asked.title}",
            (*blocks, *self._person(asked)),
        )

    def _person(self, asked: Requirement) -> Iterator[PrintedParagraph | PrintedTable]:
        if asked.person:
            yield PrintedParagraph(f"Question to a person: {asked.person}")
            answer = self._dossier.answer(asked.id)
            if answer.state == "open":
                yield PrintedParagraph("Gap: no person has answered and signed.", "gap")
            else:
                yield from self._signed(answer)

    def _signed(self, answer: PersonAnswer) -> Iterator[PrintedParagraph | PrintedTable]:
        notes = self._numbers.of_citation(answer.citation)
        by = print_text(answer.by) or "a person whose name is not known any more"
        about = (
            f" about version {answer.version}" if answer.version != self._dossier.version else ""
        )
        if STATEMENT_FILE not in answer.changed:
            yield PrintedParagraph(print_lines(answer.text), "signed")
        # Apart from the text, which could otherwise end with the signature of another person.
        signature = f"Signed{about} by {by} on {print_text(answer.signed)}."
        yield PrintedParagraph(signature, "signature", notes)
        if STATEMENT_FILE in answer.changed:
            text = "Stale: what was signed is missing or was changed; see factory verify."
            yield PrintedParagraph(text, "stale")
        elif answer.state == "stale":
            changed = ", ".join(one.replace("_", " ") for one in answer.changed)
            yield PrintedParagraph(f"Stale: since it was signed, this changed: {changed}.", "stale")
        for one in self._dossier.damage(answer.kinds):
            yield PrintedParagraph(f"Gap: {one.text}, on which it rests.", "gap")
        if answer.declared:
            yield PrintedTable(
                "Signed with it, from governance.yaml",
                ("place", "value"),
                tuple((print_text(place), print_whole(value)) for place, value in answer.declared),
                notes,
                (),
            )

    def _evidence(self) -> PrintedSection:
        dossier = self._dossier
        kinds = [one for one in EVIDENCE_KINDS if dossier.of(one) or dossier.damage([one])]
        sections = (
            PrintedSection(f"evidence-{kind}", _words(kind).capitalize(), (*self._tables(kind),))
            for kind in kinds
        )
        return PrintedSection("evidence", "Evidence", (), tuple(sections))

    def _tables(self, kind: EvidenceKind) -> Iterator[PrintedParagraph | PrintedTable]:
        yield from self._gaps(kind)
        for table in self._dossier.of(kind):
            yield print_table(table, self._numbers)

    def _gaps(self, kind: EvidenceKind) -> Iterator[PrintedParagraph]:
        """Say what a kind of evidence lacks."""
        damaged = self._dossier.damage([kind])
        for one in damaged:
            yield PrintedParagraph(f"Gap, {_words(kind)}: {one.text}.", "gap")
        if not damaged and not self._dossier.of(kind):
            text = f"Gap: nothing is recorded for this version under: {_words(kind)}."
            yield PrintedParagraph(text, "gap")


def _words(kind: EvidenceKind) -> str:
    return kind.replace("_", " ")


def _slug(title: str) -> str:
    return "-".join("".join(c if c.isalnum() else " " for c in title.lower()).split())
