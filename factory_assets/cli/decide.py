"""`factory approve`, `refuse`, `rollback`, `stop` and `resume`: show, ask for the key, act.

What an act needs, and what it changes, belongs in `execution.decisions` and
`execution.serving_acts`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from factory_assets.cli.key import unlock
from factory_assets.cli.output_file import write_output
from factory_assets.cli.shared import read_file, select, select_version
from factory_assets.execution.decided import Decided, Verb, decided_text, once_resumed
from factory_assets.execution.decisions import (
    enter_decision,
    sign_decision,
    waiting_candidate,
)
from factory_assets.execution.declaration_files import last_declared
from factory_assets.execution.deployed_version import DeployedVersion
from factory_assets.execution.people import enter_people
from factory_assets.execution.responsibility import require_responsibility
from factory_assets.execution.signed_decision import require_reason
from factory_assets.spec import Pipeline
from factory_resources.durations import moment
from factory_resources.errors import DeclarationError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.personal_keys import PersonalKey


@dataclass(frozen=True)
class DecisionRequest:
    """The arguments of `factory approve` and `factory refuse`."""

    name: str
    """`pipeline`, or `pipeline@4`."""
    verb: Verb
    reason: str | None
    key: Path | None
    save: Path | None
    """Where to write the signed statement instead of entering it."""
    statement: Path | None
    """A statement that was signed before."""


def decide(request: DecisionRequest) -> None:
    """Show the candidate, let the person sign, and enter the decision.

    Raises:
        FactoryError: nothing is to be decided, the person may not, or the statement does not count.
    """
    pipeline, version = select_version(request.name)
    home = Home.from_env()
    tell_people(home)
    waiting = waiting_candidate(pipeline, version, home)
    version = waiting.deployed.version
    if request.verb == "approved":
        require_responsibility(pipeline, waiting.deployed.name)
    if request.statement:
        if request.reason or request.key or request.save:
            raise UnknownNameError(
                "a signed statement has its reason and signature already",
                where=str(request.statement),
                remedy="give --statement without --reason, --key and --save",
            )
        content = read_file(request.statement)
    else:
        from factory_assets.audit.approval_view import approval_text

        reason = require_reason(request.reason or "")
        text = approval_text(pipeline, waiting, home)
        click.echo(text, nl=False)
        key = unlock(request.key, f"{request.verb.removesuffix('d')} {waiting.deployed.name}")
        content = sign_decision(waiting, request.verb, reason, key, text, home)
    if request.save:
        write_output(request.save, content)
        click.echo(f"wrote {request.save}; nothing else was changed")
        return
    done = enter_decision(pipeline, version, request.verb, content, home)
    click.echo(decided_text(pipeline.name, version, request.verb, done, home))
    _show_in_dagster(pipeline, home)


def roll_back(name: str, to: int | None, reason: str, key: Path | None) -> None:
    """End the roll-out that goes on, or let an earlier champion serve again.

    Raises:
        FactoryError: there is none, it is not fit, or the person may not.
    """
    from factory_assets.audit.erased import erasures_from
    from factory_assets.execution import serving_acts

    home, reason = Home.from_env(), require_reason(reason)
    pipeline = _declared(name, home)
    tell_people(home)
    if to is None and (tried := serving_acts.rolling_out(pipeline, home)):
        _end_rollout(pipeline, tried, reason, key, home)
        return
    before = serving_acts.earlier_champion(pipeline, to, home)
    click.echo(f"{before.name} would serve instead of version {before.replaces}")
    for one in erasures_from(name, before.version, home):
        when = f"{moment(one.time)} UTC (entry {one.entry})"
        click.echo(f"  rows that {before.name} learned from were erased {when}")
    purpose = f"roll {name} back to version {before.version}"
    unlocked = _unlock_to_sign(key, purpose, pipeline)
    done, version = serving_acts.roll_back(pipeline, before.version, reason, unlocked, home)
    resumed = once_resumed(name, home)
    click.echo(f"{name}@{version} serves again{_by(done)} (entry {done.number}){resumed}")
    _show_in_dagster(pipeline, home)


def _end_rollout(
    pipeline: Pipeline, tried: DeployedVersion, reason: str, key: Path | None, home: Home
) -> None:
    from factory_assets.execution import serving_acts

    click.echo(f"the roll-out of {tried.name} would end; version {tried.replaces} serves")
    unlocked = _unlock_to_sign(key, f"end the roll-out of {tried.name}", pipeline)
    done, version = serving_acts.abandon_rollout(pipeline, reason, unlocked, home)
    click.echo(
        f"the roll-out of {pipeline.name}@{version} was ended{_by(done)} (entry {done.number})"
    )
    _show_in_dagster(pipeline, home)


def change_serving(
    name: str, action: Literal["stopped", "resumed"], reason: str, key: Path | None
) -> None:
    """Stop the champion, or let it serve again.

    Raises:
        FactoryError: it cannot be, or the person may not.
    """
    from factory_assets.execution import serving_acts

    home, reason = Home.from_env(), require_reason(reason)
    pipeline = _declared(name, home)
    tell_people(home)
    verb = {"stopped": "stop", "resumed": "resume"}[action]
    unlocked = _unlock_to_sign(key, f"{verb} {name}", pipeline)
    done, version = serving_acts.change_serving(pipeline, action, reason, unlocked, home)
    click.echo(f"{name}@{version} was {action}{_by(done)} (entry {done.number})")
    _show_in_dagster(pipeline, home)


def _declared(name: str, home: Home) -> Pipeline:
    """Return a pipeline as declared now, or as it was last: what serves must not need its file."""
    try:
        [pipeline] = select([name])
    except DeclarationError as error:
        if not Ledger(home).exists or (last := last_declared(name, home)) is None:
            raise
        click.echo(f"warning: {error}; its last declaration holds", err=True)
        return last
    return pipeline


def _unlock_to_sign(key: Path | None, purpose: str, pipeline: Pipeline) -> PersonalKey | None:
    """Return the key that signs; None if none is given and no approval is declared."""
    return unlock(key, purpose) if key or pipeline.spec.deploy.approval else None


def _by(done: Decided) -> str:
    return f" by {done.person}" if done.person else ""


def tell_people(home: Home) -> None:
    """Enter what changed in people.yaml, and tell it."""
    if Ledger(home).exists:
        for line in enter_people(home):
            click.echo(line, err=True)


def _show_in_dagster(pipeline: Pipeline, home: Home) -> None:
    """Let the asset `deploy` show the decision, as soon as it has been materialised."""
    from factory_assets.components.approval_event import report_approval

    try:
        report_approval(pipeline, home)
    except Exception as error:  # noqa: BLE001
        # What was decided counts, whatever happens to Dagster's database.
        click.echo(f"warning: the UI does not show it yet ({type(error).__name__})", err=True)
