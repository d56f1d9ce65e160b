"""Decide whether a candidate's metrics pass the declared gates, and explain why.

Computing metrics does not belong here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from factory_assets.ml.metrics.metrics import higher_is_better
from factory_assets.results.evaluation import Folds, GateResult
from factory_assets.spec.evaluate import CHAMPION_GATE, Evaluate, Gate

Metrics = Mapping[str, float]

Comparison = tuple[bool, float | None, str]
"""Whether the gate passes, the bound that decided (None if undefined), and the explanation."""


@dataclass(frozen=True)
class NotComparable:
    """The reason why an existing champion cannot be scored on these rows."""

    reason: str


def judge(
    gates: Sequence[Gate],
    metrics: Metrics,
    baselines: Mapping[str, Metrics],
    champion: Metrics | NotComparable | None,
    folds: Folds | None = None,
) -> tuple[GateResult, ...]:
    """Return one result for each gate, in the order of the gates.

    A metric that is missing or NaN, on either side, fails its gate. `better_than` must be better by
    more than the margin; `no_worse_than` may be worse by at most the margin.

    Args:
        metrics: of the candidate, on the same test rows as those of the baselines and the champion.
        champion: None if no model serves yet; `no_worse_than` then passes.
        folds: of cross-validation, for the gates on their mean.
    """
    means = folds.means if folds else {}
    return tuple(
        _judge(gate, means if gate.of == "folds" else metrics, baselines, champion)
        for gate in gates
    )


def judge_default(
    evaluate: Evaluate,
    primary_metric: str,
    metrics: Metrics,
    champion: Metrics | NotComparable | None,
) -> tuple[GateResult, ...]:
    """Return the result of the gate that holds by default; nothing if the declaration replaces it.

    It requires that the primary metric is no worse than that of the champion.
    """
    if not evaluate.guards_champion:
        return ()
    gate = Gate.model_validate({"metric": primary_metric, "no_worse_than": "champion"})
    result = _judge(gate, metrics, {}, champion)
    off = "" if result.passed else "; `evaluate.gates: {champion: off}` leaves it out"
    explanation = f"{result.explanation} (default gate{off})"
    return (result.model_copy(update={"name": CHAMPION_GATE, "explanation": explanation}),)


def _judge(
    gate: Gate,
    metrics: Metrics,
    baselines: Mapping[str, Metrics],
    champion: Metrics | NotComparable | None,
) -> GateResult:
    value = metrics.get(gate.metric, math.nan)
    if math.isnan(value):
        rows = "in every fold" if gate.of == "folds" else "on these test rows"
        passed, bound, why = False, None, f"{gate.metric} is undefined {rows}"
    elif gate.no_worse_than:
        passed, bound, why = _no_worse(gate, value, champion)
    elif gate.better_than:
        passed, bound, why = _better(gate, value, baselines.get(gate.better_than, {}))
    else:
        passed, bound, why = _constant(gate, value)
    return GateResult(
        name=gate.name,
        metric=gate.metric,
        value=value,
        bound=bound,
        passed=passed,
        explanation=why,
    )


def _constant(gate: Gate, value: float) -> Comparison:
    if gate.at_least is not None:
        bound = float(gate.at_least)
        passed = value >= bound
        return passed, bound, _line(gate, value, "reaches" if passed else "is below", bound)
    bound = float(gate.at_most or 0)
    passed = value <= bound
    return passed, bound, _line(gate, value, "stays within" if passed else "is above", bound)


def _better(gate: Gate, value: float, baseline: Metrics) -> Comparison:
    other = baseline.get(gate.metric, math.nan)
    if math.isnan(other):
        return (
            False,
            None,
            f"{gate.metric} of the {gate.better_than} baseline is undefined on these test rows",
        )
    bound = other + gate.margin * _sign(gate)
    passed = (value - bound) * _sign(gate) > 0
    verb = "beats" if passed else "does not beat"
    return passed, bound, _line(gate, value, f"{verb} the {gate.better_than} baseline's", other)


def _no_worse(gate: Gate, value: float, champion: Metrics | NotComparable | None) -> Comparison:
    if champion is None:
        return True, None, f"{gate.metric} {value:.3g}: there is no champion to compare with yet"
    if isinstance(champion, NotComparable):
        return False, None, f"the champion cannot be judged on these rows: {champion.reason}"
    other = champion.get(gate.metric, math.nan)
    if math.isnan(other):
        return False, None, f"{gate.metric} of the champion is undefined on these test rows"
    bound = other - gate.margin * _sign(gate)
    passed = (value - bound) * _sign(gate) >= 0
    verb = "is no worse than" if passed else "is worse than"
    return passed, bound, _line(gate, value, f"{verb} the champion's", other)


def _sign(gate: Gate) -> int:
    return 1 if higher_is_better(gate.metric) else -1


def _line(gate: Gate, value: float, relation: str, other: float) -> str:
    """Write both numbers with as few digits as distinguish them, from 3 to 8."""
    digits = next((d for d in range(3, 9) if f"{value:.{d}g}" != f"{other:.{d}g}"), 3)
    margin = f" (margin {gate.margin:g})" if gate.margin else ""
    what = f"{gate.metric} (mean of the folds)" if gate.of == "folds" else gate.metric
    return f"{what} {value:.{digits}g} {relation} {other:.{digits}g}{margin}"
