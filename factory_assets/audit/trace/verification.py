"""Check that stored files, models and records match the digests that were recorded."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import file_digest, sha256
from pathlib import Path

from factory_assets.audit.trace.report import SnapshotFile, State
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.record_graph import contradictions
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.tables.delta_log import current_files
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tracking.records import Record


@dataclass
class Checker:
    """Checks files, reading each at most once, and collects the problems.

    Args:
        home: the home that contains the files.
        verify: whether to read files at all; without it only missing files are noticed.
    """

    home: Home
    verify: bool
    problems: list[str] = field(default_factory=list)
    _states: dict[Path, State] = field(default_factory=dict)
    _logs: set[str] = field(default_factory=set)
    """The tables whose log was checked."""

    def files(self, snapshot: Snapshot) -> tuple[SnapshotFile, ...]:
        """Return the snapshot's files, each with its state."""
        if self.verify:
            self._log(snapshot.table)
        checked = []
        for path, file in zip(snapshot.paths(self.home), snapshot.files, strict=True):
            state = self._state(path, file.sha256, f"{snapshot.table}/{file.name}")
            checked.append(
                SnapshotFile(sha256=file.sha256, rows=file.rows, bytes=file.bytes, state=state)
            )
        return tuple(checked)

    def snapshot(self, snapshot: Snapshot) -> State:
        return worst(file.state for file in self.files(snapshot))

    def model(self, files: Path, digest: str, name: str) -> State:
        """Return the worst state of a model version's manifest and of the files that it lists."""
        manifest = files / MANIFEST
        state = self._state(manifest, digest, f"{name}/{MANIFEST}")
        if state != "whole":
            return state
        digests = json.loads(manifest.read_bytes())
        return worst(self._state(files / n, d, f"{name}/{n}") for n, d in digests.items())

    def record(self, record: Record) -> None:
        """Add the contradictions within a record to the problems."""
        self.problems += [d for d in contradictions(record) if d not in self.problems]

    def _log(self, table: str) -> None:
        """Check that the log of a table can be read, and that the files that it names exist."""
        if table in self._logs:
            return
        self._logs.add(table)
        folder = self.home.tables / table
        try:
            files = current_files(folder)
        except StorageError as error:
            self.problems.append(f"{table}: {error.what}; {error.remedy}")
            return
        if not (folder / "_delta_log").is_dir():
            self.problems.append(f"{table}: its Delta log is gone")
        gone = [name for name in files if not (folder / name).is_file()]
        if gone:
            self.problems.append(f"{table}: its Delta log names {len(gone)} files that are gone")

    def _state(self, path: Path, digest: str, name: str) -> State:
        if path not in self._states:
            state = state_of(path, digest, self.verify)
            self._states[path] = state
            if state == "changed":
                self.problems.append(f"{name} is not what was written: its SHA-256 differs")
            elif state == "gone":
                self.problems.append(f"{name} is gone")
        return self._states[path]


def state_of(path: Path, digest: str, verify: bool) -> State:
    """Compare a file with its digest; without `verify` only check that it exists."""
    try:
        if not verify:
            return "unchecked" if path.is_file() else "gone"
        with path.open("rb") as file:
            return "whole" if file_digest(file, "sha256").hexdigest() == digest else "changed"
    except OSError:
        return "gone"


def worst(states: Iterable[State]) -> State:
    """Return the worst of the states; `whole` if there are none."""
    order: tuple[State, ...] = ("whole", "unchecked", "gone", "changed")
    return max(states, key=order.index, default="whole")


def digest_of_json(value: object) -> str:
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
