"""Notes of runs in which nothing changed, kept in the home until Dagster is told of them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex

from factory_assets.execution.requests import StageRun
from factory_resources.home.home import Home, storage_errors


@dataclass(frozen=True)
class UnchangedRun:
    """One run in which nothing changed."""

    pipeline: str
    finished: str
    """UTC, ISO 8601."""
    data_versions: dict[str, str]
    """By stage; stages that run by partition are left out."""


def note(pipeline: str, runs: Sequence[StageRun], home: Home) -> None:
    """Note that a run of the pipeline has found nothing changed.

    Raises:
        StorageError: it cannot be written.
    """
    versions = {
        run.record.stage: run.record.data_version for run in runs if not run.record.partition
    }
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = json.dumps(asdict(UnchangedRun(pipeline, now, versions)))
    with storage_errors(_notes(home)), _notes(home).open("a", encoding="utf-8") as file:
        # Lines of several processes do not mix: each is one short write at the end of the file.
        file.write(f"{line}\n")


def take_notes(home: Home) -> list[UnchangedRun]:
    """Return the noted runs, oldest first, and remove the notes.

    A full disk may have left a part of a line, to which the next one was added.
    """
    # A name of its own: another process may take later notes at the same time.
    taken = _notes(home).with_suffix(f".{token_hex(8)}.taken")
    try:
        _notes(home).replace(taken)
    except FileNotFoundError:
        return []
    lines = taken.read_text(encoding="utf-8").splitlines()
    taken.unlink()
    return [*filter(None, map(_read, lines))]


def _read(line: str) -> UnchangedRun | None:
    try:
        return UnchangedRun(**json.loads(line))
    except (ValueError, TypeError):
        return None


def _notes(home: Home) -> Path:
    return home.path / "unchanged.jsonl"
