"""Statistics of the target: what the rarer words of a category say as numbers.

They are fitted on training rows and are plain data, as the rest of the encoding. Which rows the
statistics of a training row come from belongs in `fold_statistics.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.results.base import StageResult

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MIN_ROWS = 5
"""Training rows, of two folds or more, below which a word has no statistics: they would say little
of others with the same word, and much of the few people who have it."""

SIGNIFICANCE = 0.01
"""How rarely words that do not differ may look as different as these do; otherwise there are no
statistics, which would be noise."""

MOST_WORDS = 10_000
"""The most words of a category that have statistics, the most frequent ones."""


class TargetStatistics(StageResult):
    """For each word without a code of its own, the smoothed mean of the target over its rows.

    That is (sum + m * prior) / (rows + m), where m is the variance within words divided by that
    between words (empirical Bayes, D. Micci-Barreca 2001, doi:10.1145/507533.507538). A target of
    two classes counts as 1 for the second, one of more classes has a column for each class but the
    last, and numbers are standardised. A word with a code has the prior: what its code says twice
    would only show which training rows were left out of its mean.
    """

    words: tuple[str, ...]
    """Frequent first."""
    means: tuple[tuple[float, ...], ...]
    """[words][columns]."""
    prior: tuple[float, ...]
    """[columns]: the mean over all training rows without a code of their own; also that of any
    other word, and of a missing one."""
    shares: tuple[float, ...]
    """[columns]: 1 / m, 0 if words differ no more than by chance."""
    scales: tuple[tuple[float, float], ...]
    """[columns]: mean and standard deviation of the means over the training rows with these words,
    by which they are standardised."""

    @property
    def columns(self) -> int:
        return len(self.prior)

    def table(self, *, scaled: bool) -> NDArray[np.float32]:
        """Return [1 + words, columns]: the prior, then the means of each word.

        Args:
            scaled: whether to standardise them.
        """
        return self.as_read([self.prior, *self.means], scaled=scaled)

    def as_read(self, means: Any, *, scaled: bool) -> NDArray[np.float32]:
        """Return means, [words, columns], as a model reads them."""
        import numpy as np

        table = np.array(means, dtype=np.float32)
        if scaled:
            center, sd = np.array(self.scales, dtype=np.float32).T
            table = (table - center) / sd
        return table


def smoothed(
    sums: NDArray[np.float64],
    rows: NDArray[Any],
    prior: Sequence[float],
    shares: Sequence[float],
) -> NDArray[np.float64]:
    """Return the smoothed means, [words, columns]; see `TargetStatistics`.

    Args:
        sums: [words, columns], of the target.
        rows: [words], their number.
    """
    import numpy as np

    share = np.array(shares)
    means: NDArray[np.float64] = (sums * share + np.array(prior)) / (rows[:, None] * share + 1)
    return means


def fit_statistics(
    column: pa.DictionaryArray,
    vocabulary: Sequence[str],
    learned: NDArray[np.float64],
    folds: NDArray[np.int64],
) -> TargetStatistics | None:
    """Fit the statistics of a category.

    Args:
        column: [rows], its words.
        vocabulary: the words that have codes.
        learned: [rows, columns], as `target_columns` returns it.
        folds: [rows], from 0: those of a row are left out of what it reads.

    Returns:
        None if fewer than two other words have enough rows, or if they differ by chance at most.
    """
    import numpy as np

    words = _frequent(column, vocabulary, folds)
    if len(words) < 2:
        return None
    places = word_places(column, words)
    has_word = places > 0
    prior = learned[word_places(column, vocabulary) == 0].mean(axis=0)
    shares = _shares(places[has_word] - 1, learned[has_word], len(words))
    if not any(shares):
        return None
    sums = sums_by(places, learned, len(words) + 1)[1:]
    rows = np.bincount(places)[1:]
    means = smoothed(sums, rows, prior.tolist(), shares)
    of_rows = means[places[has_word] - 1]
    center, sd = of_rows.mean(axis=0), of_rows.std(axis=0)
    steps = np.spacing(np.abs(center).astype(np.float32))
    return TargetStatistics(
        words=tuple(words),
        means=tuple(map(tuple, means.tolist())),
        prior=tuple(prior.tolist()),
        shares=shares,
        scales=tuple(zip(center.tolist(), np.where(sd > steps, sd, 1.0).tolist(), strict=True)),
    )


def _frequent(
    column: pa.DictionaryArray, vocabulary: Sequence[str], folds: NDArray[np.int64]
) -> list[str]:
    """Return the words without a code that have enough rows, frequent first.

    A word of one fold has no rows that its own could learn from, and may be that of one group.
    """
    import numpy as np

    names, count = column.dictionary.to_pylist(), int(folds.max()) + 1
    indices = column.indices.fill_null(len(names)).to_numpy(zero_copy_only=False).astype(np.int64)
    cells = np.bincount(indices * count + folds, minlength=(len(names) + 1) * count)
    by_fold = cells.reshape(-1, count)[:-1]
    rows = np.where((by_fold > 0).sum(axis=1) > 1, by_fold.sum(axis=1), 0).tolist()
    coded = {"", *vocabulary}
    counted = zip(rows, names, strict=True)
    ranked = sorted((-n, word) for n, word in counted if n >= MIN_ROWS and word not in coded)
    return [word for _, word in ranked[:MOST_WORDS]]


def _shares(
    places: NDArray[np.int64], learned: NDArray[np.float64], words: int
) -> tuple[float, ...]:
    """Return the variance between words divided by that within words, for each column.

    Both are estimated by a one-way analysis of variance of words drawn at random (S. R. Searle,
    G. Casella, C. E. McCulloch 1992, "Variance Components", section 3.6). Its F test says whether
    words differ.

    Args:
        places: [rows], the word of each, from 0.
    """
    import numpy as np
    from scipy.special import fdtrc

    total, rows = len(places), np.bincount(places, minlength=words)
    means = sums_by(places, learned, words) / rows[:, None]
    within = ((learned - means[places]) ** 2).sum(axis=0) / (total - words)
    squares = (rows @ (means - learned.mean(axis=0)) ** 2) / (words - 1)
    per_word = (total - (rows**2).sum() / total) / (words - 1)
    # Rows of the same word may never differ.
    within = np.maximum(within, 1e-6 * squares + (squares == 0))
    shares = np.maximum(squares / within - 1, 0) / per_word
    by_chance = fdtrc(words - 1, total - words, squares / within)
    return tuple(np.where(by_chance < SIGNIFICANCE, shares, 0).tolist())


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
