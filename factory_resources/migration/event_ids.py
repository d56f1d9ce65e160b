"""The ids of Dagster's events, as they are in one table instead of a file a run.

In SQLite, each run has a file with its events, numbered from 1, and `index.db` has a copy of those
that are looked up across runs, with ids of its own. Cursors and other tables name these ids. In
PostgreSQL, all events are in one table. There, the events of the index keep their order and never
get a smaller id, and the others of a run stand where they stood between them.

The events of a run that follow an event of the index, up to the next one of that run, form a block
with it; so do those before the first one. Every id of the index thus has a block, mostly of one
event, and the blocks follow each other.
"""

import base64
import re
import sqlite3
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from factory_resources.migration.values import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rename = Callable[[int], int]
"""Returns the new id of an event for its id in the index."""

_TARGET = re.compile(r'("AssetCheckEvaluationTargetMaterializationData"[^{}]*?"storage_id": )(\d+)')
_RECORD = re.compile(r'("storage_id": )(\d+)(?=\}$)')
_CURSOR = re.compile(
    r'(\\*"(?:latest_storage_id|last_event_id|max_storage_id|'
    r'earliest_in_progress_materialization_event_id)\\*": )(\d+)'
)
_COMPRESSED = re.compile(r"\b0(eJ[A-Za-z0-9+/]+=*)")
"""The cursor of Dagster's automation: a digit, and JSON that is compressed and in base 64."""


class PlacedEvent(NamedTuple):
    """An event, and where in which block it is."""

    block: int
    """The id in the index of the event that the block is named after; 0 for runs without one."""
    place: int
    """Negative before that event, 0 for itself, positive after it."""
    row: Row
    """The event as it is stored, without its id."""


class EventLog:
    """The events of a home in SQLite.

    Args:
        folder: `dagster/history/runs` of the home.
        columns: the names of the columns of `event_logs` but `id`, among them `run_id` and `event`.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._folder, self._columns = folder, columns
        self._event = columns.index("event")
        names = ", ".join(f'"{name}"' for name in columns)
        self._select = f"SELECT id, {names} FROM event_logs"

    def runs(self) -> list[str]:
        """Return the ids of the runs that have events; "" stands for events without a run."""
        files = {path.name.removesuffix(".db") for path in self._folder.glob("*.db")} - {"index"}
        with closing(_opened(self._folder / "index.db")) as index:
            rows = index.execute("SELECT DISTINCT run_id FROM event_logs").fetchall()
        return sorted(files | {run for (run,) in rows})

    def __iter__(self) -> Iterator[list[PlacedEvent]]:
        """Yield the events of each run, always in the same order."""
        with closing(_opened(self._folder / "index.db")) as index:
            for run in self.runs():
                copies = index.execute(self._select + " WHERE run_id = ? ORDER BY id", [run])
                yield [*self._placed(self._own(run), copies.fetchall())]

    def _own(self, run: str) -> list[Row]:
        file = self._folder / f"{run}.db"
        if not file.is_file():
            return []
        with closing(_opened(file)) as connection:
            return connection.execute(self._select + " ORDER BY id").fetchall()

    def _placed(self, own: Sequence[Row], copies: Sequence[Row]) -> Iterator[PlacedEvent]:
        ids: dict[Any, deque[int]] = defaultdict(deque)
        for number, *row in copies:
            ids[row[self._event]].append(number)
        events = [row[1 + self._event] for row in own]
        named = [ids[event].popleft() if ids.get(event) else None for event in events]
        first = next((place for place, number in enumerate(named) if number is not None), len(own))
        block = named[first] or 0 if first < len(own) else 0
        place = -first if block else 0
        for number, (_, *row) in zip(named, own, strict=True):
            if number is not None and number >= block:
                block, place = number, 0
            if number is not None and number < block:
                # Two processes stored two events at once; the order of the index counts.
                yield PlacedEvent(number, 0, row)
                continue
            yield PlacedEvent(block, place, row)
            place += 1
        left = {number for numbers in ids.values() for number in numbers}
        yield from (PlacedEvent(number, 0, row) for number, *row in copies if number in left)


class EventIds:
    """The new ids of all events of a log, which is read once for them.

    Args:
        last: the highest id in the index.
    """

    def __init__(self, log: EventLog, last: int) -> None:
        import numpy as np

        before, size = np.zeros(last + 1, np.int64), np.zeros(last + 1, np.int64)
        for run in log:
            for event in run:
                size[event.block] += 1
                before[event.block] += event.place < 0
        self._start, self._before, self._size = _starts(size), before, size
        self._unnamed = 0

    def of(self, event: PlacedEvent) -> int:
        """Return the new id of an event; the events come in the order of the log."""
        start = int(self._start[event.block] + self._before[event.block])
        if event.block:
            return start + event.place
        self._unnamed += 1
        return start + self._unnamed - 1

    def renamed(self, number: int) -> int:
        """Return the new id for one of the index; after it come exactly those that came before."""
        number = min(number, len(self._size) - 1)
        if number <= 0:
            return number
        if self._size[number]:
            return int(self._start[number] + self._before[number])
        # The event was removed.
        return int(self._start[number]) - 1


def _starts(size: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Return the first id of each block: after the block before it, and not below its own id."""
    import numpy as np

    earlier = np.cumsum(size) - size
    lowest = np.maximum(np.arange(len(size)) - earlier, 1)
    starts: NDArray[np.int64] = np.maximum.accumulate(lowest) + earlier
    return starts


def rename_in_event(text: str, rename: Rename) -> str:
    """Return the text of an event with the new id of the materialization that a check is about."""
    if "storage_id" not in text:
        return text
    return _TARGET.sub(lambda found: f"{found[1]}{rename(int(found[2]))}", text)


def rename_in_record(text: str, rename: Rename) -> str:
    """Return the text of a record of an event with its new id."""
    return _RECORD.sub(lambda found: f"{found[1]}{rename(int(found[2]))}", text)


def rename_in_cursor(text: str, rename: Rename) -> str:
    """Return text with new ids in the cursors that it contains."""

    def plain(text: str) -> str:
        return _CURSOR.sub(lambda found: f"{found[1]}{rename(int(found[2]))}", text)

    def packed(found: re.Match[str]) -> str:
        try:
            content = zlib.decompress(base64.b64decode(found[1])).decode()
        except (ValueError, zlib.error):
            # It only looks like a cursor.
            return found[0]
        return "0" + base64.b64encode(zlib.compress(plain(content).encode())).decode()

    return _COMPRESSED.sub(packed, plain(text))


def _opened(file: Path) -> sqlite3.Connection:
    """Open a file that nobody writes.

    SQLite makes two files beside one with a write-ahead log, and removes them, each time that it is
    opened to be read. There are as many files as runs, so it is told if nothing is in the log.
    """
    log = file.with_name(f"{file.name}-wal")
    mode = "ro" if log.exists() and log.stat().st_size else "ro&immutable=1"
    return sqlite3.connect(f"file:{quote(str(file))}?mode={mode}", uri=True, timeout=60)
