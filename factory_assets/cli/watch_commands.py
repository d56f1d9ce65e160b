"""The commands around watching: options, help texts and exit codes."""

import gc
import sys

import click

from factory_assets.cli.group import command, console


@command("monitor")
@click.argument("pipelines", nargs=-1)
@click.option("--last", is_flag=True, help="Show the last look instead of taking one.")
@click.option("--accept", is_flag=True, help="Compare later answers with the present ones.")
@click.option("--reason", help="Why what is new is as it should be; the ledger has it.")
def monitor_command(
    pipelines: tuple[str, ...], last: bool, accept: bool, reason: str | None
) -> None:
    """Look at what the champions of PIPELINES (default: all that are watched) answered.

    Compares the answers since the last look with the rows of training, estimates how well the model
    does, and tells the people whom factory.yaml names of new alarms. Exit code 1: an alarm is open.
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
