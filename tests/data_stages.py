"""What the tests of ingest, clean and split share: a pipeline from a few words, and its rows."""

from pathlib import Path
from typing import Any

from factory_assets.results.data import CleanResult
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow


def pipeline(folder: Path, target: str = "y", **parts: Any) -> Pipeline:
    """`parts` are those of the declaration; a source may be given alone, as `files`."""
    parts.setdefault("ingest", {"source": {"files": parts.pop("files", "data.csv")}})
    spec = {"purpose": "test", "train": {"target": target, "model": {"kind": "linear"}}, **parts}
    return Pipeline("p", PipelineSpec.model_validate(spec), folder)


def rows(snapshot: Snapshot | None, home: Home, *columns: str) -> list[dict[str, Any]]:
    """The snapshot's rows; none where there is no snapshot."""
    if snapshot is None:
        return []
    found: list[dict[str, Any]] = read_arrow(snapshot, home, columns or None).to_pylist()
    return found


def column(snapshot: Snapshot | None, home: Home, name: str) -> list[Any]:
    return [row[name] for row in rows(snapshot, home, name)]


def cleaned(text: str, folder: Path, home: Home, **parts: Any) -> tuple[Pipeline, CleanResult]:
    """Write a CSV file, ingest and clean it."""
    (folder / "data.csv").write_text(text)
    made = pipeline(folder, files="data.csv", **parts)
    return made, clean(made, ingest(made, home), home)


def files_of(home: Home) -> set[str]:
    """Everything that a home holds, to show that nothing changed; scratch folders are gone too.

    But for remembered digests, which are no result, and the lock of those who work.
    """
    kept = {"digests.db", "digests.db-shm", "digests.db-wal", ".working"}
    files = (path for path in home.path.rglob("*") if path.is_file() and path.name not in kept)
    return {str(path.relative_to(home.path)) for path in files}
