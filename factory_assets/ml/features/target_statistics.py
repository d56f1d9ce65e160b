"""Statistics of the target: what a category with many values says as numbers.

They are fitted on training rows and are plain data, as the rest of the encoding. From which rows
the statistics of a training row come belongs in `ml.training.held_out_statistics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.target import Target
from factory_assets.results.base import StageResult

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MIN_ROWS = 5
"""Training rows below which a word has no statistics: they would say little of others with the same
word, and much of the few people who have it."""

SMOOTHING = 10
"""The overall mean counts as much as so many rows."""

MOST_WORDS = 10_000
"""The most words of a category that have statistics, the most frequent ones."""

MOST_COLUMNS = 10
"""The most numbers that a word has; a target of still more classes has no statistics."""


class TargetStatistics(StageResult):
    """For each word, the smoothed mean of the target over its training rows.

    That is (sum + m * overall mean) / (rows + m) with m = `SMOOTHING`, which comes from empirical
    Bayes (D. Micci-Barreca 2001, doi:10.1145/507533.507538). A target of two classes counts as 1
    for the second; one of more classes has a number for each class but the last; numbers are
    standardised.
    """

    words: tuple[str, ...]
    """Frequent first; they begin with those of the vocabulary."""
    means: tuple[tuple[float, ...], ...]
    """[words][columns]."""
    overall: tuple[float, ...]
    """[columns]: over all training rows; also that of any other word, and of a missing one."""
    scales: tuple[tuple[float, float], ...]
    """[columns]: mean and standard deviation over the training rows, as of `Number`."""

    @property
    def columns(self) -> int:
        return len(self.overall)

    def table(self, *, scaled: bool) -> NDArray[np.float32]:
        """Return [1 + words, columns]: of any other word, then of each.

        Args:
            scaled: whether to standardise them.
        """
        import numpy as np

        table = np.array([self.overall, *self.means], dtype=np.float32)
        return self.standardised(table) if scaled else table

    def standardised(self, means: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (mean - mean of means) / standard deviation, for each column of the last axis."""
        import numpy as np

        center, sd = np.array(self.scales, dtype=np.float32).T
        standardised: NDArray[np.float32] = (means - center) / sd
        return standardised


def smoothed(
    sums: NDArray[np.float64], counts: NDArray[Any], overall: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the smoothed means, [words, columns].

    Args:
        sums: [words, columns], of the target.
        counts: [words], of rows.
        overall: [columns].
    """
    means: NDArray[np.float64] = (sums + SMOOTHING * overall) / (counts[:, None] + SMOOTHING)
    return means


def averaged(target: Target, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return what the statistics are means of, [rows, columns].

    Args:
        values: [rows], as `Target.values` returns them.
    """
    import numpy as np

    if not target.classes:
        return target.scaled(values).astype(np.float64)[:, None]
    chosen = [1] if target.task == "binary" else range(target.outputs - 1)
    learned: NDArray[np.float64] = (values[:, None] == np.array(chosen)).astype(np.float64)
    return learned


def has_statistics(target: Target) -> bool:
    """Whether the classes are few enough."""
    return target.outputs - 1 <= MOST_COLUMNS


def fit_statistics(
    column: pa.DictionaryArray, known: int, learned: NDArray[np.float64]
) -> TargetStatistics | None:
    """Fit the statistics of a category.

    Args:
        column: [rows], its words.
        known: how many words, the most frequent ones, have codes of their own.
        learned: [rows, columns], as `averaged` returns it.

    Returns:
        None if no further word has enough rows.
    """
    import numpy as np

    names = column.dictionary.to_pylist()
    indices: NDArray[Any] = column.indices.drop_null().to_numpy(zero_copy_only=False)
    counts = np.bincount(indices, minlength=len(names))
    ranked = sorted((-n, word) for n, word in zip(counts, names, strict=True) if word)
    words = [word for n, word in ranked if -n >= MIN_ROWS][:MOST_WORDS]
    if len(words) <= known:
        return None
    places = word_places(column, words)
    overall = learned.mean(axis=0)
    rows = np.bincount(places, minlength=len(words) + 1)
    means = smoothed(sums_by(places, learned, len(words) + 1), rows, overall)
    means[0] = overall
    of_rows = means[places]
    center, sd = of_rows.mean(axis=0), of_rows.std(axis=0)
    steps = np.spacing(np.abs(center).astype(np.float32))
    return TargetStatistics(
        words=tuple(words),
        means=tuple(map(tuple, means[1:].tolist())),
        overall=tuple(overall.tolist()),
        scales=tuple(zip(center.tolist(), np.where(sd > steps, sd, 1.0).tolist(), strict=True)),
    )


def word_places(column: pa.DictionaryArray, words: Sequence[str]) -> NDArray[np.int64]:
    """Return [rows]: i+1 for the i-th of the words, 0 for any other and for a missing one."""
    import numpy as np

    places = {word: place for place, word in enumerate(words, 1)}
    lookup = np.array(
        [*(places.get(w, 0) for w in column.dictionary.to_pylist()), 0], dtype=np.int64
    )
    indices = column.indices.fill_null(len(lookup) - 1).to_numpy(zero_copy_only=False)
    result: NDArray[np.int64] = lookup[indices]
    return result


def sums_by(
    places: NDArray[np.int64], learned: NDArray[np.float64], count: int
) -> NDArray[np.float64]:
    """Return [count, columns]: the sums over the rows of each place, 0 to `count` - 1."""
    import numpy as np

    columns = [np.bincount(places, weights=values, minlength=count) for values in learned.T]
    return np.stack(columns, axis=1)
