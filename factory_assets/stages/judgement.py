"""What a verdict rests on: the judged rows with their truth, and how outputs become metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from factory_assets.results.data import Parts
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_assets.spec.evaluate import FAIRNESS
from factory_assets.stages.artifact import TrainedModel
from factory_assets.stages.fairness import Grouping, Members, members
from factory_assets.stages.judged import group_rows, judged_rows
from factory_assets.stages.metrics import HEADLINE, Scored, metric_names, unit_rows
from factory_assets.stages.served import ServedModel
from factory_resources.errors import DataError, DeclarationError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Judgement:
    """The rows that are judged, and how outputs on them become metrics."""

    pipeline: Pipeline
    candidate: Candidate
    test: pa.Table
    """All test rows: a row of a series is judged by those before it."""
    places: NDArray[np.int64]
    """Which of them are judged."""
    truth: NDArray[Any]
    """Of the judged rows."""

    @cached_property
    def rows(self) -> pa.Table:
        """The judged rows."""
        return self.test.take(self.places)

    @cached_property
    def groupings(self) -> tuple[Grouping, ...]:
        """The judged rows by each protected column."""
        protected = self.pipeline.spec.evaluate.protected
        return tuple(group_rows(self.rows, column) for column in protected)

    @cached_property
    def members(self) -> Members:
        """Which of them count for a rate."""
        return members(self.groupings, self.truth, self.pipeline.spec.evaluate.min_rows)

    @property
    def headline(self) -> str:
        return self.pipeline.spec.evaluate.metric or HEADLINE[self.candidate.task]

    @property
    def asked(self) -> tuple[str, ...]:
        """The metrics of the test rows that decide something: the headline, those of the gates."""
        gates = self.pipeline.spec.evaluate.gates
        asked = (gate.metric for gate in gates if gate.of == "test")
        return tuple(dict.fromkeys((self.headline, *asked)))

    def score(self, outputs: NDArray[Any], threshold: float | None) -> Scored:
        evaluate = self.pipeline.spec.evaluate
        return Scored(
            self.candidate.task,
            self.truth,
            outputs if self.candidate.task == "regression" else unit_rows(outputs),
            threshold=0.5 if threshold is None else threshold,
            clip=None if evaluate.clip is None else float(evaluate.clip),
            asymmetry=evaluate.asymmetry,
            groups=self.members if evaluate.protected else {},
        )

    def score_model(self, model: TrainedModel) -> Scored:
        return self.score(self.outputs(model), model.description.threshold)

    def outputs(self, model: TrainedModel | ServedModel) -> NDArray[np.float64]:
        """What a model says of the judged rows."""
        return model.outputs(self.test, self.places)

    def require_known(self) -> None:
        """Raises DeclarationError when what decides does not fit the task."""
        known = metric_names(self.candidate.task)
        gates = self.pipeline.spec.evaluate.gates
        if self.pipeline.spec.evaluate.protected and self.candidate.task != "binary":
            raise DeclarationError(
                f"evaluate.protected compares decisions between two classes; this target is "
                f"{self.candidate.task}",
                where=f"{self.pipeline.name}/evaluate",
                remedy="leave it out; evaluate.slices judges groups apart for every target",
            )
        for name in (self.headline, *(gate.metric for gate in gates)):
            if name not in known:
                raise DeclarationError(
                    f"metric {name!r} does not fit a {self.candidate.task} target",
                    where=f"{self.pipeline.name}/evaluate",
                    remedy=f"choose one of {', '.join(known)}",
                )

    def require_defined(self, metrics: Mapping[str, float]) -> None:
        """Raises DataError when a metric that decides is undefined on the judged rows."""
        for name in self.asked:
            if name not in metrics:
                raise DataError(
                    f"{name} is undefined on the {self.rows.num_rows} judged test rows",
                    where=f"{self.pipeline.name}/evaluate",
                    remedy=self._needs(name),
                )

    def _needs(self, metric: str) -> str:
        if metric in FAIRNESS:
            fewest = self.pipeline.spec.evaluate.min_rows
            return (
                f"it needs two groups with {fewest} such rows each; give more test rows, or lower "
                "evaluate.min_rows"
            )
        return (
            "it needs rows of every class (precision: one predicted positive); "
            "give more test rows or choose another metric"
        )


def open_judgement(
    pipeline: Pipeline, parts: Parts, trained: TrainedModel, candidate: Candidate, home: Home
) -> Judgement:
    """Open the test rows.

    Raises:
        DataError: a class that no training row has, or a column of `evaluate.last` is missing.
        DeclarationError: a metric is not one of the task's.
    """
    test = read_arrow(parts.test, home)
    places = judged_rows(test, pipeline.spec.evaluate.last)
    truth = trained.target.values(test)[places]
    judgement = Judgement(pipeline, candidate, test, places, truth)
    if candidate.classes and (truth < 0).any():
        raise _unseen(judgement.rows, truth, candidate)
    judgement.require_known()
    return judgement


def _unseen(table: pa.Table, truth: NDArray[Any], candidate: Candidate) -> DataError:
    rows = truth < 0
    names = sorted({str(value) for value in table[candidate.target].filter(rows).to_pylist()})
    return DataError(
        f"no training row has the class of {int(rows.sum())} test rows: {candidate.target} is "
        f"{', '.join(names[:5])}",
        where=f"{candidate.model}/evaluate",
        remedy=f"set split.stratify to {candidate.target}, or send rare classes to quarantine",
    )
