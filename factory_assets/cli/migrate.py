"""`factory migrate`: see that nothing runs, carry the databases over, and say what to export."""

import shlex
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from rich.console import Console

from factory_assets.cli.at_rest import require_no_work
from factory_assets.cli.running import UpProcess
from factory_assets.cli.stopping import await_idle, taken_over
from factory_assets.cli.up import serving_lock
from factory_resources.errors import FactoryError, StorageError
from factory_resources.home.database import (
    DATABASE_VARIABLE,
    alchemy_address,
    chosen_database,
    is_recorded,
    plain_address,
    recorded_engine,
    require_recorded_engine,
    server_address,
    without_password,
)
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.instance import prepare
from factory_resources.migration.report import Migration

_FILES = "sqlite"


@dataclass(frozen=True)
class _Way:
    """How databases are carried over in one direction."""

    source: str | None
    """The address of the present databases; None for files."""
    require_possible: Callable[[], None]
    """Checks what can be checked while the factory runs."""
    carry: Callable[[Callable[[str], None]], Migration]


def migrate(target: str, console: Console, *, stop: bool = False) -> None:
    """Carry the databases of the home to an address, or to files if the target is `sqlite`.

    Args:
        stop: whether a `factory up` is stopped first.

    Raises:
        FactoryError: something runs, the databases are there already, or they cannot be carried
            over; no database was changed.
    """
    home = Home.from_env()
    recorded = recorded_engine(home)
    if recorded is None:
        raise StorageError(
            "there is no factory to carry over",
            where=str(home.path),
            remedy="name its home in FACTORY_HOME",
        )
    address = None if target == _FILES else _address(target)
    if recorded == ("sqlite" if address is None else "postgresql"):
        if address is not None:
            _finish(home, address)
        kind = "files of the home" if address is None else "on PostgreSQL"
        raise StorageError(
            f"the databases of this factory are {kind} already",
            where=str(home.path),
            remedy="nothing was changed",
        )
    way = _back(home) if address is None else _there(home, address)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    with (
        console.status("looking at what is there") as status,
        chosen_database(way.source),
        storage_faults(home),
        _at_rest(home, way.require_possible if stop else None, say) as stopped,
    ):
        done = way.carry(status.update)
    for line in _result_lines(done, home, address):
        say(line)
    if stopped:
        say(f"then start it again: {_command(stopped)}")


def _address(target: str) -> str:
    try:
        return plain_address(target, where="--to")
    except StorageError as error:
        raise StorageError(
            "this is neither the address of a PostgreSQL database nor that of a store",
            where=error.where,
            remedy="write it as postgresql://user@host:5432/factory or as s3://bucket/prefix; "
            "sqlite or home brings them back",
        ) from error


def _finish(home: Home, address: str) -> None:
    """Remove the mark of a migration that was killed after its last step."""
    from factory_resources.migration.server import connected, finish

    with chosen_database(alchemy_address(address)):
        if not is_recorded(home):
            return
    with connected(address) as connection:
        finish(connection)


def _there(home: Home, address: str) -> _Way:
    from factory_resources.migration.to_server import require_target, to_server

    return _Way(
        None,
        lambda: require_target(home, address),
        lambda progress: to_server(home, address, progress),
    )


def _back(home: Home) -> _Way:
    from factory_resources.migration.to_files import require_source, to_files

    require_recorded_engine(home)
    address = server_address() or ""
    return _Way(
        address,
        lambda: require_source(home, address),
        lambda progress: to_files(home, address, progress),
    )


@contextmanager
def _at_rest(
    home: Home, require_possible: Callable[[], None] | None, say: Callable[[str], None]
) -> Iterator[UpProcess | None]:
    """Prepare the home as it is, and keep everything else from starting in the block.

    Args:
        require_possible: is called before a `factory up` is stopped; None if none shall be.

    Yields:
        The `factory up` that was stopped; None if none was.
    """
    prepare(home)
    if require_possible:
        require_possible()
    with taken_over(home) if require_possible else _unless_up(home) as stopped:
        if stopped:
            say(f"stopped: {_command(stopped)}")
            await_idle(lambda: _require_idle(home))
        with home.alone():
            require_no_work(home)
            yield stopped


@contextmanager
def _unless_up(home: Home) -> Iterator[None]:
    try:
        lock: AbstractContextManager[object] = serving_lock(home)
    except FactoryError as error:
        raise FactoryError(
            error.what, where=error.where, remedy="stop it first, or with the option --stop"
        ) from error
    with lock:
        yield


def _require_idle(home: Home) -> None:
    with home.alone():
        require_no_work(home)


def _command(process: UpProcess) -> str:
    return shlex.join(["factory", *process.arguments])


def _result_lines(done: Migration, home: Home, address: str | None) -> Iterator[str]:
    rows = ", ".join(f"{store} {count:,}" for store, count in done.rows().items())
    yield f"carried over, every row compared: {rows}"
    if done.ledger:
        size, root = done.ledger
        yield f"the ledger has {size:,} entries and the root {root}, as its checkpoint says"
    if address is not None:
        yield f"from now on: export {DATABASE_VARIABLE}='{without_password(address)}'"
        yield f"the SQLite files in {home.path} are as they were; nothing reads them any more"
    else:
        yield f"from now on: unset {DATABASE_VARIABLE}"
        yield "the database on the server is as it was; nothing reads it any more"
    if done.aside:
        yield f"earlier SQLite files are in {done.aside}"
