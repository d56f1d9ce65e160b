"""The commands about `governance.yaml`: options, help texts and exit codes."""

import click

from factory_assets.cli.group import command, main


@main.group("governance")
def governance_group() -> None:
    """Declare and sign what only a person can say about a pipeline."""


@command("new", group=governance_group)
@click.argument("pipeline")
def governance_new_command(pipeline: str) -> None:
    """Write PIPELINE's governance.yaml, with every question above an empty answer.

    The questions are those of the AI Act and of the Cyber Resilience Act. An existing file is never
    overwritten.
    """
    from factory_assets.cli.governance import new_governance

    click.echo(f"wrote {new_governance(pipeline)}\nnext: answer it, and factory check {pipeline}")
