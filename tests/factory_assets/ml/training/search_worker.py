"""Run a search in a process that the tests kill."""

import sys
from pathlib import Path
from typing import Any

from factory_assets.results.model import Candidate
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import parts, pipeline

MODEL = {"kind": "mlp", "epochs": 6, "hidden": [8]}

TUNE: dict[str, Any] = {
    "trials": 7,
    "search": {
        "learning_rate": [0.002, 0.05],
        "hidden": {"values": [[8], [16], [4, 4]]},
        "dropout": [0.0, 0.3],
    },
}


def work(folder: Path) -> Candidate:
    """Run the search and print the progress of every epoch and trial to standard output."""
    home = Home(folder / "home")
    declared = pipeline(folder, MODEL, tune=TUNE, trainer={"checkpoint": {"epochs": 2}})
    checkpoints = home.checkpoints / "p" / "k"
    return train(declared, parts(home), home, progress=_print, checkpoints=checkpoints)


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    work(Path(sys.argv[1]))
