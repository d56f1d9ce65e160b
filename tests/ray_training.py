"""Nodes of a Ray cluster that train, in a process of the cluster's network.

`python -m tests.ray_training FOLDER HOME HOST:PORT` runs the stages up to `train`, and prints the
digest of the model, or the error; with a further word, those up to `evaluate`, and what they store.
"""

import json
import sys
from pathlib import Path
from typing import Any

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.model import Candidate
from factory_assets.results.stages import Stage
from factory_assets.spec import Pipeline
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare, write_apples

STAGES: tuple[Stage, ...] = ("ingest", "clean", "split", "train")


def declare_apples(folder: Path, **changed: Any) -> Pipeline:
    """Declare a small network that two machines train together."""
    write_apples(folder, 400)
    model = {"kind": "mlp", "hidden": [8], "epochs": 6}
    trainer = {"accelerator": "cpu", "nodes": 2}
    train = {"target": "label", "model": model, "trainer": trainer}
    return declare(folder, {**APPLES, "train": train, **changed})


def train_apples(pipeline: Pipeline, home: Home, cluster: str) -> dict[str, str]:
    """Run the stages up to `train`; return the digest of the model, or the error."""
    try:
        for stage in STAGES:
            call = StageRequest(pipeline, stage, home, "run", workers=256, cluster=cluster)
            done = run_stage(call)
    except FactoryError as error:
        return {"error": str(error)}
    assert isinstance(done.value, Candidate)
    return {"digest": done.value.digest, "key": done.record.key}


def declare_fits(folder: Path) -> Pipeline:
    """Declare a search and folds, which are independent fits."""
    write_apples(folder, 200)
    search = {"regularisation": {"range": [0.01, 100], "log": True}}
    train = {**APPLES["train"], "tune": {"trials": 4, "parallel": 2, "search": search}}
    return declare(folder, {**APPLES, "train": train, "evaluate": {"folds": 3}})


def fit_apples(pipeline: Pipeline, home: Home, cluster: str) -> dict[str, Any]:
    """Run the stages up to `evaluate`; return their keys, data versions, warnings and memory."""
    found: dict[str, Any] = {}
    for stage in (*STAGES, "evaluate"):
        workers = 256 if cluster else 0
        call = StageRequest(pipeline, stage, home, "run", workers=workers, cluster=cluster)
        try:
            done = run_stage(call)
        except FactoryError as error:
            return {"error": str(error)}
        digests = [done.record.key, done.record.data_version]
        found[stage] = {"digests": digests, "warning": done.warning}
    return found


if __name__ == "__main__":
    folder, path, address, *more = sys.argv[1:]
    asked = load_pipeline(Path(folder)), Home(Path(path)), address
    json.dump(fit_apples(*asked) if more else train_apples(*asked), sys.stdout)
