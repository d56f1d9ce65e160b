"""Fit AutoGluon on rows in files and write what it predicts. Runs in its own environment.

    python autogluon_fit.py FOLDER

Reads `settings.json`, `learned.parquet` and `judged.parquet`; writes `outputs.npy` and
`spent.json`. Imports nothing of this project.
"""

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd


def main(folder: Path) -> None:
    from autogluon.tabular import TabularPredictor

    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    learned = pd.read_parquet(folder / "learned.parquet")
    judged = pd.read_parquet(folder / "judged.parquet")
    cpu, wall = _cpu(), time.perf_counter()
    predictor = TabularPredictor(
        label=settings["label"],
        problem_type=settings["task"],
        eval_metric=settings["metric"],
        path=str(folder / "models"),
        verbosity=0,
    ).fit(learned, presets="best_quality", time_limit=settings["seconds"], num_cpus=1, num_gpus=0)
    if settings["task"] == "regression":
        outputs = predictor.predict(judged).to_numpy()
    else:
        shares = predictor.predict_proba(judged)
        outputs = shares[sorted(shares.columns)].to_numpy()
    np.save(folder / "outputs.npy", outputs)
    threshold = predictor.decision_threshold if settings["task"] == "binary" else None
    spent = {"cpu": _cpu() - cpu, "wall": time.perf_counter() - wall, "threshold": threshold}
    (folder / "spent.json").write_text(json.dumps(spent), encoding="utf-8")


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


if __name__ == "__main__":
    main(Path(sys.argv[1]))
