"""Both probabilities that the benchmark compares are those of one model."""

import numpy as np
import pandas as pd
import pytest

from benchmarks.calibrated import Task, judged


@pytest.mark.parametrize(
    ("kind", "classes", "positive"), [("random_forest", 2, "class 1"), ("linear", 3, None)]
)
def test_a_forest_gains(kind: str, classes: int, positive: str | None) -> None:
    chance = np.random.default_rng(0)
    inputs = chance.normal(size=(1_200, 2))
    classes_of = (inputs[:, 0] + chance.normal(size=1_200)).clip(-1.4, 1.4) * classes / 3 + 1
    table = pd.DataFrame(inputs, columns=["a", "b"]).assign(
        y=[f"class {number}" for number in classes_of.astype(int).clip(0, classes - 1)]
    )
    found = judged(Task(table, positive, 400, 0), kind)
    assert (found.after < found.before) == (kind == "random_forest")
    assert (found.auc is None) == (positive is None)
