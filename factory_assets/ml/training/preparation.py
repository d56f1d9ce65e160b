"""From rows to what a model learns from: inputs and target fitted on training rows, all encoded.

Test rows never come here; which model learns, and how, is in `fitting.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.calibration import require_calibrable
from factory_assets.ml.features.arrays import LabelledArrays, MemoryMap
from factory_assets.ml.features.features import Features, fit_features
from factory_assets.ml.features.series import series_of
from factory_assets.ml.features.target import Target, fit_target
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.training.out_of_core import Columns, encoded, is_large
from factory_assets.spec import ModelSpec, Pipeline
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


Tables = tuple["pa.Table", "pa.Table"]
"""Training and validation rows; large ones as `Columns`, which are a table to those who ask."""


@dataclass(frozen=True)
class TrainingData:
    """Rows made ready to be learned from, which no setting of a model changes but its window."""

    features: Features
    target: Target
    rows: LabelledArrays
    held: LabelledArrays
    """Validation rows of a class that training rows have too."""
    truth: NDArray[Any]
    """Of the same rows, as metrics take it."""
    mapped: MemoryMap | None = None
    """The files in which the rows lie; None where they are in memory."""


def read_ready(
    pipeline: Pipeline, train: Snapshot, validation: Snapshot, home: Home, model: ModelSpec
) -> tuple[Tables, TrainingData]:
    """Training and validation rows, as they are and ready; of large tables no more than a column
    is read at a time, where the model can learn so.

    Raises:
        DataError: when the rows cannot be learned from.
        StorageError: when they cannot be read, or the disk does not hold what they become.
    """
    if is_large(train) and model_class(model, pipeline.folder).streams:
        columns: Tables = Columns(train, home), Columns(validation, home)
        return columns, stream_ready(pipeline, train, validation, home, model)
    tables = read_arrow(train, home), read_arrow(validation, home)
    return tables, make_ready(pipeline, *tables, model)


def make_ready(
    pipeline: Pipeline, training: pa.Table, validation: pa.Table, model: ModelSpec
) -> TrainingData:
    """Fit target and inputs on the training rows, and transform both parts.

    Raises:
        DataError: when the rows cannot be learned from.
    """
    cls = model_class(model, pipeline.folder)
    target = fit_target(pipeline, training)
    require_calibrable(pipeline.spec.training.calibrate, target.task)
    features = fit_features(pipeline, training, vocabulary=cls.vocabulary, series=series_of(model))
    known = _of_known_classes(target, validation)
    return TrainingData(
        features=features,
        target=target,
        rows=LabelledArrays(features.arrays(training, scaled=cls.scaled), _truth(target, training)),
        held=LabelledArrays(
            features.arrays(validation, scaled=cls.scaled, rows=known),
            _truth(target, validation)[known],
        ),
        truth=target.values(validation)[known],
    )


def stream_ready(
    pipeline: Pipeline, train: Snapshot, validation: Snapshot, home: Home, model: ModelSpec
) -> TrainingData:
    """As `make_ready`, of rows that need not fit in memory: what they become lies in files.

    Raises:
        DataError: when the rows cannot be learned from.
        StorageError: when the disk does not hold them.
    """
    cls = model_class(model, pipeline.folder)
    training = Columns(train, home)
    target = fit_target(pipeline, training)
    require_calibrable(pipeline.spec.training.calibrate, target.task)
    features = fit_features(pipeline, training, vocabulary=cls.vocabulary)
    mapped = MemoryMap()
    (rows, _), (held, truth) = (
        encoded(part, home, features, target, mapped, scaled=cls.scaled)
        for part in (train, validation)
    )
    _require_known(len(held))
    return TrainingData(features, target, rows, held, truth, mapped)


def _truth(target: Target, table: pa.Table) -> NDArray[Any]:
    values = target.values(table)
    return values if target.classes else target.scaled(values)


def _of_known_classes(target: Target, validation: pa.Table) -> NDArray[np.int64]:
    """The places of the validation rows whose class training rows have too; others cannot say when
    to stop."""
    import numpy as np

    if not target.classes:
        return np.arange(validation.num_rows)
    places: NDArray[np.int64] = np.flatnonzero(target.values(validation) >= 0)
    _require_known(len(places))
    return places


def _require_known(rows: int) -> None:
    if not rows:
        raise DataError(
            "there is no validation row of a class that was trained on",
            remedy="give more data or a larger split.validation",
        )
