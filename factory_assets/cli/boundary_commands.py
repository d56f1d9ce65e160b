"""The commands around the boundary: options, help texts and exit codes."""

import re
import sys
from typing import Literal

import click

from factory_assets.cli.group import command, console, main


@main.group("boundary")
def boundary_group() -> None:
    """Show what the kernel lets a run reach."""


@command("test", group=boundary_group, any_database=True)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--level",
    type=click.Choice(["auto", "required", "seccomp"]),
    default="auto",
    show_default=True,
    help="seccomp: the fallback, where the kernel refuses namespaces.",
)
@click.option(
    "--user", metavar="UID[:GID]", help="The user that root becomes inside (default: nobody)."
)
@click.option(
    "--all", "slow", is_flag=True, help="Also try ways through libraries that load slowly."
)
def boundary_test_command(
    names: tuple[str, ...],
    level: Literal["auto", "required", "seccomp"],
    user: str | None,
    slow: bool,
) -> None:
    """Try to leave a boundary in every known way, or by NAMEs, and print what held.

    Each way is tried twice, in a network of its own whose every address is this machine: without a
    boundary, as a control, and inside one. Nothing leaves the machine.

    Exit code 1: something got out.
    """
    from factory_assets.cli.boundary import attempt_table, got_out, trial_summary, try_boundary

    trial = try_boundary(level, _user(user), names, slow=slow)
    console().print(attempt_table(trial))
    click.echo(trial_summary(trial), nl=False)
    sys.exit(1 if got_out(trial) else 0)


def _user(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    from factory_resources.boundary.command import NO_USER

    found = re.fullmatch(r"([1-9]\d{0,9})(?::(\d{1,10}))?", text, re.ASCII)
    numbers = (int(found[1]), int(found[2] or found[1])) if found else (NO_USER, NO_USER)
    if max(numbers) >= NO_USER:
        raise click.BadParameter(f"{text!r} is not UID or UID:GID of an ordinary user")
    return numbers
