"""Limits for declared SQL: the memory of the process, and time.

The engine's own memory limit covers its tables and sorts, but not all texts and lists that
functions build, so the process is limited too. Which SQL is allowed is decided in `expressions`.
"""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from factory_resources.errors import ExpressionError

if TYPE_CHECKING:
    import duckdb


_TIMES, _SPARE = 2, 512 << 20
"""The process may take this many times the engine's memory limit, and this many bytes more: its
allocators keep up to three quarters more than the engine counts."""

PADDED = 100_000
"""The most characters to which `lpad` and `rpad` pad a text: they cannot be interrupted within a
row, and the engine does not count their memory."""

_AGAIN = 0.1
"""Seconds after which a query is interrupted again: one may begin just after an interrupt."""

_UNITS = {"bytes": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}


@contextmanager
def bounded(
    connection: "duckdb.DuckDBPyConnection", seconds: float, where: str, remedy: str
) -> Iterator[None]:
    """Interrupt the engine after `seconds`, and make it fail if it takes memory beyond its limit.

    Raises:
        ExpressionError: the time is over.
    """
    import duckdb

    ended, late = Event(), Event()

    def watch() -> None:
        if ended.wait(seconds):
            return
        late.set()
        while not ended.wait(_AGAIN):
            with suppress(duckdb.Error):
                connection.interrupt()

    watcher = Thread(target=watch, name="time limit", daemon=True)
    watcher.start()
    try:
        _limit_padding(connection)
        with _MEMORY.limited(_TIMES * _memory_limit(connection) + _SPARE):
            yield
    except duckdb.InterruptException as error:
        if not late.is_set():
            raise
        raise ExpressionError(
            f"takes more than {seconds:g} s", where=where, remedy=remedy
        ) from error
    finally:
        ended.set()
        watcher.join()


def _limit_padding(connection: "duckdb.DuckDBPyConnection") -> None:
    """Shadow the engine's functions by macros; `least` keeps it from computing constants first."""
    for name in ("lpad", "rpad"):
        connection.execute(
            f"CREATE OR REPLACE TEMP MACRO {name}(_text, _length, _pad) AS CASE "
            f"WHEN _length > {PADDED} THEN error('{name} to more than {PADDED:,} characters') "
            "WHEN _length IS NOT NULL "
            f"THEN system.main.{name}(_text, least(_length, {PADDED})::INTEGER, _pad) END"
        )


def _memory_limit(connection: "duckdb.DuckDBPyConnection") -> int:
    row = connection.execute("SELECT current_setting('memory_limit')").fetchone()
    number, _, unit = str(row[0] if row else "").partition(" ")
    return int(float(number) * _UNITS[unit])


class _ProcessMemory:
    """The memory limit of this process, which several engines may set at once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = resource.RLIM_INFINITY

    @contextmanager
    def limited(self, more: int) -> Iterator[None]:
        """Limit the process to the memory that it has now and `more` bytes."""
        with self._lock:
            soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
            if not self._users:
                self._before = soft
            self._users += 1
            limits = (_used() + more, self._before, hard)
            smallest = min(n for n in limits if n != resource.RLIM_INFINITY)
            # Several engines share the largest of their limits.
            resource.setrlimit(
                resource.RLIMIT_DATA, (max(soft, smallest) if self._users > 1 else smallest, hard)
            )
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if not self._users:
                    resource.setrlimit(resource.RLIMIT_DATA, (self._before, hard))


_MEMORY = _ProcessMemory()


def _used() -> int:
    """Return the bytes that count against the limit."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[5]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
