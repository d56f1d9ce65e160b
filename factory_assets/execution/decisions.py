"""Decide about candidates and champions: approve, refuse, roll back, stop, resume.

Each act is a statement in a file, then an entry of the ledger, from which on it counts, then
MLflow's alias. What a statement binds belongs in `signed_decision`, how decisions add up in
`standing`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

from factory_assets.declarations.loader import load_pipeline
from factory_assets.declarations.people import FILE
from factory_assets.execution.decided import Decided, Verb
from factory_assets.execution.declaration_files import store_declaration
from factory_assets.execution.deployed_version import (
    DeployedVersion,
    deployed_version,
    require_files,
)
from factory_assets.execution.ledger_entries import begin_ledger, declared_changes
from factory_assets.execution.people import (
    KnownPerson,
    known_people,
    owner_of,
    people_in,
    require_role,
)
from factory_assets.execution.responsibility import require_responsibility
from factory_assets.execution.rollout import begin_serving
from factory_assets.execution.signed_decision import (
    SignedDecision,
    Signer,
    read_decision,
    require_new,
    state_decision,
)
from factory_assets.execution.standing import (
    Standing,
    decisions_in,
    is_other_person,
    standing,
    standing_in,
    trained_by,
)
from factory_assets.execution.standing_text import what_is_left, why_not_waiting
from factory_assets.results.base import result_as
from factory_assets.results.model import Champion
from factory_assets.spec import Approval, Deploy, Pipeline
from factory_resources.durations import seconds_of
from factory_resources.errors import DeclarationError, RefusedError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.entries import CandidateDecided, Kind
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log
from factory_resources.ledger.statements import store_statement
from factory_resources.security.personal_keys import PersonalKey
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry


@dataclass(frozen=True)
class Waiting:
    """A candidate that a person may decide about."""

    deployed: DeployedVersion
    standing: Standing
    rule: Approval


@contextmanager
def deciding(pipeline: Pipeline, home: Home) -> Iterator[None]:
    """Keep runs from deploying, and others from deciding, while this block runs.

    What was declared meanwhile, also of people, is entered before.

    Raises:
        UnknownNameError: nothing has run yet.
    """
    if not Ledger(home).exists and not home.records.is_dir():
        raise _no_candidate(pipeline)
    with storage_faults(home), home.working(), home.lock(f"{pipeline.name}.deploy"):
        begin_ledger(home)
        enter_declared(pipeline, home)
        yield


def enter_declared(pipeline: Pipeline, home: Home) -> None:
    """Append what changed in `people.yaml` and in the declaration of a pipeline."""
    store_declaration(pipeline, home)
    Ledger(home).append_decided(lambda log: [*declared_changes(log, pipeline, home)])


def waiting_candidate(pipeline: Pipeline, version: int | None, home: Home) -> Waiting:
    """Return the candidate that waits.

    Args:
        version: None for the one that was exported last.

    Raises:
        UnknownNameError: there is no such version, or no approval is declared.
        RefusedError: nothing is to be decided about it, with the reason.
    """
    if not Ledger(home).exists:
        raise _no_candidate(pipeline)
    with Ledger(home).reading() as log:
        return _waiting(log, pipeline, version, home)


def _waiting(log: Log, pipeline: Pipeline, version: int | None, home: Home) -> Waiting:
    rule = pipeline.spec.deploy.approval
    if rule is None:
        raise UnknownNameError(
            "no approval is declared; candidates serve when they pass their gates",
            where=pipeline.name,
            remedy="declare `deploy: {approval: {}}`, or use factory rollback or factory stop",
        )
    if version is None:
        latest = Records(home).latest(pipeline.name, "deploy")
        if latest is None:
            raise _no_candidate(pipeline)
        version = int(latest.value["version"])
    deployed = deployed_version(log, pipeline.name, version, home)
    status = standing_in(log, pipeline, deployed.record)
    if status.status not in {"waits", "approved"}:
        raise RefusedError(
            why_not_waiting(status),
            where=deployed.name,
            remedy=what_is_left(status, pipeline.name),
        )
    if not deployed.passed or deployed.was_evaluated_again:
        failed = "" if deployed.passed else ", and failed its gates"
        raise RefusedError(
            f"it was evaluated again since it was exported{failed}",
            where=deployed.name,
            remedy=f"bring its deployment up to date first: factory run {pipeline.name}",
        )
    compared = deployed.value.replaced
    if compared != deployed.replaces:
        raise RefusedError(
            f"the champion changed meanwhile: it was compared with {_named(compared)}, and "
            f"{_named(deployed.replaces)} serves now",
            where=deployed.name,
            remedy=f"compare them: factory run {pipeline.name}",
        )
    return Waiting(deployed, status, rule)


def _no_candidate(pipeline: Pipeline) -> UnknownNameError:
    return UnknownNameError(
        "there is no candidate", where=pipeline.name, remedy=f"factory run {pipeline.name}"
    )


def _named(version: int | None) -> str:
    return f"version {version}" if version else "no version"


def sign_decision(
    waiting: Waiting,
    verb: Verb,
    reason: str,
    key: PersonalKey,
    shown: str,
    home: Home,
) -> bytes:
    """Return the signed statement of a decision, which counts once it is entered.

    Raises:
        RefusedError: the key is nobody's.
    """
    person = owner_of(key.public, known_people(home))
    signer = Signer(person, key, waiting.rule.by)
    return state_decision(verb, waiting.deployed, reason, home, signer=signer, shown=shown)


def enter_decision(
    pipeline: Pipeline, version: int | None, verb: Verb, content: bytes, home: Home
) -> Decided:
    """Check a signed statement and enter it; an approved version serves if none is missing.

    Raises:
        RefusedError: it does not count.
        StorageError: the ledger cannot be written; nothing has changed.
    """
    with deciding(pipeline, home):
        with Ledger(home).reading() as log:
            deployed = _waiting(log, pipeline, version, home).deployed
        if verb == "approved":
            require_responsibility(pipeline, deployed.name)
        require_files(deployed, home)
        decided = Decided(0, None, serves=False)

        def decide(log: Log) -> list[Kind]:
            nonlocal decided
            waiting = _waiting(log, pipeline, deployed.version, home)
            people = known_people(home)
            decision = read_decision(content, verb, waiting.deployed, people, home)
            _require_allowed(log, decision, verb, waiting)
            made = decisions_in(log, pipeline.name, deployed.version)
            require_new(content, made, deployed, home)
            missing = waiting.rule.signatures - waiting.standing.given - 1
            statement = store_statement(home, pipeline.name, content)
            entry = _entry(waiting.deployed, verb, decision, statement)
            version, begun = waiting.deployed, list[Kind]()
            if verb == "approved" and missing <= 0:
                begun = begin_serving(log, pipeline, version.value, version.record)
            kinds = {one.kind for one in begun}
            decided = Decided(
                0, decision.person.name, "champion" in kinds, "rollout" in kinds, max(missing, 0)
            )
            return [entry, *begun]

        with home.acting():
            number = Ledger(home).append_decided(decide)[0]
            if decided.serves:
                Registry(home).mirror(pipeline.name)
    return replace(decided, number=number)


def serve_if_approved(pipeline: Pipeline, record: Record, home: Home) -> bool:
    """Let a version begin to serve if a person's decision or a new declaration allows it by now.

    Args:
        record: of `deploy`.

    Returns:
        Whether that was left to do.

    Raises:
        ModelError: its files were changed.
    """
    if not Ledger(home).exists or not standing(pipeline, record, home).may_begin:
        return False
    enter_declared(pipeline, home)
    with Ledger(home).reading() as log:
        deployed = deployed_version(log, pipeline.name, int(record.value["version"]), home)
    require_files(deployed, home)

    def decide(log: Log) -> list[Kind]:
        # Another deployment of the version may have been made since.
        same = deployed.record.key == record.key
        return begin_if_allowed(log, pipeline, record) if deployed.passed and same else []

    with home.acting():
        if not Ledger(home).append_decided(decide):
            return False
        Registry(home).mirror(pipeline.name)
    return True


def begin_if_allowed(log: Log, pipeline: Pipeline, record: Record) -> list[Kind]:
    """Return the entries by which the version of a record of `deploy` begins to serve, if it may.

    A process that read the declaration before an approval or a roll-out was declared must not pass
    it by.
    """
    declared, now = pipeline.spec.deploy, _declared_now(pipeline)
    if (now.approval, now.rollout) != (declared.approval, declared.rollout):
        return []
    status = standing_in(log, pipeline, record)
    # Without a rule, the same version exported again serves by its new record.
    again = status.status == "serves" and declared.approval is None
    if not status.may_begin and not again:
        return []
    return begin_serving(log, pipeline, result_as(Champion, record), record)


def _declared_now(pipeline: Pipeline) -> Deploy:
    """Return what is declared by now; what was read if the file is gone."""
    try:
        return load_pipeline(pipeline.folder).spec.deploy
    except DeclarationError:
        return pipeline.spec.deploy


def _entry(
    deployed: DeployedVersion, verb: Verb, decision: SignedDecision, statement: str
) -> CandidateDecided:
    return CandidateDecided(
        subject=CandidateDecided.subject_of(pipeline=deployed.pipeline, version=deployed.version),
        pipeline=deployed.pipeline,
        version=deployed.version,
        record=deployed.record.name,
        decision=verb,
        verdict=deployed.verdict,
        graph=deployed.graph,
        replaces=deployed.replaces,
        signed=decision.signed,
        statement=statement,
        person=decision.person.commitment,
        key=decision.key,
    )


def _require_allowed(log: Log, decision: SignedDecision, verb: Verb, waiting: Waiting) -> None:
    """Require that the person may decide, has not approved yet, and signed recently.

    Raises:
        RefusedError: otherwise.
    """
    person, rule, name = decision.person, waiting.rule, waiting.deployed.name
    require_role(log, person, decision.key, rule.by, name)
    if decision.age > timedelta(seconds=seconds_of(rule.valid)):
        raise RefusedError(
            f"the statement was signed {decision.age.days} days ago, and counts for {rule.valid}",
            where=name,
            remedy="look at the candidate, and sign again",
        )
    if rule.four_eyes:
        _require_other_person(log, person, waiting.deployed)
    if verb == "approved" and person.commitment in {o.person for o in waiting.standing.counted}:
        raise RefusedError(
            f"{person.name} has approved it already",
            where=name,
            remedy="let another person approve; if enough have by now, the next run lets it serve",
        )


def _require_other_person(log: Log, person: KnownPerson, deployed: DeployedVersion) -> None:
    """Require that somebody else started the run that trained the version.

    Raises:
        RefusedError: they did not, or nobody can tell.
    """
    if is_other_person(log, deployed.record, people_in(log).get(person.commitment)):
        return
    if trained_by(log, deployed.record) is None:
        why = "no record says who started the run that trained it"
        remedy = f"train it again: factory run {deployed.pipeline} --no-reuse"
    elif person.account is None:
        why = f"{person.name} has no `account` in {FILE}"
        remedy = "add it, or let a person who has one decide"
    else:
        why = f"{person.name} started the run that trained it"
        remedy = f"let another person with an `account` in {FILE} decide"
    raise RefusedError(f"{why}, and four_eyes is declared", where=deployed.name, remedy=remedy)
