"""The commands that write formats of others: options, help texts and exit codes."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from factory_assets.cli.group import PATH, command

if TYPE_CHECKING:
    from factory_assets.cli.export_data import DataFormat


@command("openlineage")
@click.argument("pipeline")
@click.option("--run", help="Only this run, by its id or the beginning of it (default: all).")
def openlineage_command(pipeline: str, run: str | None) -> None:
    """Print the events of PIPELINE's recorded runs in the format of OpenLineage.

    There is one event a line, as runs write or send them if `openlineage` in factory.yaml says
    where to. What is printed comes from the records: for each stage that was computed, START and
    COMPLETE.
    """
    from factory_assets.cli.openlineage import event_lines

    for line in event_lines(pipeline, run):
        click.echo(line)


@command("export-data")
@click.argument("name")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["croissant", "odcs"]),
    required=True,
    help="croissant: metadata about the files; odcs: the contract of the table.",
)
@click.option("--out", type=PATH, required=True, help="The file to write.")
@click.option(
    "--license", "license_name", help="The licence of the data, such as CC-BY-4.0, for Croissant."
)
def export_data_command(name: str, kind: "DataFormat", out: Path, license_name: str | None) -> None:
    """Describe a snapshot for the tools of others; no rows are written.

    NAME is a snapshot: pipeline/clean, pipeline/clean@<data version>, pipeline/split.train.
    """
    from factory_assets.cli.export_data import export_data

    for warning in export_data(name, kind, out, license_name):
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"wrote {out}")
