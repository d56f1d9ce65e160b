"""Carry the tables, records and models of a home over to a store, and back."""

from collections.abc import Callable, Collection
from pathlib import Path

from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.store.copies import COPIED
from factory_resources.store.store import (
    OWNER,
    SharedStore,
    is_table_file,
    note_file,
    shared_store,
)
from factory_resources.tables.delta_protocol import newest_commit
from factory_resources.tables.logged_files import LOG
from factory_resources.tables.shared_log import catch_up

Tell = Callable[[str], None]
"""Is told what is done now."""


def to_store(store: SharedStore, kept: Collection[str], tell: Tell) -> int:
    """Put what the home has into its store, and let the home know; return the number of files.

    Killed, it goes on where it was when it is called again.

    Args:
        kept: the pipelines that stay at home.

    Raises:
        StorageError: the store has something of others, or cannot be used.
    """
    home = store.home
    _require_free(store)
    files = 0
    for folder in [home.path / name.rstrip("/") for name in (*COPIED, "tables/")]:
        for of_pipeline in sorted(folder.iterdir()) if folder.is_dir() else ():
            if of_pipeline.is_dir() and of_pipeline.name not in kept:
                tell(f"uploading {folder.name}/{of_pipeline.name}")
                files += store.upload_folder(of_pipeline)
    for log in sorted(home.tables.glob(f"*/*/{LOG}")):
        table = log.parent.relative_to(home.tables)
        if table.parts[0] not in kept:
            number = newest_commit(log.parent)
            home.write_atomic(note_file(home, table.as_posix()), str(number).encode())
    store.claim()
    return files


def _require_free(store: SharedStore) -> None:
    """Require that the prefix is empty, or has what this home began to put there."""
    listed = {one.key for one in store.client.list("")} - {OWNER}
    if listed and not store.is_of_this_factory():
        foreign = [key for key in sorted(listed) if not (store.home.path / key).is_file()]
        if foreign:
            raise StorageError(
                f"the store has something else already, such as {foreign[0]!r}",
                where=store.address,
                remedy="name an empty prefix",
            )


def to_home(store: SharedStore, tell: Tell) -> int:
    """Fetch everything that the home lacks, and let the home be without a store again.

    Returns:
        The number of files of tables in the store, which stays as it is.

    Raises:
        StorageError: the store cannot be used, or a file there is not what was written.
    """
    catch_up(store.home)
    tell("fetching tables")
    paths = table_files(store)
    store.fetch(paths)
    _forget_store(store.home)
    return len(paths)


def fetch_tables(home: Home) -> None:
    """Fetch the files of all tables that are in the home's store.

    Raises:
        StorageError: the store cannot be used, or a file there is not what was written.
    """
    if store := shared_store(home):
        store.fetch(table_files(store))


def table_files(store: SharedStore) -> list[Path]:
    """Return the files of tables that are in the store."""
    listed = store.client.list("tables/")
    return [store.home.path / one.key for one in listed if is_table_file(one.key)]


def _forget_store(home: Home) -> None:
    """Remove what the home notes of its store: where it is comes last."""
    folder = home.path / "store"
    with storage_errors(folder):
        for path in sorted(folder.rglob("*"), key=lambda one: (one.name == "location", one)):
            if path.is_file():
                path.unlink()
