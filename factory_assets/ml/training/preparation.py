"""Prepare rows for training: fit inputs and target on the training rows, encode both parts.

Test rows never come here. Fitting a model belongs in `fitting`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.calibration import require_calibrable
from factory_assets.ml.artifacts.conformal import require_regions
from factory_assets.ml.features.arrays import LabelledArrays, MemoryMap, concatenate
from factory_assets.ml.features.columns import read_numbers
from factory_assets.ml.features.features import Features, fit_features
from factory_assets.ml.features.fold_statistics import (
    FoldStatistics,
    fold_statistics,
    with_statistics,
)
from factory_assets.ml.features.series import series_of
from factory_assets.ml.features.target import Target, fit_target
from factory_assets.ml.models.kinds import model_class
from factory_assets.ml.training.inner_folds import inner_folds, training_folds
from factory_assets.ml.training.out_of_core import ColumnReader, encode, is_large
from factory_assets.ml.training.threshold import require_decision
from factory_assets.spec import ModelSpec, Pipeline
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


Tables = tuple["pa.Table", "pa.Table"]
"""Training and validation rows; large ones as `ColumnReader`, which looks like a table."""


@dataclass(frozen=True)
class TrainingData:
    """Encoded rows. Of all settings of a model only the window changes them."""

    features: Features
    target: Target
    rows: LabelledArrays
    validation: LabelledArrays
    """The validation rows whose class occurs in the training rows."""
    truth: NDArray[Any]
    """[validation rows], truth for metrics: class codes or unscaled numbers."""
    trained_truth: NDArray[Any] | None = None
    """[training rows], truth for metrics; None if the rows are in files."""
    folds: NDArray[np.int64] | None = None
    """[training rows, then validation rows]: the inner fold of each, see `inner_folds`; None if
    there are none."""
    statistics: FoldStatistics | None = None
    """Those of the rows, where a category has any."""
    mapped: MemoryMap | None = None
    """The files that hold the rows; None if they are in memory."""

    @property
    def all_rows(self) -> LabelledArrays:
        """The training rows, then the validation rows, encoded as the training rows are."""
        return concatenate([self.rows, self.validation])


def read_training_data(
    pipeline: Pipeline, train: Snapshot, validation: Snapshot, home: Home, model: ModelSpec
) -> tuple[Tables, TrainingData]:
    """Read and encode the training and validation rows.

    If the training table is large and the model can learn from files, only one column or one batch
    is in memory at a time.

    Returns:
        The rows as stored, and encoded.

    Raises:
        DataError: the rows cannot be learned from.
        StorageError: the rows cannot be read, or the disk has no space for the encoded rows.
    """
    if is_large(train) and model_class(model, pipeline.folder).streams:
        columns: Tables = ColumnReader(train, home), ColumnReader(validation, home)
        return columns, stream_rows(pipeline, train, validation, home, model)
    tables = read_arrow(train, home), read_arrow(validation, home)
    return tables, prepare_rows(pipeline, *tables, model)


def prepare_rows(
    pipeline: Pipeline, training: pa.Table, validation: pa.Table, model: ModelSpec
) -> TrainingData:
    """Fit target and inputs on the training rows, and encode both parts.

    Raises:
        DataError: the rows cannot be learned from.
    """
    cls = model_class(model, pipeline.folder)
    target = _fit_checked_target(pipeline, training)
    series = series_of(model)
    features = fit_features(pipeline, training, vocabulary=cls.vocabulary, series=series)
    _require_scalable(features, training, validation)
    require_regions(pipeline.spec.training.uncertainty, features, target)
    known = target.known_rows(validation)
    _require_known(len(known))
    tables = training, validation.take(known)
    folds = inner_folds(pipeline, target, tables, series)
    dealt = None
    # Where no vocabulary is full, every word has a code.
    if cls.statistics and any(len(c.vocabulary) == cls.vocabulary for c in features.categorical):
        dealt = training_folds(pipeline, target, training) if folds is None else folds
    if dealt is not None:
        features = with_statistics(features, training, target, dealt)
    statistics = fold_statistics(features, target, tables, dealt, scaled=cls.scaled)
    rows = LabelledArrays(features.arrays(training, scaled=cls.scaled), target.learned(training))
    return TrainingData(
        features=features,
        target=target,
        rows=statistics.of_training(rows) if statistics else rows,
        validation=LabelledArrays(
            features.arrays(validation, scaled=cls.scaled, rows=known),
            target.learned(validation)[known],
        ),
        truth=target.values(validation)[known],
        trained_truth=target.values(training),
        folds=folds,
        statistics=statistics,
    )


def stream_rows(
    pipeline: Pipeline, train: Snapshot, validation: Snapshot, home: Home, model: ModelSpec
) -> TrainingData:
    """Do the same as `prepare_rows` for rows that need not fit in memory: encode them into files.

    Raises:
        DataError: the rows cannot be learned from.
        StorageError: the disk has no space for the encoded rows.
    """
    cls = model_class(model, pipeline.folder)
    training = ColumnReader(train, home)
    target = _fit_checked_target(pipeline, training)
    features = fit_features(pipeline, training, vocabulary=cls.vocabulary)
    _require_scalable(features, training, ColumnReader(validation, home))
    require_regions(pipeline.spec.training.uncertainty, features, target)
    mapped = MemoryMap()
    (rows, _), (encoded_validation, truth) = (
        encode(part, home, features, target, mapped, scaled=cls.scaled)
        for part in (train, validation)
    )
    _require_known(len(encoded_validation))
    return TrainingData(features, target, rows, encoded_validation, truth, mapped=mapped)


def _fit_checked_target(pipeline: Pipeline, training: pa.Table) -> Target:
    """Fit the target, and check that the declared calibration and threshold fit its task."""
    target = fit_target(pipeline, training)
    require_calibrable(pipeline.spec.training.calibrate, target.task)
    require_decision(pipeline.spec.training.threshold, target.task)
    return target


def _require_scalable(features: Features, *tables: pa.Table) -> None:
    """Require of all models that a linear one could learn from the rows: it is the baseline."""
    for number in features.numeric:
        rows = sum(number.count_beyond(read_numbers(table, number.name)) for table in tables)
        if rows:
            raise DataError(
                f"input {number.name!r} is too far from its mean for 32 bits in {rows} "
                f"row{'s' * (rows != 1)}",
                remedy="if such numbers mean no value, add them to missing in the contract; else "
                "quarantine their rows by a rule in clean.where, or exclude the column",
            )


def _require_known(rows: int) -> None:
    if not rows:
        raise DataError(
            "no validation row has a class that occurs in the training rows",
            remedy="give more data or a larger split.validation",
        )
