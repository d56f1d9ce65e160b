"""Nodes of a Ray cluster that train a network together, in a process of the cluster's network.

`python -m tests.ray_training FOLDER HOME HOST:PORT` runs the stages up to `train`, and prints the
digest of the model, or the error.
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


if __name__ == "__main__":
    folder, path, address = sys.argv[1:]
    json.dump(train_apples(load_pipeline(Path(folder)), Home(Path(path)), address), sys.stdout)
