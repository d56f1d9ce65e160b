"""`factory migrate --to s3://…` and `--to home`: carry tables, records and models to a store, or
back.
"""

from collections.abc import Iterator

from rich.console import Console

from factory_assets.cli.at_rest import at_rest
from factory_assets.cli.shared import select
from factory_assets.execution.unshared_columns import unshared_columns
from factory_resources.errors import StorageError
from factory_resources.home.database import require_recorded_engine
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.ledger.ledger import Ledger
from factory_resources.progress import Progress
from factory_resources.store.location import (
    STORE_VARIABLE,
    StoreLocation,
    recorded_address,
    require_recorded_store,
    store_at,
)
from factory_resources.store.store import shared_store, store_of
from factory_resources.tables.carrying_over import pipelines_in, to_home, to_store

HOME, SCHEME = "home", "s3://"
"""How a target begins that is no database."""


def migrate_tables(target: str, console: Console) -> None:
    """Carry what a store can have over to an address, or back to the home.

    Raises:
        FactoryError: something runs, the tables are there already, or the store has something else.
    """
    home = Home.from_env()
    require_recorded_engine(home)
    location = None if target == HOME else store_at(target, where="--to")
    _require_elsewhere(home, location)
    prepare(home)
    with at_rest(home), console.status("looking at what is there") as status:
        carried = _there(home, location, status.update) if location else _back(home, status.update)
        lines = [*carried]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _require_elsewhere(home: Home, location: StoreLocation | None) -> None:
    recorded = recorded_address(home)
    if recorded == (location.address if location else None):
        raise StorageError(
            f"the tables of this factory are in {recorded or 'its home'} already",
            where=str(home.path),
            remedy="nothing was changed",
        )
    if recorded is not None:
        require_recorded_store(home)
    if recorded is not None and location is not None:
        raise StorageError(
            f"the tables of this factory are in {recorded}",
            where=str(home.path),
            remedy="carry them back first: factory migrate --to home",
        )
    if not Ledger(home).exists:
        raise StorageError(
            "there is no factory to carry over",
            where=str(home.path),
            remedy=f"name its home in FACTORY_HOME; a new factory needs {STORE_VARIABLE} alone",
        )


def _there(home: Home, location: StoreLocation, progress: Progress) -> Iterator[str]:
    declared = {one.name: unshared_columns(one) for one in select([])}
    kept = {name: columns for name, columns in declared.items() if columns}
    unknown = sorted(pipelines_in(home) - {*declared})
    files = to_store(store_of(home, location), {*kept, *unknown}, progress)
    yield f"carried over to {location.address}: {files:,} files"
    for name, columns in kept.items():
        yield f"{name} stays in this home: {', '.join(columns.values())} has share: never"
    for name in unknown:
        yield (
            f"{name} stays in this home: it is not declared, so that nobody knows which of its "
            "columns must not leave the home; name its folder in FACTORY_DEFS, and run it"
        )
    yield f"from now on: export {STORE_VARIABLE}={location.address}"


def _back(home: Home, progress: Progress) -> Iterator[str]:
    store = shared_store(home)
    assert store is not None
    files = to_home(store, progress)
    yield f"carried back: {files:,} files of tables, each compared, and all records and models"
    yield f"from now on: unset {STORE_VARIABLE}; what is in {store.address} stays as it was"
