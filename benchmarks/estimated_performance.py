"""Estimated against real performance, over twenty kinds of shift.

    python -m benchmarks.estimated_performance [SEEDS]

A model is trained, an estimator learns from rows that the model did not see, and windows are drawn
from a changed world; only the comparison knows their truth. "No estimate" takes the metrics of the
labelled rows for those of the window, "plain" calibrates without weighing rows (CBPE). If
FACTORY_DATA is set, windows are also selected from real tables, and other hospitals are estimated
from one.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from benchmarks.measure import Result, measure
from benchmarks.real_shifts import Rows, failures, hospitals, readmissions, selections
from benchmarks.shifts import SHIFTS, Kind, World
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.performance.estimation import ESTIMABLE, PerformanceEstimator
from factory_assets.ml.performance.expected_classes import expect_classes
from factory_assets.ml.performance.labelled_rows import Labelled, task_of

SEEDS, TRAINED, REFERENCE, WINDOW, THRESHOLD = 5, 3_000, 2_000, 1_000, 0.4
ENOUGH, LARGE = 0.9, 1_000_000
WORLDS = {
    "two classes": World(2),
    "two classes, linear model": World(2),
    "three classes": World(3),
    "numbers": World(0),
}


@dataclass(frozen=True)
class Comparison:
    """One metric in one window."""

    world: str
    shift: str
    kind: Kind
    metric: str
    truth: float
    value: float
    low: float
    high: float
    trusted: bool
    unchanged: float
    """The metric of the reference rows."""
    plain: float
    """The estimate without weights; NaN for numbers."""

    @property
    def inside(self) -> bool:
        return self.low <= self.truth <= self.high


@dataclass(frozen=True)
class Case:
    """A trained model and the estimator of its performance."""

    model: Any
    reference: Labelled
    estimator: PerformanceEstimator

    @classmethod
    def make(
        cls,
        trained: tuple[pd.DataFrame, NDArray[Any]],
        reference: tuple[pd.DataFrame, NDArray[Any]],
        seed: int,
        linear: bool = False,
    ) -> "Case":
        model = _linear() if linear else _model(trained[1].dtype.kind == "i", seed)
        model.fit(*trained)
        rows = Labelled(_table(reference[0]), _outputs(model, reference[0]), reference[1])
        names = ESTIMABLE[task_of(rows.outputs)]
        return cls(model, rows, PerformanceEstimator.fit(rows, THRESHOLD, names, seed))

    def score(self, inputs: pd.DataFrame) -> NDArray[Any]:
        outputs = _outputs(self.model, inputs)
        return outputs if outputs.ndim == 1 else outputs[:, 1]

    def compare(
        self, world: str, shift: str, kind: Kind, inputs: pd.DataFrame, truth: NDArray[Any]
    ) -> Iterator[Comparison]:
        """Yield the comparison of every metric that the window has."""
        outputs = _outputs(self.model, inputs)
        task = task_of(outputs)
        real = ScoredRows(task, truth, outputs, THRESHOLD).metrics(ESTIMABLE[task])
        plain: dict[str, float] = {}
        if task != "regression":
            ones = np.ones(len(self.reference))
            plain = expect_classes(
                self.reference.outputs, self.reference.truth, ones, outputs, THRESHOLD
            ).metrics(ESTIMABLE[task])
        for name, found in self.estimator.estimate(_table(inputs), outputs).items():
            if name in real:
                yield Comparison(
                    world,
                    shift,
                    kind,
                    name,
                    real[name],
                    found.value,
                    found.low,
                    found.high,
                    found.trusted,
                    self.estimator.known[name],
                    plain.get(name, np.nan),
                )


def run(seeds: int = SEEDS) -> list[Result]:
    given = os.environ.get("FACTORY_DATA")
    compared = compare_all(seeds, Path(given) if given else None)
    _show(compared)
    seen = [one for one in compared if one.kind == "covariate" and one.trusted]
    classes = [one for one in seen if one.plain == one.plain]
    linear = [one for one in classes if "linear" in one.world]
    inside = sum(one.inside for one in seen) / len(seen)
    return [
        Result(
            f"truth inside the interval, {len(seen):,} trusted estimates, inputs shifted",
            f"{inside:.1%}",
            f">= {ENOUGH:.0%}",
            inside >= ENOUGH,
        ),
        _off("error of the estimate", seen, "unchanged", "no estimate", 0.7),
        # Weights cost precision where outputs mean the same everywhere, and pay where they do not.
        _off("error of the estimate, classes", classes, "plain", "plain CBPE", 1.1),
        _off("error of the estimate, linear model", linear, "plain", "plain CBPE", 1.0),
        _of_large_window(),
    ]


def _off(name: str, seen: Sequence[Comparison], other: str, what: str, most: float) -> Result:
    ours, theirs = (
        sum(abs(getattr(one, field) - one.truth) for one in seen) / len(seen)
        for field in ("value", other)
    )
    measured = f"{ours / theirs:.2f}x of {what} ({ours:.4f} / {theirs:.4f})"
    return Result(name, measured, f"<= {most:g}x", ours <= most * theirs)


def _of_large_window() -> Result:
    used = measure([sys.executable, "-m", "benchmarks.estimated_performance", "large"], {})
    seconds, megabytes = map(float, used.output.split()[-2:])
    return Result(
        f"estimate in a window of {LARGE:,} rows",
        f"{seconds:.1f} s, {megabytes:.0f} MB more than before",
        "<= 5 s, <= 300 MB",
        seconds <= 5 and megabytes <= 300,
    )


def _large() -> str:
    """Return the seconds and megabytes that an estimate in a large window takes."""
    generator = np.random.default_rng(0)
    drawn, usual = WORLDS["two classes"], SHIFTS["none"]
    case = Case.make(drawn.draw(TRAINED, usual, generator), drawn.draw(10_000, usual, generator), 0)
    inputs, _ = drawn.draw(LARGE, SHIFTS["combined"], generator)
    table, outputs = _table(inputs), _outputs(case.model, inputs)
    before, started = _resident(), time.perf_counter()
    case.estimator.estimate(table, outputs)
    return f"{time.perf_counter() - started} {_resident() - before}"


def _resident() -> float:
    """Return the largest resident set so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _show(compared: Sequence[Comparison]) -> None:
    trusted = [one for one in compared if one.trusted]
    made = [one for one in compared if one.world in WORLDS]
    for title, part, by in (
        ("trusted estimates", trusted, ["world", "kind"]),
        ("metrics of classes", [one for one in made if one.plain == one.plain], ["shift"]),
        ("metrics of numbers", [one for one in made if one.plain != one.plain], ["shift"]),
        ("hospitals", [one for one in compared if one.world == "heart"], ["shift"]),
    ):
        if part:
            _print(title, summary(part, by))


def _print(title: str, frame: pd.DataFrame) -> None:
    table = Table(*(str(name) for name in frame.index.names), *frame.columns, title=title)
    for key, row in frame.iterrows():
        names = key if isinstance(key, tuple) else (key,)
        table.add_row(*map(str, names), *(f"{value:.3g}" for value in row))
    Console(width=120).print(table)


def synthetic(world: str, seed: int, reference: int = REFERENCE) -> Iterator[Comparison]:
    """Compare in a window of each kind of shift."""
    generator = np.random.default_rng(seed)
    drawn = WORLDS[world]
    usual = SHIFTS["none"]
    case = Case.make(
        drawn.draw(TRAINED, usual, generator),
        drawn.draw(reference, usual, generator),
        seed,
        linear="linear" in world,
    )
    for name, shift in SHIFTS.items():
        inputs, truth = drawn.draw(WINDOW, shift, generator, case.score)
        yield from case.compare(world, name, shift.kind, inputs, truth)


def selected(world: str, rows: Rows, parts: tuple[int, int], seed: int) -> Iterator[Comparison]:
    """Compare in windows that are selected from the rows that remain of a real table.

    Args:
        parts: the number of rows to train on, and of reference rows.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(rows[1]))
    trained, reference, pool = np.split(order, np.cumsum(parts))
    case = Case.make(_take(rows, trained), _take(rows, reference), seed)
    inputs, truth = _take(rows, pool)
    size = len(pool) // 4
    for window in selections(inputs, truth, case.score(inputs), size, generator):
        part = _take((inputs, truth), window.rows)
        yield from case.compare(world, window.name, window.kind, *part)


def other_hospitals(data: Path, seed: int) -> Iterator[Comparison]:
    """Train and learn on patients of Cleveland; the windows are other patients and hospitals."""
    patients = hospitals(data)
    rows = patients.pop("cleveland")
    order = np.random.default_rng(seed).permutation(len(rows[1]))
    trained, reference, same = np.split(order, [120, 240])
    case = Case.make(_take(rows, trained), _take(rows, reference), seed)
    yield from case.compare("heart", "same hospital", "covariate", *_take(rows, same))
    for name, others in patients.items():
        yield from case.compare("heart", name, "concept", *others)


def compare_all(seeds: int, data: Path | None) -> list[Comparison]:
    """Return every comparison of every world and seed."""
    found: list[Comparison] = []
    for seed in range(seeds):
        for world in WORLDS:
            found += synthetic(world, seed)
        if data:
            found += selected("ai4i", failures(data), (4_000, 3_000), seed)
            found += selected("readmission", readmissions(data, seed), (8_000, 4_000), seed)
            found += other_hospitals(data, seed)
    return found


def summary(compared: Sequence[Comparison], by: Sequence[str]) -> pd.DataFrame:
    """Return mean absolute errors and the share of truths inside the interval, per group."""
    frame = pd.DataFrame([{**vars(one), "inside": one.inside} for one in compared])
    for name, column in (("error", "value"), ("unchanged", "unchanged"), ("plain", "plain")):
        frame[f"{name} off"] = abs(frame[column] - frame["truth"])
    frame["width"] = frame["high"] - frame["low"]
    grouped = frame.groupby(list(by), sort=False)
    return grouped.agg(
        windows=("truth", "size"),
        estimate=("error off", "mean"),
        unchanged=("unchanged off", "mean"),
        plain=("plain off", "mean"),
        trusted=("trusted", "mean"),
        inside=("inside", "mean"),
        width=("width", "median"),
    )


def _take(rows: Rows, chosen: NDArray[np.int64]) -> Rows:
    return rows[0].iloc[chosen].reset_index(drop=True), rows[1][chosen]


def _model(classes: bool, seed: int) -> Any:
    kind = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    words = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoded = make_column_transformer(
        (words, make_column_selector(dtype_exclude=["number", "bool"])), remainder="passthrough"
    )
    return make_pipeline(encoded, kind(max_iter=60, learning_rate=0.1, random_state=seed))


def _linear() -> Any:
    """Return a model that misses how inputs act together: what an output means depends on them."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    encoded = make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        remainder=OneHotEncoder(handle_unknown="ignore"),
    )
    return make_pipeline(encoded, LogisticRegression())


def _outputs(model: Any, inputs: pd.DataFrame) -> NDArray[Any]:
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(inputs))
    return np.asarray(model.predict(inputs))


def _table(inputs: pd.DataFrame) -> pa.Table:
    return pa.Table.from_pandas(inputs, preserve_index=False)


if __name__ == "__main__":
    if sys.argv[1:] == ["large"]:
        print(_large())
    else:
        for result in run(*map(int, sys.argv[1:])):
            print(result.name, result.measured, sep=": ")
