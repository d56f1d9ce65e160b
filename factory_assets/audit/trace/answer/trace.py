"""Trace one answer back: its record and proof, its version, who decided about it, and its rows.

What the ledger says of the version at that moment is not compared with the answer: a server
follows the ledger some moments later. How a trace is printed belongs in the command line and in
`web.lineage`.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from factory_assets.audit.archived_home import ArchivedHome
from factory_assets.audit.influence_report import InfluenceReport
from factory_assets.audit.references import ModelName
from factory_assets.audit.resolver import find_model
from factory_assets.audit.trace.answer.edge import carried_fact, received_fact
from factory_assets.audit.trace.answer.events import EventReader, verdict_before
from factory_assets.audit.trace.answer.finding import TracedAnswer
from factory_assets.audit.trace.answer.outcomes import outcome_facts
from factory_assets.audit.trace.answer.report import (
    AnswerTrace,
    BlockFact,
    EdgeFact,
    LedgerEvent,
    Role,
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
from factory_assets.audit.trace.verification import ArchiveChecker, Checker
from factory_assets.audit.upstream import model_records, walk_upstream
from factory_assets.results.base import result_as
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger, latest_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log.ids import parse, request_of
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry, Version

_NOT_ARCHIVED = ("what turned out to be true of the answer", "MLflow's metrics and aliases")
_NO_VERSION = "the version that answered, how it was made, evaluated and approved"


def trace_answer(
    answer: TracedAnswer,
    home: Home,
    *,
    folders: Folders,
    verify: bool = True,
    influence: InfluenceReport | None = None,
    history: RecordGraph | None = None,
    archive: ArchivedHome | None = None,
) -> AnswerTrace:
    """Trace an answer back to the sources behind its version.

    Args:
        folders: pipeline to the folder of its declaration, to find sources with relative paths.
        verify: whether to read every stored file and to check the proof of the answer.
        influence: the training rows that moved the answer, if they were asked for.
        history: at least the records behind the version; None to read all records of the home.
        archive: that the home is unpacked from; what it does not have is no problem.

    Raises:
        StorageError: a record is damaged, or a database cannot be read.
    """
    record, problems = answer.record, list[str]()
    facts = _from_ledger(answer, home, verify, problems)
    if archive:
        traced = _archived_version(answer, archive, verify)
    else:
        traced = _traced_version(answer, home, folders, verify, problems, history)
    return AnswerTrace(
        **asdict(answer.prediction),
        kind=record.kind,
        classes=result_as(Candidate, traced.trained).classes if traced.trained else (),
        proof=facts.proof,
        edge=facts.edge,
        standing=facts.standing,
        verdict=facts.verdict,
        approvals=facts.approvals,
        serving=facts.serving,
        run=facts.run_of(traced.trained, home),
        contracts=contract_facts(traced.records),
        environment=environment_fact(traced.version, home, problems) if traced.version else None,
        costs=cost_facts(traced.records),
        outcomes=outcome_facts(record.pipeline, record.version, answer.id, home),
        influence=influence,
        lineage=traced.lineage,
        archive=archive.about if archive else None,
        missing=traced.missing,
        problems=(*problems, *(traced.lineage.problems if traced.lineage else ())),
    )


@dataclass(frozen=True)
class _LedgerFacts:
    """What the ledger says of the answer and its version."""

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


def _from_ledger(
    answer: TracedAnswer, home: Home, verify: bool, problems: list[str]
) -> _LedgerFacts:
    if not Ledger(home).exists:
        edge = carried_fact(None, answer.carried) if answer.carried else None
        if edge:
            problems.append("no ledger has this pack: only the pack itself says whose it is")
        role: Role = "pack" if edge else "none"
        since = edge.packed if edge else None
        standing = StandingFact(role=role, entry=None, since=since, champion=None, stopped=False)
        return _LedgerFacts(standing, edge=edge)
    pipeline, version = answer.record.pipeline, answer.record.version
    with Ledger(home).reading() as log:
        proof = _block(log, answer, home, verify, problems) if answer.block else None
        edge = _edge(log, answer, proof, problems)
        events = EventReader(log, home, pipeline, version, answer.moment, problems)
        return _LedgerFacts(
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

    proof = answer.proof
    if proof is None:
        with PredictionLog(home) as log:
            proof = log.prove(answer.id)
    try:
        return proof.identifier == request_of(parse(answer.id))[0] and proof.verify(
            [entry.model_dump()]
        )
    except InvalidError:
        return False


@dataclass(frozen=True)
class _TracedVersion:
    """The version that answered, with the records behind it."""

    version: Version | None = None
    trained: Record | None = None
    records: Sequence[Record] = field(default=())
    lineage: Trace | None = None
    missing: tuple[str, ...] = ()


def _traced_version(
    answer: TracedAnswer,
    home: Home,
    folders: Folders,
    verify: bool,
    problems: list[str],
    history: RecordGraph | None,
) -> _TracedVersion:
    pipeline, number = answer.record.pipeline, answer.record.version
    registry = Registry(home)
    if number not in registry.versions().get(pipeline, ()):
        if answer.record.kind != "error":
            problems.append(f"{pipeline}@{number} is not registered any more")
        return _TracedVersion()
    tracer = Tracer(history or RecordGraph.of(home), registry, Checker(home, verify), folders)
    return _traced(ModelName(pipeline, number), tracer)


def _archived_version(answer: TracedAnswer, archive: ArchivedHome, verify: bool) -> _TracedVersion:
    if archive.about is None:
        return _TracedVersion(missing=(_NO_VERSION, *_NOT_ARCHIVED))
    checker = ArchiveChecker(archive.home, verify)
    tracer = Tracer(RecordGraph.of(archive.home), archive.registry, checker, None)
    found = _traced(ModelName(answer.record.pipeline, answer.record.version), tracer)
    return replace(found, missing=(*checker.missing, *_NOT_ARCHIVED))


def _traced(name: ModelName, tracer: Tracer) -> _TracedVersion:
    history = tracer.history
    with history.damage_told():
        version = find_model(name, tracer.registry)
        return _TracedVersion(
            version,
            history.candidate(version.model, version.version),
            walk_upstream(model_records(version, history), history),
            tracer.model(name, None),
        )
