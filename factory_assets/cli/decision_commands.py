"""The commands of people who decide: options, help texts and exit codes."""

import gc
from pathlib import Path
from types import ModuleType
from typing import Literal

import click

from factory_assets.cli.group import KEY_OPTION, PATH, command, main

_SAVE = click.option(
    "--save",
    type=PATH,
    help="Write the signed statement to this file instead of entering it in the ledger.",
)
_STATEMENT = click.option(
    "--statement", type=PATH, help="Enter this statement, which was signed before."
)
_WHY = "Reason, which is part of what you sign."
_REASON = click.option("--reason", required=True, help=_WHY)


def _acts() -> ModuleType:
    """Import what the commands do; collecting garbage meanwhile would take a tenth of the time."""
    gc.disable()
    try:
        from factory_assets.cli import decide
    finally:
        gc.enable()
    return decide


@main.group("key")
def key_group() -> None:
    """Make the keys by which people sign."""


@command("new", group=key_group)
@click.argument("name")
@click.option(
    "--out",
    type=PATH,
    help="The file of the key (default: in ~/.config/sovereign-ai-factory/keys).",
)
@click.option(
    "--role",
    "roles",
    multiple=True,
    type=click.Choice(["engineer", "approver", "auditor"]),
    help="Add the person to people.yaml with this role; may be repeated.",
)
def key_new_command(name: str, out: Path | None, roles: tuple[str, ...]) -> None:
    """Make a key for the person NAME, under a passphrase.

    It is an Ed25519 key in the format of OpenSSH. Any key of type ssh-ed25519 can be used instead.
    """
    from factory_assets.cli.key import new_key

    click.echo(new_key(name, out, roles))


@command("approve", acts=True)
@click.argument("name")
@click.option("--reason", help=_WHY)
@KEY_OPTION
@_SAVE
@_STATEMENT
def approve_command(
    name: str, reason: str | None, key: Path | None, save: Path | None, statement: Path | None
) -> None:
    """Approve a candidate that waits, so that it serves.

    NAME is a pipeline or one version of it: pipeline@4. Shows what is decided about, asks for the
    passphrase of your key, and signs. deploy.approval and people.yaml declare who may.

    Exit code 1: the approval does not count.
    """
    _decide(name, "approved", reason, key, save, statement)


@command("refuse", acts=True)
@click.argument("name")
@click.option("--reason", help=_WHY)
@KEY_OPTION
@_SAVE
@_STATEMENT
def refuse_command(
    name: str, reason: str | None, key: Path | None, save: Path | None, statement: Path | None
) -> None:
    """Refuse a candidate that waits: this version never serves.

    NAME is a pipeline or one version of it: pipeline@4.

    Exit code 1: the refusal does not count.
    """
    _decide(name, "refused", reason, key, save, statement)


def _decide(
    name: str,
    verb: Literal["approved", "refused"],
    reason: str | None,
    key: Path | None,
    save: Path | None,
    statement: Path | None,
) -> None:
    acts = _acts()
    acts.decide(acts.DecisionRequest(name, verb, reason, key, save, statement))


@command(
    "rollback",
    acts=True,
    interrupted="it may be on record already, and another one goes further back: "
    "factory trace PIPELINE@VERSION says which version is champion",
)
@click.argument("pipeline")
@click.option("--to", type=click.IntRange(1), help="The version (default: the one before).")
@_REASON
@KEY_OPTION
def rollback_command(pipeline: str, to: int | None, reason: str, key: Path | None) -> None:
    """Let an earlier champion of PIPELINE serve again, at once.

    While a version rolls out, end that instead, unless --to is given. Otherwise the earlier
    champion's gates, approvals and files are checked again. Signed if deploy.approval is declared
    or --key is given.

    Exit code 1: it is not allowed.
    """
    _acts().roll_back(pipeline, to, reason, key)


@command("stop", acts=True)
@click.argument("pipeline")
@_REASON
@KEY_OPTION
def stop_command(pipeline: str, reason: str, key: Path | None) -> None:
    """Stop PIPELINE's champion at once: nothing serves until factory resume.

    Runs go on, and a new version may become champion meanwhile. Signed if deploy.approval is
    declared or --key is given.

    Exit code 1: it is not allowed.
    """
    _acts().change_serving(pipeline, "stopped", reason, key)


@command("resume", acts=True)
@click.argument("pipeline")
@_REASON
@KEY_OPTION
def resume_command(pipeline: str, reason: str, key: Path | None) -> None:
    """Let PIPELINE's champion serve again after factory stop.

    Signed if deploy.approval is declared or --key is given.

    Exit code 1: it is not allowed.
    """
    _acts().change_serving(pipeline, "resumed", reason, key)
