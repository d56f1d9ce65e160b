"""List the training rows that moved a prediction most, or that stand alone, with their identity.

Nothing is trained: the candidate, the networks kept with it and the training rows tell. A list is
refused where the measured score is too low for it.

What a list of training rows says: the shape of `factory influence --json`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pydantic import BaseModel, ConfigDict

from factory_assets.audit.influence_row import QueryRow, file_row, judged_row
from factory_assets.audit.references import ModelName
from factory_assets.audit.resolver import ResolvedTable, find_model
from factory_assets.audit.trace.rows import origin
from factory_assets.audit.trace.sources import Folders
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.ml.artifacts.trained_model import TrainedModel, load_trained
from factory_assets.ml.attribution.measurement import attributed, said_classes
from factory_assets.ml.attribution.methods import Attribution
from factory_assets.ml.attribution.retraining import Retrainer, load_seeds, make_retrainer
from factory_assets.ml.features.arrays import Arrays
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult, InfluenceQuality
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.spec import Pipeline
from factory_resources.errors import ModelError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.records import Record
from factory_resources.tracking.registry import Registry

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


CLAIM = (
    "together, rows like these moved the prediction so; what one row alone caused is not claimed"
)

SUSPICION = "rows that the others would not foretell: labels to look at, not labels proven wrong"


@dataclass(frozen=True)
class AttributionContext:
    """A model version with all that its influence is told from."""

    name: str
    candidate: Candidate
    influence: InfluenceQuality
    split: Record
    verdict: EvaluationResult
    learner: Retrainer
    training: pa.Table
    effects: Attribution

    @property
    def trained(self) -> TrainedModel:
        return self.learner.trained


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
    """The training rows that moved a prediction most, either way.

    Args:
        pipeline: as declared now.
        name: the model version.
        row: of the stored predictions, or of `file`: its number, from 1.
        file: a file that looks like the source.

    Raises:
        UnknownNameError, DataError: there is no such version or row.
        ModelError: influence was not measured, or foretells too little; a file was changed.
    """
    history = RecordGraph.of(home)
    known = _known(pipeline, name, history)
    asked = (
        file_row(pipeline, known.trained, file, row, home)
        if file
        else judged_row(known.verdict, _parts(known.split), known.trained, row, history)
    )
    classes = said_classes(known.trained, asked.inputs)
    [found] = known.effects.effects(known.influence.variant, asked.inputs, classes)
    if classes is None:
        found = found * known.trained.target.sd
    order = _largest(abs(found), top)
    return _listing(known, asked, classes, found, order, history, folders)


def suspicious(
    pipeline: Pipeline, name: ModelName, home: Home, *, top: int, folders: Folders
) -> InfluenceReport:
    """The training rows that stand alone, whose labels may be wrong; raises as `influential`."""
    history = RecordGraph.of(home)
    known = _known(pipeline, name, history)
    found = known.effects.suspicion(known.influence.variant)
    return _listing(known, None, None, found, _largest(found, top), history, folders)


def _known(pipeline: Pipeline, name: ModelName, history: RecordGraph) -> AttributionContext:
    version = find_model(name, Registry(history.home))
    title = f"{version.model}@{version.version}"
    record = history.candidate(version.model, version.version)
    verdicts = [
        cast(EvaluationResult, value_in(told))
        for told in history.about(version.model, version.version, "evaluate")
    ]
    measured = [verdict for verdict in verdicts if verdict.influence]
    if record is None or not measured:
        raise ModelError(
            "its influence was not measured",
            where=title,
            remedy="declare `evaluate: {influence: {}}` and run the pipeline",
        )
    influence = cast(InfluenceQuality, measured[-1].influence)
    if not influence.believed:
        raise ModelError(
            f"influence foretells too little of it: its LDS is {influence.score:.2f}, below "
            f"{influence.at_least:g}",
            where=title,
            remedy="a longer training with more weight_decay and no dropout is told better",
        )
    candidate = cast(Candidate, value_in(record))
    split = next(r for r in history.inputs(record) if r.stage == "split")
    trained = load_trained(candidate, history.home, pipeline.folder)
    parts = _parts(split)
    training = read_arrow(parts.train, history.home)
    validation = read_arrow(parts.validation, history.home)
    then = _as_trained(pipeline, record)
    learner = make_retrainer(then, trained, training, validation, history.home)
    effects = attributed(learner, load_seeds(learner, candidate, influence))
    return AttributionContext(
        title, candidate, influence, split, measured[-1], learner, training, effects
    )


def _as_trained(pipeline: Pipeline, record: Record) -> Pipeline:
    """With the class weights of that training, whatever is declared now."""
    declared: Mapping[str, str] = record.parts.get("declaration", {})
    weights = declared.get("class_weights", pipeline.spec.training.class_weights)
    train = pipeline.spec.training.model_copy(update={"class_weights": weights})
    return replace(pipeline, spec=pipeline.spec.model_copy(update={"train": train}))


def _parts(split: Record) -> SplitResult:
    return cast(SplitResult, value_in(split))


def _largest(values: NDArray[np.float64], top: int) -> list[int]:
    import numpy as np

    return [int(place) for place in np.argsort(-values, kind="stable")[:top]]


def _listing(
    known: AttributionContext,
    asked: QueryRow | None,
    classes: NDArray[np.int64] | None,
    scores: NDArray[np.float64],
    order: list[int],
    history: RecordGraph,
    folders: Folders,
) -> InfluenceReport:
    influence = known.influence
    return InfluenceReport(
        model=known.name,
        about=asked.name if asked else "training rows",
        said=_said(known.trained, asked.inputs, classes) if asked else None,
        unit=_unit(known, asked is not None),
        lds=influence.score,
        ceiling=influence.ceiling,
        at_least=influence.at_least,
        reach=influence.reach,
        training_rows=known.training.num_rows,
        claim=CLAIM if asked else SUSPICION,
        rows=tuple(_row(known, place, float(scores[place]), history, folders) for place in order),
    )


def _row(
    known: AttributionContext, place: int, score: float, history: RecordGraph, folders: Folders
) -> TrainingRow:
    taken = known.training.slice(place, 1)
    [sha256], [record] = taken["_file"].to_pylist(), taken["_row"].to_pylist()
    held = ResolvedTable((known.split,), "train")
    found = origin(held, (sha256, record), history, folders, verify=True)
    column = known.trained.target.column
    hidden = column in sensitive_columns(known.learner.pipeline) or any(
        c.sensitive for c in known.trained.description.ingest.contract.columns if c.name == column
    )
    return TrainingRow(
        sha256=found.sha256,
        source=found.source.name if found.source else None,
        record=found.record,
        lines=found.lines,
        label=None if hidden else str(taken[column][0].as_py()),
        score=score,
    )


def _said(trained: TrainedModel, inputs: Arrays, classes: NDArray[np.int64] | None) -> str:
    if classes is not None:
        return trained.target.classes[int(classes[0])]
    return f"{trained.target.unscaled(trained.model.outputs(inputs))[0]:.6g}"


def _unit(known: AttributionContext, of_row: bool) -> str:
    by_gradients = known.influence.variant.by == "gradients"
    if not of_row:
        return "self-influence" if by_gradients else "difference from the nearest rows"
    if not known.trained.target.classes:
        return f"of {known.trained.target.column}"
    return "of log-odds" if by_gradients else "of the neighbours' vote"


class Part(BaseModel):
    """A part of a list."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TrainingRow(Part):
    """A training row, by its place in its source."""

    sha256: str
    """Of the source."""
    source: str | None
    """Its name as declared; None where no record tells it."""
    record: int
    """Which of its records, from 1."""
    lines: tuple[int, int] | None
    """First and last line of the record; None where they cannot be told."""
    label: str | None
    """What it says of the target; None where that is sensitive."""
    score: float
    """Of a prediction, how much the row's presence raised what was said; else how suspicious it
    is."""


class InfluenceReport(Part):
    """Training rows in the order of their weight."""

    format: Literal["factory.influence"] = "factory.influence"
    version: Literal[1] = 1
    model: str
    about: str
    """The row in question; or the training rows themselves."""
    said: str | None
    """The class that the model finds likeliest for it, or the number."""
    unit: str
    """Of the scores."""
    lds: float
    ceiling: float
    at_least: float
    """The LDS below which nothing is listed."""
    reach: str
    training_rows: int
    claim: str
    """What is claimed, and what is not."""
    rows: tuple[TrainingRow, ...]
