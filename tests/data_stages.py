"""Helpers for the tests of ingest, clean and split: declare a small pipeline, read its rows."""

from pathlib import Path
from typing import Any

from factory_assets.results.data import CleanResult
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow


def pipeline(folder: Path, target: str = "y", **parts: Any) -> Pipeline:
    """Return a pipeline with the given sections; `files` alone stands for the section `ingest`."""
    parts.setdefault("ingest", {"source": {"files": parts.pop("files", "data.csv")}})
    spec = {"purpose": "test", "train": {"target": target, "model": {"kind": "linear"}}, **parts}
    return Pipeline("p", PipelineSpec.model_validate(spec), folder)


def rows(snapshot: Snapshot | None, home: Home, *columns: str) -> list[dict[str, Any]]:
    """Return the rows of a snapshot; an empty list without a snapshot."""
    if snapshot is None:
        return []
    records: list[dict[str, Any]] = read_arrow(snapshot, home, columns or None).to_pylist()
    return records


def column(snapshot: Snapshot | None, home: Home, name: str) -> list[Any]:
    return [row[name] for row in rows(snapshot, home, name)]


def cleaned(text: str, folder: Path, home: Home, **parts: Any) -> tuple[Pipeline, CleanResult]:
    """Write a CSV file, ingest and clean it."""
    (folder / "data.csv").write_text(text)
    declared = pipeline(folder, **parts)
    return declared, clean(declared, ingest(declared, home), home)


def files_of(home: Home) -> set[str]:
    """Return all files in a home, scratch included, to show that nothing changed.

    Cached digests, which are no result, and the lock of running processes are left out.
    """
    ignored = {"digests.db", "digests.db-shm", "digests.db-wal", ".working"}
    files = (path for path in home.path.rglob("*") if path.is_file() and path.name not in ignored)
    return {str(path.relative_to(home.path)) for path in files}
