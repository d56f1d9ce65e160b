"""`factory governance`: write the `governance.yaml` of a pipeline, and sign what it states."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from factory_assets.audit.requirements.catalogue import applying_to, catalogue
from factory_assets.audit.requirements.statement_state import (
    STATEMENT_FILE,
    StatementState,
    governance_state,
)
from factory_assets.audit.requirements.template import governance_template
from factory_assets.audit.requirements.version_records import newest_version
from factory_assets.cli.decide import tell_people
from factory_assets.cli.key import unlock
from factory_assets.cli.schema import GOVERNANCE, schema_line
from factory_assets.cli.shared import read_file, select, select_version
from factory_assets.declarations.governance import FILE
from factory_assets.execution.governance_signing import (
    enter_statements,
    requirement_of,
    sign_statements,
)
from factory_assets.spec import Pipeline
from factory_assets.spec.base import suggest
from factory_resources.errors import OUTPUT_REMEDY, DeclarationError, RefusedError, UnknownNameError
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.factory_verify import printable, write_durably


@dataclass(frozen=True)
class SigningRequest:
    """The arguments of `factory governance sign`."""

    name: str
    """`pipeline`, or `pipeline@4`."""
    requirements: Sequence[str]
    """Their ids; empty for every statement that has a text and is not signed as it is now."""
    person: str | None
    key: Path | None
    save: Path | None
    """The folder for the signed statements, which are not entered then."""
    statements: Sequence[Path]
    """Statements that were signed before."""


def new_governance(name: str) -> Path:
    """Write the file, and return it.

    Raises:
        DeclarationError: there is no such pipeline, it trains no model, or has the file already.
        StorageError: it cannot be written.
    """
    [pipeline] = select([name])
    _require_training(pipeline)
    file = pipeline.folder / FILE
    text = schema_line(pipeline.folder, GOVERNANCE) + governance_template(pipeline, catalogue())
    with storage_errors(file):
        try:
            opened = file.open("x", encoding="utf-8")
        except FileExistsError as error:
            raise DeclarationError(
                "this file exists already",
                where=str(file),
                remedy="edit it; it is never overwritten",
            ) from error
        with opened:
            opened.write(text)
    return file


def governance_lines(name: str) -> Iterator[str]:
    """Yield what holds for each statement, one line each.

    Args:
        name: `pipeline`, or `pipeline@4`; without a version, the one that was trained last.

    Raises:
        FactoryError: there is no such version, or the file is wrong.
    """
    pipeline, version, home = _selected(name)
    states = governance_state(pipeline, home, version)
    tier = pipeline.spec.risk.tier
    applying = [one for one in states if one.requirement.applies in applying_to(tier)]
    counts = {one: sum(s.state == one for s in applying) for one in ("signed", "stale", "open")}
    counted = ", ".join(f"{count} {state}" for state, count in counts.items())
    yield f"{pipeline.name}@{version}: {counted}"
    yield from map(_state_line, applying)
    others = [one for one in states if one.requirement.applies not in applying_to(tier)]
    yield f"others, for products or another risk tier than {tier}: {len(others)}"
    yield from map(_state_line, others)


def sign(request: SigningRequest) -> None:
    """Show the statements, let the person sign them, and enter them.

    Raises:
        FactoryError: there is nothing to sign, or what was signed does not count.
    """
    pipeline, version, home = _selected(request.name)
    tell_people(home)
    states = {one.requirement.id: one for one in governance_state(pipeline, home, version)}
    if request.statements:
        if request.requirements or request.person or request.key or request.save:
            raise UnknownNameError(
                "a signed statement has its requirement and signature already",
                where=str(request.statements[0]),
                remedy="give --statement alone",
            )
        _enter(pipeline, [read_file(file) for file in request.statements], states, home)
        return
    chosen = _chosen(pipeline, request.requirements, states)
    for state in chosen:
        click.echo("\n".join(_shown(state)))
    key = unlock(request.key, f"sign {len(chosen)} of {pipeline.name}'s statements")
    statements = [state.statement for state in chosen]
    contents = sign_statements(statements, key, request.person, home)
    if request.save is None:
        _enter(pipeline, contents, states, home)
        return
    with storage_errors(request.save, OUTPUT_REMEDY):
        request.save.mkdir(parents=True, exist_ok=True)
        for state, content in zip(chosen, contents, strict=True):
            write_durably(str(request.save / f"{state.requirement.id}.json"), content)
    click.echo(f"wrote {len(contents)} signed statements to {request.save}; nothing was entered")


def _selected(name: str) -> tuple[Pipeline, int, Home]:
    pipeline, version = select_version(name)
    _require_training(pipeline)
    home = Home.from_env()
    # It says so if there is no version at all.
    newest = newest_version(pipeline, home)
    return pipeline, version or newest, home


def _require_training(pipeline: Pipeline) -> None:
    if pipeline.spec.train is None:
        raise DeclarationError(
            "a pipeline without `train` has no version about which a person could sign",
            where=pipeline.name,
            remedy="name the pipeline that trains a model with its rows",
        )


def _chosen(
    pipeline: Pipeline, names: Sequence[str], states: dict[str, StatementState]
) -> list[StatementState]:
    """Return the statements to sign.

    Raises:
        UnknownNameError: there is no such requirement, or nothing to sign.
    """
    for name in names:
        if name not in states:
            raise UnknownNameError(
                f"no requirement {name!r} asks a person", remedy=suggest(name, states)
            )
        if not states[name].statement.text:
            raise UnknownNameError(
                f"the statement {name} is empty", where=FILE, remedy="answer it before you sign it"
            )
    chosen = [states[name] for name in dict.fromkeys(names)] or [
        one for one in states.values() if one.statement.text and one.state != "signed"
    ]
    if not chosen:
        raise UnknownNameError(
            "there is nothing to sign: each statement is empty, or signed as it is now",
            where=pipeline.name,
            remedy=f"answer more of {FILE}; see factory governance show {pipeline.name}",
        )
    return chosen


def _enter(
    pipeline: Pipeline, contents: Sequence[bytes], states: dict[str, StatementState], home: Home
) -> None:
    signed = []
    for content in contents:
        name = requirement_of(content)
        if name not in states:
            raise RefusedError(
                f"the statement does not count: it is about {name or 'no requirement'}",
                where=pipeline.name,
                remedy="give a file that factory governance sign --save wrote",
            )
        signed.append((states[name].statement, content))
    for (statement, _), (number, person) in zip(
        signed, enter_statements(signed, home), strict=True
    ):
        click.echo(f"{statement.requirement} was signed by {person} (entry {number})")


def _shown(state: StatementState) -> Iterator[str]:
    """Yield what a person signs."""
    yield f"{state.requirement.id}: {state.requirement.title}"
    yield f"  {state.requirement.person}"
    yield from (f"  | {printable(line)}" for line in state.statement.text.split("\n"))
    yield f"  rests on: {', '.join(state.statement.evidence) or 'nothing else'}"
    if state.state == "stale":
        yield f"  {_state_text(state)}"


def _state_line(state: StatementState) -> str:
    return f"  {state.requirement.id:<18} {_state_text(state)}"


def _state_text(state: StatementState) -> str:
    if state.state == "open":
        return "open: not signed yet" if state.statement.text else "open: no answer"
    by = f"signed by {state.person or 'a person whose name is gone'}"
    other = state.signed_version != state.statement.version
    about = f", about version {state.signed_version}" if other else ""
    when = f"{by} {str(state.signed)[:10]} (entry {state.number}{about})"
    if state.state == "signed":
        return when
    if STATEMENT_FILE in state.changed:
        kept = f"the statement of entry {state.number} is missing or was changed"
        return f"stale: {kept}; factory verify shows more"
    if not state.statement.text:
        return f"stale: {when}, removed since"
    return f"stale: {', '.join(state.changed)} changed since it was {when}"
