"""Everything that is on record of one model version, as its page shows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from factory_assets.audit.erased import erasures_behind, erasures_from
from factory_assets.audit.trace.backward import describe_columns
from factory_assets.audit.trace.report import ColumnOrigin, RowsErased
from factory_assets.execution.provenance import Environment, read_provenance
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import MonitorReport
from factory_assets.results.base import StageResult, result_as
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.web.auditor.data_summary import DataSummary, data_summary
from factory_assets.web.auditor.decisions import DecisionLine, decisions_of
from factory_assets.web.auditor.drawing import VersionDrawing, column_drawing, stage_drawing
from factory_assets.web.auditor.index import AuditIndex, IndexedAct
from factory_assets.web.auditor.records import CountedRecord, CountedRecords, graph_of
from factory_assets.web.auditor.time_line import TimeLines, VersionLine
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.ledger.log import Log
from factory_resources.prediction_log.engines import has_store
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry

R = TypeVar("R", bound=StageResult)


@dataclass(frozen=True)
class StageLine:
    """A stage behind a version; of partitions the first."""

    stage: str
    record: Record
    number: int
    """Its entry."""
    partitions: int
    """How many records of the stage were read together; 1 without partitions."""


@dataclass(frozen=True)
class VersionView:
    """What the page shows; what the records do not tell any more is None or empty."""

    line: VersionLine
    evaluation: EvaluationResult | None
    candidate: Candidate | None
    split: SplitResult | None
    data: DataSummary | None
    """None if no record of its ingest is left."""
    stages: tuple[StageLine, ...]
    columns: tuple[ColumnOrigin, ...]
    graph: VersionDrawing | None
    column_graph: VersionDrawing | None
    environment: Environment | None
    environment_unknown: str
    decisions: tuple[DecisionLine, ...]
    answers: int | None
    """Rows that it answered, also those that were removed or erased since; None if only `factory
    trace` can count them."""
    look: MonitorReport | None
    """The last look at its answers whose report is kept."""
    entries: tuple[IndexedAct, ...]
    """The entries about the version, in order."""
    erased: tuple[RowsErased, ...]
    """The erasures of rows that it learned from."""
    erased_beside: tuple[RowsErased, ...]
    """Those of other rows behind it, such as rows that it was evaluated on."""
    watt_hours: float
    """Energy of the stages behind it, of all partitions together."""


@dataclass(frozen=True)
class VersionReader:
    """Reads versions of one home."""

    home: Home
    index: AuditIndex
    lines: TimeLines

    def read(self, log: Log, pipeline: str, version: int) -> VersionView:
        """Return what is on record of a version, which exists.

        Raises:
            StorageError: a record is damaged.
        """
        [line] = self.lines.lines(log, pipeline, [version])
        counted = CountedRecords(self.home, log)
        roots = [*counted.roots(self.index, pipeline, version)]
        found = counted.behind(roots)
        candidate = _value(Candidate, found.get("train"))
        evaluation = _value(EvaluationResult, found.get("evaluate"))
        every = counted.every(roots)
        data = data_summary(every)
        sources = data.sources if data else ()
        columns, upstream = self._columns(found, counted, candidate)
        environment, unknown = self._environment(pipeline, version)
        looks = Looks(self.home, pipeline).newest_first()
        erased = tuple(erasures_from(pipeline, version, self.home))
        behind = erasures_behind([one.name for one in every], self.home)
        return VersionView(
            line,
            evaluation,
            candidate,
            _value(SplitResult, found.get("split")),
            data,
            tuple(_stage_lines(found)),
            columns,
            stage_drawing(found, sources, upstream, line.name) if found else None,
            column_drawing(columns, line.name),
            environment,
            unknown,
            tuple(decisions_of(log, pipeline, version, self.home)),
            _answers(pipeline, version, self.home),
            next((look for look in looks if look.version == version), None),
            tuple(self.index.acts_about(pipeline, version)),
            erased,
            tuple(one for one in behind if one not in erased),
            sum(one.wh for one in every),
        )

    def _columns(
        self,
        found: Mapping[str, CountedRecord],
        counted: CountedRecords,
        candidate: Candidate | None,
    ) -> tuple[tuple[ColumnOrigin, ...], list[Record]]:
        """Return where the columns come from, and the records of other pipelines on the way."""
        records = (one.record for one in found.values())
        graph, upstream = graph_of(records, counted, self.index)
        if "split" not in found or candidate is None:
            return (), upstream
        return describe_columns(found["split"].record, graph, candidate), upstream

    def _environment(self, pipeline: str, version: int) -> tuple[Environment | None, str]:
        try:
            registered = Registry(self.home).version(pipeline, version)
            return read_provenance(registered, self.home).environment, ""
        except FactoryError as error:
            return None, str(error)


def _value(kind: type[R], found: CountedRecord | None) -> R | None:
    return result_as(kind, found.record) if found else None


def _answers(pipeline: str, version: int, home: Home) -> int | None:
    with PredictionLog(home) as log:
        if not has_store(home):
            return 0
        try:
            counted = log.count_answers(pipeline).get(version)
        except ModuleNotFoundError:
            # They are older than the counts and archived, and this process reads no Arrow.
            return None
    return counted.answers if counted else 0


def _stage_lines(found: Mapping[str, CountedRecord]) -> Iterator[StageLine]:
    for stage, one in found.items():
        readers = (other.record.inputs.get(stage, ()) for other in found.values())
        yield StageLine(stage, one.record, one.number, max(map(len, readers), default=0) or 1)
