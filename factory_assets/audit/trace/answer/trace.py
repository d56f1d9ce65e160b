"""Trace one answer back: its record and proof, its version, who decided about it, and its rows.

What the ledger says of the version at that moment is compared with nothing: a server follows the
ledger some moments later. How a trace is printed belongs in the command line and in `web.lineage`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.audit.prediction import LoggedPrediction, describe_prediction
from factory_assets.audit.references import ModelName
from factory_assets.audit.trace.answer.edge import carried_fact, missing_answer, received_fact
from factory_assets.audit.trace.answer.events import EventReader, verdict_before
from factory_assets.audit.trace.answer.outcomes import outcome_facts
from factory_assets.audit.trace.answer.report import (
    AnswerTrace,
    BlockFact,
    EdgeFact,
    LedgerEvent,
    RunFact,
    StandingFact,
    VerdictFact,
)
from factory_assets.audit.trace.answer.standing import standing_at
from factory_assets.audit.trace.answer.training import (
    contract_facts,
    cost_facts,
    environment_fact,
    run_fact,
)
from factory_assets.audit.trace.report import Trace
from factory_assets.audit.trace.sources import Folders
from factory_assets.audit.trace.trace import Tracer
from factory_assets.audit.trace.verification import Checker
from factory_assets.audit.upstream import model_records, walk_upstream
from factory_assets.results.record_graph import RecordGraph
from factory_assets.serving.edge.carried_log import CarriedAnswer, find_carried
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log.ids import parse, request_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry, Version


@dataclass(frozen=True)
class TracedAnswer:
    """An answer that was found, in the log of the home or in a file from elsewhere."""

    id: str
    row: int
    record: PredictionRecord
    block: str | None
    carried: CarriedAnswer | None = None

    @property
    def said(self) -> LoggedPrediction:
        """What the record says of this row."""
        return describe_prediction(self.id, self.record, self.row, self.block)

    @property
    def moment(self) -> str:
        """When it was asked: UTC, ISO 8601, as entries of the ledger have it."""
        asked = datetime.fromtimestamp(self.record.time / 1e6, UTC)
        return f"{asked.isoformat(timespec='microseconds')[:-6]}Z"


def find_answer(written: str, home: Home, edge_log: Path | None = None) -> TracedAnswer:
    """Return the answer with an id.

    Args:
        edge_log: a log that did not come home, to look in; None for the log of the home.

    Raises:
        UnknownNameError: there is none; it says what is missing, as far as that can be told.
        RefusedError, StorageError: a log cannot be read, or is not of this factory.
    """
    if edge_log:
        carried = find_carried(edge_log, written, home)
        return TracedAnswer(written, 0, carried.record, None, carried)
    with PredictionLog(home) as log:
        found = log.find(written)
    if found is None:
        raise missing_answer(written, home)
    return TracedAnswer(written, found.row, found.record, found.block)


def trace_answer(
    answer: TracedAnswer,
    home: Home,
    *,
    folders: Folders,
    verify: bool = True,
    influence: InfluenceReport | None = None,
    history: RecordGraph | None = None,
) -> AnswerTrace:
    """Trace an answer back to the sources behind its version.

    Args:
        folders: pipeline to the folder of its declaration, to find sources with relative paths.
        verify: whether to read every stored file and to check the proof of the answer.
        influence: the training rows that moved the answer, if they were asked for.
        history: at least the records behind the version; None to read all records of the home.

    Raises:
        StorageError: a record is damaged, or a database cannot be read.
    """
    record, problems = answer.record, list[str]()
    told = _from_ledger(answer, home, verify, problems)
    behind = _behind(answer, home, folders, verify, problems, history)
    return AnswerTrace(
        **asdict(answer.said),
        kind=record.kind,
        proof=told.proof,
        edge=told.edge,
        standing=told.standing,
        verdict=told.verdict,
        approvals=told.approvals,
        serving=told.serving,
        run=told.run_of(behind.trained, home),
        contracts=contract_facts(behind.records),
        environment=environment_fact(behind.version, home, problems) if behind.version else None,
        costs=cost_facts(behind.records),
        outcomes=outcome_facts(record.pipeline, record.version, answer.id, home),
        influence=influence,
        lineage=behind.lineage,
        problems=(*problems, *(behind.lineage.problems if behind.lineage else ())),
    )


@dataclass(frozen=True)
class _Told:
    """What the ledger says."""

    standing: StandingFact
    proof: BlockFact | None = None
    edge: EdgeFact | None = None
    verdict: VerdictFact | None = None
    approvals: tuple[LedgerEvent, ...] = ()
    serving: tuple[LedgerEvent, ...] = ()

    def run_of(self, trained: Record | None, home: Home) -> RunFact | None:
        if trained is None or not Ledger(home).exists:
            return run_fact(None, trained, home) if trained else None
        with Ledger(home).reading() as log:
            return run_fact(log, trained, home)


def _from_ledger(answer: TracedAnswer, home: Home, verify: bool, problems: list[str]) -> _Told:
    if not Ledger(home).exists:
        nothing = StandingFact(role="none", entry=None, since=None, champion=None, stopped=False)
        return _Told(nothing)
    pipeline, version = answer.record.pipeline, answer.record.version
    with Ledger(home).reading() as log:
        proof = _block(log, answer, home, verify, problems) if answer.block else None
        edge = _edge(log, answer, proof, problems)
        events = EventReader(log, home, pipeline, version, answer.moment, problems)
        return _Told(
            standing=standing_at(log, pipeline, version, answer.moment, edge),
            proof=proof,
            edge=edge,
            verdict=verdict_before(log, pipeline, version, answer.moment),
            approvals=events.approvals(),
            serving=events.serving(),
        )


def _edge(
    log: Log, answer: TracedAnswer, proof: BlockFact | None, problems: list[str]
) -> EdgeFact | None:
    if answer.carried:
        return carried_fact(log, answer.carried)
    if answer.record.protocol != "edge":
        return None
    found = received_fact(log, answer.record.caller, proof.entry if proof else None)
    if found is None:
        problems.append(f"the ledger has no pack that is called {answer.record.caller!r}")
    return found


def _block(
    log: Log, answer: TracedAnswer, home: Home, verify: bool, problems: list[str]
) -> BlockFact:
    assert answer.block is not None
    found = latest_in(log, PredictionsLogged, PredictionsLogged.subject_of(block=answer.block))
    if found is None:
        problems.append(f"the ledger has no entry of block {answer.block}")
    number, entry = found or (None, None)
    proven = _is_proven(answer, entry, home) if entry and verify else None
    if proven is False:
        problems.append(f"the record of {answer.id} does not lead to the root of its block")
    return BlockFact(
        block=answer.block,
        entry=number,
        root=entry.root if entry else None,
        count=entry.count if entry else 0,
        entered=entry.time if entry else None,
        proven=proven,
    )


def _is_proven(answer: TracedAnswer, entry: PredictionsLogged, home: Home) -> bool:
    from factory_resources.ledger.factory_verify import InvalidError

    with PredictionLog(home) as log:
        proof = log.prove(answer.id)
    try:
        return proof.identifier == request_of(parse(answer.id))[0] and proof.verify(
            [entry.model_dump()]
        )
    except InvalidError:
        return False


@dataclass(frozen=True)
class _Behind:
    """The version that answered, with the records behind it."""

    version: Version | None = None
    trained: Record | None = None
    records: Sequence[Record] = field(default=())
    lineage: Trace | None = None


def _behind(
    answer: TracedAnswer,
    home: Home,
    folders: Folders,
    verify: bool,
    problems: list[str],
    history: RecordGraph | None,
) -> _Behind:
    pipeline, number = answer.record.pipeline, answer.record.version
    registry = Registry(home)
    if number not in registry.versions().get(pipeline, ()):
        if answer.record.kind != "error":
            problems.append(f"{pipeline}@{number} is not registered any more")
        return _Behind()
    history = history or RecordGraph.of(home)
    tracer = Tracer(history, registry, Checker(home, verify), folders)
    with history.damage_told():
        version = registry.version(pipeline, number)
        return _Behind(
            version,
            history.candidate(pipeline, number),
            walk_upstream(model_records(version, history), history),
            tracer.model(ModelName(pipeline, number), None),
        )
