"""What is predicted on which rows: the examples as published, and the tables of `tables`.

An example is measured as its publications do: over folds of all its rows, or on its test rows. A
table is divided into five folds; a large one is judged on the first of them alone. The seed draws
split and folds. Fitting models belongs in `contestants`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from benchmarks.modelling.folds import Fold
from benchmarks.modelling.tables import TABLES, PublicTable, tables_folder
from examples.seeds import FOLDER, with_seed
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.evaluation.cross_validation import sample_units
from factory_assets.ml.features.series import value_codes
from factory_assets.ml.features.target import fit_target
from factory_assets.ml.training.inner_folds import stratified_ranks
from factory_assets.results.data import SplitResult
from factory_assets.spec import Pipeline
from factory_assets.spec.uncertainty import Uncertainty
from factory_resources.home.home import PROJECT, Home
from factory_resources.tables.snapshot import read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

FOLDS = 5
METRIC = {"binary": "roc_auc", "multiclass": "log_loss", "regression": "rmse"}
COVERAGE = 0.9
_ALL_FOLDS_BELOW = 1000
"""Rows: a fifth of fewer rows says little, so that each of them is judged once."""


@dataclass(frozen=True)
class Bound:
    """What the declared model of an example must reach and should reach."""

    metric: str
    must: float
    aim: float


@dataclass(frozen=True)
class Problem:
    """A table with a target, and how predictions of it are judged."""

    name: str
    metrics: tuple[str, ...]
    """The first ranks the contestants."""
    source: Path | PublicTable
    """The folder of an example, or a table of a package."""
    folds: int | None = None
    """How many folds are made of all rows; None to judge the declared test rows."""
    bounds: tuple[Bound, ...] = ()
    group: str | None = None
    """The input whose values each get a bound of their own; None for one bound for all rows."""

    def divide(self, seed: int, home: Home) -> Iterator[Fold]:
        """Yield the folds of a seed."""
        if isinstance(self.source, PublicTable):
            table = _arrow(self.source)
            pipeline = _prepared(_declare(self.source), seed, self.group)
            judged = FOLDS if table.num_rows < _ALL_FOLDS_BELOW else 1
            yield from self._folds(pipeline, table, seed, judged)
            return
        import pyarrow as pa

        pipeline = _prepared(load_pipeline(self.source), seed, self.group)
        parts = _split(pipeline, home)
        tables = [read_arrow(p, home) for p in (parts.train, parts.validation, parts.test)]
        if self.folds:
            yield from self._folds(pipeline, pa.concat_tables(tables), seed, self.folds)
        else:
            yield Fold(pipeline, self.metrics, seed, 0, *tables)

    def _folds(self, pipeline: Pipeline, table: pa.Table, seed: int, judged: int) -> Iterator[Fold]:
        fold_of = _ranks(pipeline, table) % (self.folds or FOLDS)
        for number in range(judged):
            rest = table.filter(fold_of != number)
            held_out = sample_units(_ranks(pipeline, rest), pipeline.spec.split.validation)
            parts = rest.filter(~held_out), rest.filter(held_out), table.filter(fold_of == number)
            yield Fold(pipeline, self.metrics, seed, number, *parts)


def _prepared(pipeline: Pipeline, seed: int, group: str | None) -> Pipeline:
    """Set the seed, and let models answer sets or intervals, which changes no prediction.

    A group that is a number is declared to be a name, as bounds of groups need it.
    """
    seeded = with_seed(pipeline, seed)
    train, names = seeded.spec.training, seeded.spec.training.categorical
    changed: dict[str, Any] = {"uncertainty": Uncertainty(coverage=COVERAGE, by=group)}
    if group and group not in names:
        changed["categorical"] = (*names, group)
    train = train.model_copy(update=changed)
    return replace(seeded, spec=seeded.spec.model_copy(update={"train": train}))


def _split(pipeline: Pipeline, home: Home) -> SplitResult:
    for stage in ("ingest", "clean", "split"):
        outcome = run_stage(StageRequest(pipeline, stage, home, run_id="models"))
    assert isinstance(outcome.value, SplitResult)
    return outcome.value


def _ranks(pipeline: Pipeline, table: pa.Table) -> NDArray[np.int64]:
    """[rows]: the order in which the rows, or their groups, are dealt to folds."""
    import numpy as np

    rule, target = pipeline.spec.split, fit_target(pipeline, table)
    strata = target.values(table) if target.classes else np.zeros(table.num_rows, np.int64)
    if rule.stratify:
        codes = value_codes(table[rule.stratify])
        strata = strata * (codes.max() + 1) + codes
    units = value_codes(table[rule.group]) if rule.group else np.arange(table.num_rows)
    return stratified_ranks(strata, units, rule.seed)


def _arrow(source: PublicTable) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pandas(source.load(tables_folder()), preserve_index=False)


def _declare(source: PublicTable) -> Pipeline:
    """Declare what a newcomer would: the target and its task, and nothing else."""
    train: dict[str, Any] = {"target": source.target, "task": source.task}
    train["model"] = {"kind": "linear"}
    if source.positive:
        train["positive"] = source.positive
    attributes = {
        "purpose": f"Predict {source.target}",
        "ingest": {"source": {"files": "data.csv"}, "contract": [{"name": source.target}]},
        "train": train,
        "evaluate": {"metric": METRIC[source.task], "gates": []},
    }
    document = {"type": "factory_assets.ModelPipeline", "attributes": attributes}
    with TemporaryDirectory() as name:
        folder = Path(name) / source.name
        folder.mkdir()
        (folder / "defs.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        return load_pipeline(folder)


SHIPPED = PROJECT / "factory_assets" / "defs"
EXAMPLES = (
    Problem(
        "turbofan",
        ("rmse", "rmse_clipped", "asymmetric_score"),
        FOLDER / "turbofan",
        bounds=(
            Bound("rmse", must=11.6, aim=11.0),
            Bound("rmse_clipped", must=10.4, aim=9.9),
            Bound("asymmetric_score", must=240, aim=170),
        ),
    ),
    Problem(
        "turbofan_sequence",
        ("rmse", "rmse_clipped"),
        FOLDER / "turbofan_sequence",
        bounds=(
            Bound("rmse", must=13.5, aim=11.5),
            Bound("rmse_clipped", must=12.4, aim=10.6),
        ),
    ),
    Problem("ai4i", ("f1",), FOLDER / "ai4i", 5, (Bound("f1", must=0.89, aim=0.896),)),
    Problem("heart", ("roc_auc",), FOLDER / "heart", 10, (Bound("roc_auc", 0.905, 0.912),)),
    Problem(
        "readmission",
        ("roc_auc",),
        FOLDER / "readmission",
        bounds=(Bound("roc_auc", must=0.678, aim=0.685),),
    ),
    Problem(
        "tumour_diagnosis",
        ("roc_auc",),
        SHIPPED / "tumour_diagnosis",
        10,
        (Bound("roc_auc", must=0.992, aim=0.995),),
    ),
)
PROBLEMS = {
    problem.name: problem
    for problem in (*EXAMPLES, *(Problem(t.name, (METRIC[t.task],), t) for t in TABLES))
}
