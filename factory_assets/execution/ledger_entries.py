"""What the ledger says of a computed stage, and of a home that is older than its ledger.

How entries are stored belongs in `factory_resources.ledger`.
"""

from collections.abc import Callable, Iterator, Sequence
from graphlib import TopologicalSorter
from hashlib import sha256
from typing import Literal

from factory_assets.declarations.settings import load_settings
from factory_assets.execution.boundary_level import boundary_level
from factory_assets.execution.boundary_reports import own_report
from factory_assets.execution.declaration_files import declaration_content, store_declaration
from factory_assets.execution.people import account_commitment, person_changes
from factory_assets.results.base import digest
from factory_assets.results.checks import TableCheck
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate, Champion
from factory_assets.results.record_graph import RecordGraph, identity, tables_of, value_in
from factory_assets.spec import Pipeline
from factory_resources.durations import seconds_of
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    ApprovalRule,
    ChampionMade,
    Checks,
    DeclarationChanged,
    KeyChanged,
    Kind,
    ModelExported,
    ModelTrained,
    RunStarted,
    SettingChanged,
    StageComputed,
    VerdictGiven,
)
from factory_resources.ledger.ledger import Ledger, entries_in, latest_in
from factory_resources.ledger.log import Log
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry

_WITNESSES = KeyChanged.subject_of(role="witness")

_NO_SETTINGS = sha256(b"").hexdigest()
"""Without a `factory.yaml`, as with an empty one."""


def begin_ledger(home: Home) -> None:
    """Begin the ledger of the home unless it has one; what the home contains enters as found.

    Raises:
        StorageError: it cannot be written, or a record is damaged.
    """
    ledger = Ledger(home)
    if not ledger.exists:
        ledger.begin(_found(home))


def require_ledger(home: Home) -> None:
    """Require that there is a ledger, or records from before there was one, which it then begins.

    Raises:
        UnknownNameError: nothing has run in this home; it is left as it is.
        StorageError: the ledger cannot be written, or a record is damaged.
    """
    if not Ledger(home).exists and not home.records.is_dir():
        raise UnknownNameError(
            "nothing has run in this home yet",
            where=str(home.path),
            remedy="name the folder of the factory in FACTORY_HOME, or run a pipeline first",
        )
    begin_ledger(home)


def append_stage(
    pipeline: Pipeline,
    record: Record,
    file_digest: str,
    checks: Sequence[TableCheck],
    home: Home,
    *,
    begins: Callable[[Log, Pipeline, Record], Sequence[Kind]] = lambda *_: (),
) -> int:
    """Append what a run computed: from then on it counts.

    Args:
        file_digest: SHA-256 of the record's file.
        checks: the checks of the stage's data.
        begins: returns the entries by which a version that was deployed begins to serve, if it
            does, by what the ledger says.

    Returns:
        The number of the stage's entry.

    Raises:
        StorageError: the ledger cannot be written; nothing was appended.
    """
    store_declaration(pipeline, home)
    value = value_in(record)
    place = 0

    def decide(log: Log) -> list[Kind]:
        nonlocal place
        before = [*_context(log, pipeline, record, home)]
        place = len(before)
        # Made in their order, so that none is dated earlier than one before.
        computed = [*entries_of(record, file_digest, checks=checks)]
        began = begins(log, pipeline, record) if isinstance(value, Champion) else ()
        return [*before, *computed, *began]

    return Ledger(home).append_decided(decide)[place]


def append_settings(home: Home) -> None:
    """Append the factory's settings and witnesses if they changed.

    Raises:
        DeclarationError: the settings are wrong.
        StorageError: the ledger cannot be written.
    """
    ledger = Ledger(home)
    with ledger.reading() as log:
        changed = [*_settings(log)]
    if changed:
        ledger.append(changed)


def _settings(log: Log) -> Iterator[Kind]:
    declared, subject = load_settings(), SettingChanged.subject_of()
    known = latest_in(log, SettingChanged, subject)
    digest = declared.digest if declared else _NO_SETTINGS
    if digest == (known[1].sha256 if known else _NO_SETTINGS):
        return
    yield SettingChanged(subject=subject, sha256=digest)
    before, policy = _witnesses(log), declared.policy if declared else None
    after = {str(key) for _, key in policy.witnesses} if policy else set()
    changes: list[tuple[Literal["added", "withdrawn"], set[str]]] = [
        ("withdrawn", before - after),
        ("added", after - before),
    ]
    for action, keys in changes:
        for key in sorted(keys):
            yield KeyChanged(subject=_WITNESSES, role="witness", action=action, key=key)


def _witnesses(log: Log) -> set[str]:
    """Return the public keys of the witnesses that the ledger knows."""
    keys: set[str] = set()
    for _, entry in reversed([*entries_in(log, KeyChanged, _WITNESSES)]):
        (keys.add if entry.action == "added" else keys.discard)(entry.key)
    return keys


def _context(log: Log, pipeline: Pipeline, record: Record, home: Home) -> Iterator[Kind]:
    """Yield the declarations that changed, and the run before its first computed stage."""
    run = RunStarted.subject_of(run=record.run_id)
    yield from _settings(log)
    yield from declared_changes(log, pipeline, home)
    if not latest_in(log, RunStarted, run):
        yield RunStarted(
            subject=run,
            pipeline=pipeline.name,
            declaration=declaration_digest(pipeline),
            account=account_commitment(home),
            boundary=boundary_level(),
            report=own_report(),
        )


def declared_changes(log: Log, pipeline: Pipeline, home: Home) -> Iterator[Kind]:
    """Yield what changed in `people.yaml` and in the declaration of a pipeline."""
    for change in person_changes(log, home):
        yield change.entry
    subject = DeclarationChanged.subject_of(pipeline=pipeline.name)
    known = latest_in(log, DeclarationChanged, subject)
    previous, declared = known[1].sha256 if known else None, declaration_digest(pipeline)
    if previous != declared:
        deploy = pipeline.spec.deploy
        yield DeclarationChanged(
            subject=subject,
            sha256=declared,
            previous=previous,
            approval=_rule(pipeline),
            rollout="canary" if deploy.canary else "shadow" if deploy.shadow else None,
        )


def _rule(pipeline: Pipeline) -> ApprovalRule | None:
    rule = pipeline.spec.deploy.approval
    if rule is None:
        return None
    return ApprovalRule(
        by=rule.by,
        signatures=rule.signatures,
        seconds=seconds_of(rule.valid),
        four_eyes=rule.four_eyes,
    )


def declaration_digest(pipeline: Pipeline) -> str:
    """Return the SHA-256 of the declaration, defaults included."""
    return sha256(declaration_content(pipeline)).hexdigest()


def entries_of(
    record: Record,
    file_digest: str,
    *,
    checks: Sequence[TableCheck] = (),
    found: bool | None = None,
) -> Iterator[Kind]:
    """Yield what the ledger says of a stored record: the stage, and the model version if any."""
    value = value_in(record)
    # The digest of a partition's key would tell whom it names: `partition_commitment` has a salt.
    hidden = "partition" if record.partition else None
    yield StageComputed(
        subject=StageComputed.subject_of(record=record.name),
        sha256=file_digest,
        pipeline=record.pipeline,
        stage=record.stage,
        key=record.key,
        run=record.run_id,
        partition=partition_commitment(record),
        components={name: digest(part) for name, part in record.parts.items() if name != hidden},
        inputs={
            stage: sha256("\n".join(keys).encode()).hexdigest()
            for stage, keys in record.inputs.items()
        },
        tables={s.table: s.data_version for s in tables_of(value).values()},
        checks=_summary(checks) if checks else None,
        found=found,
    )
    match value:
        case Candidate():
            yield ModelTrained(
                subject=ModelTrained.subject_of(pipeline=value.model, version=value.version),
                pipeline=value.model,
                version=value.version,
                digest=value.digest,
                provenance=value.provenance,
                record=record.name,
                found=found,
            )
        case EvaluationResult():
            judged = value.candidate
            yield VerdictGiven(
                subject=VerdictGiven.subject_of(pipeline=judged.model, version=judged.version),
                pipeline=judged.model,
                version=judged.version,
                passed=value.passed,
                gates={gate.name: gate.passed for gate in value.gates},
                record=record.name,
                found=found,
            )
        case Champion():
            yield ModelExported(
                subject=ModelExported.subject_of(pipeline=value.model, version=value.version),
                pipeline=value.model,
                version=value.version,
                graph=value.onnx_sha256,
                record=record.name,
                found=found,
            )


def champion_entry(value: Champion, record: Record, *, found: bool | None = None) -> ChampionMade:
    """Return the entry that lets a deployed version serve."""
    return ChampionMade(
        subject=ChampionMade.subject_of(pipeline=value.model),
        pipeline=value.model,
        version=value.version,
        replaced=value.replaced,
        graph=value.onnx_sha256,
        record=record.name,
        found=found,
    )


def results_of(record: Record) -> Iterator[Kind]:
    """Yield what the ledger says of the result in a stored record, without the stage."""
    return (entry for entry in entries_of(record, record.key) if entry.kind != "stage")


def partition_commitment(record: Record) -> str | None:
    """Return the SHA-256 of the record's salt and its partition's key, which may name a person.

    None if there is no partition, or the record is older than the ledger and has no salt.
    """
    if record.partition is None or not record.salt:
        return None
    return sha256(bytes.fromhex(record.salt) + record.partition.encode()).hexdigest()


def _summary(checks: Sequence[TableCheck]) -> Checks:
    failed = tuple(check.name for check in checks if not check.passed)
    return Checks(passed=len(checks) - len(failed), failed=failed)


def _found(home: Home) -> Iterator[Kind]:
    """Yield the entries of every record, after those of its inputs, and of what serves."""
    graph, registry = RecordGraph.of(home), Registry(home)
    for record in _inputs_first(graph):
        content = (home.path / record.name).read_bytes()
        yield from entries_of(record, sha256(content).hexdigest(), found=True)
    for model in registry.versions():
        serving = registry.alias(model)
        deployed = graph.about(model, serving, "deploy") if serving else []
        if deployed:
            value = value_in(deployed[-1])
            assert isinstance(value, Champion)
            yield champion_entry(value, deployed[-1], found=True)


def _inputs_first(graph: RecordGraph) -> Iterator[Record]:
    order = TopologicalSorter(
        {identity(one): [identity(before) for before in graph.inputs(one)] for one in graph.records}
    )
    by_identity = {identity(record): record for record in graph.records}
    for one in order.static_order():
        yield by_identity[one]
