"""The commands about `governance.yaml`: options, help texts and exit codes."""

from pathlib import Path

import click

from factory_assets.cli.group import KEY_OPTION, PATH, command, main


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


@command("show", group=governance_group)
@click.argument("name")
def governance_show_command(name: str) -> None:
    """Show which statements are open, signed or stale.

    NAME is a pipeline, or one version of it: pipeline@4 (default: the one trained last). A
    statement is stale if its text, or what it rests on, changed since it was signed.
    """
    from factory_assets.cli.governance import governance_lines

    for line in governance_lines(name):
        click.echo(line)


@command("sign", group=governance_group, acts=True)
@click.argument("name")
@click.argument("requirements", nargs=-1)
@click.option("--as", "person", help="Your name in people.yaml (default: that of the key).")
@KEY_OPTION
@click.option(
    "--save",
    type=PATH,
    help="Write the signed statements to files in this folder instead of entering them.",
)
@click.option(
    "--statement",
    "statements",
    type=PATH,
    multiple=True,
    help="Enter a statement that was signed before; may be repeated.",
)
def governance_sign_command(
    name: str,
    requirements: tuple[str, ...],
    person: str | None,
    key: Path | None,
    save: Path | None,
    statements: tuple[Path, ...],
) -> None:
    """Sign statements of governance.yaml, with the evidence that they rest on.

    NAME is a pipeline, or one version of it: pipeline@4 (default: the one trained last).
    REQUIREMENTS are ids such as annex-iv.2g (default: every statement that has a text and is not
    signed as it is now). Shows what is signed, and asks for the passphrase of your key.

    Exit code 1: the signature does not count.
    """
    from factory_assets.cli.governance import SigningRequest, sign

    sign(SigningRequest(name, requirements, person, key, save, statements))
