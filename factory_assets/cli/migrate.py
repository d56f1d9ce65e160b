"""`factory migrate`: see that nothing runs, carry the databases over, and say what to export."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from rich.console import Console

from factory_assets.cli.shared import require_no_run
from factory_assets.cli.up import serving_lock
from factory_resources.errors import StorageError
from factory_resources.home.database import (
    DATABASE_VARIABLE,
    alchemy_address,
    chosen_database,
    is_recorded,
    plain_address,
    recorded_engine,
    require_recorded_engine,
    server_address,
)
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.instance import prepare
from factory_resources.migration.report import Migration
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.journal import is_written

_FILES = "sqlite"


def migrate(target: str, console: Console) -> None:
    """Carry the databases of the home to an address, or to files if the target is `sqlite`.

    Raises:
        StorageError: something runs, the databases are there already, or they cannot be carried
            over; nothing was changed.
    """
    home = Home.from_env()
    recorded = recorded_engine(home)
    if recorded is None:
        raise StorageError(
            "there is no factory to carry over",
            where=str(home.path),
            remedy="name its home in FACTORY_HOME",
        )
    address = None if target == _FILES else plain_address(target, where="--to")
    if recorded == ("sqlite" if address is None else "postgresql"):
        if address is not None:
            _finish(home, address)
        kind = "files of the home" if address is None else "on PostgreSQL"
        raise StorageError(
            f"the databases of this factory are {kind} already",
            where=str(home.path),
            remedy="nothing was changed",
        )
    with console.status("looking at what is there") as status:
        if address is None:
            done = _to_files(home, status.update)
        else:
            done = _to_server(home, address, status.update)
    for line in _told(done, target):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _finish(home: Home, address: str) -> None:
    """Remove the mark of a migration that was killed after its last step."""
    from factory_resources.migration.server import connected, finish

    with chosen_database(alchemy_address(address)):
        if not is_recorded(home):
            return
    with connected(address) as connection:
        finish(connection)


def _to_server(home: Home, address: str, tell: Callable[[str], None]) -> Migration:
    from factory_resources.migration.to_server import to_server

    # The files are read, whatever the variable says.
    with chosen_database(None), storage_faults(home), _alone(home):
        return to_server(home, address, tell)


def _to_files(home: Home, tell: Callable[[str], None]) -> Migration:
    from factory_resources.migration.to_files import to_files

    require_recorded_engine(home)
    with storage_faults(home), _alone(home):
        return to_files(home, server_address() or "", DATABASE_VARIABLE, tell)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    """Prepare the home as it is, and keep everything else from starting in the block."""
    prepare(home)
    with serving_lock(home), home.alone():
        require_no_run(home)
        if is_written(journal_folder(home)):
            raise StorageError(
                "a prediction server is running", where=str(home.path), remedy="stop it first"
            )
        yield


def _told(done: Migration, target: str) -> Iterator[str]:
    rows = ", ".join(f"{store} {count:,}" for store, count in done.rows().items())
    yield f"carried over, every row compared: {rows}"
    if done.ledger:
        size, root = done.ledger
        yield f"the ledger has {size:,} entries and the root {root}, as its checkpoint says"
    if done.engine == "postgresql":
        yield f"from now on: export {DATABASE_VARIABLE}='{_without_password(target)}'"
        yield f"the SQLite files in {done.source} are as they were; nothing reads them any more"
    else:
        yield f"from now on: unset {DATABASE_VARIABLE}"
        yield "the database on the server is as it was; nothing reads it any more"
    if done.aside:
        yield f"SQLite files of earlier are in {done.aside}"


def _without_password(address: str) -> str:
    password = urlsplit(address).password
    return address.replace(f":{password}@", ":...@", 1) if password else address
