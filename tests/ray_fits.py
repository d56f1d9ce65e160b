"""Fits that nodes of a Ray cluster do, in a process of the cluster's network.

`python -m tests.ray_fits FOLDER HOME HOST:PORT` trains, and prints what came of it as JSON.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare, write_apples
from tests.ray_training import STAGES

_MODEL = """
import os
import time
from pathlib import Path
from uuid import uuid4

from sklearn.linear_model import LogisticRegression


class Noting(LogisticRegression):
    def fit(self, x, y):
        home, place = Path(os.environ["FACTORY_HOME"]), os.environ.get("RAY_RAYLET_PID", "")
        (home / "noted").mkdir(exist_ok=True)
        threads = os.environ.get("OMP_NUM_THREADS")
        (home / "noted" / uuid4().hex).write_text(f"{place} {threads}")
        while place and not (home / "go").exists():
            time.sleep(0.1)
        return super().fit(x, y)
"""


def declare_trials(folder: Path) -> Pipeline:
    """Declare a search, whose trials are independent fits."""
    write_apples(folder, 60)
    return declare(
        folder, {**APPLES, "train": {**APPLES["train"], "tune": _tune("regularisation")}}
    )


def declare_noted_fits(folder: Path) -> Pipeline:
    """Declare a search and folds whose fits note who does them, and wait on nodes; see `let_go`."""
    write_apples(folder, 200)
    (folder / "noting.py").write_text(_MODEL)
    train = {"target": "label", "model": {"python": "noting:Noting"}, "tune": _tune("args.C")}
    return declare(folder, {**APPLES, "train": train, "evaluate": {"folds": 3}})


def _tune(name: str) -> dict[str, Any]:
    return {"trials": 2, "parallel": 2, "search": {name: {"range": [0.01, 100], "log": True}}}


def let_go(home: Home) -> None:
    """Let the fits on nodes go on, and those that begin later not wait."""
    home.path.mkdir(0o700, exist_ok=True)
    (home.path / "go").touch()


def noted_fits(home: Home) -> Counter[str]:
    """Return how many fits began, by the process number of the node's raylet; empty at home."""
    return Counter(place for place, _ in _noted(home))


def noted_threads(home: Home) -> set[str]:
    """Return the OMP_NUM_THREADS that fits had."""
    return {threads for _, threads in _noted(home)}


def _noted(home: Home) -> Iterator[tuple[str, str]]:
    for file in (home.path / "noted").glob("*"):
        place, _, threads = file.read_text().partition(" ")
        yield place, threads


def train_apples(pipeline: Pipeline, home: Home, cluster: str) -> dict[str, Any]:
    """Run the stages up to `train`; return the model, and what a person is told."""
    for stage in STAGES:
        workers = 256 if cluster else 0
        done = run_stage(
            StageRequest(pipeline, stage, home, "run", workers=workers, cluster=cluster)
        )
    assert isinstance(done.value, Candidate)
    tuned = done.value.tuned
    assert tuned is not None
    model = [done.record.key, done.value.digest, tuned.model_dump(mode="json")]
    return {"model": model, "warning": done.warning}


if __name__ == "__main__":
    folder, path, address = sys.argv[1:]
    json.dump(train_apples(load_pipeline(Path(folder)), Home(Path(path)), address), sys.stdout)
