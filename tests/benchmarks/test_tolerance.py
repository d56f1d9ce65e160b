"""The tolerances that the benchmark compares: one fit of the members, judged on new rows."""

import numpy as np
import pandas as pd
import pytest

from benchmarks import tolerance
from benchmarks.tolerance import TOLERANCES, Figures, judged, report, tolerances
from factory_assets.spec.linear import Linear
from factory_assets.spec.models import GradientBoosting


@pytest.mark.parametrize("target", ["classes", "numbers"])
def test_more_tolerance_keeps_no_more_members(target: str) -> None:
    chance = np.random.default_rng(0)
    table = pd.DataFrame(chance.normal(size=(400, 3)), columns=["a", "b", "c"])
    truth = table["a"] + table["b"] * table["c"] + chance.normal(size=400)
    table["y"] = np.where(truth > 0, "yes", "no") if target == "classes" else 100 + truth
    members = Linear(kind="linear"), GradientBoosting(kind="gradient_boosting")
    found = judged(table, 200, 0, tolerances(members))
    kept = [found[one].kept for one in TOLERANCES]
    assert kept == sorted(kept, reverse=True)
    assert all(0.3 < one.error < 1.2 for one in found.values())
    assert all((one.auc is not None) == (target == "classes") for one in found.values())


def test_errors_are_compared_table_by_table() -> None:
    found = [
        {one: Figures(error=error * (1 - one / 100), auc=None, kept=2) for one in TOLERANCES}
        for error in (1.0, 100.0)
    ]
    first, *_ = report(found, tolerance.BEFORE)
    assert "0.0: 2.0 members kept, error +0.5025 ± 0.0000 %" in first
    assert "(0 of 2 better, 2 worse)" in first
