"""Copies of the databases of a home, all of one moment, while they are written.

The moment is between two acts of the factory: nobody appends to the ledger, or tells MLflow what
was appended. In SQLite, a database that has no write-ahead log can still be read meanwhile, but not
written until it is copied.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from errno import ENOSPC
from pathlib import Path
from shutil import disk_usage

from factory_resources.backup.copying import copy_file
from factory_resources.home.database import (
    DATABASE_VARIABLE,
    PREPARED,
    chosen_database,
    is_disk_fault,
    server_address,
)
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import run_logs
from factory_resources.instance import instance_settings, preparation
from factory_resources.ledger.ledger import Ledger
from factory_resources.migration.report import opened_files
from factory_resources.migration.stores import stores
from factory_resources.progress import Progress

_WAL = "-wal"

_INDEX = 1 << 20
"""Bytes of free space with which SQLite may still lack room for the index of a write-ahead log, or
for a page."""


def copy_databases(
    home: Home, made: Path, at_that_moment: Callable[[], None], progress: Progress
) -> None:
    """Copy every database into a folder that has the form of a home.

    Args:
        at_that_moment: is called while no act of the factory can be entered.

    Raises:
        StorageError: a database cannot be read, or the copy not written.
    """
    address = server_address()
    if address is None:
        _copy_files(home, made, at_that_moment, progress)
        _copy_run_logs(home, made, progress)
    else:
        _copy_server(home, made, address, at_that_moment, progress)


def _copy_files(
    home: Home, made: Path, at_that_moment: Callable[[], None], progress: Progress
) -> None:
    paths = [path for store in stores() for path in store.paths(home) if path.exists()]
    # The ledger first: until it is copied, nothing is appended.
    paths.sort(key=lambda path: path != home.ledger)
    with ExitStack() as opened:
        with home.acts_paused(), Ledger(home).paused():
            [*files] = opened.enter_context(opened_files(paths))
            for file in files:
                # The moment is that of the first reading.
                file.execute("SELECT count(*) FROM sqlite_master").fetchall()
            at_that_moment()
        for path, file in zip(paths, files, strict=True):
            progress(f"copying {path.name}")
            with _new_file(made / path.relative_to(home.path)) as copy:
                file.backup(copy)
            file.close()


def _copy_run_logs(home: Home, made: Path, progress: Progress) -> None:
    """Copy Dagster's logs of single runs; only those of running ones change."""
    progress("copying logs of runs")
    for log in run_logs(home):
        target = made / log.path.relative_to(home.path)
        target.parent.mkdir(parents=True, exist_ok=True)
        before = _stamp(log.path)
        if not _has_wal(log.path):
            copy_file(log.path, target)
        if not target.exists() or _has_wal(log.path) or _stamp(log.path) != before:
            target.unlink(missing_ok=True)
            with opened_files([log.path]) as [file], _new_file(target) as copy:
                file.backup(copy)


def _has_wal(path: Path) -> bool:
    return path.with_name(path.name + _WAL).exists()


def _stamp(path: Path) -> tuple[int, int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size, status.st_ino


@contextmanager
def _new_file(path: Path) -> Iterator[sqlite3.Connection]:
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            yield connection
            # What is beside the file is no part of the backup.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        # SQLite does not say of which file, and of a disk without room for an index not even that.
        if is_disk_fault(error) and disk_usage(path.parent).free < _INDEX:
            raise OSError(ENOSPC, os.strerror(ENOSPC), str(path)) from error
        raise


def _copy_server(
    home: Home, made: Path, address: str, at_that_moment: Callable[[], None], progress: Progress
) -> None:
    from factory_resources.migration.server import connected
    from factory_resources.migration.to_files import begin_reading, carry_all, fold, make_tables

    copy = Home(made)
    with connected(address, DATABASE_VARIABLE) as connection:
        progress("making the tables")
        present = make_tables(home, copy, connection, address)
        with home.acts_paused(), Ledger(home).paused():
            begin_reading(connection)
            at_that_moment()
        carry_all(copy, present, connection, progress)
    fold(made)
    with chosen_database(None):
        settings = instance_settings(postgres=False)
        (made / "dagster" / "dagster.yaml").write_bytes(settings)
        (made / PREPARED).write_bytes(preparation(home, settings))
