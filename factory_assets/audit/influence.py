"""List the training rows that influenced a prediction most, or whose labels may be wrong.

Nothing is trained: scores are computed from the candidate, the networks stored with it and the
training rows. A list is refused if the measured quality of such scores (LDS) is too low. Measuring
it belongs in `attribution`, the report's shape in `influence_report`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from factory_assets.audit.influence_report import InfluenceReport, TrainingRow
from factory_assets.audit.influence_row import QueryRow, answered_row, file_row, test_set_row
from factory_assets.audit.prediction import LoggedPrediction
from factory_assets.audit.references import ModelName
from factory_assets.audit.resolver import ResolvedTable, find_model
from factory_assets.audit.trace.rows import trace_row
from factory_assets.audit.trace.sources import Folders
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.ml.artifacts.trained_model import TrainedModel, load_trained
from factory_assets.ml.attribution.measurement import candidate_attribution, predicted_classes
from factory_assets.ml.attribution.methods import Attribution
from factory_assets.ml.attribution.retraining import (
    Retrainer,
    load_seeds,
    make_retrainer,
)
from factory_assets.ml.features.arrays import Arrays
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult, InfluenceQuality
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.spec import Pipeline, SplitRule
from factory_assets.spec.base import STORED
from factory_resources.erasure.manifest import is_gone
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry, Version

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


INFLUENCE_CLAIM = (
    "the joint effect of rows like these on the prediction is claimed, not that of a single row"
)

SUSPICION_CLAIM = "rows that the other rows would not predict: labels to look at, not proven wrong"


@dataclass(frozen=True)
class AttributionContext:
    """A model version with everything that its influence is computed from."""

    name: str
    influence: InfluenceQuality
    split: Record
    verdict: EvaluationResult
    learner: Retrainer
    training: pa.Table
    """The rows that it learned from: training rows, then validation rows if it was refitted."""
    from_validation: int
    """How many of them are validation rows."""
    numbers: NDArray[np.int64]
    """The number of each in the table of its part, from 1."""
    effects: Attribution

    @property
    def trained(self) -> TrainedModel:
        return self.learner.trained

    def effects_on(self, inputs: Arrays) -> NDArray[np.float64]:
        """Return by how much each training row moved each prediction; see `unit_of`."""
        classes = predicted_classes(self.trained, inputs)
        effects = self.effects.effects(self.influence.variant, inputs, classes)
        return effects if classes is not None else effects * self.trained.target.sd


def influential(
    pipeline: Pipeline,
    name: ModelName,
    row: str,
    home: Home,
    *,
    file: Path | None,
    top: int,
    folders: Folders,
) -> InfluenceReport:
    """Report the training rows that moved a prediction most, in either direction.

    Args:
        pipeline: the pipeline as declared now.
        name: the model version.
        row: number of a row of the stored predictions, or of `file`, from 1; without `file` also
            SOURCE:N.
        file: a file that has the columns of the source.
        top: number of training rows to list.
        folders: pipeline to the folder of its declaration.

    Raises:
        UnknownNameError, DataError: there is no such version or row.
        ModelError: influence was not measured, its score is too low, or a file was changed.
    """
    history = RecordGraph.of(home)
    context = attribution_context(pipeline, name, history)
    query = (
        file_row(pipeline, context.trained, file, row, home)
        if file
        else test_set_row(context.verdict, context.split, context.trained, row, history)
    )
    return _influence_on(context, query, top, history, folders)


def influential_on_answer(
    pipeline: Pipeline,
    answer: LoggedPrediction,
    home: Home,
    *,
    top: int,
    folders: Folders,
) -> InfluenceReport:
    """Report the training rows that moved a logged answer most, as `influential` does for a row.

    Raises:
        DataError: the answer was refused, or a value that the model needs was not logged.
    """
    history = RecordGraph.of(home)
    context = attribution_context(pipeline, ModelName(answer.pipeline, answer.version), history)
    query = answered_row(pipeline, context.trained, answer, home)
    return _influence_on(context, query, top, history, folders)


def _influence_on(
    context: AttributionContext,
    query: QueryRow,
    top: int,
    history: RecordGraph,
    folders: Folders,
) -> InfluenceReport:
    [effects] = context.effects_on(query.inputs)
    return _report(context, query, effects, _largest(abs(effects), top), history, folders)


def suspicious(
    pipeline: Pipeline, name: ModelName, home: Home, *, top: int, folders: Folders
) -> InfluenceReport:
    """Report the training rows whose labels may be wrong; raises like `influential`."""
    history = RecordGraph.of(home)
    context = attribution_context(pipeline, name, history)
    scores = context.effects.suspicion(context.influence.variant)
    return _report(context, None, scores, _largest(scores, top), history, folders)


def attribution_context(
    pipeline: Pipeline, name: ModelName, history: RecordGraph
) -> AttributionContext:
    """Return a version with what its influence is computed from; raises like `influential`."""
    import numpy as np
    import pyarrow as pa

    version = find_model(name, Registry(history.home))
    record, split, verdict, influence = _measured(version, history)
    candidate = cast(Candidate, value_in(record))
    trained = load_trained(candidate, history.home, pipeline.folder)
    parts = cast(SplitResult, value_in(split))
    training = read_arrow(parts.train, history.home)
    validation = read_arrow(parts.validation, history.home)
    learner = make_retrainer(
        _as_trained(pipeline, record, split),
        trained,
        training,
        validation,
        history.home,
        candidate.refit,
        candidate.portfolio,
    )
    from_validation = len(learner.training) - training.num_rows
    numbers = np.arange(1, training.num_rows + 1)
    if from_validation:
        known = trained.target.known_rows(validation)
        training = pa.concat_tables([training, validation.take(known)])
        numbers = np.concatenate([numbers, np.asarray(known) + 1])
    effects = candidate_attribution(learner, load_seeds(learner, candidate, influence))
    return AttributionContext(
        f"{version.model}@{version.version}",
        influence,
        split,
        verdict,
        learner,
        training,
        from_validation,
        numbers,
        effects,
    )


def _measured(
    version: Version, history: RecordGraph
) -> tuple[Record, Record, EvaluationResult, InfluenceQuality]:
    """Return the records of training and split, the evaluation, and what it says of influence.

    Raises:
        ModelError: influence was not measured, its score is too low, or a file is gone.
    """
    title = f"{version.model}@{version.version}"
    record = history.candidate(version.model, version.version)
    verdicts = [
        cast(EvaluationResult, value_in(evaluated))
        for evaluated in history.about(version.model, version.version, "evaluate")
    ]
    measured = [(verdict, verdict.influence) for verdict in verdicts if verdict.influence]
    if record is None or not measured:
        raise ModelError(
            "its influence was not measured",
            where=title,
            remedy="declare `evaluate: {influence: {}}` and run the pipeline",
        )
    verdict, influence = measured[-1]
    if not influence.believed:
        raise ModelError(
            f"its influence scores are too unreliable: their LDS is {influence.score:.2f}, below "
            f"{influence.at_least:g}",
            where=title,
            remedy="train longer, with more weight_decay and without dropout"
            if influence.variant.by == "gradients"
            else "declare linear or a network, on which effects are estimated better",
        )
    split = next((r for r in history.inputs(record) if r.stage == "split"), None)
    if split is None:
        raise ModelError(
            "the record of the split that it learned from is missing",
            where=title,
            remedy="restore it from a backup; factory verify shows what else does not hold",
        )
    if is_gone(history.home, version.model, version.version):
        raise ModelError(
            "files of it were removed when somebody was erased, so that nothing can be computed",
            where=title,
            remedy=f"train a new version: factory run {version.model}",
        )
    return record, split, verdict, influence


def _as_trained(pipeline: Pipeline, trained: Record, split: Record) -> Pipeline:
    """Return the pipeline with the settings of that time that weight and encode training rows."""
    declared: Mapping[str, Any] = trained.parts.get("declaration", {})
    kept = {n: declared[n] for n in ("target", "seed", "class_weights") if n in declared}
    changes: dict[str, Any] = {"train": pipeline.spec.training.model_copy(update=kept)}
    if rule := split.parts.get("declaration", {}).get("split"):
        changes["split"] = SplitRule.model_validate(rule, context=STORED)
    return replace(pipeline, spec=pipeline.spec.model_copy(update=changes))


def _largest(values: NDArray[np.float64], top: int) -> list[int]:
    import numpy as np

    return [int(place) for place in np.argsort(-values, kind="stable")[:top]]


def _report(
    context: AttributionContext,
    query: QueryRow | None,
    scores: NDArray[np.float64],
    order: list[int],
    history: RecordGraph,
    folders: Folders,
) -> InfluenceReport:
    influence = context.influence
    return InfluenceReport(
        model=context.name,
        about=query.name if query else "training rows",
        said=_prediction(context.trained, query.inputs) if query else None,
        unit=unit_of(context, of_row=query is not None),
        lds=influence.score,
        ceiling=influence.ceiling,
        at_least=influence.at_least,
        reach=influence.reach,
        training_rows=context.training.num_rows,
        claim=INFLUENCE_CLAIM if query else SUSPICION_CLAIM,
        rows=tuple(
            _row(context, position, float(scores[position]), history, folders) for position in order
        ),
    )


def _row(
    context: AttributionContext,
    position: int,
    score: float,
    history: RecordGraph,
    folders: Folders,
) -> TrainingRow:
    row = context.training.slice(position, 1)
    begins = context.training.num_rows - context.from_validation
    table = ResolvedTable((context.split,), "train" if position < begins else "validation")
    number = int(context.numbers[position])
    traced = trace_row(table, number, history, folders, verify=True)
    column = context.trained.target.column
    hidden = column in sensitive_columns(context.learner.pipeline) or any(
        c.sensitive for c in context.trained.description.ingest.contract.columns if c.name == column
    )
    return TrainingRow(
        sha256=traced.sha256,
        source=traced.source.name if traced.source else None,
        record=traced.record,
        lines=traced.lines,
        label=None if hidden else str(row[column][0].as_py()),
        score=score,
    )


def _prediction(trained: TrainedModel, inputs: Arrays) -> str:
    classes = predicted_classes(trained, inputs)
    if classes is not None:
        return trained.target.classes[int(classes[0])]
    return f"{trained.target.unscaled(trained.model.outputs(inputs))[0]:.6g}"


def unit_of(context: AttributionContext, *, of_row: bool) -> str:
    """Return the unit of effects on the prediction of a row, or else of suspicion scores."""
    by = context.influence.variant.by
    if not of_row:
        return "self-influence" if by == "gradients" else "difference from the nearest rows"
    if not context.trained.target.classes:
        return f"of {context.trained.target.column}"
    if by in {"trees", "members"}:
        return "of probability"
    return "of log-odds" if by == "gradients" else "of the neighbours' vote"
