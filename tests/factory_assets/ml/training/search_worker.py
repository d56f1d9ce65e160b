"""Run a search in a process that the tests kill."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from factory_assets.results.model import Candidate
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import parts, pipeline
from tests.killed_steps import print_progress

MODEL = {"kind": "mlp", "epochs": 6, "hidden": [8]}

TUNE: dict[str, Any] = {
    "trials": 7,
    "search": {
        "learning_rate": [0.002, 0.05],
        "hidden": {"values": [[8], [16], [4, 4]]},
        "dropout": [0.0, 0.3],
    },
}


def work(folder: Path, last: str = "") -> Candidate:
    """Run the search and print the progress of every epoch and trial to standard output.

    Args:
        last: the beginning of that at which it waits to be killed.
    """
    home = Home(folder / "home")
    declared = pipeline(folder, MODEL, tune=TUNE, trainer={"checkpoint": {"epochs": 2}})
    checkpoints = home.checkpoints / "p" / "k"
    return train(
        declared,
        parts(home),
        home,
        progress=partial(print_progress, last=last),
        checkpoints=checkpoints,
    )


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2])
