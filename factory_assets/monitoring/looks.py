"""The looks of a pipeline on the disk: a folder each, with the report and what the next look needs.

A folder gets its name when it is complete, so that a kill leaves a look or none.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from factory_assets.monitoring.report import MonitorReport
from factory_resources.durability import make_folder, sync_path
from factory_resources.errors import StorageError
from factory_resources.home.home import Home, storage_errors

_REPORT = "report.json"

OUTCOME_PROBLEMS = "outcome_problems.json"
"""The file with what was wrong with the declared outcomes at the last look."""

KEPT = 400
"""Reports that are kept."""


def with_dependents(file: Path) -> list[Path]:
    """Return a file of a look with those that have to go with it, if it goes.

    Without its report there is no look; and of the states of inputs and outputs, the next look goes
    on with those that it finds, so that the others would not be watched any more.
    """
    if file.name == _REPORT:
        return sorted(file.parent.iterdir())
    return sorted(file.parent.glob("*.npz")) if file.suffix == ".npz" else [file]


@dataclass(frozen=True)
class Looks:
    """The looks of one pipeline."""

    home: Home
    pipeline: str

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self.home.watch / self.pipeline

    def numbers(self) -> list[int]:
        """Return the numbers of the looks whose reports are kept, the oldest first."""
        if not self.folder.is_dir():
            return []
        return sorted(int(path.name) for path in self.folder.iterdir() if path.name.isdecimal())

    def path(self, number: int) -> Path:
        """Return the folder of a look."""
        return self.folder / f"{number:06}"

    def report(self, number: int) -> MonitorReport:
        """Return the report of a look.

        Raises:
            StorageError: it cannot be read.
        """
        file = self.path(number) / _REPORT
        try:
            return MonitorReport.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise StorageError(
                "the report of a look cannot be read",
                where=str(file),
                remedy=f"move {self.folder} away: the next look then starts from the beginning",
            ) from error

    def content(self, number: int) -> bytes:
        """Return the bytes of the report of a look."""
        with storage_errors(self.path(number)):
            return (self.path(number) / _REPORT).read_bytes()

    def latest(self) -> MonitorReport | None:
        """Return the report of the last look; None if there was none."""
        numbers = self.numbers()
        return self.report(numbers[-1]) if numbers else None

    def reports(self, most: int) -> list[MonitorReport]:
        """Return the last reports, the oldest first."""
        return [self.report(number) for number in self.numbers()[-most:]]

    def newest_first(self) -> Iterator[MonitorReport]:
        """Yield the reports that are kept; each is read when it is asked for."""
        yield from map(self.report, reversed(self.numbers()))

    def outcome_problems(self) -> tuple[str, ...]:
        """Return what was wrong with the declared outcomes at the last look, a line each."""
        with suppress(OSError, ValueError):
            return tuple(map(str, json.loads((self.folder / OUTCOME_PROBLEMS).read_bytes())))
        return ()

    def keep_outcome_problems(self, problems: Sequence[str]) -> None:
        """Remember what is wrong with the declared outcomes.

        Raises:
            StorageError: the disk cannot be written.
        """
        if tuple(problems) == self.outcome_problems():
            return
        self.home.write_atomic(self.folder / OUTCOME_PROBLEMS, json.dumps(problems).encode())

    def store(self, report: MonitorReport, write: Callable[[Path], None]) -> None:
        """Store a look, and forget what no later look needs.

        Args:
            write: writes the other files into a folder.

        Raises:
            StorageError: the disk cannot be written.
        """
        with self.home.scratch() as scratch, storage_errors(self.folder):
            made = scratch / "look"
            made.mkdir()
            write(made)
            (made / _REPORT).write_text(report.model_dump_json(indent=1), encoding="utf-8")
            make_folder(self.folder)
            for written in (*made.iterdir(), made):
                sync_path(written)
            made.rename(self.path(report.number))
            sync_path(self.folder)
        for number in self.numbers()[:-1]:
            self._forget(number, report.number)

    def _forget(self, number: int, newest: int) -> None:
        if number <= newest - KEPT:
            shutil.rmtree(self.path(number), ignore_errors=True)
            return
        for file in self.path(number).glob("*.npz"):
            file.unlink(missing_ok=True)
