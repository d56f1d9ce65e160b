"""The AI Act, point by point, for one version: what is on record, what a person answered, the gaps.

It claims evidence, never conformity. Which evidence a point asks for belongs in
`audit.requirements`, what is on record of it in `audit.dossier`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from factory_assets.audit.dossier.answers import PersonAnswer
from factory_assets.audit.dossier.cited import Cell, CitedValue
from factory_assets.audit.dossier.dossier import Dossier, make_dossier
from factory_assets.audit.dossier.printing import print_cell
from factory_assets.audit.requirements.catalogue import (
    Applies,
    EvidenceKind,
    Requirement,
    RequirementDate,
    applying_to,
    catalogue,
)
from factory_assets.declarations.loader import load_pipeline
from factory_assets.web.auditor.index import AuditIndex
from factory_assets.web.auditor.open_questions import Change, last_change
from factory_assets.web.auditor.remembered import Remembered
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home

_ROWS = 12
"""Rows of a table that are shown; the dossier has all."""

_REMEMBERED = 20
"""Versions."""

_LONGEST = 200
"""Characters of a value that are shown."""

_FORMS = {
    "digest": re.compile(r"[0-9a-f]{64}"),
    "time": re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+(Z|\+00:00)"),
}
"""Values that the page writes as it does elsewhere."""


@dataclass(frozen=True)
class ActPoint:
    """One point."""

    requirement: Requirement
    found: tuple[EvidenceKind, ...]
    """Kinds of evidence that are on record."""
    missing: tuple[EvidenceKind, ...]
    damaged: tuple[str, ...]
    """A sentence for each file that its evidence lacks, because it is missing or was changed."""
    answer: PersonAnswer
    applies: bool
    """Whether it applies to a system of this risk; points about products are not counted."""

    @property
    def is_answered(self) -> bool:
        """Whether nothing that only a person can say is open."""
        return not self.requirement.person or self.answer.state == "signed"


@dataclass(frozen=True)
class ShownCell:
    """A cell of evidence."""

    text: str
    number: int | None
    """The entry that it is proven by; None for a label."""
    form: str
    """One of `_FORMS`, or `text`."""


@dataclass(frozen=True)
class ShownTable:
    """What is on record about one thing."""

    kind: EvidenceKind
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[ShownCell, ...], ...]
    omitted: int


@dataclass(frozen=True)
class ActView:
    """What the page shows."""

    pipeline: str
    version: int
    size: int
    """Entries in the ledger that it was read from."""
    risk: str
    title: str
    """Of the regulation."""
    source: str
    dates: tuple[RequirementDate, ...]
    points: tuple[ActPoint, ...]
    tables: tuple[ShownTable, ...]

    @property
    def gaps(self) -> int:
        """Points that apply and have no evidence of some kind, or no valid answer of a person."""
        return sum(bool(one.missing or one.damaged) or not one.is_answered for one in self.applying)

    @property
    def applying(self) -> tuple[ActPoint, ...]:
        return tuple(point for point in self.points if point.applies)


class ActReader:
    """Reads versions of one home; may be used by several threads.

    Collecting a dossier takes longer than a page may, so it is remembered until the ledger says
    something new of the pipeline, or its files change.
    """

    def __init__(self, home: Home, index: AuditIndex) -> None:
        self._home, self._index = home, index
        self._known = Remembered[tuple[str, int | None, Change], ActView](_REMEMBERED)

    def read(self, pipeline: str, version: int | None, folders: Mapping[str, Path]) -> ActView:
        """Return what is shown of a version.

        Args:
            version: None for the champion, else the newest.

        Raises:
            UnknownNameError: there is no such version, or the pipeline is not declared.
            FactoryError: a record or a declaration cannot be read.
        """
        if pipeline not in folders:
            raise UnknownNameError(
                f"{pipeline} is not declared",
                remedy="restore its declaration, or see its versions",
            )
        folder = folders[pipeline]
        key = pipeline, version, last_change(folder, self._home, self._index)
        return self._known.get(key, lambda: _act_view(folder, version, self._home))


def _act_view(folder: Path, version: int | None, home: Home) -> ActView:
    declared = load_pipeline(folder)
    dossier = make_dossier(declared, version, home, proven=False)
    act, risk = catalogue().sources[0], declared.spec.risk
    return ActView(
        dossier.pipeline,
        dossier.version,
        dossier.size,
        f"{risk.tier} ({risk.area})" if risk.area else risk.tier,
        act.title,
        act.source,
        act.dates,
        tuple(_point(one, dossier, applying_to(risk.tier)) for one in act.requirements),
        tuple(_tables(dossier)),
    )


def _point(requirement: Requirement, dossier: Dossier, applying: frozenset[Applies]) -> ActPoint:
    kinds = {kind: bool(dossier.of(kind)) for kind in requirement.evidence}
    return ActPoint(
        requirement,
        tuple(kind for kind, there in kinds.items() if there),
        tuple(kind for kind, there in kinds.items() if not there),
        tuple(one.text for one in dossier.damage(requirement.evidence)),
        dossier.answer(requirement.id),
        requirement.applies in applying,
    )


def _tables(dossier: Dossier) -> Iterator[ShownTable]:
    for table in dossier.tables:
        rows = tuple(tuple(map(_cell, row)) for row in table.rows[:_ROWS])
        omitted = table.omitted + max(0, len(table.rows) - _ROWS)
        header = tuple(f"{title[:1].upper()}{title[1:]}" for title in table.header)
        yield ShownTable(table.kind, table.title, header, rows, omitted)


def _cell(cell: Cell) -> ShownCell:
    text = print_cell(cell)[:_LONGEST]
    if not isinstance(cell, CitedValue):
        return ShownCell(text, None, "text")
    form = next((name for name, form in _FORMS.items() if form.fullmatch(text)), "text")
    return ShownCell(text, cell.citation.entry, form)
