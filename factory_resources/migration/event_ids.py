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
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from factory_resources.migration.values import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Rename = Callable[[int], int]
"""Returns the new id of an event for its id in the index."""

_TARGET_CLASS = "AssetCheckEvaluationTargetMaterializationData"
_TARGET = re.compile(rf'("{_TARGET_CLASS}"[^{{}}]*?"storage_id": )(\d+)')
_RECORD = re.compile(r'("storage_id": )(\d+)(?=\}$)')
_CURSOR = re.compile(
    r'(\\*"(?:latest_storage_id|last_event_id|max_storage_id|'
    r'earliest_in_progress_materialization_event_id)\\*": )(\d+)'
)
_COMPRESSED = re.compile(r"\b0(eJ[A-Za-z0-9+/]+=*)")
"""The cursor of Dagster's automation: a digit, and JSON that is compressed and in base 64."""


class RunPlaces(NamedTuple):
    """Where the events of one run are: those of its file, then those that only the index has."""

    blocks: "NDArray[np.int64]"
    """Of each event the id in the index of the event that its block is named after; 0 in runs
    without one."""
    places: "NDArray[np.int32]"
    """Negative before that event, 0 for itself, positive after it."""


class EventLog:
    """The events of a home in SQLite.

    Args:
        folder: `dagster/history/runs` of the home.
        columns: the names of the columns of `event_logs` that are read.
    """

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._folder = folder
        self._names = ", ".join(f'"{name}"' for name in columns)

    def runs(self) -> list[str]:
        """Return the ids of the runs that have events; "" stands for events without a run."""
        files = {path.name.removesuffix(".db") for path in self._folder.glob("*.db")} - {"index"}
        with self.index() as index:
            rows = index.execute("SELECT DISTINCT run_id FROM event_logs").fetchall()
        return sorted(files | {run for (run,) in rows})

    def index(self) -> "closing[sqlite3.Connection]":
        """Open the index for a block."""
        return closing(opened(self._folder / "index.db"))

    def places(self, index: sqlite3.Connection, run: str) -> RunPlaces:
        """Return where the events of a run are."""
        query = "SELECT event, id FROM event_logs WHERE run_id = ? ORDER BY id"
        copies = index.execute(query, [run]).fetchall()
        return _placed([event for (event,) in self._own(run, "event")], copies)

    def events(self, index: sqlite3.Connection, run: str, placed: RunPlaces) -> list[Row]:
        """Return the events of a run in the order of their places."""
        rows = self._own(run, self._names)
        for number in placed.blocks[len(rows) :]:
            query = f"SELECT {self._names} FROM event_logs WHERE id = ?"
            rows += index.execute(query, [int(number)])
        return rows

    def _own(self, run: str, names: str) -> list[Row]:
        file = self._folder / f"{run}.db"
        if not file.is_file():
            return []
        with closing(opened(file)) as connection:
            return connection.execute(f"SELECT {names} FROM event_logs ORDER BY id").fetchall()


def _placed(own: Sequence[str], copies: Sequence[tuple[str, int]]) -> RunPlaces:
    """Place the events of a run, given by their texts.

    Args:
        copies: those of the index, with their ids.
    """
    import numpy as np

    ids: dict[str, deque[int]] = defaultdict(deque)
    for event, number in copies:
        ids[event].append(number)
    named = [found.popleft() if (found := ids.get(event)) else 0 for event in own]
    first = next((place for place, number in enumerate(named) if number), None)
    block, place = (0, 0) if first is None else (named[first], -first)
    blocks, places = [], []
    for number in named:
        if 0 < number < block:
            # Two processes stored two events at once; the order of the index counts.
            blocks.append(number)
            places.append(0)
            continue
        if number:
            block, place = number, 0
        blocks.append(block)
        places.append(place)
        place += 1
    left = sorted(number for numbers in ids.values() for number in numbers)
    places += [0] * len(left)
    return RunPlaces(np.array(blocks + left, np.int64), np.array(places, np.int32))


class EventIds:
    """The new ids of all events of a log, which is read once for them.

    Of each event it keeps twelve bytes.

    Args:
        last: the highest id in the index.
    """

    def __init__(self, log: EventLog, last: int) -> None:
        import numpy as np

        before, size = np.zeros(last + 1, np.int64), np.zeros(last + 1, np.int64)
        self._log, self._placed = log, dict[str, RunPlaces]()
        with log.index() as index:
            for run in log.runs():
                self._placed[run] = placed = log.places(index, run)
                np.add.at(size, placed.blocks, 1)
                np.add.at(before, placed.blocks, placed.places < 0)
        self._start, self._before, self._size = _starts(size), before, size

    def events(self) -> Iterator[tuple[list[Row], list[int]]]:
        """Yield the events of each run, and their new ids."""
        unnamed = 0
        with self._log.index() as index:
            for run, placed in self._placed.items():
                ids = self._start[placed.blocks] + self._before[placed.blocks] + placed.places
                # Runs without an event in the index follow each other in the first block.
                in_first = placed.blocks == 0
                ids[in_first] += unnamed
                unnamed += int(in_first.sum())
                yield self._log.events(index, run, placed), ids.tolist()

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
    if _TARGET_CLASS not in text:
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


def opened(file: Path) -> sqlite3.Connection:
    """Open a file that nobody writes.

    SQLite makes two files beside one with a write-ahead log, and removes them, each time that it is
    opened to be read. There are as many files as runs, so it is told if nothing is in the log.
    """
    log = file.with_name(f"{file.name}-wal")
    mode = "ro" if log.exists() and log.stat().st_size else "ro&immutable=1"
    return sqlite3.connect(f"file:{quote(str(file))}?mode={mode}", uri=True, timeout=60)
