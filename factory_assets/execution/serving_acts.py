"""Roll back to an earlier champion, end a roll-out, stop the champion, let it serve again."""

from hashlib import sha256
from typing import Literal

from factory_assets.execution.decided import Decided
from factory_assets.execution.decisions import deciding
from factory_assets.execution.deployed_version import (
    DeployedVersion,
    deployed_version,
    require_files,
)
from factory_assets.execution.ledger_entries import champion_entry
from factory_assets.execution.missing_champion import NO_MODELS
from factory_assets.execution.people import known_people, owner_of, require_role
from factory_assets.execution.rollout import (
    Ending,
    ended_entry,
    leave_rollout,
    ongoing_rollout,
)
from factory_assets.execution.signed_decision import Act, Signer, state_decision
from factory_assets.execution.standing import champions_in, decisions_in
from factory_assets.spec import Pipeline
from factory_resources.errors import RefusedError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import Kind, ServingChanged
from factory_resources.ledger.entry import SignedAct
from factory_resources.ledger.factory_verify import InvalidError, parse_statement, person_key
from factory_resources.ledger.ledger import Ledger, stopped_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.statements import statement_file, store_statement
from factory_resources.security.personal_keys import PersonalKey
from factory_resources.tracking.registry import Registry


def earlier_champion(pipeline: Pipeline, to: int | None, home: Home) -> DeployedVersion:
    """Return the version that a roll-back would go to; raises as `roll_back` does."""
    if not Ledger(home).exists:
        raise UnknownNameError(
            "the ledger has not begun",
            where=pipeline.name,
            remedy=f"a run begins it, and takes over what serves: factory run {pipeline.name}",
        )
    with Ledger(home).reading() as log:
        return _earlier(log, pipeline, to, home)


def _nothing_serves(pipeline: Pipeline) -> UnknownNameError:
    remedy = _first_step(pipeline)
    return UnknownNameError("no version serves", where=pipeline.name, remedy=remedy)


def _first_step(pipeline: Pipeline) -> str:
    return f"factory run {pipeline.name}" if pipeline.spec.train else NO_MODELS


def roll_back(
    pipeline: Pipeline, to: int | None, reason: str, key: PersonalKey | None, home: Home
) -> tuple[Decided, int]:
    """Let an earlier champion serve again; return what came of it, and the version.

    Args:
        to: None for the one that the present champion replaced.
        key: by which the person signs; may be None if no approval is declared.

    Raises:
        UnknownNameError: no version serves, or there is no earlier champion.
        RefusedError: that version was never champion, failed its gates, or the person may not.
        ModelError: its files were changed.
    """
    with deciding(pipeline, home):
        with Ledger(home).reading() as log:
            deployed = _earlier(log, pipeline, to, home)
        require_files(deployed, home)
        signer: Signer | None = None

        def decide(log: Log) -> list[Kind]:
            nonlocal signer
            now = _earlier(log, pipeline, deployed.version, home)
            _require_approvals(log, now, home)
            signer = _signer(log, pipeline, key, home, now.name)
            act = _stated("rolled back", now, reason, signer, home)
            champion = champion_entry(now.value, now.record)
            changed = {"replaced": now.replaces, "rollback": True, **dict(act)}
            left = leave_rollout(log, pipeline.name, f"version {now.version} serves again")
            return [*left, champion.model_copy(update=changed)]

        with home.acting():
            number = Ledger(home).append_decided(decide)[-1]
            Registry(home).mirror(pipeline.name)
    return _done(number, signer, serves=True), deployed.version


def rolling_out(pipeline: Pipeline, home: Home) -> DeployedVersion | None:
    """Return the version that rolls out; None if there is none."""
    if not Ledger(home).exists:
        return None
    with Ledger(home).reading() as log:
        ongoing = ongoing_rollout(log, pipeline.name)
        if ongoing is None:
            return None
        return deployed_version(log, pipeline.name, ongoing.started.version, home)


def abandon_rollout(
    pipeline: Pipeline, reason: str, key: PersonalKey | None, home: Home
) -> tuple[Decided, int]:
    """End the roll-out; return what came of it, and the version that is left.

    Args:
        key: by which the person signs; may be None if no approval is declared.

    Raises:
        RefusedError: nothing rolls out any more, or the person may not.
    """
    with deciding(pipeline, home):
        signer: Signer | None = None
        version = 0

        def decide(log: Log) -> list[Kind]:
            nonlocal signer, version
            ongoing = ongoing_rollout(log, pipeline.name)
            if ongoing is None:
                raise RefusedError(
                    "no version rolls out any more",
                    where=pipeline.name,
                    remedy=f"see what became of it: factory run {pipeline.name}",
                )
            version = ongoing.started.version
            deployed = deployed_version(log, pipeline.name, version, home)
            signer = _signer(log, pipeline, key, home, deployed.name)
            act = _stated("roll-out ended", deployed, reason, signer, home)
            return [ended_entry(ongoing, Ending("ended by a person", act=act))]

        [number] = Ledger(home).append_decided(decide)
    return _done(number, signer, serves=False), version


def _done(number: int, signer: Signer | None, *, serves: bool) -> Decided:
    return Decided(number, signer.person.name if signer else None, serves=serves)


def _earlier(log: Log, pipeline: Pipeline, to: int | None, home: Home) -> DeployedVersion:
    champions = [entry for _, entry in champions_in(log, pipeline.name)]
    if not champions:
        raise _nothing_serves(pipeline)
    now = champions[0].version
    if to is None:
        to = next((one.replaced for one in champions if one.version == now and not one.rollback), 0)
    versions = sorted({one.version for one in champions} - {now})
    if to not in versions:
        were = ", ".join(map(str, versions)) or "none"
        what = f"version {to} was never champion" if to else "it replaced no other version"
        stopped = stopped_in(log, pipeline.name)
        standing = f"version {now} " + ("was stopped" if stopped else "serves")
        lets = f"; what was stopped serves again by factory resume {pipeline.name}"
        raise RefusedError(
            f"{standing}, and {what}" if to != now else f"{standing} already",
            where=pipeline.name,
            remedy=f"earlier champions: {were}{lets if stopped else ''}",
        )
    deployed = deployed_version(log, pipeline.name, to, home)
    refused = [one for one in decisions_in(log, pipeline.name, to) if one[1].decision == "refused"]
    if refused:
        raise RefusedError(
            f"it was refused (entry {refused[0][0]})",
            where=deployed.name,
            remedy="roll back to another version, or stop the pipeline: factory stop",
        )
    if not deployed.passed:
        raise RefusedError(
            "it failed its gates when it was evaluated last",
            where=deployed.name,
            remedy="roll back to another version, or stop the pipeline: factory stop",
        )
    return deployed


def _require_approvals(log: Log, deployed: DeployedVersion, home: Home) -> None:
    """Require that the statements by which people approved the version are as they were."""
    for _, decision in decisions_in(log, deployed.pipeline, deployed.version):
        file = statement_file(home, deployed.pipeline, decision.statement or "")
        try:
            content = file.read_bytes()
            parse_statement(content, person_key(decision.key or ""))
            whole = sha256(content).hexdigest() == decision.statement
        except (OSError, InvalidError):
            whole = False
        if not whole:
            raise RefusedError(
                "the statement by which it was approved is missing or was changed",
                where=deployed.name,
                remedy="roll back to another version; factory verify shows what does not hold",
            )


def change_serving(
    pipeline: Pipeline,
    action: Literal["stopped", "resumed"],
    reason: str,
    key: PersonalKey | None,
    home: Home,
) -> tuple[Decided, int]:
    """Stop the champion or let it serve again; return what came of it, and the version.

    Raises:
        RefusedError: nothing serves, it is stopped already or was not stopped, or the person may
            not.
    """
    with deciding(pipeline, home):
        try:
            with Ledger(home).reading() as log:
                deployed = _champion(log, pipeline, action, home)
        except RefusedError:
            # It may be said already, and a kill have kept MLflow from showing it.
            if Registry(home).moved_alias(pipeline.name):
                Registry(home).mirror(pipeline.name)
            raise
        if action == "resumed":
            require_files(deployed, home)
        signer: Signer | None = None

        def decide(log: Log) -> list[Kind]:
            nonlocal signer, deployed
            deployed = _champion(log, pipeline, action, home)
            signer = _signer(log, pipeline, key, home, deployed.name)
            entry = ServingChanged(
                subject=ServingChanged.subject_of(pipeline=pipeline.name),
                pipeline=pipeline.name,
                action=action,
                version=deployed.version,
                **dict(_stated(action, deployed, reason, signer, home)),
            )
            return [entry]

        with home.acting():
            [number] = Ledger(home).append_decided(decide)
            Registry(home).mirror(pipeline.name)
    return _done(number, signer, serves=action == "resumed"), deployed.version


def _champion(log: Log, pipeline: Pipeline, action: str, home: Home) -> DeployedVersion:
    champions = champions_in(log, pipeline.name)
    stopped = stopped_in(log, pipeline.name)
    if not champions:
        why, remedy = "no version serves", _first_step(pipeline)
    elif action == "stopped" and stopped:
        why = f"it is stopped already (entry {stopped[0]})"
        remedy = f"let it serve again: factory resume {pipeline.name}"
    elif action == "resumed" and not stopped:
        why = f"it is not stopped: version {champions[0][1].version} serves"
        remedy = "there is nothing to do"
    else:
        return deployed_version(log, pipeline.name, champions[0][1].version, home)
    raise RefusedError(why, where=pipeline.name, remedy=remedy)


def _signer(
    log: Log, pipeline: Pipeline, key: PersonalKey | None, home: Home, where: str
) -> Signer | None:
    """Return who signs; None if nobody does and nobody needs to.

    Raises:
        RefusedError: the person may not, or nobody signs although an approval is declared.
    """
    rule = pipeline.spec.deploy.approval
    if key is None:
        if rule is None:
            return None
        raise RefusedError(
            "an approval is declared, so a person must sign this",
            where=where,
            remedy=f"let a person with the role {rule.by} do it, with their key",
        )
    person = owner_of(key.public, known_people(home))
    # Without a rule anybody may, in any role that they have.
    role = rule.by if rule else next(iter(person.declared.roles), "approver")
    require_role(log, person, key.public, role, where)
    return Signer(person, key, role)


def _stated(
    act: Act,
    deployed: DeployedVersion,
    reason: str,
    signer: Signer | None,
    home: Home,
) -> SignedAct:
    """Store the statement of an act; return what its entry says of it."""
    content = state_decision(act, deployed, reason, home, signer=signer)
    return SignedAct(
        statement=store_statement(home, deployed.pipeline, content),
        person=signer.person.commitment if signer else None,
        key=signer.key.public if signer else None,
    )
