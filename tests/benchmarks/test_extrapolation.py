"""What the benchmark of limits compares: linear models that differ by their limits alone."""

import numpy as np
import pandas as pd

from benchmarks.extrapolation import REACHES, limited, portfolios
from benchmarks.tolerance import judged
from factory_assets.spec.linear import Linear


def test_limits_help_where_a_new_number_is_far_beyond_the_training_rows() -> None:
    chance = np.random.default_rng(0)
    table = pd.DataFrame(chance.normal(size=(400, 3)), columns=["a", "b", "c"])
    table["y"] = table.sum(axis=1) + chance.normal(size=400)
    a_new_row = table.sample(len(table), random_state=0).index[200]
    table.loc[a_new_row, "a"] = 1e6
    found = judged(table, 200, 0, limited())
    assert list(found) == list(REACHES)
    assert found[None].error > 1_000
    assert all(found[reach].error < 2 for reach in REACHES if reach is not None)


def test_portfolios_differ_by_the_limits_of_their_linear_member_alone() -> None:
    unlimited, now = (one.members or () for one in portfolios(300).values())
    first, second = unlimited[0], now[0]
    assert isinstance(first, Linear)
    assert first.extrapolation is None
    assert second == Linear(kind="linear")
    assert unlimited[1:] == now[1:]
    assert {one.kind for one in now} == {*("linear", "extra_trees", "random_forest")} | {
        *("gradient_boosting", "lightgbm")
    }
