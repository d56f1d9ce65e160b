"""The commands around watching: options, help texts and exit codes."""

import gc
import sys

import click

from factory_assets.cli.group import command, console


@command("monitor", acts=True)
@click.argument("pipelines", nargs=-1)
@click.option("--last", is_flag=True, help="Show the last look instead of taking one.")
@click.option(
    "--accept", is_flag=True, help="Accept the change: compare later answers with the present ones."
)
@click.option("--reason", help="Why the change is right; the ledger records it.")
def monitor_command(
    pipelines: tuple[str, ...], last: bool, accept: bool, reason: str | None
) -> None:
    """Look at the answers of PIPELINES' champions (default: of all pipelines that are watched).

    Compares the answers since the last look with the training rows, estimates how well the model
    performs, and tells the people whom factory.yaml names about new alarms.

    Exit code 1: an alarm is open.
    """
    # A look with nothing new is mostly imports, during which garbage collection finds nothing.
    gc.disable()
    from factory_assets.cli.monitor import accept_changes, look_at

    gc.enable()
    if accept:
        if len(pipelines) != 1 or not reason or last:
            raise click.UsageError("--accept needs one pipeline and --reason, and no --last")
        click.echo(accept_changes(pipelines[0], reason))
    elif reason:
        raise click.UsageError("--reason belongs to --accept")
    elif not look_at(pipelines, console(), last=last):
        sys.exit(1)
