"""Helpers of the crash tests: the work of the processes that are killed, and checks of a home."""

import csv
import io
import os
from collections.abc import Iterator
from functools import cache
from hashlib import sha256
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from tests.ledger import problems
from tests.pipelines import declare

KNOWN = 7
"""The number of states of the source whose undisturbed result the tests know."""
DECLARED: dict[str, Any] = {
    "purpose": "Small, and always changing",
    "ingest": {
        "source": {"files": "*.csv"},
        "contract": [{"name": "size", "type": "int64"}, {"name": "colour", "type": "string"}],
    },
    "clean": {
        "where": {"positive": "size > 0"},
        "deduplicate": ["size", "colour"],
        "derive": {"area": "size * size"},
    },
}


def declared(root: Path) -> Pipeline:
    """Declare the pipeline, with its source in the first state."""
    folder = root / "fruit"
    folder.mkdir(parents=True, exist_ok=True)
    change(folder, 0)
    return declare(folder, DECLARED)


def change(folder: Path, number: int, rows: int = 300) -> None:
    """Replace the source by another state, atomically: a reader sees the old or the new one."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("size", "colour"))
    for i in range(rows):
        # Valid rows, rows that break the contract or a rule, and duplicates.
        size = "x" if i % 41 == number % 41 else (i * 7919 + number) % 250 - 5
        writer.writerow((size, ("red", "green", "blue")[i % 3]))
    path = folder / "data.csv"
    # Named after the process, because several may change the source at once.
    temporary = path.with_name(f".{os.getpid()}.new")
    temporary.write_text(text.getvalue())
    os.replace(temporary, path)


def run(root: Path, run_id: str) -> dict[str, str]:
    """Run every stage once and return stage to data version."""
    pipeline = load_pipeline(root / "fruit")
    home = Home(root / "home")
    return {
        stage: run_stage(StageRequest(pipeline, stage, home, run_id)).value.data_version
        for stage in stages_of(pipeline)
    }


def go_on(root: Path, start: int, stages: Connection) -> None:
    """Change the source and run the stages in an endless loop; send each stage before it starts.

    Every third state has occurred before, so that an old result is reused.
    """
    from factory_resources.errors import SourceError

    pipeline = load_pipeline(root / "fruit")
    home = Home(root / "home")
    for number in count(start):
        change(pipeline.folder, number if number % 3 else number % KNOWN)
        for stage in stages_of(pipeline):
            stages.send(stage)
            try:
                run_stage(StageRequest(pipeline, stage, home, f"run {os.getpid()} {number}"))
            except SourceError as error:
                # Another process changed the source at that moment.
                if "changed while it was read" not in str(error):
                    raise
                break


def damages(home: Home) -> Iterator[str]:
    """Yield everything damaged in a home: snapshots of records, table logs, pointers, the ledger.

    A home in which nothing was finished yet has no ledger. One whose writer was killed is opened
    first as every command opens it, which undoes what was half written: the verifier may not.
    """
    if home.ledger.exists():
        with Ledger(home).reading():
            pass
        yield from problems(home)
    yield from _damaged_files(home)


def _damaged_files(home: Home) -> Iterator[str]:
    from deltalake import DeltaTable

    known = {}
    history = RecordGraph.of(home)
    for record in history.records:
        for snapshot in tables_of(value_in(record)).values():
            known[snapshot.data_version] = snapshot
            for path, file in zip(snapshot.paths(home), snapshot.files, strict=True):
                if _digest(path) != file.sha256:
                    yield f"{record.stage} {record.key[:12]} names {path.name}, which is damaged"
    for log in home.tables.glob("*/*/_delta_log"):
        delta = DeltaTable(str(log.parent))
        files = [Path(uri).name for uri in delta.file_uris()]
        for name in files:
            if _digest(log.parent / name) != name[:64]:
                yield f"the log of {log.parent.name} names {name}, which is damaged"
        version = delta.history(1)[0]["data_version"]
        digests = [name[:64] for name in files]
        combined = sha256("\n".join(digests).encode()).hexdigest()
        if version not in {*digests, combined} and len(files) < 3:
            yield f"the log of {log.parent.name} has version {version}, but other files"
        rows = sum(delta.get_add_actions().column("num_records").to_pylist())
        if version in known and known[version].rows != rows:
            yield f"{log.parent.name} has {rows} rows"
    for pointer in (home.records).glob("*/latest/*.json"):
        if not history.latest(pointer.parts[-3], pointer.stem):
            yield f"{pointer.stem} points to a missing record"


def _digest(path: Path) -> str | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return _digest_of(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@cache
def _digest_of(path: Path, *_: int) -> str:
    return sha256(path.read_bytes()).hexdigest()
