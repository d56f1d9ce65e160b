"""Conformal prediction: sets of classes, or intervals, that contain the truth as often as declared.

Bounds are quantiles over rows that the model did not learn from (split conformal prediction:
H. Papadopoulos et al., Inductive Confidence Machines for Regression, 2002). If those rows and a new
one are exchangeable, the region of the new one contains its truth with at least the declared
probability, and for distinct scores with no more than 1 / (rows + 1) above it, whatever the model.
Two things loosen that a little: the held-out rows also decided calibration, the time to stop and
the weights of a blend; and a model that was fitted again on more rows is not quite the one whose
outputs were compared. `evaluate` therefore measures the coverage on test rows. Measured at .9 on
143 draws of 150 to 320 rows: .899 ± .002 for blends; with weights for each fold from the others
.903 ± .002, with intervals 1 to 2 % wider; models that stop early .899 ± .003, others .907 ± .002.

**Classes**: a class is in the set if it is likely enough (least ambiguous set-valued classifiers:
M. Sadinle et al., doi 10.1080/01621459.2017.1395341). Measured at .9 on wine, digits and drawn
classes, by logistic regression and a forest: coverage .90 to .92 with the smallest sets. Adaptive
sets (Y. Romano et al., arXiv 2006.02544) cover .89 to 1.00 with sets 1.1 to 3.8 times as large, or
need a random number for each answer. Such a set may be empty: no class is as likely as those of
most rows. Of a class with 10 % of the rows it contains 25 to 30 %; with a bound for each class
(V. Vovk, arXiv 1209.2673), 89 %.

**Numbers**: the prediction plus and minus the bound times the usual distance to the truth at such
predictions, the mean of up to `BINS` bins, and a share of that of all rows (H. Papadopoulos et al.,
doi 10.1613/jair.3198). Measured on diabetes and Friedman's function: as wide as a constant distance
(at most 2 % wider), and up to 9 % narrower where the noise grows with the number; in the worst
third of the predictions it covers .86 to .89 instead of .78 to .87.

A value of `by` has its own bound (Mondrian: V. Vovk et al., Algorithmic Learning in a Random World,
2005). What is stored of them is in `results.uncertainty`.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.features.features import Features
from factory_assets.ml.features.target import Target
from factory_assets.results.uncertainty import GroupBound, RegionBounds
from factory_assets.spec.uncertainty import Uncertainty
from factory_resources.errors import DeclarationError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


BINS, BIN_ROWS = 5, 30
"""Bins of predictions at most, and the held-out rows of each at least."""

SHARE = 0.1
"""How much the usual distance of all rows counts in each bin, so that none is 0."""

SLACK = 1e-5
"""By how much a bound is raised if no other score is nearer: the exported graph computes
probabilities to so many digits, and equal scores must be decided alike."""


def require_regions(declared: Uncertainty | None, features: Features, target: Target) -> None:
    """Check that the declared uncertainty fits target and inputs.

    Raises:
        DeclarationError: it does not.
    """
    if declared is None:
        return
    if declared.abstain and not target.classes:
        raise _unfit("abstain", "only a decision between classes can abstain", "leave it out")
    name, by = declared.by, "by"
    if name is None or name in (*features.constant, *(c.name for c in features.categorical)):
        return
    if name == target.column:
        if not target.classes:
            raise _unfit(by, f"{name!r} is the target, and a number", "name a categorical input")
    elif name in (number.name for number in features.numeric):
        if name in features.booleans:
            remedy = f"list it in train.categorical: [{name}]"
            raise _unfit(by, f"input {name!r} is read as 0 and 1, and groups need names", remedy)
        remedy = f"list it in train.categorical if its values are names: [{name}]"
        raise _unfit(by, f"input {name!r} is a number, and groups need names", remedy)
    else:
        remedy = "name an input that is a category, as an answer knows inputs only"
        raise _unfit(by, f"{name!r} is not a categorical input", remedy)


def _unfit(key: str, what: str, remedy: str) -> DeclarationError:
    return DeclarationError(what, where=f"train.uncertainty.{key}", remedy=remedy)


def fit_regions(
    declared: Uncertainty,
    features: Features,
    target: Target,
    inputs: Arrays,
    truth: NDArray[Any],
    outputs: NDArray[np.float64],
) -> RegionBounds:
    """Fit the bounds on rows that the model did not learn from.

    Args:
        inputs: of these rows; only their categories are read.
        truth: [rows], class codes, or numbers in the unit of the target.
        outputs: [rows, classes], calibrated; or [rows] in the unit of the target.
    """
    import numpy as np

    edges: tuple[float, ...] = ()
    scales: tuple[float, ...] = ()
    if target.classes:
        scores = 1 - outputs[np.arange(len(truth)), truth]
    else:
        scores, edges, scales = _distances(truth, outputs, target.sd)
    share = Fraction(repr(declared.coverage))
    per_class = declared.by is not None and declared.by == target.column
    if per_class:
        names, codes = target.classes, truth
    else:
        names, codes = _groups(declared.by, features, inputs)
    return RegionBounds(
        coverage=declared.coverage,
        abstain=declared.abstain,
        # A column that had one value has no groups, and is no input.
        by=None if declared.by in features.constant else declared.by,
        rows=len(scores),
        fewest=ceil(share / (1 - share)),
        bound=conformal_quantile(scores, share),
        per_class=per_class,
        groups=tuple(
            GroupBound(
                group=name,
                rows=int((codes == code).sum()),
                bound=conformal_quantile(scores[codes == code], share),
            )
            for code, name in enumerate(names)
        ),
        edges=edges,
        scales=scales,
    )


def conformal_quantile(scores: NDArray[np.float64], coverage: Fraction) -> float | None:
    """Return the k-th smallest score, k being (scores + 1) * coverage, rounded up.

    None if there are fewer than k: the bound is then infinite.
    """
    import numpy as np

    k = ceil((len(scores) + 1) * coverage)
    if k > len(scores):
        return None
    ranked = np.sort(scores)
    bound, larger = float(ranked[k - 1]), ranked[ranked > ranked[k - 1]]
    slack = SLACK if not len(larger) else min(SLACK, float(larger[0] - bound) / 2)
    return bound + slack


def region_sets(
    bounds: RegionBounds, outputs: NDArray[np.float64], groups: NDArray[Any] | None
) -> NDArray[np.bool_]:
    """Return [rows, classes]: whether the class is in the set of the row, which may be empty.

    Args:
        outputs: [rows, classes], calibrated.
        groups: [rows], the value of `bounds.column` in words, "" if missing; None without it.
    """
    sets: NDArray[np.bool_] = 1 - outputs <= _bounds_of(bounds, len(outputs), groups)
    return sets


def undecided(sets: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return [rows]: whether a set has no class, or several."""
    several: NDArray[np.bool_] = sets.sum(axis=1) != 1
    return several


def region_intervals(
    bounds: RegionBounds, outputs: NDArray[np.float64], groups: NDArray[Any] | None
) -> NDArray[np.float64]:
    """Return [rows, 2]: both ends of the interval of each row, in the unit of the target.

    Args:
        outputs: [rows] in the unit of the target.
        groups: as for `region_sets`.
    """
    import numpy as np

    scales = np.array(bounds.scales)[np.searchsorted(bounds.edges, outputs, side="right")]
    half = _bounds_of(bounds, len(outputs), groups)[:, 0] * scales
    return np.stack([outputs - half, outputs + half], axis=1)


def _bounds_of(bounds: RegionBounds, rows: int, groups: NDArray[Any] | None) -> NDArray[np.float64]:
    """Return the bound of each row, [rows, 1], or of each class, [1, classes]."""
    import numpy as np

    whole = np.inf if bounds.bound is None else bounds.bound
    own = {one.group: whole if one.bound is None else one.bound for one in bounds.groups}
    if bounds.per_class:
        return np.array([[*own.values()]])
    if groups is None:
        return np.full((rows, 1), whole)
    words, places = np.unique(groups.astype(str), return_inverse=True)
    return np.array([own.get(word, whole) for word in words.tolist()])[places][:, None]


def _groups(
    by: str | None, features: Features, inputs: Arrays
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the groups, and that of each row: -1 for a value that is missing, rare or unseen."""
    import numpy as np

    for i, category in enumerate(features.categorical):
        if category.name == by:
            codes = inputs.codes[:, i]
            own = codes if inputs.windows is None else codes[inputs.windows.ends]
            return category.vocabulary, own - 1
    return (), np.full(len(inputs), -1)


def _distances(
    truth: NDArray[np.float64], outputs: NDArray[np.float64], sd: float
) -> tuple[NDArray[np.float64], tuple[float, ...], tuple[float, ...]]:
    """Return the distance of each row in units of the usual one, the bins, and the usual ones.

    The usual distance of a held-out row is that of the others in its bin, as it is for a new row.

    Args:
        sd: of the target, for predictions without any error.
    """
    import numpy as np

    distance = np.abs(truth - outputs)
    count = max(1, min(BINS, len(distance) // BIN_ROWS))
    edges = np.unique(np.quantile(outputs, np.arange(1, count) / count))
    # Cuts among equal predictions, or at the smallest one, make bins without rows, and without a
    # usual distance.
    filled = np.unique(np.searchsorted(edges, outputs, side="right"))
    edges = edges[filled[1:] - 1]
    places = np.searchsorted(edges, outputs, side="right")
    rows, total = np.bincount(places), np.bincount(places, weights=distance)
    everywhere = float(distance.mean())
    if not everywhere or len(edges) == 0:
        return distance / (everywhere or sd), (), (everywhere or sd,)
    scales = total / rows + SHARE * everywhere
    others = (total[places] - distance) / np.maximum(rows[places] - 1, 1) + SHARE * everywhere
    return distance / others, tuple(map(float, edges)), tuple(map(float, scales))
