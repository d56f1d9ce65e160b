"""Decide which records and files are still referenced; everything else is garbage.

Referenced are: the records behind a model version in MLflow and its evaluations, the latest result
of every stage and partition, whatever was computed or used within the retention time, and all that
these depend on, in other pipelines too. What Dagster logged of a run goes with age alone. Removing
files belongs in `factory_resources.home.garbage`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from factory_assets.execution.loaded_components import foreseen
from factory_assets.results.base import digest
from factory_assets.results.record_graph import (
    Identity,
    RecordGraph,
    identity,
    model_of,
    snapshots_in,
)
from factory_resources.errors import StorageError
from factory_resources.home.garbage import Garbage, left_behind, unneeded_files, waste
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import run_logs
from factory_resources.tables.logged_files import current_files
from factory_resources.tracking.record import Record, damaged_record
from factory_resources.tracking.records import Records, unfinished_records

DEFAULT = "30d"


def find_garbage(
    home: Home,
    models: Mapping[str, Iterable[int]],
    seconds: int,
    now: float | None = None,
    *,
    stored: Mapping[Path, int] = MappingProxyType({}),
) -> list[Garbage]:
    """Return what can be removed, in the order of removal: a reference before the file it names.

    Args:
        models: every registered model and its versions.
        seconds: the retention time of what nothing references.
        now: seconds since 1970.
        stored: files of tables that the factory's store has for long enough, with their bytes.

    Raises:
        StorageError: a record is damaged, a log cannot be read, or the registry knows none of the
            models.
    """
    since = (time.time() if now is None else now) - seconds
    history = RecordGraph.of(home)
    versions = {(model, version) for model, all_of in models.items() for version in all_of}
    if not versions and any(record.stage == "train" for record in history.records):
        raise StorageError(
            "MLflow knows no model version, yet there are records of trained models",
            where=str(home.path),
            remedy="set FACTORY_DATABASE_URL as it was when they were trained",
        )
    needed = needed_records(history, versions, since)
    kept = [record for record in history.records if identity(record) in needed]
    return [
        *_foreseen(home, kept),
        *_records(home, history, needed),
        *_runs(home, since),
        *_pictures(home, kept, versions),
        *_caches(home, since),
        *_logs(home, since),
        *_checkpoints(home, since),
        *unneeded_files(home, set(_files(home, kept)), current_files, stored),
        *left_behind(home),
        *(waste(path, "scratch", "an unfinished record") for path in unfinished_records(home)),
    ]


def needed_records(
    history: RecordGraph, versions: set[tuple[str, int]], since: float
) -> set[Identity]:
    """Return the referenced records, and all that they depend on."""
    needed: set[Identity] = set()

    def visit(record: Record) -> None:
        if identity(record) not in needed:
            needed.add(identity(record))
            for upstream in history.inputs(record):
                visit(upstream)

    for record in _roots(history, versions, since):
        visit(record)
    return needed


def _roots(history: RecordGraph, versions: set[tuple[str, int]], since: float) -> Iterator[Record]:
    folder = history.home.records
    for pipeline in history.pipelines:
        for stage in {record.stage for record in history.records if record.pipeline == pipeline}:
            yield from history.latest(pipeline, stage)
            unpartitioned = Records(history.home).latest(pipeline, stage)
            yield from [unpartitioned] if unpartitioned else []
        for run in sorted((folder / pipeline / "runs").glob("*")):
            if _changed(run) >= since:
                yield from Records(history.home).used(pipeline, run.name)
    for record in history.records:
        if model_of(record) in versions or _changed(history.home.path / record.name) >= since:
            yield record


def _records(home: Home, history: RecordGraph, needed: set[Identity]) -> Iterator[Garbage]:
    for record in history.records:
        if identity(record) not in needed:
            why = "no model version and no latest or recent result needs it"
            yield waste(home.path / record.name, "record", why)


def _foreseen(home: Home, kept: Iterable[Record]) -> Iterator[Garbage]:
    """Yield the pointers by which only records that are not kept are found."""
    found = {digest(foreseen(record.parts)) for record in kept}
    for path in sorted(home.records.glob("*/foreseen/*/*.json")):
        if path.stem not in found:
            yield waste(path, "record", "the record that it points to is not kept")


def _runs(home: Home, since: float) -> Iterator[Garbage]:
    for run in sorted(home.records.glob("*/runs/*")):
        if _changed(run) < since:
            yield waste(run, "run", "older than what is kept")


def _pictures(
    home: Home, kept: Iterable[Record], versions: set[tuple[str, int]]
) -> Iterator[Garbage]:
    named = {p for record in kept for p in _pictures_of(record)}
    for folder in sorted(home.pictures.glob("*/*")):
        if not folder.is_dir() or not folder.name.isdecimal():
            continue
        if (folder.parent.name, int(folder.name)) not in versions:
            yield waste(folder, "picture", "its model version is not in MLflow")
            continue
        for path in sorted(folder.glob("*-*.png")):
            if str(path.relative_to(home.pictures)) not in named:
                yield waste(path, "picture", "no result of evaluate names it")


def _pictures_of(record: Record) -> Iterable[Any]:
    pictures = record.value.get("pictures", {})
    if not isinstance(pictures, dict):
        raise damaged_record(record.name)
    return pictures.values()


def _caches(home: Home, since: float) -> Iterator[Garbage]:
    """Yield old previews and profiles; they are computed again on demand."""
    for folder in (home.pictures / "previews", home.path / "profiles"):
        for path in sorted(folder.glob("[!.]*")):
            if _changed(path) < since:
                yield waste(path, "cache", "older than what is kept; made again when needed")


def _logs(home: Home, since: float) -> Iterator[Garbage]:
    """Yield what Dagster logged of old runs; its index has what the pages of the assets show."""
    printed = sorted(path.parent for path in home.dagster.glob("storage/*/compute_logs"))
    for files in [*(log.files() for log in run_logs(home)), *((folder,) for folder in printed)]:
        if max(map(_latest_change, files)) < since:
            for path in files:
                yield waste(path, "log", "Dagster's log of a run older than what is kept")


def _checkpoints(home: Home, since: float) -> Iterator[Garbage]:
    """Yield checkpoints of trainings that have ended, or were killed long ago and not resumed."""
    for folder in sorted(home.checkpoints.glob("*/*")):
        pipeline, key = folder.parent.name, folder.name
        if Records(home).find(pipeline, "train", key):
            yield waste(folder, "checkpoint", "its training is done")
        elif _latest_change(folder) < since:
            yield waste(folder, "checkpoint", "older than what is kept; the training starts again")


def _files(home: Home, records: Iterable[Record]) -> Iterator[Path]:
    for record in records:
        try:
            snapshots = [*snapshots_in(record.value)]
        except ValidationError as error:
            raise damaged_record(record.name) from error
        for snapshot in snapshots:
            yield from snapshot.paths(home)


def _latest_change(path: Path) -> float:
    """Return when a file, or a folder or anything in it, was changed last."""
    return max(map(_changed, [path, *path.rglob("*")]))


def _changed(path: Path) -> float:
    """Return when a path was changed last; 0 if it has vanished, as journals do when closed."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0
