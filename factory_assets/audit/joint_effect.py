"""Estimate by how much several training rows together moved the predictions of a version.

Nothing is trained. The effects of single rows, and whether they are believed, belong in
`influence`; here they are added up, and their score (LDS) was measured on such sums.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from factory_assets.audit.influence import AttributionContext, attribution_context, unit_of
from factory_assets.audit.references import ModelName
from factory_assets.results.data import SplitResult
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_JUDGED = 500
"""How many test rows are used: enough for a mean, within a few seconds."""

_GROUPS = 100
"""How many random groups of training rows the given rows are compared with."""


@dataclass(frozen=True)
class JointEffect:
    """The estimated change of predictions, if a version had not learned from some rows."""

    mean: float
    """The mean absolute change over the test rows that were used."""
    largest: float
    """The largest absolute change."""
    times: float
    """`mean`, divided by the mean change for as many random training rows."""
    rows: int
    """How many test rows were used."""
    unit: str
    lds: float
    """The measured quality of such estimates: of their order, not of their size."""


def joint_effect(
    pipeline: Pipeline, name: ModelName, gone: Mapping[str, Collection[int]], home: Home
) -> JointEffect:
    """Estimate the joint effect of training rows on the predictions of test rows.

    Args:
        gone: the training rows: SHA-256 of a file of a table to their places in it, from 0.

    Raises:
        ModelError: influence was not measured, its score is too low, or a file was changed.
    """
    import numpy as np

    context = attribution_context(pipeline, name, RecordGraph.of(home))
    test = read_arrow(cast(SplitResult, value_in(context.split)).test, home)
    chosen = np.unique(np.linspace(0, test.num_rows - 1, _JUDGED).astype("int64"))
    features, model = context.trained.features, context.trained.model
    judged = features.arrays(test, scaled=model.scaled, rows=chosen)
    effects = context.effects_on(judged)
    positions = _positions(context, gone)
    change = np.abs(effects[:, positions].sum(axis=1))
    draw = np.random.default_rng(0)
    others = [
        np.abs(effects[:, draw.choice(effects.shape[1], len(positions), False)].sum(axis=1)).mean()
        for _ in range(_GROUPS if len(positions) else 0)
    ]
    return JointEffect(
        mean=float(change.mean()),
        largest=float(change.max()),
        times=float(change.mean() / np.mean(others)) if np.any(others) else 0.0,
        rows=len(chosen),
        unit=unit_of(context, of_row=True),
        lds=context.influence.score,
    )


def _positions(
    context: AttributionContext, gone: Mapping[str, Collection[int]]
) -> NDArray[np.int64]:
    """Return the positions of rows among those that the version learned from, from 0."""
    import numpy as np

    split = cast(SplitResult, value_in(context.split))
    begin = len(context.numbers) - context.from_validation
    parts = (split.train, context.numbers[:begin]), (split.validation, context.numbers[begin:])
    # A split writes one file of each part.
    known = [np.isin(numbers - 1, [*gone.get(part.files[0].sha256, ())]) for part, numbers in parts]
    return np.flatnonzero(np.concatenate(known))
