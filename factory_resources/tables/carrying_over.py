"""Carry the tables, records and models of a home over to a store, and back."""

from collections.abc import Collection
from pathlib import Path

from factory_resources.delta_protocol import LOG, newest_commit
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.ledger import Ledger
from factory_resources.progress import Progress
from factory_resources.store.copies import COPIED
from factory_resources.store.store import (
    OWNER,
    SharedStore,
    is_table_file,
    note_file,
    shared_store,
)
from factory_resources.tables.shared_log import catch_up

_FOLDERS = (*(name.rstrip("/") for name in COPIED), "tables")
"""The folders with one of each pipeline that are in a store; a log comes after its files."""


def to_store(store: SharedStore, kept: Collection[str], progress: Progress) -> int:
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
    for name in sorted(pipelines_in(home)):
        if name in kept:
            keep_pipeline(store, name)
        else:
            progress(f"uploading {name}")
            files += _upload(store, name)
    store.claim()
    return files


def pipelines_in(home: Home) -> set[str]:
    """Return the pipelines of which the home has records, models, plots or tables."""
    found = {path for folder in _FOLDERS for path in (home.path / folder).glob("*")}
    # Previews show rows of all pipelines, also of those that stay at home; they are made again.
    return {path.name for path in found - {home.pictures / "previews"}}


def share_pipeline(store: SharedStore, name: str) -> None:
    """Put what the home has of a pipeline into the store, if it stayed at home until now."""
    if not stays_at_home(store.home, name):
        return
    # Else nothing was computed.
    if Ledger(store.home).exists:
        store.claim()
        _upload(store, name)
    _kept_file(store.home, name).unlink()


def keep_pipeline(store: SharedStore, name: str) -> None:
    """Take what the store has of a pipeline out of it; from now on it stays at home.

    Files of its tables that the home lacks are fetched first.
    """
    for folder in _FOLDERS:
        store.take_back(f"{folder}/{name}/")
    for note in note_file(store.home, name).glob("*"):
        note.unlink()
    if not stays_at_home(store.home, name):
        store.home.write_atomic(_kept_file(store.home, name), b"")


def stays_at_home(home: Home, name: str) -> bool:
    """Whether the store of the home has nothing of a pipeline, since it has a column to keep."""
    return _kept_file(home, name).is_file()


def _upload(store: SharedStore, name: str) -> int:
    """Put all files of a pipeline into the store; the logs of its tables are those of the home."""
    files = sum(store.upload_folder(store.home.path / folder / name) for folder in _FOLDERS)
    for log in sorted(store.home.tables.glob(f"{name}/*/{LOG}")):
        number, table = newest_commit(log.parent), f"{name}/{log.parent.name}"
        store.home.write_atomic(note_file(store.home, table), str(number).encode())
    return files


def _kept_file(home: Home, name: str) -> Path:
    """Return the file that says that a pipeline stayed at home until now."""
    return home.path / "store" / "kept" / name


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


def to_home(store: SharedStore, progress: Progress) -> int:
    """Fetch everything that the home lacks, and let the home be without a store again.

    Returns:
        The number of files of tables in the store, which stays as it is.

    Raises:
        StorageError: the store cannot be used, or a file there is not what was written.
    """
    catch_up(store.home)
    progress("fetching tables")
    paths = table_files(store)
    store.fetch(paths)
    store.home.sync()
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
