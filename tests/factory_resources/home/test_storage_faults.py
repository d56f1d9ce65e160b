"""Faults of the home's databases are told apart, whichever library has met them."""

import errno
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa
from psycopg2.errors import DiskFull

from factory_resources.errors import DatabaseAwayError, StorageError
from factory_resources.home.database import (
    DATABASE_VARIABLE,
    alchemy_address,
    query_sqlite,
    set_option,
)
from factory_resources.home.home import Home, storage_errors, unreadable
from factory_resources.home.storage_faults import storage_fault, storage_faults
from tests.disks import no_more_files, small_disk
from tests.postgres import Postgres

_NOBODY = 65534


@pytest.fixture
def open_home() -> Iterator[Home]:
    """A home in a folder that every user can reach, unlike the folders of tests."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Home(Path(folder))


def test_a_database_of_another_user_is_not_damaged(open_home: Home) -> None:
    ledger = open_home.path / "ledger.db"
    ledger.write_bytes(b"what only its owner can read")
    ledger.chmod(0)
    error = sqlite3.OperationalError("unable to open database file")
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        fault = storage_fault(error, open_home)
    finally:
        os.seteuid(user)
    assert f"{ledger}: cannot be read (Permission denied)" in str(fault)
    ledger.chmod(0o600)
    assert "the ledger is damaged (file is not a database)" in str(storage_fault(error, open_home))


def test_a_home_of_another_user_is_not_a_full_disk(home: Home) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", str(home.records / "x"))
    assert str(storage_fault(error, home)).startswith(
        f"{home.records / 'x'}: cannot read or write (Permission denied); run the factory as the "
        "user who owns the home; "
    )


def test_a_log_of_a_run_that_was_killed_while_it_was_made_is_not_to_blame(home: Home) -> None:
    log = home.dagster / "history" / "runs" / "1a2b.db"
    log.parent.mkdir(parents=True)
    log.touch()
    error = sqlite3.OperationalError("unable to open database file")
    assert "a database is missing or cannot be opened" in str(storage_fault(error, home))
    log.write_bytes(b"not a database")
    assert f"{log}: Dagster's log of one run is damaged" in str(storage_fault(error, home))


def test_a_disk_without_inodes_is_read_and_no_database_is_damaged(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 1 << 20) as disk:
        home = Home(disk.folder / "home")
        mlflow = home.mlflow_database
        home.require_writable()
        with closing(sqlite3.connect(mlflow, isolation_level=None)) as made:
            made.execute("PRAGMA journal_mode = WAL")
            made.execute("CREATE TABLE runs AS SELECT 7 AS number")
        with disk.without_inodes():
            assert query_sqlite(mlflow, "SELECT number FROM runs", {}) == [(7,)]
            opening = closing(sqlite3.connect(mlflow))
            with pytest.raises(StorageError) as told, storage_faults(home), opening as opened:
                opened.execute("INSERT INTO runs VALUES (8)")
    assert str(told.value) == (
        f"{home.path}: cannot write (no inode is left on its disk, so that nobody can make a file "
        "there); remove files from that disk"
    )


def test_with_too_many_files_open_no_database_is_damaged(home: Home) -> None:
    home.require_writable()
    with closing(sqlite3.connect(home.mlflow_database)) as made:
        made.execute("PRAGMA journal_mode = WAL")
        made.execute("CREATE TABLE runs AS SELECT 7 AS number")
        with no_more_files(), pytest.raises(StorageError) as told, storage_faults(home):
            sqlite3.connect(home.mlflow_database).execute("SELECT number FROM runs")
    assert str(told.value) == (
        f"{home.path}: a database cannot be opened (Too many open files); let fewer be open at "
        "once, or allow more: ulimit -n, or LimitNOFILE= of a service"
    )


def test_with_too_many_files_open_no_folder_is_closed_or_full(tmp_path: Path) -> None:
    with no_more_files(), pytest.raises(StorageError) as wrote, storage_errors(tmp_path):
        (tmp_path / "new").touch()
    read = unreadable(tmp_path, OSError(errno.ENFILE, os.strerror(errno.ENFILE)))
    for told in (wrote.value, read):
        assert told.remedy.startswith("let fewer be open at once, or allow more: ulimit -n")


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("default_transaction_read_only=on", "cannot execute CREATE TABLE in a read-only"),
        ("role=pg_monitor", "permission denied for schema public"),
        ("statement_timeout=1", "canceling statement due to statement timeout"),
    ],
)
def test_a_server_that_refuses_is_one_line_whoever_asks(
    setting: str, said: str, home: Home, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = "DO $$ BEGIN PERFORM pg_sleep(0.1); CREATE TABLE public.made (id int); END $$"
    with postgres.database() as address:
        monkeypatch.setenv(DATABASE_VARIABLE, set_option(address, setting))
        with pytest.raises(DatabaseAwayError) as bare, storage_faults(home):
            postgres.execute(ask, database=set_option(address, setting))
        alchemy = alchemy_address(set_option(address, setting))
        engine = sa.create_engine(alchemy, poolclass=sa.NullPool)
        with (
            pytest.raises(DatabaseAwayError) as wrapped,
            storage_faults(home),
            engine.begin() as connection,
        ):
            connection.execute(sa.text(ask))
    for refused in (bare, wrapped):
        assert f"{DATABASE_VARIABLE} cannot be used (" in str(refused.value)
        assert said in str(refused.value)
        assert "\n" not in str(refused.value)


def test_a_full_disk_of_the_server_is_not_that_of_the_home(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = DiskFull("could not extend file: No space left on device\nHINT: Check free space.")
    monkeypatch.setenv(DATABASE_VARIABLE, "postgresql:///factory")
    assert str(storage_fault(error, home)).startswith(
        f"the database of {DATABASE_VARIABLE} cannot be used (could not extend file: No space left"
    )
