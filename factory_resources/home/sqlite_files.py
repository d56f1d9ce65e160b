"""The SQLite files of a home: whether one is in use or damaged, and how a new one gets there.

A database is made in scratch and moved in when it is complete, because the libraries that make it
need many transactions, and cannot finish one that a killed process has begun.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from factory_resources.home.database import is_still
from factory_resources.home.home import Home, storage_errors

_BESIDE = ("-journal", "-wal", "-shm")
"""What SQLite keeps beside a database while it is written."""

_WAIT = 10
"""Seconds to wait for another process that writes."""


@dataclass(frozen=True)
class SqliteFile:
    """One database of a home."""

    path: Path
    what: str
    """Whose database it is, for messages."""
    tables: tuple[str, ...]
    """The tables that a run fills; as long as all are empty, nothing is lost with the file."""
    remedy: str
    """What to do if it is damaged."""

    def is_unused(self) -> bool:
        """Whether nothing was stored in it; a database whose making was interrupted is unused.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        with closing(sqlite3.connect(self.path, timeout=_WAIT)) as connection:
            made = _tables(connection)
            return not any(
                connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()
                for table in self.tables
                if table in made
            )

    def damage(self) -> str | None:
        """Return what is wrong with it; None if it is whole or does not exist."""
        if not self.path.exists():
            return None
        address = f"file:{quote(str(self.path))}?mode=ro"
        if is_still(self.path):
            address += "&immutable=1"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=_WAIT)) as connection:
                [answer] = connection.execute("PRAGMA quick_check(1)").fetchone()
                missing = [table for table in self.tables if table not in _tables(connection)]
        except sqlite3.Error as error:
            return str(error)
        if answer != "ok":
            return " ".join(str(answer).split())
        return f"no table {missing[0]}" if missing else None

    def remove(self) -> None:
        """Remove it, then what is left beside it."""
        with storage_errors(self.path):
            for path in self.files():
                path.unlink(missing_ok=True)

    def files(self) -> tuple[Path, ...]:
        """Return it and what is left beside it, in the order of removal."""
        paths = (self.path, *map(self._beside, _BESIDE))
        return tuple(path for path in paths if path.exists())

    def install(self, made: Path) -> None:
        """Move in a complete database from scratch, which no process has open.

        Raises:
            StorageError: the folder cannot be written.
        """
        with closing(sqlite3.connect(made)) as connection:
            # Everything is then in the one file that is moved.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        # SQLite would apply the journal of a former database to this one.
        self.remove()
        with storage_errors(self.path):
            with made.open("rb+") as file:
                os.fsync(file.fileno())
            os.replace(made, self.path)

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


def mlflow_file(home: Home) -> SqliteFile:
    """Return the database of model versions, their metrics and their tags."""
    return SqliteFile(
        home.mlflow_database,
        "MLflow's database",
        ("runs", "registered_models", "model_versions"),
        "restore it from a backup, or move it away: the next run then trains its models again",
    )


def dagster_files(home: Home) -> tuple[SqliteFile, ...]:
    """Return the databases of Dagster's runs, of their events, and of schedules and sensors."""
    remedy = "restore it from a backup, or move it away: only Dagster's own history is lost"
    tables = {
        "dagster/history/runs.db": ("runs",),
        "dagster/history/runs/index.db": ("event_logs", "asset_keys"),
        "dagster/schedules/schedules.db": ("jobs", "job_ticks"),
    }
    return tuple(
        SqliteFile(home.path / name, "Dagster's database", filled, remedy)
        for name, filled in tables.items()
    )


def run_logs(home: Home) -> tuple[SqliteFile, ...]:
    """Return the databases of the events of each run.

    One whose run was killed while it was made has no table, and Dagster makes it then.
    """
    remedy = "move it away: only Dagster's log of that run is lost"
    named = {file.path for file in dagster_files(home)}
    found = sorted({*(home.dagster / "history" / "runs").glob("*.db")} - named)
    what = "Dagster's log of one run"
    return tuple(SqliteFile(path, what, (), remedy) for path in found)


@contextmanager
def event_logs_open(home: Home, run_id: str) -> Iterator[None]:
    """Keep the databases of Dagster's events open while a run stores many of them.

    Dagster opens them for each event, and whoever closes a database last folds its journal into it,
    which takes longer than storing the event.
    """
    folder = home.dagster / "history" / "runs"
    with ExitStack() as opened:
        for path in (folder / "index.db", folder / f"{run_id}.db"):
            # There is none if Dagster's events are in a PostgreSQL database.
            if path.is_file():
                connection = opened.enter_context(closing(sqlite3.connect(path, timeout=_WAIT)))
                # Opens the journal as well; nothing is locked afterwards.
                _tables(connection)
        yield


def search_file(home: Home) -> SqliteFile:
    """Return the database of searches."""
    return SqliteFile(
        home.tune_database,
        "the database of searches",
        ("studies", "trials"),
        "remove it; unfinished searches start again, and nothing else is lost",
    )


def ledger_file(home: Home) -> SqliteFile:
    """Return the ledger."""
    return SqliteFile(
        home.ledger,
        "the ledger",
        ("entry", "head"),
        "restore it from a backup; nothing replaces it",
    )


def predictions_file(home: Home) -> SqliteFile:
    """Return the database of the prediction log."""
    return SqliteFile(
        home.predictions_database,
        "the database of the prediction log",
        ("prediction", "block"),
        "restore it from a backup; nothing replaces it",
    )


def outcomes_file(home: Home) -> SqliteFile:
    """Return the database of outcomes."""
    return SqliteFile(
        home.outcomes_database,
        "the database of outcomes",
        ("outcome", "outcome_batch"),
        "restore it from a backup; nothing replaces it",
    )


def _tables(connection: sqlite3.Connection) -> set[str]:
    rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return {name for (name,) in rows}
