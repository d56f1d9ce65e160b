"""The members of a portfolio, each with its metric on the rows that were held out.

The metric takes no part in their weights, which belong in `ml.models.portfolio.weights`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.target import Target
from factory_assets.ml.metrics.metrics import (
    PRIMARY_METRIC,
    ScoredRows,
    higher_is_better,
    metric_names,
    normalise_probabilities,
)
from factory_assets.ml.models.base import JudgedMembers
from factory_assets.ml.training.threshold import choose_threshold
from factory_assets.results.model import Portfolio, PortfolioMember
from factory_assets.spec import ModelSpec, Pipeline
from factory_assets.spec.evaluate import FAIRNESS
from factory_assets.spec.models import Auto, MemberSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


def leaderboard(
    pipeline: Pipeline,
    model: ModelSpec,
    target: Target,
    truth: NDArray[Any],
    judged: JudgedMembers | None,
) -> Portfolio | None:
    """Score every member and the blend; None for a model that is not a portfolio.

    Args:
        truth: [rows that were held out], class codes or unscaled numbers.
    """
    if not isinstance(model, Auto) or judged is None:
        return None
    evaluate = pipeline.spec.evaluate
    declared = evaluate.metric
    known = {*metric_names(target.task)} - FAIRNESS
    metric = declared if declared in known else PRIMARY_METRIC[target.task]

    def figures(outputs: NDArray[Any]) -> tuple[float | None, float | None]:
        """Return the metric on all rows, and its standard deviation over the folds."""
        import numpy as np

        threshold = 0.5
        if target.task == "binary":
            threshold = choose_threshold(pipeline.spec.decision_rule, truth, outputs[:, 1])
        is_number = target.task == "regression"
        outputs = target.unscaled(outputs) if is_number else normalise_probabilities(outputs)
        scored = ScoredRows(target.task, truth, outputs, threshold).as_declared(evaluate)
        folds = [np.flatnonzero(judged.folds == fold) for fold in np.unique(judged.folds)]
        by_fold = [scored.take(rows).metrics({metric}).get(metric) for rows in folds]
        values = [value for value in by_fold if value is not None]
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return scored.metrics({metric}).get(metric), sd

    members = []
    declared_members = model.members or ()
    for spec, outputs, weight, rounds in zip(
        declared_members, judged.members, judged.weights, judged.rounds, strict=False
    ):
        value, sd = figures(outputs)
        members.append(
            PortfolioMember(
                kind=spec.kind,
                settings=distinguishing_settings(spec, declared_members),
                value=value,
                sd=sd,
                weight=weight,
                rounds=rounds,
            )
        )
    value, sd = figures(judged.outputs)
    return Portfolio(
        metric=metric,
        higher_is_better=higher_is_better(metric),
        rows=len(judged.rows),
        folds=int(judged.folds.max()) + 1,
        members=tuple(members),
        value=value,
        sd=sd,
    )


def distinguishing_settings(member: MemberSpec, members: Sequence[MemberSpec]) -> str:
    """Return the fewest settings that tell a member from others of its kind; "" if none do.

    Such as `interactions 8`. The first of them in the order of the declaration are taken.
    """
    others = [one for one in members if one.kind == member.kind and one != member]
    own = [
        name
        for name, field in type(member).model_fields.items()
        if getattr(member, name) != field.default
        and any(getattr(one, name) != getattr(member, name) for one in others)
    ]

    def differ(names: Sequence[str]) -> bool:
        return all(any(getattr(one, n) != getattr(member, n) for n in names) for one in others)

    fewest = (names for count in range(len(own)) for names in combinations(own, count))
    shown = next(filter(differ, fewest), own)
    return ", ".join(f"{name} {getattr(member, name)}" for name in shown)
