"""AutoGluon as a contestant: it runs in an environment of its own, and rows travel as files.

`make autogluon` makes the environment; FACTORY_AUTOGLUON names the Python of another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.modelling import autogluon_fit
from benchmarks.modelling.folds import TARGET, Answer, Fold

LEAST_SECONDS = 15.0
"""AutoGluon fits few models in less, so it never has less."""
_METRIC = {"rmse": "root_mean_squared_error"}


class NothingFittedError(Exception):
    """AutoGluon had no model when its time was over."""


def find_python() -> Path | None:
    """Return the Python that has AutoGluon; None if there is none."""
    default = Path(sys.prefix) / "autogluon" / "bin" / "python"
    python = Path(os.environ.get("FACTORY_AUTOGLUON", default))
    return python if python.is_file() else None


@dataclass(frozen=True)
class AutoGluon:
    """The preset `best_quality` on one core."""

    python: Path
    seconds: float
    """The time limit, in CPU seconds."""
    name: str = "AutoGluon"

    def answer(self, fold: Fold) -> Answer:
        """Fit and predict.

        Raises:
            NothingFittedError: the process failed; the message has the end of what it wrote.
        """
        import numpy as np

        learned, judged = fold.frames
        settings = {
            "label": TARGET,
            "task": fold.target.task,
            "metric": _METRIC.get(fold.metrics[0], fold.metrics[0]),
            "seconds": self.seconds,
        }
        with TemporaryDirectory() as name:
            folder = Path(name)
            learned.to_parquet(folder / "learned.parquet", index=False)
            judged.to_parquet(folder / "judged.parquet", index=False)
            (folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
            done = subprocess.run(
                # Isolated, since modules beside the script have names of packages.
                [str(self.python), "-I", autogluon_fit.__file__, name],
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise NothingFittedError(done.stderr[-20000:])
            spent = json.loads((folder / "spent.json").read_text(encoding="utf-8"))
            outputs = np.load(folder / "outputs.npy")
        return Answer(outputs, spent["threshold"], cpu=spent["cpu"])
