"""The commands of whoever keeps the factory running: options, help texts and exit codes."""

import gc
import sys

import click

from factory_assets.cli.group import command


@command("status")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON, for programs; for its schema: factory schema status.",
)
def status_command(as_json: bool) -> None:
    """Tell what runs, what ran last night, what comes next, and what needs a person.

    Also drift, the disk and when it will be full, the last witness and the last backup. Nothing is
    started or changed.

    Exit code 1: something needs a person; it says what.
    """
    # Garbage collection during imports finds nothing, and takes a quarter of the time.
    gc.disable()
    from datetime import UTC, datetime

    from factory_assets.cli.status.reading import read_status
    from factory_assets.cli.status.report import status_json
    from factory_assets.cli.status.text import status_text
    from factory_resources.home.home import Home

    status = read_status(Home.from_env(), datetime.now(UTC))
    click.echo(status_json(status) if as_json else status_text(status), nl=False)
    sys.exit(1 if status.needs else 0)
