"""Remember what holds for each pipeline, and read again only what changed meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_assets.declarations.folders import FILE, pipeline_folders
from factory_assets.web.pages.pipeline_state import PipelineState
from factory_resources.errors import StorageError
from factory_resources.home.file_stamp import FileStamp, file_stamp
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log, changed_error

_MOST = 20_000
"""New entries of the ledger that are read; after more, all pipelines are read anew."""

_KINDS = frozenset(
    {
        "declaration",
        "stage",
        "verdict",
        "export",
        "approval",
        "champion",
        "rollout",
        "rollout_ended",
        "serving",
        "alarms",
    }
)
"""Entries that can change a state. Those about answers are many, and change none."""

_Stamp = tuple[FileStamp | None, ...]


@dataclass(frozen=True)
class _Kept:
    state: PipelineState
    files: tuple[str, ...]
    """Of the declaration, the pointers to its latest records, and the alerts that were sent."""
    stamp: _Stamp


@dataclass(frozen=True)
class _Stored:
    """What a process leaves to the next one."""

    code: FileStamp | None
    """The stamp of the module that reads a state."""
    size: int
    """Entries of the ledger that were read."""
    states: tuple[tuple[str, _Kept], ...]


class PipelineStates:
    """The states of all pipelines of one home; may be used by several threads.

    The ledger tells whose state changed, the times of the files whose declaration did. Roll-outs
    and what was approved by some are read each time, as answers arrive and approvals expire.

    Raises:
        StorageError: from all methods, if the ledger cannot be read.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        """By the folder of the pipeline."""
        self._size = 0

    def all(self) -> list[PipelineState]:
        """Return the states of all pipelines, by name."""
        with self._lock, _reading(self._home) as log:
            size = log.size if log else 0
            touched = _touched(log, self._size, size) if log else frozenset[str]()
            states = {}
            for folder in pipeline_folders():
                kept = self._kept.get(str(folder))
                is_same = kept and kept.stamp == _stamp(kept.files) and _is_settled(kept.state)
                if not kept or not is_same or touched is None or folder.name in touched:
                    kept = _read(folder, log, self._home)
                states[str(folder)] = kept
            self._kept, self._size = states, size
            return sorted((one.state for one in states.values()), key=lambda state: state.name)

    def load(self) -> None:
        """Remember what another process has stored; what cannot be read is read anew."""
        from pydantic import TypeAdapter, ValidationError

        with suppress(OSError, ValidationError):
            content = self._file.read_bytes()
            stored = TypeAdapter(_Stored).validate_json(content)
            if stored.code == _code_stamp():
                with self._lock:
                    self._kept, self._size = dict(stored.states), stored.size

    def store(self) -> None:
        """Leave what is remembered to the next process, if there is a home to leave it in."""
        from pydantic import TypeAdapter

        with self._lock:
            stored = _Stored(_code_stamp(), self._size, tuple(self._kept.items()))
        content = TypeAdapter(_Stored).dump_json(stored)
        with suppress(StorageError, OSError):
            if self._home.tmp.is_dir() and self._left() != content:
                self._home.write_atomic(self._file, content)

    def _left(self) -> bytes:
        """Return what a process has left; nothing if it was root's, which only root can read."""
        with suppress(OSError):
            return self._file.read_bytes()
        return b""

    @property
    def _file(self) -> Path:
        return self._home.tmp / "pipeline_states.json"


@contextmanager
def _reading(home: Home) -> Iterator[Log | None]:
    ledger = Ledger(home)
    if not ledger.exists:
        yield None
        return
    with ledger.reading() as log:
        yield log


def _touched(log: Log, since: int, size: int) -> frozenset[str] | None:
    """Return the pipelines that new entries are about; None if they are too many to read."""
    if not 0 <= size - since <= _MOST:
        return None
    entries = (_content(number, body) for number, body in log.bodies(since, size))
    return frozenset(
        str(entry.get("pipeline") or str(entry.get("subject", "")).rpartition("/")[2])
        for entry in entries
        if entry.get("kind") in _KINDS
    )


def _content(number: int, body: bytes) -> dict[str, Any]:
    try:
        content = json.loads(body)
    except (ValueError, TypeError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise changed_error(f"entry {number} cannot be read")
    return content


def _is_settled(state: PipelineState) -> bool:
    """Whether only an entry of the ledger or another declaration can change the state."""
    may_expire = state.waiting is not None and state.waiting.given
    return not may_expire and state.rollout is None and state.is_readable


def _read(folder: Path, log: Log | None, home: Home) -> _Kept:
    # They take .3 s to import, which nobody needs for whom nothing changed.
    from factory_assets.declarations import loader
    from factory_assets.monitoring.alerts import ALARMS
    from factory_assets.monitoring.looks import OUTCOME_PROBLEMS
    from factory_assets.web.pages.state_reader import read_broken, read_state

    declared = folder / FILE
    # A file that changes while it is read is read again the next time.
    before = stamp_of(declared)
    pipeline, document, problems = loader.read(folder)
    elsewhere = [other.file for other in document.elsewhere.values()]
    latest, watch = home.records / folder.name / "latest", home.watch / folder.name
    records = (latest / "deploy.json", latest / "evaluate.json")
    others = (*elsewhere, *records, watch / ALARMS, watch / OUTCOME_PROBLEMS)
    files = tuple(map(str, (declared, *others)))
    stamp = (before, *_stamp(files[1:]))
    if pipeline:
        return _Kept(read_state(pipeline, log, home), files, stamp)
    state = read_broken(folder.name, [str(problem) for problem in problems[:5]], log, home)
    return _Kept(state, files, stamp)


def _code_stamp() -> FileStamp | None:
    return stamp_of(Path(__file__).with_name("state_reader.py"))


def _stamp(files: tuple[str, ...]) -> _Stamp:
    return tuple(stamp_of(Path(file)) for file in files)


def stamp_of(file: Path) -> FileStamp | None:
    """Return the stamp of a file; None if there is none, or if nobody can tell."""
    with suppress(OSError):
        return file_stamp(file)
    return None
