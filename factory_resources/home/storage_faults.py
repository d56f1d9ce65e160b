"""Recognise faults of the disk and of the home's databases, whichever library has met them.

Libraries wrap what SQLite and the operating system report in exceptions of their own; what all have
in common is the text.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from errno import EACCES
from pathlib import Path

from factory_resources.errors import (
    FILES_REMEDY,
    NO_MORE_FILES,
    DatabaseAwayError,
    FactoryError,
    StorageError,
)
from factory_resources.home.database import DATABASE_VARIABLE, UNOPENED, server_address
from factory_resources.home.disk_space import has_no_inode
from factory_resources.home.home import DISK_FAULTS, DISK_REMEDY, Home, unreadable
from factory_resources.home.sqlite_files import (
    dagster_files,
    ledger_file,
    mlflow_file,
    outcomes_file,
    predictions_file,
    run_logs,
    search_file,
)

_LOCKED = ("database is locked", "database table is locked")

_DATABASE = ("sqlite3.", "sqlalchemy.exc.", "psycopg2.")
"""In the names of the exceptions of databases."""

_FILES_OF_A_DATABASE = 4
"""Itself, its log and the index of that, and its folder."""

_OUTDATED = "out-of-date database schema"

_MISSING = (" not found", "does not exist", "Giving up after")
"""What MLflow says if a row that another row names is gone, or one that should be gone is there."""


@contextmanager
def storage_faults(home: Home) -> Iterator[None]:
    """Raise a fault of the disk or of a database of the home as one line.

    Raises:
        StorageError: in place of an exception that `storage_fault` recognises.
    """
    try:
        yield
    except FactoryError:
        raise
    except Exception as error:
        if fault := storage_fault(error, home):
            # As context and not as cause: its words are fixed and repeat no data of the cause.
            raise fault  # noqa: B904
        raise


def require_server() -> None:
    """Require that PostgreSQL can be used, if the databases are there.

    Dagster tries again for twelve seconds before it says that it cannot, and MLflow for a hundred.

    Raises:
        DatabaseAwayError: it cannot be used.
    """
    if address := server_address():
        import psycopg2

        try:
            psycopg2.connect(address).close()
        except psycopg2.OperationalError as error:
            raise _unusable(str(error).partition("\n")[0]) from error


@contextmanager
def connection_faults(home: Home, close: Callable[[], None]) -> Iterator[None]:
    """As `storage_faults`, and do not use the connection that had a fault any more.

    Args:
        close: closes it; what is asked later opens another one.
    """
    try:
        with storage_faults(home):
            yield
    except StorageError:
        close()
        raise


def storage_fault(error: BaseException, home: Home) -> StorageError | None:
    """Return what an exception tells about the disk or a database of the home; None if nothing."""
    errors = [*_with_causes(error)]
    if fault := next(filter(None, map(_refusal, errors)), None):
        return fault
    text = "\n".join(f"{type(one).__module__}.{type(one).__name__}: {one}" for one in errors)
    if reason := next((phrase for phrase in DISK_FAULTS if phrase in text), None):
        return StorageError(f"cannot write ({reason})", where=str(home.path), remedy=DISK_REMEDY)
    for one in errors:
        if isinstance(one, OSError) and (path := _path_in(home, one)):
            of_others = isinstance(one, PermissionError)
            remedy = unreadable(path, one).remedy if of_others else DISK_REMEDY
            what = f"cannot read or write ({one.strerror})"
            return StorageError(what, where=str(path), remedy=remedy)
    if _OUTDATED in text:
        return StorageError(
            "MLflow's database was made by an older MLflow",
            where=str(home.mlflow_database),
            remedy=f"copy it, then run: mlflow db upgrade sqlite:///{home.mlflow_database}",
        )
    if any(name in text for name in _DATABASE):
        return _server_fault(text) if os.environ.get(DATABASE_VARIABLE) else _file_fault(text, home)
    return _missing_rows(text, home)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or current.__context__


def _path_in(home: Home, error: OSError) -> Path | None:
    """Return the path of the home that cannot be opened as what it should be, or at all."""
    refused = isinstance(error, PermissionError | NotADirectoryError | IsADirectoryError)
    if not refused or not isinstance(error.filename, str):
        return None
    path = Path(error.filename)
    return path if path.is_relative_to(home.path) else None


def _file_fault(text: str, home: Home) -> StorageError | None:
    if any(phrase in text for phrase in _LOCKED):
        return StorageError(
            "another process keeps a database locked",
            where=str(home.path),
            remedy="wait until it has ended, then run again",
        )
    if UNOPENED in text and (lack := _no_more_files()):
        what = f"a database cannot be opened ({lack.strerror})"
        return StorageError(what, where=str(home.path), remedy=FILES_REMEDY)
    if UNOPENED in text and has_no_inode(home):
        what = "cannot write (no inode is left on its disk, so that nobody can make a file there)"
        return StorageError(what, where=str(home.path), remedy="remove files from that disk")
    files = (
        ledger_file(home),
        predictions_file(home),
        outcomes_file(home),
        mlflow_file(home),
        *dagster_files(home),
        search_file(home),
        *run_logs(home),
    )
    for file in files:
        # Opening it to see would let go of the locks that SQLite holds in this process.
        if file.path.exists() and not os.access(file.path, os.R_OK, effective_ids=True):
            return unreadable(file.path, PermissionError(EACCES, os.strerror(EACCES)))
        if damage := file.damage():
            return StorageError(
                f"{file.what} is damaged ({damage})", where=str(file.path), remedy=file.remedy
            )
    if UNOPENED in text and home.path.exists() and not os.access(home.path, os.W_OK):
        # What was stored last is beside the database, and to read that takes an index.
        what = "a database cannot be opened, as its folder is not writable"
        return StorageError(what, where=str(home.path), remedy=DISK_REMEDY)
    if UNOPENED in text:
        return StorageError(
            "a database is missing or cannot be opened",
            where=str(home.path),
            remedy="make the folder readable, or restore it from a backup",
        )
    return None


def _no_more_files() -> OSError | None:
    """Return what the system says if there are not as many further files as a database takes."""
    with ExitStack() as opened:
        try:
            for _ in range(_FILES_OF_A_DATABASE):
                opened.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        except OSError as error:
            return error if error.errno in NO_MORE_FILES else None
    return None


def _missing_rows(text: str, home: Home) -> StorageError | None:
    start = "mlflow.exceptions.MlflowException: "
    lines = (line.removeprefix(start) for line in text.splitlines() if line.startswith(start))
    line = next((line for line in lines if any(phrase in line for phrase in _MISSING)), None)
    if line is None:
        return None
    return StorageError(
        f"rows of MLflow were changed ({line})",
        where=DATABASE_VARIABLE if os.environ.get(DATABASE_VARIABLE) else str(home.mlflow_database),
        remedy=mlflow_file(home).remedy,
    )


def _refusal(error: BaseException) -> StorageError | None:
    """Return that the server does not do what it is asked, as a standby, without rights or full."""
    if not type(error).__module__.startswith("psycopg2") or not os.environ.get(DATABASE_VARIABLE):
        return None
    import psycopg2
    from psycopg2.errors import InsufficientPrivilege, ReadOnlySqlTransaction

    refusals = (psycopg2.OperationalError, InsufficientPrivilege, ReadOnlySqlTransaction)
    return _unusable(str(error).partition("\n")[0]) if isinstance(error, refusals) else None


def _unusable(why: str) -> DatabaseAwayError:
    return DatabaseAwayError(
        f"the database of {DATABASE_VARIABLE} cannot be used ({why})",
        remedy="check the server and the address, then run again",
    )


def _server_fault(text: str) -> StorageError | None:
    lines = (line for line in text.splitlines() if "OperationalError" in line)
    if not (line := next(lines, None)):
        return None
    return _unusable(line.partition(": ")[2])
