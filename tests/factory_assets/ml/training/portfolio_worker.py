"""Train a portfolio in a process that the tests kill."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

from factory_assets.results.model import Candidate
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import parts, pipeline
from tests.killed_steps import print_progress

MEMBERS: tuple[dict[str, Any], ...] = (
    {"kind": "linear"},
    {"kind": "gradient_boosting", "iterations": 15},
    {"kind": "extra_trees", "trees": 15},
    {"kind": "mlp", "epochs": 3, "hidden": [8]},
)

MODEL: dict[str, Any] = {"kind": "auto", "members": [*MEMBERS]}


def work(folder: Path, last: str = "") -> Candidate:
    """Train and print the progress of every fit to standard output.

    Args:
        last: the beginning of that at which it waits to be killed.
    """
    home = Home(folder / "home")
    checkpoints = home.checkpoints / "p" / "k"
    return train(
        pipeline(folder, MODEL, refit="auto"),
        parts(home, count=240),
        home,
        progress=partial(print_progress, last=last),
        checkpoints=checkpoints,
    )


if __name__ == "__main__":
    work(Path(sys.argv[1]), sys.argv[2])
