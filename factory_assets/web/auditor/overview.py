"""Where an auditor begins: every pipeline with its risk, its champion and its last verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.declarations.folders import pipeline_folders
from factory_assets.execution.ledger_state import ledger_state
from factory_assets.results.record_graph import RecordGraph
from factory_assets.web.auditor.index import AuditIndex
from factory_assets.web.auditor.open_questions import OpenQuestions
from factory_assets.web.auditor.records import history_of
from factory_assets.web.auditor.time_line import TimeLines, VersionLine
from factory_assets.web.pages.pipeline_state import PipelineState
from factory_assets.web.pages.pipeline_states import PipelineStates
from factory_assets.web.pages.waits import Wait, waits_of
from factory_resources.home.home import Home
from factory_resources.ledger.log import Log


@dataclass(frozen=True)
class AuditedPipeline:
    """One pipeline."""

    name: str
    state: PipelineState | None
    """None if it is not declared any more."""
    champion: VersionLine | None
    newest: VersionLine | None
    versions: int
    is_on_record: bool
    """Whether an entry is about it, so that there is a page of it."""
    watt_hours: float
    waits: Sequence[Wait]
    questions: int | None
    """Those about the champion, else the newest version, that only a person can answer and nobody
    has; None without a version."""


@dataclass(frozen=True)
class AuditOverview:
    """What the first page shows."""

    rows: tuple[AuditedPipeline, ...]
    page: int
    pages: int
    total: int
    entries: int
    witness: str
    """What witnesses have seen, in one line."""
    watt_hours: float


@dataclass(frozen=True)
class AuditOverviewReader:
    """Reads the first page of one home."""

    home: Home
    index: AuditIndex
    lines: TimeLines
    states: PipelineStates
    questions: OpenQuestions

    def read(self, log: Log, page: int, size: int) -> AuditOverview:
        """Return a page of the pipelines, those that are only in the ledger included.

        Args:
            page: from 1.
        """
        states = {state.name: state for state in self.states.all()}
        recorded = frozenset(self.index.pipelines())
        names = sorted(recorded.union(states))
        shown = names[(page - 1) * size : page * size]
        state, folders = ledger_state(self.home), {one.name: one for one in pipeline_folders()}
        return AuditOverview(
            tuple(
                self._row(log, name, states.get(name), folders.get(name), name in recorded)
                for name in shown
            ),
            page,
            max(1, -(-len(names) // size)),
            len(names),
            log.size,
            state.text(datetime.now(UTC)) if state else "no witness is declared",
            sum(self.index.watt_hours(name) for name in names),
        )

    def _row(
        self,
        log: Log,
        name: str,
        state: PipelineState | None,
        folder: Path | None,
        is_on_record: bool,
    ) -> AuditedPipeline:
        versions = self.index.versions(name)
        act = self.lines.champion(name)
        wanted = [*versions[:1], *([act.version] if act and act.version else [])]
        found = {line.version: line for line in self.lines.lines(log, name, set(wanted))}
        return AuditedPipeline(
            name,
            state,
            found.get(act.version) if act and act.version else None,
            found.get(versions[0]) if versions else None,
            len(versions),
            is_on_record,
            self.index.watt_hours(name),
            waits_of(state) if state else (),
            self._questions(log, folder, wanted[-1]) if folder and wanted else None,
        )

    def _questions(self, log: Log, folder: Path, version: int) -> int | None:
        def history(number: int) -> RecordGraph:
            return history_of(log, folder.name, number, self.home, self.index)

        return self.questions.count(folder, version, history)
