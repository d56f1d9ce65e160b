"""Find the row whose prediction is to be explained: of the test set, of a file, or of the log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from factory_assets.audit.prediction import LoggedPrediction
from factory_assets.audit.references import SHOWN_DIGITS
from factory_assets.audit.resolver import ResolvedTable
from factory_assets.audit.trace.rows import identity_at, numbers_named, parse_row
from factory_assets.data.transforms.narrowing import needed_columns
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.artifacts.typical_row import input_kinds
from factory_assets.ml.evaluation.recorded import read_judged_rows
from factory_assets.ml.features.arrays import Arrays
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.record_graph import RecordGraph
from factory_assets.serving.scoring_rows import rows_to_score
from factory_assets.spec import Clean, FileSource, Ingest, Pipeline
from factory_resources.errors import DataError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.prediction_log.protection import Protection, is_protected
from factory_resources.tables.snapshot import read_arrow
from factory_resources.tracking.record import Record

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class QueryRow:
    """The row whose prediction is to be explained."""

    name: str
    inputs: Arrays
    """The model's inputs of this row alone."""


def test_set_row(
    verdict: EvaluationResult, split: Record, trained: TrainedModel, row: str, history: RecordGraph
) -> QueryRow:
    """Find a row of the stored predictions, by its number or as SOURCE:N.

    Raises:
        UnknownNameError, DataError: there is no such row.
    """
    import numpy as np

    predictions = verdict.predictions
    parsed, test = parse_row(row, history), ResolvedTable((split,), "test")
    if isinstance(parsed, int):
        identity = identity_at(predictions, history.home, parsed)
        # Rows of several members of a zip may have one identity.
        _, places = read_judged_rows(test.table, predictions, (), history.home)
        numbers = [int(places[parsed - 1]) + 1]
    else:
        identity, numbers = parsed, numbers_named(test, parsed, history)[:1]
    if not numbers:
        raise DataError(
            f"record {identity[1]} of {identity[0][:SHOWN_DIGITS]} is not a test row",
            where=f"{verdict.candidate.model}@{verdict.candidate.version}",
            remedy=f"write the number of a test row, 1 to {predictions.rows}, or use --file",
        )
    name = f"record {identity[1]} of sha256:{identity[0][:SHOWN_DIGITS]}"
    rows = read_arrow(test.table, history.home)
    return QueryRow(name, _inputs(trained, rows, np.array(numbers) - 1))


def answered_row(
    pipeline: Pipeline, trained: TrainedModel, answer: LoggedPrediction, home: Home
) -> QueryRow:
    """Return the row of a logged answer, with the values that were encrypted.

    Raises:
        DataError: the answer was refused, or a value that the model needs was not logged.
        StorageError: the key of an encrypted value was destroyed.
    """
    if answer.input is None or answer.output.get("prediction") is None:
        raise DataError(
            "no prediction was made, so that no training row moved it",
            where=answer.id,
            remedy="choose an answer with a prediction",
        )
    # Beside what the model needs, an answer has its keys.
    needed = {column.source_name for column in needed_columns(_ScoringModel(trained))}
    shown = {
        name: _revealed(name, cell, answer, home)
        for name, cell in answer.input.items()
        if name in needed
    }
    with home.scratch() as scratch:
        file = scratch / "answer.jsonl"
        file.write_text(json.dumps(shown) + "\n", encoding="utf-8")
        source = FileSource(files=(escape(str(file)),), format="jsonl")
        found = file_row(pipeline, trained, file, "1", home, source=source)
    return QueryRow(f"answer {answer.id}", found.inputs)


def _revealed(name: str, cell: Any, answer: LoggedPrediction, home: Home) -> Any:
    if not is_protected(cell):
        return cell
    if "encrypted" not in cell:
        raise DataError(
            f"the value of {name!r} was logged as a commitment, from which nobody can compute",
            where=answer.id,
            remedy="declare `deploy: {log: {sensitive: encrypt}}` for answers from now on",
        )
    time = int(datetime.fromisoformat(answer.time).timestamp() * 1_000_000)
    return Protection(home, answer.pipeline, "encrypted").reveal(cell, time)


def file_row(
    pipeline: Pipeline,
    trained: TrainedModel,
    file: Path,
    row: str,
    home: Home,
    *,
    source: FileSource | None = None,
) -> QueryRow:
    """Find a row of a file that has the columns of the source.

    Args:
        source: how the file is read; by default as the pipeline's source is declared.

    Raises:
        DataError: there is no such row, or it broke a rule.
        SourceError, ContractError: the file cannot be read.
    """
    import numpy as np

    if not row.isdecimal() or not int(row):
        raise UnknownNameError(f"{row!r} is not a row number", remedy="write a number from 1")
    found = rows_to_score(pipeline, _ScoringModel(trained), file, home, source=source)
    rows = found.scorable
    for part in found.refused:
        for number, reason in zip(part["_row"].to_pylist(), part["reason"], strict=True):
            if number == int(row):
                raise DataError(
                    f"row {row} has no prediction, because it broke {reason}",
                    where=file.name,
                    remedy="choose another row, or correct this one",
                )
    positions = np.flatnonzero(rows["_row"].to_numpy() == int(row))
    if not len(positions):
        raise DataError(
            f"there is no row {row}", where=file.name, remedy="count the records of the file from 1"
        )
    return QueryRow(f"row {row} of {file.name}", _inputs(trained, rows, positions))


def _inputs(trained: TrainedModel, table: pa.Table, positions: NDArray[np.int64]) -> Arrays:
    rows = positions.astype("int64")
    return trained.features.arrays(table, scaled=trained.model.scaled, rows=rows)


@dataclass(frozen=True)
class _ScoringModel:
    """The interface that scoring needs, for a model that need not be deployed."""

    trained: TrainedModel

    @property
    def columns(self) -> tuple[str, ...]:
        series = self.trained.features.series
        return (*self.trained.features.columns, *((series.by, series.order) if series else ()))

    @property
    def inputs(self) -> Mapping[str, str]:
        return input_kinds(self.trained.features)

    @property
    def booleans(self) -> Sequence[str]:
        return self.trained.features.booleans

    @property
    def ingest(self) -> Ingest:
        return self.trained.description.ingest

    @property
    def clean(self) -> Clean:
        return self.trained.description.clean
