"""Check that stored files, logs, models and records match what was recorded."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from factory_assets.audit.erased import erased_files
from factory_assets.audit.trace.report import SnapshotFile, State
from factory_assets.ml.artifacts.trained_model import MANIFEST
from factory_assets.results.record_graph import contradictions
from factory_resources.delta_protocol import LOG
from factory_resources.errors import StorageError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.store.location import uses_store
from factory_resources.store.store import ChangedObjectError
from factory_resources.tables.logged_files import LoggedFile, logged_files
from factory_resources.tables.snapshot import Snapshot, exists, fetch
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import entry_of


@dataclass
class Checker:
    """Checks files, reading each at most once, and collects the problems.

    Args:
        home: the home that contains the files.
        verify: whether to read files at all; without it only missing files are noticed.
    """

    has_metrics: ClassVar[bool] = True
    """Whether there is an MLflow whose metrics can be compared."""

    home: Home
    verify: bool
    problems: list[str] = field(default_factory=list)
    _states: dict[Path, State] = field(default_factory=dict)
    _logs: set[str] = field(default_factory=set)
    """The tables whose log was read."""

    def files(self, snapshot: Snapshot) -> tuple[SnapshotFile, ...]:
        """Return the snapshot's files, each with its state."""
        checked = []
        elsewhere = self._elsewhere(snapshot)
        for path, file in zip(snapshot.paths(self.home), snapshot.files, strict=True):
            state = elsewhere or self.file(path, file.sha256, f"{snapshot.table}/{file.name}")
            checked.append(
                SnapshotFile(sha256=file.sha256, rows=file.rows, bytes=file.bytes, state=state)
            )
        return tuple(checked)

    def _elsewhere(self, snapshot: Snapshot) -> State | None:
        """Fetch what is in the factory's store; return the state of what cannot be read here."""
        if not uses_store(self.home):
            return None
        if not self.verify:
            return "unchecked" if exists(snapshot, self.home) else None
        try:
            fetch(snapshot.paths(self.home), self.home)
        except ChangedObjectError as error:
            if str(error) not in self.problems:
                self.problems.append(str(error))
            return "changed"
        return None

    @cached_property
    def erased(self) -> frozenset[str]:
        """The paths in the home of what erasures removed."""
        return erased_files(self.home)

    def snapshot(self, snapshot: Snapshot) -> State:
        return worst(file.state for file in self.files(snapshot))

    def model(self, files: Path, digest: str, name: str) -> State:
        """Return the worst state of a model version's manifest and of the files that it lists."""
        manifest = files / MANIFEST
        state = self.file(manifest, digest, f"{name}/{MANIFEST}")
        if state != "whole":
            return state
        digests = json.loads(manifest.read_bytes())
        return worst(self.file(files / n, d, f"{name}/{n}") for n, d in digests.items())

    def record(self, record: Record) -> None:
        """Check a record, its entry, and the commits that it wrote to the logs of its tables."""
        found = [*contradictions(record), *self._entry(record)]
        self.problems += [problem for problem in found if problem not in self.problems]
        for name, digest in record.commits.items():
            path = self.home.tables / name
            # Old commits may be gone: Delta Lake removes those that a checkpoint replaces.
            if path.is_file():
                self.file(path, digest, name)

    def _entry(self, record: Record) -> Iterator[str]:
        if not Ledger(self.home).exists:
            return
        digest = file_sha256(self.home.path / record.name)
        if entry_of(self.home, record, digest) is None:
            yield f"the ledger has no entry of {record.name} as it is now: it does not count"

    def log(self, table: str, current: Mapping[str | None, Snapshot], *, complete: bool) -> None:
        """Check that the log of a table names the files of its latest records and no others.

        Args:
            current: partition to snapshot.
            complete: whether the log may name no other partition.
        """
        if not self.verify or table in self._logs:
            return
        self._logs.add(table)
        try:
            logged = logged_files(self.home.tables / table)
        except StorageError as error:
            self.problems.append(f"{table}/{LOG} {error.what}")
            return
        recorded = {key: _as_logged(snapshot, key) for key, snapshot in current.items()}
        wrong = {key for key, files in recorded.items() if logged.get(key, frozenset()) != files}
        # A log has one set of columns: partitions with others are not in it until they are
        # materialised again.
        columns = [current[key].columns for key in recorded.keys() - wrong]
        if any(not columns or current[key].columns in columns for key in wrong) or (
            complete and logged.keys() - recorded.keys()
        ):
            self.problems.append(f"{table}/{LOG} does not name the files of the latest records")

    def file(self, path: Path, digest: str, name: str) -> State:
        """Return the state of one file."""
        if path not in self._states:
            state = state_of(path, digest, self.verify)
            if state == "gone" and str(path.relative_to(self.home.path)) in self.erased:
                state = "erased"
            self._states[path] = state
            if state == "changed":
                self.problems.append(f"{name} is not what was written: its SHA-256 differs")
            elif state == "gone":
                self.problems.append(f"{name} is gone")
        return self._states[path]


@dataclass
class ArchiveChecker(Checker):
    """Checks what an evidence archive has; what it does not have is listed, and is no problem."""

    has_metrics: ClassVar[bool] = False

    missing: list[str] = field(default_factory=list)
    """What was looked for in vain: tables, and names of files."""

    def log(self, table: str, current: Mapping[str | None, Snapshot], *, complete: bool) -> None:
        """Do nothing: an archive has no logs of tables."""

    def file(self, path: Path, digest: str, name: str) -> State:
        if path.is_file():
            return super().file(path, digest, name)
        is_row = path.is_relative_to(self.home.tables)
        what = f"the rows of {name.rpartition('/')[0]}" if is_row else name
        if what not in self.missing:
            self.missing.append(what)
        return "not in the archive"


def _as_logged(snapshot: Snapshot, partition: str | None) -> frozenset[LoggedFile]:
    """Return the files as the log describes them; it leaves out empty files of a partition."""
    files = [file for file in snapshot.files if file.rows or partition is None]
    return frozenset(LoggedFile(file.name, file.rows, file.bytes) for file in files)


def state_of(path: Path, digest: str, verify: bool) -> State:
    """Compare a file with its digest; without `verify` only check that it exists."""
    try:
        if not verify:
            return "unchecked" if path.is_file() else "gone"
        return "whole" if file_sha256(path) == digest else "changed"
    except OSError:
        return "gone"


def worst(states: Iterable[State]) -> State:
    """Return the worst of the states; `whole` if there are none."""
    order: tuple[State, ...] = (
        *("whole", "unchecked", "not in the archive"),
        *("erased", "gone", "changed"),
    )
    return max(states, key=order.index, default="whole")
