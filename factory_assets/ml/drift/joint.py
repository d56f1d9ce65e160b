"""A shift that no single column shows: a classifier of products of columns, tested on other rows.

Half of the rows of every look, drawn at random, are for learning; so is a third of the reference.
The classifier compares products of two columns (as normal scores) in recent learning rows with
those in the reference, and keeps the differences that chance does not explain: nearest shrunken
centroids, Tibshirani et al. (2002), doi 10.1073/pnas.082099299. Its score is one more number to
rank, among the testing rows only. As no testing row has a part in the classifier, the p-values are
exact, and the classifier may change with each look.

Products of two are what pairs of columns, and interactions with a category, show first. A
classifier of any other kind would fit in, but costs a training at each look; these are sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


KNOTS = 1000
"""Values of the learning rows that map a number to its normal score."""
INDICATORS = 4
"""Most frequent categories of a column that are features."""
HALF_LIFE = 500.0
"""Learning rows after which a row counts half."""


@dataclass(frozen=True)
class NormalScores:
    """Features of one column, with mean 0 and variance 1 in the reference; 0 if missing."""

    column: int
    knots: Floats
    """Of a number: sorted values of the reference. Of a category: its most frequent codes."""
    shares: Floats
    """Of a category: the shares of these codes. Empty for a number."""

    @classmethod
    def learn(cls, column: int, values: Floats, *, categories: bool) -> NormalScores | None:
        """Return the features of a column from its values [rows]; None if it does not vary."""
        import numpy as np

        values = np.sort(values[~np.isnan(values)])
        if not len(values) or values[0] == values[-1]:
            return None
        if not categories:
            places = np.linspace(0, len(values) - 1, min(KNOTS, len(values))).astype(int)
            return cls(column, values[places], np.empty(0))
        codes, counts = np.unique(values, return_counts=True)
        frequent = np.argsort(-counts, kind="stable")[: 1 if len(codes) == 2 else INDICATORS]
        return cls(column, codes[frequent], counts[frequent] / len(values))

    @property
    def size(self) -> int:
        """Number of features."""
        return max(len(self.shares), 1)

    def apply(self, rows: Floats) -> Floats:
        """Return [rows, features] of rows [rows, columns]."""
        import numpy as np
        from scipy.special import ndtri

        values = rows[:, self.column]
        if len(self.shares):
            deviations = np.sqrt(self.shares * (1 - self.shares))
            features = ((values[:, None] == self.knots) - self.shares) / deviations
        else:
            places = self.knots.searchsorted(values) + self.knots.searchsorted(values, "right")
            edge = 0.5 / len(self.knots)
            features = ndtri(np.clip(places / (2 * len(self.knots)), edge, 1 - edge))[:, None]
        filled: Floats = np.where(np.isnan(values)[:, None], 0.0, features)
        return filled


@dataclass(frozen=True)
class Moments:
    """Sums over learning rows."""

    products: Floats
    """[features, features], sums of products."""
    rows: float

    def add(self, features: Floats) -> Moments:
        """Discount what was, and add rows [rows, features]."""
        kept = 0.5 ** (len(features) / HALF_LIFE)
        products = self.products * kept + features.T @ features
        return Moments(products, self.rows * kept + len(features))


@dataclass(frozen=True)
class ProductClassifier:
    """Tells recent rows from those of the reference by products of two columns."""

    scores: tuple[NormalScores, ...]
    before: Floats
    """[features, features], means of products in the reference's learning rows."""
    deviations: Floats
    """[features, features], their standard deviations; infinite for two features of one column."""
    rows: int
    """Learning rows of the reference."""
    recent: Moments
    weights: Floats
    """[features, features], of each product in the score; a product stands once."""

    @classmethod
    def learn(cls, rows: Floats, columns: Sequence[tuple[int, bool]]) -> ProductClassifier | None:
        """Return a classifier with no recent rows; None if there are no two columns that vary.

        Args:
            rows: [rows, columns], the learning rows of the reference.
            columns: the columns to use, and whether they are of categories.
        """
        import numpy as np

        learned = [NormalScores.learn(i, rows[:, i], categories=codes) for i, codes in columns]
        scores = tuple(one for one in learned if one is not None)
        if len(scores) < 2:
            return None
        features = np.concatenate([one.apply(rows) for one in scores], axis=1)
        owner = np.repeat([one.column for one in scores], [one.size for one in scores])
        before = features.T @ features / len(rows)
        squares = (features**2).T @ features**2 / len(rows)
        deviations = np.sqrt(np.maximum(squares - before**2, 0.01))
        # A product of features of the same column belongs to the tests of that column.
        deviations[np.tril(np.ones_like(before, bool)) | (owner == owner[:, None])] = np.inf
        none = np.zeros_like(before)
        return cls(scores, before, deviations, len(rows), Moments(none, 0.0), none)

    def features(self, rows: Floats) -> Floats:
        """Return [rows, features]."""
        import numpy as np

        return np.concatenate([one.apply(rows) for one in self.scores], axis=1)

    def update(self, features: Floats) -> ProductClassifier:
        """Learn from the learning rows [rows, features] of a look."""
        import numpy as np

        recent = self.recent.add(features)
        if recent.rows < 1:
            return replace(self, recent=recent)
        errors = self.deviations * np.sqrt(1 / recent.rows + 1 / self.rows)
        distances = (recent.products / recent.rows - self.before) / errors
        pairs = np.isfinite(self.deviations).sum()
        # The largest of so many differences that chance makes.
        chance = np.sqrt(2 * np.log(max(pairs, 2)))
        kept = np.sign(distances) * np.maximum(abs(distances) - chance, 0)
        finite = np.where(np.isfinite(self.deviations), self.deviations, 1.0)
        return replace(self, recent=recent, weights=kept / finite)

    @property
    def differs(self) -> bool:
        """Whether there is any difference to score."""
        return bool(self.weights.any())

    def score(self, features: NDArray[np.floating]) -> Floats:
        """Return [rows], larger for rows like the recent ones."""
        scores: Floats = ((features @ self.weights) * features).sum(axis=1)
        return scores

    def strongest(self) -> tuple[int, int]:
        """Return the two features whose product tells most."""
        import numpy as np

        contributions = abs(self.weights) * np.where(
            np.isfinite(self.deviations), self.deviations, 0.0
        )
        first, second = np.unravel_index(contributions.argmax(), contributions.shape)
        return int(first), int(second)

    def owners(self) -> Ints:
        """Return [features], the column of each."""
        import numpy as np

        return np.repeat([one.column for one in self.scores], [one.size for one in self.scores])
