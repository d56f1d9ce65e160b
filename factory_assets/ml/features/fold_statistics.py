"""Statistics of the target in training: which categories have them, and those of each row.

A row that a model learns from has those of rows in other folds: a mean that its own target were
part of would give it away. Rows that no model learns from have the statistics of all training rows,
which `features.py` reads from what is stored.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import LabelledArrays
from factory_assets.ml.features.columns import read_categories
from factory_assets.ml.features.features import Features
from factory_assets.ml.features.target import Target
from factory_assets.ml.features.target_statistics import (
    TargetStatistics,
    fit_statistics,
    smoothed,
    sums_by,
    word_places,
)

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MOST_COLUMNS = 10
"""The most numbers that a word has; for a target of still more classes there are no statistics."""


def with_statistics(
    features: Features, training: pa.Table, target: Target, folds: NDArray[np.int64]
) -> Features:
    """Add statistics of the target to categories that have more words than codes, if they differ.

    Args:
        training: the rows on which features and target were fitted.
        folds: [training rows], or more: the fold of each, from 0.
    """
    learned = target_columns(target, target.values(training))
    if learned is None:
        return features
    fitted = []
    for category in features.categorical:
        words = read_categories(training, category.name)
        found = fit_statistics(words, category.vocabulary, learned, folds[: len(learned)])
        fitted.append(category.model_copy(update={"statistics": found}))
    return features.model_copy(update={"categorical": tuple(fitted)})


def target_columns(target: Target, values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Return the target as the numbers whose means are the statistics, [rows, columns].

    None if there are too many classes.

    Args:
        values: [rows], as `Target.values` returns them.
    """
    import numpy as np

    if not target.classes:
        return target.scaled(values).astype(np.float64)[:, None]
    if target.outputs - 1 > MOST_COLUMNS:
        return None
    chosen = [1] if target.task == "binary" else range(target.outputs - 1)
    learned: NDArray[np.float64] = (values[:, None] == np.array(chosen)).astype(np.float64)
    return learned


@dataclass(frozen=True)
class FoldStatistics:
    """The statistics of training rows, then of validation rows; some without a fold."""

    features: Features
    tables: tuple[pa.Table, pa.Table]
    learned: NDArray[np.float64]
    """[training rows, columns], as `target_columns` returns it."""
    folds: NDArray[np.int64]
    """[training rows], or also [validation rows]: the fold of each, from 0."""
    scaled: bool
    """Whether statistics are standardised."""

    def of_training(self, rows: LabelledArrays) -> LabelledArrays:
        """Give each training row the statistics of training rows outside of its fold."""
        return self._replaced(rows, self._means(None)[: len(rows)])

    def without(self, fold: int, rows: LabelledArrays) -> LabelledArrays:
        """Give all rows statistics that know nothing of a fold, for a model that is judged on it.

        Args:
            rows: training rows, then validation rows.
        """
        return self._replaced(rows, self._means(fold))

    def _replaced(self, rows: LabelledArrays, means: NDArray[np.float32]) -> LabelledArrays:
        numbers = rows.inputs.numbers.copy()
        first = next(self.features.statistics_places())[2].start
        numbers[:, first : first + means.shape[1]] = means
        return replace(rows, inputs=replace(rows.inputs, numbers=numbers))

    def _means(self, fold: int | None) -> NDArray[np.float32]:
        """[rows, columns]: of training rows that are neither in the fold nor in that of the row."""
        import numpy as np

        return np.concatenate([words.means(fold) for words in self._words], axis=1)

    @cached_property
    def _words(self) -> list[_FoldWords]:
        import numpy as np

        found = []
        for category, statistics, _ in self.features.statistics_places():
            places = [
                word_places(read_categories(table, category.name), statistics.words)
                for table in self.tables
            ]
            found.append(
                _FoldWords(
                    statistics, np.concatenate(places), self.learned, self.folds, self.scaled
                )
            )
        return found


def fold_statistics(
    features: Features,
    target: Target,
    tables: tuple[pa.Table, pa.Table],
    folds: NDArray[np.int64] | None,
    *,
    scaled: bool,
) -> FoldStatistics | None:
    """Return the statistics of training and validation rows; None if no category has any.

    Args:
        folds: as of `FoldStatistics`; given if a category has statistics.
    """
    if folds is None or not any(features.statistics_places()):
        return None
    learned = target_columns(target, target.values(tables[0]))
    return None if learned is None else FoldStatistics(features, tables, learned, folds, scaled)


@dataclass(frozen=True)
class _FoldWords:
    """One category: its words in all rows, and the target in the training rows of each fold."""

    statistics: TargetStatistics
    places: NDArray[np.int64]
    learned: NDArray[np.float64]
    folds: NDArray[np.int64]
    scaled: bool

    def means(self, fold: int | None) -> NDArray[np.float32]:
        """As of `FoldStatistics`."""
        import numpy as np

        training = len(self.learned)
        left_out = () if fold is None else (fold,)
        means = self._table(left_out)[self.places]
        for own in range(self._count):
            rows = np.flatnonzero(self.folds[:training] == own)
            means[rows] = self._table((*left_out, own))[self.places[rows]]
        return means

    @property
    def _count(self) -> int:
        return int(self.folds.max()) + 1

    @cached_property
    def _sums(self) -> NDArray[np.float64]:
        """[folds, 1 + words, columns + 1]: of the target, and the number of rows."""
        import numpy as np

        training, words = len(self.learned), len(self.statistics.words) + 1
        cells = self.folds[:training] * words + self.places[:training]
        counted = np.column_stack([self.learned, np.ones(training)])
        return sums_by(cells, counted, self._count * words).reshape(self._count, words, -1)

    def _table(self, left_out: Collection[int]) -> NDArray[np.float32]:
        """[1 + words, columns]: the statistics without these folds."""
        used = [fold for fold in range(self._count) if fold not in left_out]
        # Added up, not subtracted: a rounding error would tell the rows that are left out.
        total = self._sums[used].sum(axis=0)
        fitted = self.statistics
        means = smoothed(total[:, :-1], total[:, -1], fitted.prior, fitted.shares)
        means[0] = fitted.prior
        return fitted.as_read(means, scaled=self.scaled)
