"""`factory forget`: show what the home has of a person, ask, and erase it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from factory_assets.cli.decide import tell_people
from factory_assets.cli.key import unlock
from factory_assets.cli.shared import require_no_run, select
from factory_assets.declarations.people import has_people_file
from factory_assets.erasure.intents import unfinished
from factory_assets.erasure.plan import make_plan
from factory_assets.erasure.preview import preview_lines
from factory_assets.erasure.signing import ErasureDecision
from factory_assets.erasure.staging import enter, stage
from factory_assets.erasure.steps import finish
from factory_assets.execution.signed_decision import require_reason
from factory_resources.errors import RefusedError, StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureDone
from factory_resources.ledger.factory_verify import amount


@dataclass(frozen=True)
class ForgetRequest:
    """The arguments of `factory forget`."""

    pipelines: Sequence[str]
    where: str | None
    reason: str | None
    key: Path | None
    is_sure: bool
    """Whether nobody is asked again."""
    only_shown: bool
    """Whether nothing is erased."""


def forget(request: ForgetRequest) -> bool:
    """Show, ask, erase; return whether nothing of the person was found afterwards.

    Raises:
        FactoryError: the expression is wrong, nothing satisfies it, the person may not, or a run is
            working.
    """
    home = Home.from_env()
    with home.alone():
        require_no_run(home)
        _require_finished(home)
        return _forget(request, home)


def resume(home: Home) -> bool:
    """Finish what was killed; return whether nothing of the people was found afterwards.

    Raises:
        UnknownNameError: there is nothing to finish.
    """
    with home.alone():
        require_no_run(home)
        intents = [*unfinished(home)]
        if not intents:
            raise UnknownNameError(
                "no erasure is unfinished", where=str(home.path), remedy="nothing is to be done"
            )
        return all([_told(intent.manifest.id, finish(intent, home)) for intent in intents])


def _forget(request: ForgetRequest, home: Home) -> bool:
    where = request.where or ""
    pipelines = select([])
    tell_people(home)
    with home.scratch() as scratch:
        plan = make_plan(where, pipelines, home, scratch, request.pipelines)
    click.echo("\n".join(preview_lines(plan)))
    if request.only_shown or plan.is_empty:
        return True
    reason = require_reason(request.reason or "")
    _require_nameless(reason, plan.searched)
    key = None
    if has_people_file():
        key = unlock(request.key, "erase all of this for ever")
    elif not request.is_sure and not click.confirm("erase all of this for ever?"):
        click.echo("nothing was changed")
        return True
    staged = stage(plan, {}, home)
    number = enter(staged, ErasureDecision(reason, key), home)
    erasure = staged.intent.manifest.id
    click.echo(f"erasure {erasure} was entered (entry {number})")
    return _told(erasure, finish(staged.intent, home))


def _require_finished(home: Home) -> None:
    for intent in unfinished(home):
        raise StorageError(
            f"erasure {intent.manifest.id} is not finished",
            where=str(home.path),
            remedy="finish it first: factory forget --resume",
        )


def _require_nameless(reason: str, values: "set[object]") -> None:
    if any(str(value) in reason for value in values):
        raise RefusedError(
            "the reason has a value of the person, and it stays for ever",
            where="--reason",
            remedy="write it without, such as 'request 2026-117, Article 17 of the GDPR'",
        )


def _told(erasure: str, done: ErasureDone) -> bool:
    searched = f"{amount(done.searched, 'value')} searched for in the whole home"
    if not done.found:
        click.echo(f"erasure {erasure} is done: {searched}, and not found")
    else:
        click.echo(f"erasure {erasure}: {searched}, and still in {amount(done.found, 'place')}")
    return not done.found
