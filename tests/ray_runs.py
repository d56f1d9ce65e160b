"""Partitions that nodes of a Ray cluster compute, in a process of the cluster's network.

`python -m tests.ray_runs FOLDER HOME HOST:PORT` computes them, and prints what came of it as JSON.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.backfill import backfill
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.spec import Pipeline, partition_of
from factory_resources.errors import FactoryError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.entries import StageComputed
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.records import Records
from tests.ledger import ledger_entries
from tests.pipelines import declare

DAYS = [f"2024-01-0{day}" for day in range(1, 7)]

_DECLARED: dict[str, Any] = {
    "purpose": "Sizes of each day",
    "partitions": {"day": {"every": "day", "start": "2024-01-01", "end": "2024-01-07"}},
    "ingest": {
        "source": {"python": "sizes:of", "args": {"day": "{day}"}, "reads": "{day}.csv"},
        "contract": {
            "columns": [
                {"name": "size", "type": "int64", "range": [0, None]},
                {"name": "colour", "type": "string", "sensitive": "personal"},
            ],
        },
        "max_quarantine": 0.9,
    },
    "clean": {"where": {"small": "size < 90"}, "derive": {"a": "size + 1"}},
}

_CODE = """
import csv
import time
from pathlib import Path

import pyarrow as pa

def of(day):
    time.sleep(SECONDS)
    rows = list(csv.DictReader((Path(__file__).parent / f"{day}.csv").open()))
    sizes = [int(row["size"]) for row in rows]
    return pa.table({"size": sizes, "colour": ["ab"[size % 2] for size in sizes]})
"""


def declare_days(folder: Path, seconds: float = 0.0) -> Pipeline:
    """Declare a pipeline of six days, each of which takes so many seconds to read."""
    pipeline = declare(folder, _DECLARED)
    (folder / "sizes.py").write_text(_CODE.replace("SECONDS", str(seconds)))
    for number, day in enumerate(DAYS):
        sizes = [-1, 95, *range(number, number + 50), number]
        (folder / f"{day}.csv").write_text("\n".join(["size", *map(str, sizes)]) + "\n")
    return pipeline


def run_days(pipeline: Pipeline, home: Home, cluster: str = "") -> dict[str, Any]:
    """Compute the days, by a cluster if there is one; return what came of it."""
    partitions = [partition_of(pipeline.spec.partitions, day) for day in DAYS]
    workers = 256 if cluster else 0
    call = StageRequest(pipeline, "ingest", home, "run", workers=workers, cluster=cluster)
    runs = backfill(run_stage, call, [one for one in partitions if one])
    try:
        errors = [str(run.error) for run in runs if run.error]
    except FactoryError as error:
        errors = [str(error)]
    return {"errors": errors, "stored": stored(home), "entries": _entries(home)}


def run_days_alone(folder: Path, home: Home) -> dict[str, Any]:
    """Compute the days in a process of its own.

    What the user's code is said to load depends on what the process has loaded before.
    """
    command = [sys.executable, "-m", "tests.ray_runs", str(folder), str(home.path), ""]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def stored(home: Home) -> dict[str, Any]:
    """Return what results are: files of tables, and records without times and costs."""
    records = {
        f"{one.stage} {one.partition}": [one.key, one.data_version, one.inputs, one.value]
        for one in Records(home).all()
    }
    files = sorted(str(f.relative_to(home.tables)) for f in home.tables.rglob("*.parquet"))
    as_json = json.dumps({"records": records, "files": files})
    return dict(json.loads(as_json))


def _entries(home: Home) -> list[int]:
    """Return how many entries the ledger has about each result; one at most is right."""
    if not Ledger(home).exists:
        return []
    entries = ledger_entries(home)
    computed = Counter(one.subject for one in entries if isinstance(one, StageComputed))
    return sorted(set(computed.values()))


if __name__ == "__main__":
    folder, path, address = sys.argv[1:]
    json.dump(run_days(load_pipeline(Path(folder)), Home(Path(path)), address), sys.stdout)
