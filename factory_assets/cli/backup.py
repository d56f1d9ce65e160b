"""`factory backup` and `factory restore`: make a copy of the home, and a home of a copy."""

import os
import shlex
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from factory_resources.backup.contents import digest_in_name
from factory_resources.backup.manifest import Manifest
from factory_resources.backup.restoring import Compared, check_backup, restore_backup
from factory_resources.durations import minute
from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE, chosen_database, server_address
from factory_resources.home.disk_space import size_text
from factory_resources.home.home import Home
from factory_resources.progress import Progress


def back_up(target: Path, keep: int | None, console: Console) -> None:
    """Make a backup, and say what is in it.

    Args:
        keep: how many backups stay in the folder; None for all.

    Raises:
        UnknownNameError: nothing has run in this home.
        StorageError: it cannot be made.
    """
    # Restoring does without them.
    from factory_assets.erasure.intents import require_finished
    from factory_assets.execution.ledger_entries import require_ledger
    from factory_resources.backup.making import make_backup

    home = Home.from_env()
    require_finished(home)
    require_ledger(home)
    with console.status("looking at what is there") as status:
        done = make_backup(home, target, status.update, keep)
    for line in (
        f"backed up to {done.path}: {done.files:,} files, {size_text(done.bytes)}",
        f"its ledger has {done.entries:,} entries and the root {done.root}",
        f"entry {done.number} of the ledger names it",
        "it contains the secrets of the factory, the key of its ledger among them: whoever can "
        "read it can act as this factory",
    ):
        _say(console, line)


def restore(backup: Path, path: Path, compare: Compared, console: Console) -> None:
    """Restore a backup, and say what was compared and what to do next.

    Raises:
        StorageError: it cannot be restored, or its databases not be carried to the server.
    """
    home = Home(Path(os.path.expanduser(path)).absolute())
    address, present = server_address(), os.environ.get("FACTORY_HOME")
    if address is not None:
        _require_server(home, address)
    with console.status("reading the manifest") as status:
        manifest = restore_backup(backup, home, status.update, compare)
        if address is not None:
            status.update("carrying the databases over")
            _to_server(home, address, status.update)
    size = sum(file.bytes for file in manifest.files)
    ledger = manifest.ledger
    made = minute(manifest.made)
    for line in (
        f"restored {len(manifest.files):,} files, {size_text(size)}, of {made} UTC",
        _compared(manifest, compare),
        f"the ledger has {ledger.size:,} entries and the root {ledger.root}, computed again",
        *_next(home, present, manifest.home),
    ):
        _say(console, line)


def check(backup: Path, console: Console) -> None:
    """Compare a backup with its manifest, and say that it is whole.

    Raises:
        StorageError: it is not.
    """
    with console.status("reading the manifest") as status:
        manifest = check_backup(backup, status.update)
    size = sum(file.bytes for file in manifest.files)
    made = minute(manifest.made)
    _say(console, f"complete: {len(manifest.files):,} files, {size_text(size)}, of {made} UTC")


def _require_server(home: Home, address: str) -> None:
    """Require a server that takes the databases, before anything is restored."""
    from factory_resources.migration.to_server import require_target

    try:
        require_target(home, address)
    except StorageError as error:
        raise StorageError(
            f"{error.what}; nothing was restored",
            where=DATABASE_VARIABLE,
            remedy=f"{error.remedy}; or unset {DATABASE_VARIABLE}: the databases are files then",
        ) from error


def _to_server(home: Home, address: str, progress: Progress) -> None:
    """Carry the databases of a restored home to PostgreSQL."""
    from factory_resources.instance import prepare
    from factory_resources.migration.to_server import to_server

    try:
        with chosen_database(None):
            prepare(home)
            to_server(home, address, progress)
    except StorageError as error:
        raise StorageError(
            f"the home is restored, with its databases as files; on the server: {error.what}",
            where=DATABASE_VARIABLE,
            remedy=f"unset {DATABASE_VARIABLE} to use the files, or correct that and run: "
            "factory migrate --to URL",
        ) from error


def _compared(manifest: Manifest, compare: Compared) -> str:
    if compare == "all":
        return "each matches the manifest"
    named = [file for file in manifest.files if digest_in_name(file.path)]
    size = sum(file.bytes for file in named)
    return (
        f"each matches the manifest; of {len(named):,} tables and statements ({size_text(size)}) "
        "only the size was compared: factory verify compares the rest"
    )


def _next(home: Home, present: str | None, before: str) -> Iterator[str]:
    if present != str(home.path):
        yield f"next: export FACTORY_HOME={shlex.quote(str(home.path))}"
    yield "next: factory verify"
    yield (
        f"if the factory in {before} still exists, use only one of the two from now on: both have "
        "the key of the same ledger, and two histories of it would contradict each other"
    )


def _say(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)
