"""The test set of a candidate: which test rows are judged, their truth, slices and groups.

Also turns outputs into scores and stores the predictions. Formulas of metrics belong in
`ml.metrics`, decisions in `gates`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation.region_coverage import cover_rows
from factory_assets.ml.features.columns import read_categories
from factory_assets.ml.features.series import plain_values, value_codes
from factory_assets.ml.metrics.declared import primary_metric, require_judgeable
from factory_assets.ml.metrics.fairness import Grouping, RateGroups, rate_groups
from factory_assets.ml.metrics.metrics import ScoredRows, normalise_probabilities
from factory_assets.results.data import SplitResult
from factory_assets.results.model import Candidate
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import IDENTITY, LastRow, Pipeline
from factory_assets.spec.evaluate import FAIRNESS
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.sql.engine import sealed
from factory_resources.sql.expressions import suggestion
from factory_resources.tables.snapshot import Snapshot, read_arrow
from factory_resources.tables.writer import write

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


_SHOWN = 5
"""Classes that a message lists."""


def without_groups(pipeline: Pipeline) -> Pipeline:
    """Leave out protected columns, for rows on which groups are not compared."""
    evaluate = pipeline.spec.evaluate.model_copy(update={"protected": ()})
    return replace(pipeline, spec=pipeline.spec.model_copy(update={"evaluate": evaluate}))


@dataclass(frozen=True)
class TestSet:
    """The judged rows of a candidate, with what is needed to score outputs on them."""

    pipeline: Pipeline
    candidate: Candidate
    test: pa.Table
    """All test rows: a model of series also reads the rows before a judged one."""
    places: NDArray[np.int64]
    """[judged rows]: their positions in `test`."""
    truth: NDArray[Any]
    """[judged rows]: class codes or numbers."""

    @cached_property
    def rows(self) -> pa.Table:
        """The judged rows."""
        return self.test.take(self.places)

    @cached_property
    def groupings(self) -> tuple[Grouping, ...]:
        """The groups of the judged rows, for each protected column."""
        protected = self.pipeline.spec.evaluate.protected
        return tuple(group_rows(self.rows, column) for column in protected)

    @cached_property
    def rate_groups(self) -> RateGroups:
        """The group of each judged row for each rate, -1 if the row does not count for the rate."""
        return rate_groups(self.groupings, self.truth, self.pipeline.spec.evaluate.min_rows)

    @property
    def primary_metric(self) -> str:
        return primary_metric(self.pipeline, self.candidate.task)

    @property
    def asked(self) -> tuple[str, ...]:
        """The metrics that must be defined on the test rows: the primary one and those of gates."""
        gates = self.pipeline.spec.evaluate.conditions
        of_test = (gate.measured for gate in gates if gate.of == "test")
        return tuple(dict.fromkeys((self.primary_metric, *of_test)))

    @property
    def guarded(self) -> frozenset[str]:
        """The metrics by which gates compare the candidate with the champion."""
        evaluate = self.pipeline.spec.evaluate
        declared = {gate.measured for gate in evaluate.conditions if gate.no_worse_than}
        return frozenset({self.primary_metric} if evaluate.guards_champion else declared)

    def score(
        self, outputs: NDArray[Any], threshold: float | None, bounds: RegionBounds | None = None
    ) -> ScoredRows:
        """Score outputs for the judged rows; without a threshold, 0.5 decides."""
        evaluate = self.pipeline.spec.evaluate
        return ScoredRows(
            self.candidate.task,
            self.truth,
            outputs if self.candidate.task == "regression" else normalise_probabilities(outputs),
            threshold=0.5 if threshold is None else threshold,
            groups=self.rate_groups if evaluate.protected else {},
            regions=cover_rows(bounds, self.rows, self.truth, outputs) if bounds else None,
        ).as_declared(evaluate)

    def score_model(self, model: TrainedModel) -> ScoredRows:
        description = model.description
        return self.score(self.outputs(model), description.threshold, description.regions)

    def primary_value(self, model: TrainedModel, outputs: NDArray[Any]) -> float | None:
        """Return the primary metric of a model's outputs; None if it is undefined."""
        scored = self.score(outputs, model.description.threshold)
        return scored.metrics({self.primary_metric}).get(self.primary_metric)

    def outputs(self, model: TrainedModel | OnnxModel) -> NDArray[np.float64]:
        """Return the outputs of a model for the judged rows: [rows, classes] or [rows]."""
        return model.outputs(self.test, self.places)

    def require_defined(self, metrics: Mapping[str, float]) -> None:
        """Raise DataError if a metric of `asked` is undefined on the judged rows."""
        for name in self.asked:
            if name not in metrics:
                raise DataError(
                    f"{name} is undefined on the {self.rows.num_rows} judged test rows",
                    where=f"{self.pipeline.name}/evaluate",
                    remedy=self._needs(name),
                )

    def _needs(self, metric: str) -> str:
        if metric.startswith(("coverage", "interval_width", "selective")):
            return "it needs finite intervals, an answer without abstention, or rows of the group"
        if metric in FAIRNESS:
            fewest = self.pipeline.spec.evaluate.min_rows
            return (
                f"it needs two groups with {fewest} applicable rows each; give more test rows, or "
                "lower evaluate.min_rows"
            )
        if metric == "asymmetric_score":
            return (
                "an error is so many times its scale that the score is infinite; declare larger "
                "scales in evaluate.asymmetry, or choose another metric"
            )
        if metric == "r2":
            return "it needs rows that differ in the target; give more or choose another metric"
        if metric != "precision" and (absent := self._absent_classes()):
            names = ", ".join(map(repr, absent[:_SHOWN]))
            remedy = self.pipeline.spec.split.remedy_for_judged_classes(self.candidate.target)
            return f"none of them is of class {names}: {remedy}, or choose another metric"
        return (
            "it needs rows of every class (precision: one row predicted positive); "
            "give more test rows or choose another metric"
        )

    def _absent_classes(self) -> list[str]:
        found = set(self.truth.tolist())
        return [name for code, name in enumerate(self.candidate.classes) if code not in found]


def open_test_set(
    pipeline: Pipeline, parts: SplitResult, trained: TrainedModel, candidate: Candidate, home: Home
) -> TestSet:
    """Open the test rows.

    Raises:
        DataError: a test row has a class that no training row has, or a column of `evaluate.last`
            is missing.
        DeclarationError: a metric does not fit the task.
    """
    test = read_arrow(parts.test, home)
    places = judged_rows(test, pipeline.spec.evaluate.last)
    truth = trained.target.values(test)[places]
    test_set = TestSet(pipeline, candidate, test, places, truth)
    if candidate.classes and (truth < 0).any():
        remedy = pipeline.spec.split.remedy_for_classes(candidate.target)
        raise _unseen(test_set.rows, truth, candidate, remedy)
    require_judgeable(pipeline, test_set.candidate.task)
    return test_set


def _unseen(table: pa.Table, truth: NDArray[Any], candidate: Candidate, remedy: str) -> DataError:
    rows = truth < 0
    names = sorted({str(value) for value in table[candidate.target].filter(rows).to_pylist()})
    return DataError(
        f"{int(rows.sum())} test rows have a class that no training row has: {candidate.target} is "
        f"{', '.join(names[:_SHOWN])}",
        where=f"{candidate.model}/evaluate",
        remedy=f"{remedy}, or send rare classes to quarantine",
    )


MOST_SLICES = 50
"""Values of one column that become slices, the most frequent first."""


def judged_rows(test: pa.Table, last: LastRow | None) -> NDArray[np.int64]:
    """Return the positions of all test rows or, if `last` is given, of the last row of each unit.

    The positions ascend. Of rows with an equal order the later one is the last; a missing order
    comes first.

    Raises:
        DataError: a column of `last` is missing.
    """
    import numpy as np
    import pyarrow.compute as pc

    if last is None:
        return np.arange(test.num_rows)
    for place, name in (("by", last.by), ("order", last.order)):
        _require(test, name, f"evaluate.last.{place}")
    # Not by way of pandas, where one missing value rounds the whole numbers of a column.
    order = plain_values(test[last.order])
    ordered = np.roll(pc.sort_indices(order).to_numpy().astype(np.int64), order.null_count)
    latest_first = ordered[::-1]
    _, places = np.unique(value_codes(test[last.by])[latest_first], return_index=True)
    return np.sort(latest_first[places])


def group_rows(table: pa.Table, column: str) -> Grouping:
    """Group the rows by the values of a protected column.

    Raises:
        DataError: the column is missing.
    """
    import numpy as np

    slices = list(slice_rows(table, column, "evaluate.protected"))
    codes = np.full(table.num_rows, -1)
    for code, (_, rows) in enumerate(slices):
        codes[rows] = code
    return Grouping(column, tuple(name for name, _ in slices), codes)


def slice_rows(
    table: pa.Table, column: str, where: str = "evaluate.slices"
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the MOST_SLICES most frequent values of the column, with the positions of their rows.

    Raises:
        DataError: the column is missing.
    """
    import numpy as np

    _require(table, column, where)
    encoded = read_categories(table, column)
    names = [*encoded.dictionary.to_pylist(), "(missing)"]
    codes = encoded.indices.fill_null(len(names) - 1).to_numpy(zero_copy_only=False)
    counts = np.bincount(codes, minlength=len(names))
    ranked = sorted(range(len(names)), key=lambda code: (-counts[code], names[code]))
    for code in ranked[:MOST_SLICES]:
        if counts[code]:
            yield names[code], np.flatnonzero(codes == code)


def store_predictions(
    rows: pa.Table, candidate: Candidate, outputs: NDArray[Any], home: Home, table: str
) -> Snapshot:
    """Store `_file, _row, truth` and `p_0 … p_k` (in the order of the classes) or `prediction`.

    Args:
        rows: the judged rows; the snapshot has their order.
        outputs: [rows, classes] or [rows].
    """
    import pyarrow as pa

    columns = {**{name: rows[name] for name in IDENTITY}, "truth": rows[candidate.target]}
    if candidate.classes:
        columns |= {f"p_{code}": outputs[:, code] for code in range(len(candidate.classes))}
    else:
        columns["prediction"] = outputs
    with home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
        connection.register("predictions", pa.table(columns))
        return write(
            connection, "SELECT * FROM predictions", home=home, table=table, folder=scratch
        )


def _require(table: pa.Table, name: str, where: str) -> None:
    if name not in table.column_names:
        shown = [column for column in table.column_names if not column.startswith("_")]
        raise DataError(f"there is no column {name!r}", where=where, remedy=suggestion(name, shown))
