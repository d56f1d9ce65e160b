"""Measure the models on public data, against figures that they must reach and should reach.

python -m benchmarks.models [NAME ...] [--seeds 3]    (default: all of them)

A seed determines split, folds and training. Test rows are opened once per seed; no choice depends
on them. Exits with 1 if a figure is not as good as it must be.
"""

import sys
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Literal

from rich.console import Console
from rich.table import Table

from examples.seeds import FOLDER, verdicts
from factory_assets.declarations.loader import load_pipeline
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.spec import Pipeline
from factory_assets.spec.evaluate import LOWER_IS_BETTER
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from factory_resources.security.offline import go_offline


@dataclass(frozen=True)
class Figure:
    """One metric, with a bound to reach and an aim, from published results."""

    metric: str
    must: float
    aim: float
    of: Literal["test", "folds"] = "test"
    """Whether the metric is of the test rows, or the mean over the folds."""

    def value(self, verdict: EvaluationResult) -> float:
        if self.of == "test":
            return verdict.metrics[self.metric]
        assert verdict.folds is not None
        return verdict.folds.means[self.metric]

    def reached(self, value: float, bound: float) -> bool:
        return value <= bound if self.metric in LOWER_IS_BETTER else value >= bound


@dataclass(frozen=True)
class Case:
    """A pipeline and the figures to measure."""

    folder: Path
    figures: tuple[Figure, ...]
    folds: int | None = None
    """How many folds the published results used; None for the declared number."""

    def pipeline(self) -> Pipeline:
        declared = load_pipeline(self.folder)
        folds = self.folds or declared.spec.evaluate.folds
        evaluate = declared.spec.evaluate.model_copy(update={"folds": folds})
        return replace(declared, spec=declared.spec.model_copy(update={"evaluate": evaluate}))


SHIPPED = PROJECT / "factory_assets" / "defs"
CASES = (
    Case(
        FOLDER / "turbofan",
        (
            Figure("rmse", must=12.9, aim=11.5),
            Figure("rmse_clipped", must=11.9, aim=10.6),
            Figure("asymmetric_score", must=240, aim=170),
        ),
    ),
    Case(
        FOLDER / "turbofan_sequence",
        (Figure("rmse", must=13.5, aim=11.5), Figure("rmse_clipped", must=12.4, aim=10.6)),
    ),
    Case(FOLDER / "ai4i", (Figure("f1", must=0.86, aim=0.896, of="folds"),), folds=5),
    Case(FOLDER / "heart", (Figure("roc_auc", must=0.895, aim=0.905, of="folds"),)),
    Case(FOLDER / "readmission", (Figure("roc_auc", must=0.665, aim=0.68),)),
    Case(
        SHIPPED / "tumour_diagnosis",
        (Figure("roc_auc", must=0.992, aim=0.995, of="folds"),),
        folds=10,
    ),
)
BY_NAME = {case.folder.name: case for case in CASES}


@dataclass(frozen=True)
class Seed:
    """The verdict of one seed, with wall and CPU seconds."""

    verdict: EvaluationResult
    wall: float
    cpu: float


def measured(case: Case, seeds: int, home: Home) -> Iterator[Seed]:
    """Run from source to verdict for each seed; work that all seeds share counts for the first."""
    results = verdicts(case.pipeline(), seeds, home)
    while True:
        wall, cpu = time.perf_counter(), time.process_time()
        verdict = next(results, None)
        if verdict is None:
            return
        yield Seed(verdict, time.perf_counter() - wall, time.process_time() - cpu)


def run(name: str, seeds: int) -> list[tuple[str, ...]]:
    """Return the table lines of one pipeline: figure, measured, must, aim, time, whether met."""
    case = BY_NAME[name]
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        prepare(home)
        runs = list(measured(case, seeds, home))
    cost = f"{mean(r.wall for r in runs):.0f} s, CPU {mean(r.cpu for r in runs):.0f} s"
    return [_line(case, figure, runs, cost) for figure in case.figures]


def _line(case: Case, figure: Figure, runs: list[Seed], cost: str) -> tuple[str, ...]:
    values = [figure.value(run.verdict) for run in runs]
    spread = f" ± {_short(stdev(values))}" if len(values) > 1 else ""
    protocol = ", mean of folds" if figure.of == "folds" else ""
    met = ("NO", "yes", "aim")[
        figure.reached(mean(values), figure.must) + figure.reached(mean(values), figure.aim)
    ]
    return (
        f"{case.folder.name}: {figure.metric}{protocol}",
        f"{_short(mean(values))}{spread}",
        f"{figure.must:g}",
        f"{figure.aim:g}",
        cost,
        met,
    )


def _short(value: float) -> str:
    return f"{value:.4f}" if value < 1 else f"{value:.2f}"


def main(arguments: list[str] | None = None) -> int:
    parser = ArgumentParser("python -m benchmarks.models")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BY_NAME)}")
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in BY_NAME]:
        parser.error(f"{unknown[0]!r} is not one of {', '.join(BY_NAME)}")
    if given.seeds < 1:
        parser.error("--seeds must be at least 1")
    go_offline()
    console = Console()
    table = Table("figure", "measured", "must", "aim", "per seed", "met")
    missed = 0
    for name in given.names or BY_NAME:
        with console.status(name):
            lines = run(name, given.seeds)
        for line in lines:
            table.add_row(*line)
        missed += sum(line[-1] == "NO" for line in lines)
    console.print(table)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
