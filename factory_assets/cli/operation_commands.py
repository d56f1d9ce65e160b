"""The commands of whoever keeps the factory running: options, help texts and exit codes."""

import gc
import sys
from pathlib import Path

import click

from factory_assets.cli.group import PATH, command, console, json_option


@command("status")
@json_option("status")
def status_command(as_json: bool) -> None:
    """Show what runs, what ran last night, what comes next, and what needs a person.

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


@command("cost")
@click.argument("pipeline")
@click.option("--rows", help="Rows of the source, such as 200k or 10M (default: those it has now).")
@click.option("--on", "machines", type=PATH, help="A machines.yaml that describes other machines.")
@json_option("cost")
def cost_command(pipeline: str, rows: str | None, machines: Path | None, as_json: bool) -> None:
    """Estimate what PIPELINE costs: a training, a year of nights, a million answers.

    Time, memory, energy, carbon and money, from what its runs have cost, with the error of each
    figure and the number of runs on which it rests. Nothing is run or changed.
    """
    from factory_assets.cli.cost import cost

    click.echo(cost(pipeline, rows, machines, as_json=as_json), nl=False)


@command("backup")
@click.argument("target", type=PATH)
@click.option(
    "--keep", type=click.IntRange(1), help="How many backups to keep in the folder (default: all)."
)
def backup_command(target: Path, keep: int | None) -> None:
    """Back up the home to TARGET while the factory runs.

    TARGET is a folder of backups, in which a new one gets the time as its name and shares the files
    that did not change with the one before; or a new file whose name ends in .tar. Databases on
    PostgreSQL are copied into files. The ledger names the backup, whose manifest its key signs.

    The backup contains the secrets of the factory, because without them it could not go on.
    """
    from factory_assets.cli.backup import back_up

    back_up(target, keep, console())


@command("restore", any_database=True)
@click.argument("backup", type=PATH)
@click.option("--home", "path", type=PATH, help="The new home: a new or empty folder.")
@click.option(
    "--check", "check_all", is_flag=True, help="Compare all files; without --home, restore nothing."
)
def restore_command(backup: Path, path: Path | None, check_all: bool) -> None:
    """Restore BACKUP, or the newest in a folder of backups, as a new home.

    Files are compared with the manifest, and the root of the ledger is computed again. Tables and
    statements are compared when they are read, all of them by factory verify, or with --check. If
    FACTORY_DATABASE_URL names an empty database, the databases are carried over to it. Exit code 2:
    the backup was changed or is damaged, or the new home is not empty; nothing was changed.
    """
    from factory_assets.cli.backup import check, restore

    if path is not None:
        restore(backup, path, "all" if check_all else "unnamed", console())
    elif check_all:
        check(backup, console())
    else:
        raise click.UsageError("name the new home with --home, or give --check")


@command("install-service", any_database=True)
@click.argument("up_options", nargs=-1, type=click.UNPROCESSED)
@click.option("--system", is_flag=True, help="Write system units, which run as --user.")
@click.option("--user", help="The user that the system units run as.")
@click.option("--backup", "backups", type=PATH, help="Back up to this folder every night.")
@click.option(
    "--witness",
    "witnesses",
    type=PATH,
    help="Exchange files with the declared witnesses in this folder every hour.",
)
@click.option(
    "--in",
    "folder",
    type=PATH,
    help="Write the units to this folder (default: where systemd looks for them).",
)
def install_service_command(
    up_options: tuple[str, ...],
    system: bool,
    user: str | None,
    backups: Path | None,
    witnesses: Path | None,
    folder: Path | None,
) -> None:
    """Write units of systemd that keep the factory up, and say what to do next.

    UP_OPTIONS, behind `--`, are those of `factory up`. The units have the settings of the present
    environment (FACTORY_HOME, FACTORY_DEFS and so on). Timers collect garbage, look whether
    something needs a person, and, with --backup and --witness, make backups and ask witnesses.
    Nothing is started.
    """
    from factory_assets.cli.door_commands import up_command
    from factory_assets.cli.service.install import (
        Installation,
        install_service,
        with_whole_paths,
    )

    if system != (user is not None):
        raise click.UsageError("--system and --user belong together")
    # Wrong options are told now, and not by a service that does not start.
    up_command.make_context("factory up", [*up_options])
    paths = [one for one in up_command.params if isinstance(one.type, click.Path)]
    options = with_whole_paths(up_options, [name for one in paths for name in one.opts])
    wanted = Installation(options, user, backups, witnesses, folder)
    for line in install_service(wanted):
        click.echo(line)
