"""The commands around models that score elsewhere: options, help texts and exit codes."""

import sys
from pathlib import Path

import click

from factory_assets.cli.group import PATH, command


@command("pack", acts=True)
@click.argument("pipeline")
@click.option("--edge", is_flag=True, required=True, help="For a machine without the factory.")
@click.option("--out", required=True, type=PATH, help="A new folder.")
def pack_command(pipeline: str, edge: bool, out: Path) -> None:
    """Write the champion of PIPELINE into a folder that scores without the factory.

    It needs Python 3.9, onnxruntime and numpy, and no network. It checks the contract, computes
    the derived columns, and keeps a signed log of its answers. A pipeline whose rows only the SQL
    engine can prepare is refused, with the expression.
    """
    from factory_assets.cli.edge import pack_text

    click.echo(pack_text(pipeline, out), nl=False)


@command("ingest-log", acts=True)
@click.argument("folder", type=PATH)
def ingest_log_command(folder: Path) -> None:
    """Bring home the answers that the pack in FOLDER gave.

    The log is checked line by line: what its signatures prove is stored in the prediction log, and
    what is missing or was changed is reported and entered in the ledger. It may be brought home
    again and again. Exit code 1: something is missing or was changed.
    """
    from factory_assets.cli.edge import ingest_log_text

    text, is_wrong = ingest_log_text(folder)
    click.echo(text, nl=False)
    sys.exit(int(is_wrong))
