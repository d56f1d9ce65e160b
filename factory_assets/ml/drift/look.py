"""A look: bet on the rows that came since the last one, and report what changed.

What is kept between looks belongs in `state.py`.
"""

from __future__ import annotations

from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING, Literal

from factory_assets.ml.drift.columns import read_rows, take_rows
from factory_assets.ml.drift.conformal import CountBag, SortedBag
from factory_assets.ml.drift.effect import (
    Effect,
    WeightedValues,
    category_effect,
    joint_effect,
    missing_effect,
    number_effect,
    weights_like,
)
from factory_assets.ml.drift.report import DriftFinding, DriftReport
from factory_assets.ml.drift.rows import RowSample, read_strata
from factory_assets.ml.drift.state import CAPACITY, DriftState
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


MAX_ROWS = 2_000
"""Rows of a look that are bet on: enough for an effect of .05 to show within a look or two."""
WORTH_TELLING = 30.0
"""Days of evidence of a finding that is reported."""
_OTHER_CORRELATION = 0.1
"""A smaller difference of two correlations does not explain a drift: the values moved."""


def look(
    state: DriftState,
    rows: pa.Table,
    *,
    days: float,
    strata: NDArray[np.integer] | None = None,
) -> tuple[DriftState, DriftReport]:
    """Return the state after these rows, and what has changed.

    The same state and rows give the same result.

    Args:
        state: after the look before.
        rows: those since the look before, with the watched columns; there may be none. Of more
            than 2,000, as many are drawn at random.
        days: since the look before.
        strata: [rows], the season of each row, if the reference has them.

    Raises:
        DataError: a column is missing or of another kind, days are negative, or strata do not fit.
    """
    import numpy as np

    if not (isfinite(days) and days >= 0) or (strata is not None) != state.seasonal:
        raise DataError(
            f"a look after {days} days {'without' if strata is None else 'with'} strata",
            remedy="give the days since the last look, and strata if the reference has them",
        )
    generator = np.random.default_rng([state.seed, state.looks + 1])
    sample = _sample(state, rows, read_strata(strata, rows.num_rows), generator)
    after = _bet(state, sample, days, generator)
    evidence = after.detector.evidence(after.weights())
    findings = tuple(
        _finding(after, int(test), float(evidence[test]))
        for test in np.argsort(-evidence, kind="stable")
        if evidence[test] >= WORTH_TELLING
    )
    return after, DriftReport(float(evidence.max()), findings)


def _sample(
    state: DriftState, rows: pa.Table, strata: NDArray[np.int64], generator: np.random.Generator
) -> RowSample:
    """Draw rows, and divide them at random into learning and testing rows."""
    import numpy as np

    if rows.num_rows > MAX_ROWS:
        chosen = np.sort(generator.choice(rows.num_rows, MAX_ROWS, replace=False))
        rows, strata = take_rows(rows, state.columns, chosen), strata[chosen]
    values = read_rows(rows, state.columns, state.categories)
    testing = generator.random(len(values)) < 0.5
    return RowSample(values, strata, testing, np.full(len(values), state.looks + 1))


def _bet(
    state: DriftState, sample: RowSample, days: float, generator: np.random.Generator
) -> DriftState:
    import numpy as np

    # 1 less a draw of [0, 1) is above 0.
    draws = 1 - generator.random((len(sample), state.tests))
    p_values, count = np.full(draws.shape, np.nan), len(state.columns)
    bags = []
    for test, bag in enumerate(state.values):
        p_values[:, test], longer = _rank(bag, sample, test, draws[:, test])
        bags.append(longer.thin(CAPACITY, generator))
    absent = np.isnan(sample.values).astype(np.int64)
    columns = slice(count, 2 * count)
    p_values[:, columns], missing = state.missing.extend(absent, sample.strata, draws[:, columns])
    joint = state.joint
    if joint is not None:
        p_values[:, -1], joint = joint.extend(sample, draws[:, -1], generator)
    number = state.looks + 1
    return replace(
        state,
        looks=number,
        recent=state.recent.newest(sample, MAX_ROWS),
        values=tuple(bags),
        missing=missing.thin(CAPACITY, generator),
        detector=state.detector.update(p_values, state.widths, days=days, look=number),
        joint=joint,
    )


def _rank(
    bag: SortedBag | CountBag, sample: RowSample, column: int, draws: Floats
) -> tuple[Floats, SortedBag | CountBag]:
    """Return the p-values of a column [rows], NaN if missing, and its bag after them."""
    import numpy as np

    values = sample.values[:, column]
    if isinstance(bag, SortedBag):
        return bag.extend(values, sample.strata, draws)
    p_values, present = np.full(len(values), np.nan), ~np.isnan(values)
    codes = values[present].astype(np.int64)[:, None]
    ranked, longer = bag.extend(codes, sample.strata[present], draws[present, None])
    p_values[present] = ranked[:, 0]
    return p_values, longer


def _finding(state: DriftState, test: int, evidence: float) -> DriftFinding:
    began, count = state.detector.change(test), len(state.columns)
    now = state.recent.take(state.recent.looks >= began)
    weights = weights_like(state.reference.strata, now.strata)
    what: Literal["values", "missing", "joint"]
    if test == 2 * count:
        what, effect = "joint", _joint(state, now, *weights)
    elif test >= count:
        what, effect = "missing", _missing(state, test - count, now, *weights)
    else:
        what, effect = "values", _values(state, test, now, *weights)
    column = "" if what == "joint" else state.columns[test % count].name
    return DriftFinding(column, what, evidence, effect.size, effect.words, state.looks - began)


def _values(
    state: DriftState, column: int, now: RowSample, old_weights: Floats, new_weights: Floats
) -> Effect:
    import numpy as np

    old, new = state.reference.values[:, column], now.values[:, column]
    if state.columns[column].kind == "number":
        return number_effect(
            WeightedValues.of(old, old_weights), WeightedValues.of(new, new_weights)
        )
    names = state.categories[column]

    def weigh(values: Floats, weights: Floats) -> Floats:
        present = ~np.isnan(values)
        codes = values[present].astype(int)
        total = np.bincount(codes, weights=weights[present], minlength=len(names) + 1)
        return total.astype(np.float64)

    return category_effect(weigh(old, old_weights), weigh(new, new_weights), names)


def _missing(
    state: DriftState, column: int, now: RowSample, old_weights: Floats, new_weights: Floats
) -> Effect:
    import numpy as np

    old, new = state.reference.values[:, column], now.values[:, column]
    if not new_weights.sum():
        return missing_effect(0.0, 0.0)
    return missing_effect(
        float(np.average(np.isnan(old), weights=old_weights)),
        float(np.average(np.isnan(new), weights=new_weights)),
    )


def _joint(state: DriftState, now: RowSample, old_weights: Floats, new_weights: Floats) -> Effect:
    assert state.joint is not None
    classifier = state.joint.classifier
    pair = classifier.strongest()
    sides, correlations = [], []
    for rows, weights in ((state.reference, old_weights), (now, new_weights)):
        features = classifier.features(rows.values)
        scores, tested = classifier.score(features), rows.testing
        sides.append(WeightedValues.of(scores[tested], weights[tested]))
        correlations.append(_correlation(features[:, pair[0]], features[:, pair[1]], weights))
    names = " and ".join(repr(state.columns[i].name) for i in classifier.owners()[list(pair)])
    before, after = correlations
    words = f"correlation of {names} {before:.2f} → {after:.2f}"
    if abs(after - before) < _OTHER_CORRELATION:
        words = f"values of {names} that were rare together"
    return joint_effect(sides[0], sides[1], words)


def _correlation(one: Floats, two: Floats, weights: Floats) -> float:
    """Return the weighted correlation of two columns; 0 if one of them does not vary."""
    import numpy as np

    if not weights.sum():
        return 0.0
    one, two = (x - np.average(x, weights=weights) for x in (one, two))
    spread = np.sqrt((weights * one**2).sum() * (weights * two**2).sum())
    return float((weights * one * two).sum() / spread) if spread > 1e-9 * weights.sum() else 0.0
