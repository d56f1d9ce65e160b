"""The sealed SQL engine: a DuckDB connection that can reach only the files it is given."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from factory_resources.cores import usable_cores
from factory_resources.errors import ExpressionError, FactoryError, StorageError
from factory_resources.home.home import DISK_FAULTS, DISK_REMEDY

if TYPE_CHECKING:
    import duckdb


MEMORY = "1.8GB"
"""The engine's memory limit if FACTORY_MEMORY is not set."""

WIDE = 300
"""Columns above which the engine plans longer than it saves by finding equal expressions."""

MOST_COLUMNS = 16_000
"""Columns of a table that the engine can sort: it keeps 16 bytes of each in a block of 256 KiB."""

ZONED = "TIMESTAMP WITH TIME ZONE"
"""The engine's type of times that have an offset, in microseconds."""

ZONED_NANOSECONDS = "TIMESTAMPTZ_NS"
"""The type of such times in nanoseconds, as pandas writes them."""

THREADS_VARIABLE = "FACTORY_ENGINE_THREADS"
"""Environment variable by which one of several workers knows how many threads are its own."""


Statistics = Literal["used", "ignored"]
"""Whether the statistics in Parquet files are used. The engine then omits a check that cannot fail
according to them: use them only for files that the factory wrote."""


@contextmanager
def sealed(
    *,
    read: Iterable[Path],
    write: Path,
    memory: str | None = None,
    threads: int | None = None,
    statistics: Statistics = "used",
    wide: bool = False,
    profile: bool = False,
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open an in-memory DuckDB whose SQL can read only `read`, and read and write below `write`.

    Args:
        read: the source files.
        write: an existing folder; spilled data goes there too.
        memory: limit such as `2GB`, by default FACTORY_MEMORY or MEMORY; beyond it DuckDB spills.
        threads: by default one per core of this worker, but at least two.
        wide: whether queries have expressions of more than `WIDE` columns. The engine then does not
            look for equal ones: it would compare each with all others.
        profile: whether the engine counts the rows of every step, for `rows_numbered`.

    Raises:
        StorageError: if FACTORY_MEMORY is not an amount of memory.
    """
    engine = open_sealed(
        read=read,
        write=write,
        memory=memory,
        threads=threads,
        statistics=statistics,
        wide=wide,
        profile=profile,
    )
    with closing(engine) as connection:
        if profile:
            count_rows(connection)
        yield connection


def open_sealed(
    *,
    read: Iterable[Path],
    write: Path,
    memory: str | None = None,
    threads: int | None = None,
    statistics: Statistics,
    wide: bool = False,
    profile: bool,
) -> "duckdb.DuckDBPyConnection":
    """Return the connection of `sealed`, which the caller closes.

    Args:
        profile: whether `count_rows` may be called on it and its cursors.
    """
    import duckdb

    limit = memory or os.environ.get("FACTORY_MEMORY") or MEMORY
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": limit,
        "temp_directory": str(write),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "python_enable_replacements": False,
        "preserve_insertion_order": True,
        # One thread splits Parquet row groups differently than two or more: the bytes would differ.
        "threads": threads or max(2, _own_threads()),
    }
    trusting, comparing = "statistics_propagation", "common_subexpressions"
    disabled = [*([trusting] if statistics == "ignored" else []), *([comparing] if wide else [])]
    if disabled:
        config["disabled_optimizers"] = ",".join(disabled)
    try:
        connection = duckdb.connect(":memory:", config=config)
    except duckdb.Error as error:
        raise StorageError(
            f"the engine does not start with memory limit {limit!r} ({essence(error)})",
            remedy="set FACTORY_MEMORY to an amount such as 2GB",
        ) from error
    try:
        # Paths can be allowed only before external access is disabled, and the lock comes last.
        connection.execute(f"SET allowed_paths = [{_both_ways(read)}]")
        connection.execute(f"SET allowed_directories = [{_both_ways([write])}]")
        connection.execute("SET GLOBAL TimeZone = 'UTC'")
        if profile:
            # Each connection to the engine sets it for itself.
            connection.execute("SET allowed_configs = ['enable_profiling']")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection


def _own_threads() -> int:
    declared = os.environ.get(THREADS_VARIABLE, "")
    return int(declared) if declared.isdecimal() else usable_cores()


def count_rows(connection: "duckdb.DuckDBPyConnection") -> None:
    """Let the engine count the rows of every step, for `rows_numbered`."""
    connection.execute("SET enable_profiling = 'no_output'")


def rows_numbered(connection: "duckdb.DuckDBPyConnection") -> int:
    """Return how many rows the last query has numbered with `row_number() OVER ()`.

    The engine counts them where it numbers them, whatever the query does with them afterwards.
    """
    waiting = json.loads(connection.get_profiling_information())["operator"]
    while waiting:
        step = waiting.pop()
        if step["type"] == "STREAMING_WINDOW":
            return int(step["intermediate_rows"])
        # A list of values, to which rows are compared, has none.
        waiting += step.get("children", ())
    raise RuntimeError("the last query numbered no rows")


@contextmanager
def interruptible() -> Iterator[None]:
    """Let a signal end what uses DuckDB, which replaces what the signal's handler has raised.

    Raises:
        KeyboardInterrupt: a query was interrupted.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error) is RuntimeError and str(error) == "Query interrupted":
            raise KeyboardInterrupt from error
        raise


@contextmanager
def engine_errors(
    where: str,
    otherwise: type[FactoryError] = ExpressionError,
    remedy: str = "correct the expression",
) -> Iterator[None]:
    """Reduce DuckDB's errors to one clear line.

    Args:
        where: what is being computed.
        otherwise: the error class for everything except faults of disk and memory.
        remedy: the remedy of that error.

    Raises:
        StorageError: no disk space, no memory, or a file that cannot be written.
        FactoryError: `otherwise`, for every other error of DuckDB.
    """
    import duckdb

    try:
        yield
    except (duckdb.InternalException, duckdb.InterruptException):
        # Not the user's mistake: keep the traceback.
        raise
    except duckdb.OutOfMemoryException as error:
        raise StorageError(
            f"not enough memory or temporary space ({essence(error)})",
            where=where,
            remedy="raise FACTORY_MEMORY or free disk space",
        ) from error
    except duckdb.Error as error:
        message = str(error)
        if phrase := next((one for one in (*DISK_FAULTS, "Could not write") if one in message), ""):
            # The engine's own words may be JSON, and `where` is often a file that is only read.
            reason = phrase if phrase in DISK_FAULTS else essence(error)
            raise StorageError(
                f"cannot write temporary files ({reason})",
                where=where,
                remedy=DISK_REMEDY,
            ) from error
        raise otherwise(essence(error), where=where, remedy=remedy) from error


def essence(error: Exception) -> str:
    """Return the first line of DuckDB's message and its suggestion, without error type and SQL."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    _, colon, text = lines[0].partition("Error: ")
    first = text if colon else lines[0]
    hints = [line for line in lines[1:3] if line.startswith(("Did you mean", "Candidate bindings"))]
    return " ".join((first.rstrip("."), *(f"({hint})" for hint in hints)))


def identifier(name: str) -> str:
    """Return `name` as a quoted SQL identifier; it may contain any characters."""
    return '"' + name.replace('"', '""') + '"'


def file_literal(path: Path) -> str:
    """Return the path of a file that is read as an SQL string literal.

    Where the engine reads, the brackets, stars and question marks of a name are those of a glob. In
    a glob, a backslash separates folders, so that a path with one stays as it is.
    """
    text = str(path)
    return literal(text if "\\" in text else escape(text))


def _both_ways(paths: Iterable[Path]) -> str:
    """Return a list of paths, as they are written to be read and to be written."""
    return ", ".join(dict.fromkeys(f(p) for p in paths for f in (file_literal, _plain_literal)))


def _plain_literal(path: Path) -> str:
    return literal(str(path))


def literal(text: str) -> str:
    """Return `text` as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"
