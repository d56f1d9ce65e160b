"""The commands around a cluster of Kubernetes: options, help texts and exit codes."""

import sys
from pathlib import Path
from typing import Any

import click

from factory_assets.cli.group import PATH, command, main


@main.group("k8s")
def k8s_group() -> None:
    """Write and check manifests for a Kubernetes cluster, without contacting one."""


@command("render", group=k8s_group, any_database=True)
@click.option("--image", required=True, help="The image, with a tag of its own or a digest.")
@click.option("--host", required=True, help="The name by which browsers reach the front door.")
@click.option("--namespace", default="factory", show_default=True, help="Namespace of the factory.")
@click.option(
    "--tls-secret",
    default="factory-tls",
    show_default=True,
    help="The Secret with the certificate of the front door.",
)
@click.option(
    "--runs",
    type=click.Choice(["here", "pods"]),
    default="here",
    show_default=True,
    help="Runs in the pod of the factory, or each in a pod of its own.",
)
@click.option("--storage", default="50Gi", show_default=True, help="Size of the volume.")
@click.option("--storage-class", help="Storage class of the volume (default: the cluster's).")
@click.option("--shared", is_flag=True, help="Pods on several nodes mount the volume.")
@click.option("--cores", default="2", show_default=True, help="CPU cores of each pod.")
@click.option("--memory", default="8Gi", show_default=True, help="Memory of each pod.")
@click.option(
    "--gpus", type=click.IntRange(0, 64), default=0, help="NVIDIA GPUs of each pod that trains."
)
@click.option("--database-secret", help="The Secret whose key `url` is the address of PostgreSQL.")
@click.option("--database", metavar="HOST:PORT", help="Address of this PostgreSQL.")
@click.option(
    "--store-secret",
    help="The Secret whose keys `access-key` and `secret-key` open the storage of FACTORY_STORE.",
)
@click.option(
    "--address",
    "addresses",
    metavar="NAME=IP",
    multiple=True,
    help="IP address of a declared host; may be repeated. Names are not looked up.",
)
@click.option(
    "--api-server",
    "api_servers",
    metavar="IP:PORT",
    multiple=True,
    help="Address of the cluster's API server; may be repeated.",
)
@click.option(
    "--from",
    "visitors",
    metavar="NAMESPACE",
    multiple=True,
    help="Namespace whose pods may reach the front door; may be repeated (default: all).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the base for kustomize (default: one text to standard output).",
)
def render_command(out: Path | None, **options: Any) -> None:
    """Write manifests of this factory: a base for kustomize.

    They have the settings of factory.yaml, of the declarations and of the environment
    (FACTORY_MEMORY and so on). The network is closed, except for the declared addresses. The
    manifests contain no passwords, only the names of Secrets.
    """
    from factory_assets.cli.k8s import (
        ClusterOptions,
        base_text,
        chosen_cluster,
        warnings,
        write_base,
    )

    asked = ClusterOptions(**options)
    cluster = chosen_cluster(asked)
    lines = [base_text(cluster).rstrip()] if out is None else write_base(cluster, out)
    for line in lines:
        click.echo(line)
    for warning in warnings(cluster, asked):
        click.echo(f"warning: {warning}", err=True)


@command("check", group=k8s_group, any_database=True)
@click.argument("files", nargs=-1, required=True, type=PATH)
def check_manifests_command(files: tuple[Path, ...]) -> None:
    """Find what the factory refuses in FILES of manifests, such as root or open networks.

    For overlays: kubectl kustomize OVERLAY | factory k8s check -

    Exit code 1: a problem was found.
    """
    from factory_assets.cli.k8s import violations

    found = violations(files)
    for line in found:
        click.echo(line, err=True)
    if found:
        sys.exit(1)
    click.echo("no problems")
