"""The commands around the front door: options, help texts and exit codes."""

import sys
from pathlib import Path

import click

from factory_assets.cli.group import PATH, command, console

_PORT = click.IntRange(1, 65_535)


@command("up")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address of the front door.")
@click.option("--port", type=_PORT, default=3000, show_default=True, help="Its port.")
@click.option(
    "--name",
    "names",
    multiple=True,
    help="A host name by which browsers reach it, such as factory.example; may be repeated.",
)
@click.option(
    "--public-port",
    type=_PORT,
    help="The port by which they reach it, if another one is forwarded to --port.",
)
@click.option("--tls-cert", type=PATH, help="Certificate of the front door.")
@click.option("--tls-key", type=PATH, help="Its private key.")
@click.option("--behind-proxy", is_flag=True, help="A proxy in front of it terminates TLS.")
@click.option(
    "--predict-port",
    type=_PORT,
    default=8080,
    show_default=True,
    help="Port of the prediction server.",
)
@click.option("--user", help="The system user that root becomes before it starts anything.")
def up_command(
    host: str,
    port: int,
    names: tuple[str, ...],
    public_port: int | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,
    predict_port: int,
    user: str | None,
) -> None:
    """Start the factory until Ctrl-C: pages, Dagster, MLflow, schedules and predictions.

    Everything is behind one address. On this machine, its owner is let in by the link that is
    printed; for another --host, or --behind-proxy, people with passwords and TLS are needed. While
    the factory is up, its daemon runs schedules, sensors and backfills.
    """
    if user is not None:
        from factory_resources.home.home import Home
        from factory_resources.security.become_user import become_user

        become_user(user, Home.from_env())
    from factory_assets.cli.up import Services, up
    from factory_assets.serving.http.listen import Listen
    from factory_assets.web.door.address import DoorAddress

    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key belong together")
    door = DoorAddress(Listen(host, port, tls_cert, tls_key, behind_proxy), names, public_port)
    sys.exit(up(Services(door, predict_port), console()))


@command("login")
def login_command() -> None:
    """Print a link that lets the owner of this machine into the factory, once."""
    from factory_assets.cli.login import new_link

    click.echo(new_link())


@command("password", acts=True)
@click.argument("name")
def password_command(name: str) -> None:
    """Give NAME, a person of people.yaml, a password for the front door."""
    from factory_assets.cli.login import set_password

    click.echo(set_password(name))
