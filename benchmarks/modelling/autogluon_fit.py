"""Fit AutoGluon on rows in files and write what it predicts. Runs in its own environment.

    python autogluon_fit.py FOLDER

Reads `settings.json`, `learned.parquet` and `judged.parquet`; writes `outputs.npy` and
`spent.json`. Imports nothing of this project.

The clock of the process counts its CPU seconds, so that its time limit is the same on a machine
that has other work.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


def main(folder: Path) -> None:
    count_cpu_seconds()
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    learned = pd.read_parquet(folder / "learned.parquet")
    judged = pd.read_parquet(folder / "judged.parquet")
    cpu = time.process_time()
    predictor = fit(learned, settings, folder / "models")
    if settings["task"] == "regression":
        outputs = predictor.predict(judged).to_numpy()
    else:
        shares = predictor.predict_proba(judged)
        outputs = shares[sorted(shares.columns)].to_numpy()
    np.save(folder / "outputs.npy", outputs)
    threshold = predictor.decision_threshold if settings["task"] == "binary" else None
    spent = {"cpu": time.process_time() - cpu, "threshold": threshold}
    (folder / "spent.json").write_text(json.dumps(spent), encoding="utf-8")


def count_cpu_seconds() -> None:
    started = time.time()
    time.time = lambda: started + time.process_time()


def fit(learned: pd.DataFrame, settings: dict[str, Any], models: Path) -> Any:
    """Fit with the preset `best_quality`.

    Dynamic stacking takes a quarter of the time. Where that is too short for any model, AutoGluon
    fails, and is asked again without it.
    """
    from autogluon.tabular import TabularPredictor

    for attempt in ("auto", False):
        predictor = TabularPredictor(
            label=settings["label"],
            problem_type=settings["task"],
            eval_metric=settings["metric"],
            path=str(models / str(attempt)),
            verbosity=0,
        )
        how = {"num_cpus": 1, "num_gpus": 0, "dynamic_stacking": attempt}
        try:
            predictor.fit(learned, presets="best_quality", time_limit=settings["seconds"], **how)
        except (AssertionError, RuntimeError) as error:
            failed = error
        else:
            return predictor
    raise failed


if __name__ == "__main__":
    main(Path(sys.argv[1]))
