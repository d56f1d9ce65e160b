"""One fold of a problem: the rows that are learned from, those that are predicted, and the score.

All contestants get the same rows. Which rows a problem has belongs in `problems`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from benchmarks.modelling.groups import GroupCounts, count_groups
from factory_assets.ml.evaluation.region_coverage import cover_rows
from factory_assets.ml.evaluation.test_set import judged_rows
from factory_assets.ml.features.columns import input_columns, is_text
from factory_assets.ml.features.target import Target, fit_target
from factory_assets.ml.metrics.metrics import ScoredRows, normalise_probabilities
from factory_assets.results.uncertainty import RegionBounds
from factory_assets.spec import Pipeline

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import pyarrow as pa
    from numpy.typing import NDArray

TARGET = "_target"
REGION_METRICS = ("coverage", "set_size", "interval_width")


@dataclass(frozen=True)
class Answer:
    """What a contestant says of the judged rows."""

    outputs: NDArray[Any]
    """Probabilities [rows, classes], or numbers [rows]."""
    threshold: float | None = None
    """Two classes: from which probability the second is predicted; None means 0.5."""
    regions: RegionBounds | None = None
    """The factory alone: from which sets or intervals are answered."""
    validation: float | None = None
    """The first metric of the problem on the rows with which the contestant chose, if known."""
    cpu: float | None = None
    """CPU seconds of fit and prediction, if they were not spent in this process."""


@dataclass(frozen=True)
class Fold:
    """Rows to learn from and rows to predict, with a seed for whatever is drawn."""

    pipeline: Pipeline
    """Its seeds are `seed`."""
    metrics: tuple[str, ...]
    """The first ranks the contestants."""
    seed: int
    number: int
    training: pa.Table
    validation: pa.Table
    """What the factory sets aside; the other contestants learn from these rows as well."""
    test: pa.Table

    @cached_property
    def target(self) -> Target:
        return fit_target(self.pipeline, self.learned)

    @cached_property
    def learned(self) -> pa.Table:
        """Training and validation rows."""
        import pyarrow as pa

        return pa.concat_tables([self.training, self.validation])

    @cached_property
    def judged(self) -> NDArray[np.int64]:
        """The positions of the test rows that count."""
        return judged_rows(self.test, self.pipeline.spec.evaluate.last)

    @cached_property
    def inputs(self) -> list[str]:
        import pyarrow as pa

        columns = input_columns(self.pipeline, self.test.column_names)
        nested = (pa.types.is_temporal, pa.types.is_nested)
        return [
            c for c in columns if not any(is_(self.test.schema.field(c).type) for is_ in nested)
        ]

    @cached_property
    def frames(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Inputs and `TARGET` of the learned rows, inputs of the judged ones.

        Text and numbers that are declared to be names are pandas categories of the learned rows;
        the target is a number, or the code of the class.
        """
        import pandas as pd

        learned = self.learned.select(self.inputs).to_pandas()
        judged = self.test.select(self.inputs).take(self.judged).to_pandas()
        for name in self.names:
            known = pd.Categorical(learned[name].astype("object").where(learned[name].notna()))
            learned[name] = known
            judged[name] = pd.Categorical(judged[name].astype("object"), known.categories)
        for name in learned.columns.difference(self.names):
            learned[name], judged[name] = learned[name].astype(float), judged[name].astype(float)
        return learned.assign(**{TARGET: self.target.values(self.learned)}), judged

    @property
    def names(self) -> list[str]:
        """The inputs whose values are names."""
        declared = self.pipeline.spec.training.categorical
        schema = self.test.schema
        return [c for c in self.inputs if c in declared or is_text(schema.field(c).type)]

    def score(self, answer: Answer) -> dict[str, float]:
        """Return the problem's metrics of an answer, and those of its sets or intervals."""
        evaluate = self.pipeline.spec.evaluate
        is_number = self.target.task == "regression"
        rows, truth = self._judged_rows
        bounds = answer.regions
        regions = cover_rows(bounds, rows, truth, answer.outputs) if bounds else None
        scored = ScoredRows(
            self.target.task,
            truth,
            answer.outputs if is_number else normalise_probabilities(answer.outputs),
            threshold=0.5 if answer.threshold is None else answer.threshold,
            clip=None if evaluate.clip is None else float(evaluate.clip),
            asymmetry=evaluate.asymmetry,
            regions=regions,
        )
        return scored.metrics({*self.metrics, *REGION_METRICS})

    def count_groups(self, answer: Answer) -> dict[str, GroupCounts]:
        """Return the counts of each group; none if the answer has no bounds of groups."""
        if answer.regions is None:
            return {}
        return count_groups(answer.regions, *self._judged_rows, answer.outputs)

    @property
    def _judged_rows(self) -> tuple[pa.Table, NDArray[Any]]:
        """The test rows that count, and their truth."""
        return self.test.take(self.judged), self.target.values(self.test)[self.judged]
