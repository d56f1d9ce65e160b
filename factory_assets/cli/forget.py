"""`factory forget`: show what the home has of a person, ask, and erase it."""

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click

from factory_assets.audit.references import ModelName
from factory_assets.cli.at_rest import at_rest
from factory_assets.cli.decide import tell_people
from factory_assets.cli.declared_people import drop_dynamic_keys, require_undeclared
from factory_assets.cli.key import unlock
from factory_assets.cli.shared import require_no_run, select
from factory_assets.declarations.people import has_people_file
from factory_assets.erasure.intents import require_finished, unfinished
from factory_assets.erasure.plan import ErasurePlan, make_plan
from factory_assets.erasure.preview import champion_lines, preview_lines
from factory_assets.erasure.signing import ErasureDecision
from factory_assets.erasure.staging import Champions, enter, stage
from factory_assets.erasure.steps import FinishedErasure, finish
from factory_assets.erasure.table_rows import table_paths
from factory_assets.execution.serving_acts import (
    abandon_rollout,
    change_serving,
    rolling_out,
)
from factory_assets.execution.signed_decision import require_reason
from factory_assets.spec import Pipeline
from factory_resources.erasure.values import Value
from factory_resources.errors import FactoryError, StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount
from factory_resources.sql.expressions import compared_constants
from factory_resources.store.location import uses_store

_MAY_CHANGE = ("paths", "versions", "values", "answers", "held")
"""The parts of a plan that a run, a decision or an answer changes."""

_FEWEST_CHARACTERS = 3
"""Of a constant of the expression that no reason may have: shorter ones say nothing of anybody."""


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
        FactoryError: the expression is wrong, nothing satisfies it, the person may not, a run is
            working, or the home changed while it was asked.
    """
    home = Home.from_env()
    _require_no_store(home)
    pipelines = select([])
    tell_people(home)
    plan = _plan(request, pipelines, home)
    stopped = _stopped(plan, pipelines)
    click.echo("\n".join([*preview_lines(plan), *champion_lines(plan, stopped)]))
    for pipeline, version in _ending(plan, pipelines, home):
        click.echo(f"the roll-out of {pipeline.name}@{version} ends")
    if request.only_shown or not request.is_sure:
        for line in _effects(plan, pipelines, home):
            click.echo(line)
    if request.only_shown or plan.is_empty:
        return True
    reason = require_reason(request.reason or "")
    _require_nameless(reason, plan.searched, request.where or "")
    require_undeclared(plan, pipelines)
    key = None
    if has_people_file():
        key = unlock(request.key, "erase all of this for ever")
    elif not request.is_sure and not click.confirm("erase all of this for ever?"):
        click.echo("nothing was changed")
        return True
    decision = ErasureDecision(reason, key)
    return _erase(request, plan, pipelines, stopped, decision, home)


def _require_no_store(home: Home) -> None:
    """Refuse: other homes have copies of what is in a store, and a storage may keep old versions.

    Raises:
        StorageError: the home has a store.
    """
    if uses_store(home):
        raise StorageError(
            "nobody can be erased while the tables are in a store: other homes have copies of them",
            where=str(home.path),
            remedy="carry them back with factory migrate --to home, erase, carry them over to a "
            "new prefix, and remove the old prefix and the other homes",
        )


def _plan(request: ForgetRequest, pipelines: Sequence[Pipeline], home: Home) -> ErasurePlan:
    with _looking(home) if request.only_shown else at_rest(home):
        for _ in unfinished(home):
            require_finished(home)
        return _found(request, pipelines, home)


def _found(request: ForgetRequest, pipelines: Sequence[Pipeline], home: Home) -> ErasurePlan:
    with home.scratch() as scratch:
        return make_plan(request.where or "", pipelines, home, scratch, request.pipelines)


@contextmanager
def _looking(home: Home) -> Iterator[None]:
    """Keep runs from changing what is shown."""
    with home.alone():
        require_no_run(home)
        yield


def _erase(
    request: ForgetRequest,
    shown: ErasurePlan,
    pipelines: Sequence[Pipeline],
    stopped: Sequence[Pipeline],
    decision: ErasureDecision,
    home: Home,
) -> bool:
    champions = {one.pipeline: "kept" for one in shown.versions if one.serves and one.learned}
    champions |= {pipeline.name: "stopped" for pipeline in stopped}
    with at_rest(home):
        _require_shown(shown, _found(request, pipelines, home), home)
        staged = stage(shown, cast("Champions", champions), home)
        paths = frozenset(table_paths(home))
    with ExitStack() as resting:
        # Nothing serves less than before if the erasure cannot be prepared.
        with _telling_stopped_on_failure() as halted:
            for pipeline in stopped:
                change_serving(pipeline, "stopped", decision.reason, decision.key, home)
                halted.append(pipeline.name)
            for pipeline, _ in _ending(shown, pipelines, home):
                abandon_rollout(pipeline, decision.reason, decision.key, home)
            resting.enter_context(at_rest(home))
            _require_files(paths, home)
            number = enter(staged, decision, home)
        erasure = staged.intent.manifest.id
        click.echo(f"erasure {erasure} was entered (entry {number})")
        drop_dynamic_keys(staged.intent.partitions, pipelines, home)
        done = _report(finish(staged.intent, home))
    names = [name for name in shown.pipelines if shown.tables]
    if names:
        click.echo(f"next: factory run {' '.join(names)}, which factory up does by itself")
    return done


@contextmanager
def _telling_stopped_on_failure() -> Iterator[list[str]]:
    """Give a list for the pipelines that the block stops, and print them if the block fails."""
    halted: list[str] = []
    try:
        yield halted
    except BaseException:
        for name in halted:
            again = f"let it serve again: factory resume {name} --reason ..."
            click.echo(f"{name} is stopped, and nothing was erased; {again}", err=True)
        raise


def _require_shown(shown: ErasurePlan, now: ErasurePlan, home: Home) -> None:
    """Require that nothing came while somebody was asked: it would stay, or serve, unseen."""
    if any(getattr(shown, name) != getattr(now, name) for name in _MAY_CHANGE):
        raise _changed(home)


def _require_files(expected: frozenset[Path], home: Home) -> None:
    """Require that no table got other files meanwhile."""
    if frozenset(table_paths(home)) != expected:
        raise _changed(home)


def _changed(home: Home) -> StorageError:
    return StorageError(
        "a run or an answer was recorded while you were being asked",
        where=str(home.path),
        remedy="look again: factory forget --preview",
    )


def _effects(plan: ErasurePlan, pipelines: Sequence[Pipeline], home: Home) -> Iterator[str]:
    """Yield how much the rows mattered to each version that serves, as far as it was measured."""
    from factory_assets.audit.joint_effect import joint_effect

    declared = {pipeline.name: pipeline for pipeline in pipelines}
    for one in plan.versions:
        if not (one.serves and one.learned and one.pipeline in declared):
            continue
        name = ModelName(one.pipeline, one.version)
        gone = {
            file.sha256: places
            for file, places in plan.rows.positions.items()
            if file.pipeline == one.pipeline
        }
        try:
            effect = joint_effect(declared[one.pipeline], name, gone, home)
        except FactoryError as error:
            yield f"how much they mattered to {name.pipeline}@{name.version} is not known: {error}"
            continue
        yield (
            f"without them, predictions of {one.pipeline}@{one.version} would differ by about "
            f"{effect.mean:.2g} {effect.unit} on average and {effect.largest:.2g} at most, "
            f"{effect.times:.1f} times as much as without as many other rows "
            f"(estimated on {amount(effect.rows, 'test rows')}; LDS {effect.lds:.2f})"
        )


def _stopped(plan: ErasurePlan, pipelines: Sequence[Pipeline]) -> list[Pipeline]:
    """Return the pipelines whose champion is to be stopped."""
    serving = {one.pipeline for one in plan.versions if one.serves and one.learned}
    declared = [one for one in pipelines if one.name in serving]
    remembering = {one.pipeline for one in plan.versions if one.serves and one.remembers}
    return [
        one
        for one in declared
        if one.spec.deploy.after_erasure == "stop" or one.name in remembering
    ]


def resume(home: Home) -> bool:
    """Finish what was killed; return whether nothing of the people was found afterwards.

    Raises:
        UnknownNameError: there is nothing to finish.
    """
    with at_rest(home):
        intents = [*unfinished(home)]
        if not intents:
            raise UnknownNameError(
                "no erasure is unfinished", where=str(home.path), remedy="there is nothing to do"
            )
        pipelines = select([])
        for intent in intents:
            drop_dynamic_keys(intent.partitions, pipelines, home)
        clean = [_report(finish(intent, home)) for intent in intents]
        return all(clean)


def _ending(
    plan: ErasurePlan, pipelines: Sequence[Pipeline], home: Home
) -> Iterator[tuple[Pipeline, int]]:
    """Yield the pipelines whose roll-out ends, with its version: as a champion would be stopped."""
    learned = {(one.pipeline, one.version): one for one in plan.versions if one.learned}
    for pipeline in pipelines:
        out = rolling_out(pipeline, home)
        one = learned.get((pipeline.name, out.version)) if out else None
        if one and (one.remembers or pipeline.spec.deploy.after_erasure == "stop"):
            yield pipeline, one.version


def _require_nameless(reason: str, values: Collection[Value], where: str) -> None:
    """Refuse a reason with a value of the person, or one to which the expression compares a column.

    Raises:
        UnknownNameError: it has one.
    """
    text = reason.casefold()
    constants = [one for some in compared_constants(where, "").values() for one in some]
    # Those by which the person is found need not be as long as values that are searched for.
    asked = [word for one in constants if len(word := str(one).casefold()) >= _FEWEST_CHARACTERS]
    is_asked = any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in asked)
    if is_asked or any(str(value).casefold() in text for value in values):
        raise UnknownNameError(
            "the reason contains a value of the person, and the ledger keeps it for ever",
            where="--reason",
            remedy="write it without, such as 'request 2026-117, Article 17 of the GDPR'",
        )


def _report(finished: FinishedErasure) -> bool:
    """Print what was erased; return whether no value of the person is left."""
    searched = f"searched the whole home for {amount(finished.done.searched, 'values')}"
    if not finished.left:
        click.echo(f"erasure {finished.erasure} is done: {searched}, found none")
        return True
    click.echo(f"erasure {finished.erasure} is done: {searched}, still found in")
    for place in finished.left:
        click.echo(f"  {place.path}: {place.where} ({place.count} as {place.form})")
    return False
