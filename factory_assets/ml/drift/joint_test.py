"""The test of the joint distribution: scores of a classifier, ranked among testing rows only.

The classifier itself belongs in `joint.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.ml.drift.columns import WatchedColumn
from factory_assets.ml.drift.conformal import SortedBag, rows_by_stratum
from factory_assets.ml.drift.joint import ProductClassifier
from factory_assets.ml.drift.rows import RowSample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


JOINT_CAPACITY = 5_000
"""Rows of the bag: every look scores them anew."""


@dataclass(frozen=True)
class JointTest:
    """A classifier, and the testing rows so far, as its features."""

    classifier: ProductClassifier
    features: NDArray[np.float32]
    """[rows, features]."""
    strata: NDArray[np.int64]
    """[rows]."""

    @classmethod
    def begin(cls, rows: RowSample, columns: Sequence[WatchedColumn]) -> JointTest | None:
        """Return the test of these inputs; None if no two of them vary in the reference."""
        import numpy as np

        used = [(i, one.kind == "category") for i, one in enumerate(columns) if one.role == "input"]
        classifier = ProductClassifier.learn(rows.values[~rows.testing], used)
        if classifier is None:
            return None
        tested = rows.take(rows.testing).take(slice(JOINT_CAPACITY))
        features = classifier.features(tested.values).astype(np.float32)
        return cls(classifier, features, tested.strata)

    def extend(
        self, rows: RowSample, draws: Floats, generator: np.random.Generator
    ) -> tuple[Floats, JointTest]:
        """Return the p-value of each row, NaN if it is not tested, and the test after them.

        Args:
            rows: of one look. Its learning rows teach the classifier before the others are scored.
            draws: [rows], uniform on (0, 1), to break ties.
            generator: decides which rows leave a full bag.
        """
        import numpy as np

        p_values = np.full(len(rows), np.nan)
        tested = np.flatnonzero(rows.testing)
        features = self.classifier.features(rows.values)
        classifier = self.classifier.update(features[~rows.testing])
        if classifier.differs:
            bag = _sort(classifier.score(self.features), self.strata)
            scores = classifier.score(features[tested].astype(np.float32))
            p_values[tested], _ = bag.extend(scores, rows.strata[tested], draws[tested])
        longer = np.concatenate([self.features, features[tested].astype(np.float32)])
        strata = np.concatenate([self.strata, rows.strata[tested]])
        if (excess := len(strata) - JOINT_CAPACITY) > 0:
            # Uniform over old and new rows, as `SortedBag.thin` is.
            leave = generator.choice(len(strata), excess, replace=False, shuffle=False)
            longer, strata = np.delete(longer, leave, axis=0), np.delete(strata, leave)
        return p_values, JointTest(classifier, longer, strata)


def _sort(scores: Floats, strata: NDArray[np.int64]) -> SortedBag:
    import numpy as np

    parts = rows_by_stratum(strata, np.ones(len(scores), bool))
    return SortedBag({stratum: np.sort(scores[rows]) for stratum, rows in parts.items()})
