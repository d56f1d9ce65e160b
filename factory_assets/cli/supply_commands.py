"""The commands about the supply chain: options, help texts and exit codes."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from factory_assets.cli.group import PATH, command, json_option

if TYPE_CHECKING:
    from factory_assets.cli.sbom import BomKind


@command("sbom")
@click.argument("name")
@click.option(
    "--as",
    "kind",
    type=click.Choice(["sbom", "ml-bom"]),
    default="sbom",
    show_default=True,
    help="The software of the training, or the model with its card.",
)
@click.option("--out", type=PATH, help="The JSON file to write.")
@click.option(
    "--record",
    "is_recorded",
    is_flag=True,
    help="Enter SBOM, ML-BOM and statement in the ledger; the version serves only with them.",
)
def sbom_command(name: str, kind: "BomKind", out: Path | None, is_recorded: bool) -> None:
    """Write what a model version was made from, in CycloneDX 1.7.

    NAME is a pipeline or a model version: pipeline, pipeline@3 (default: the champion, else the
    newest version). Needs --out, --record, or both.
    """
    from factory_assets.cli.sbom import record, write_bom

    if out is None and not is_recorded:
        raise click.UsageError("name a file: --out sbom.json; or enter it: --record")
    if out is not None:
        click.echo(write_bom(name, kind, out))
    if is_recorded:
        click.echo(record(name))


@command("audit-deps")
@click.argument("name", required=False)
@click.option(
    "--advisories",
    type=PATH,
    required=True,
    help="A folder or .zip of OSV records, as they are published for PyPI.",
)
@json_option()
def audit_deps_command(name: str | None, advisories: Path, as_json: bool) -> None:
    """Compare installed distributions with advisories in a file.

    NAME is a model version, pipeline@3: what was installed when it was trained (default: what is
    installed now). Nothing is asked over the network: you carry the file in.

    Exit code 1: an advisory is about a version that is installed. Exit code 2: the file cannot be
    read.
    """
    from factory_assets.cli.audit_deps import audit_deps

    text, found = audit_deps(name, advisories, as_json=as_json)
    click.echo(text, nl=False)
    sys.exit(1 if found else 0)
