"""Decide whether a candidate's metrics pass the declared gates, and explain why.

Computing metrics does not belong here.

**No worse than the champion** means: not shown to be worse by more than the margin. The gate fails
if the whole 90 % interval of the difference to the champion is beyond the margin. So a candidate
that is worse by just the margin fails in 5 of 100 trainings, by chance, and a better one in fewer.

Measured without a margin, on the ROC AUC (.90) of models whose scores correlate by .95: how many of
100 candidates are refused, on 200, 2,000 and 20,000 test rows.

| refused if | as good | .01 worse | .02 worse |
|---|---|---|---|
| the interval is beyond the margin | 4, 5, 7 | 28, 96, 100 | 63, 100, 100 |
| the value is beyond the margin | 48, 52, 45 | 89, 100, 100 | 98, 100, 100 |
| the interval reaches beyond the margin | 98, 97, 93 | 100, 100, 100 | 100, 100, 100 |

The second rule keeps every other retraining out that is as good as the champion. The third is the
test of non-inferiority, which without a margin admits hardly any (with a margin of .01, it refuses
79, 3 and 0 that are as good). What is left to the first rule: on few rows a candidate that is a
little worse may pass, and over many nights little by little adds up. `at_least` bounds that.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from factory_assets.ml.metrics.metrics import higher_is_better
from factory_assets.results.evaluation import (
    ChampionComparison,
    Folds,
    GateResult,
    MetricDifference,
)
from factory_assets.spec.evaluate import CHAMPION_GATE, COVERAGE_METRICS, Evaluate, Gate

Metrics = Mapping[str, float]

_REPLACE = "write {champion: off} in place of this gate for one run to replace it"

Comparison = tuple[bool, float | None, str]
"""Whether the gate passes, the bound that decided (None if undefined), and the explanation."""


@dataclass(frozen=True)
class NotComparable:
    """The reason why an existing champion cannot be scored on these rows."""

    reason: str


@dataclass(frozen=True)
class ChampionMetrics:
    """The champion's metrics on the candidate's rows, and how they differ from the candidate's."""

    metrics: Metrics
    differences: Mapping[str, MetricDifference] = field(default_factory=dict)
    """Candidate minus champion; without a metric's, the two values alone decide."""
    answers: AnswerMetrics | None = None
    """On answers whose outcomes are known; None if there is no verdict from them."""
    compared: ChampionComparison | None = None
    """The rows on which these metrics were measured; None if these are all judged rows."""


@dataclass(frozen=True)
class AnswerMetrics:
    """The metrics of candidate and champion on answers whose outcomes are known."""

    rows: int
    candidate: Metrics
    champion: ChampionMetrics


def judge(
    gates: Sequence[Gate],
    metrics: Metrics,
    baselines: Mapping[str, Metrics],
    champion: ChampionMetrics | NotComparable | None,
    folds: Folds | None = None,
) -> tuple[GateResult, ...]:
    """Return one result for each gate, in the order of the gates.

    A metric that is missing or NaN, on either side, fails its gate. `better_than` must be better by
    more than the margin; `no_worse_than` must not be shown to be worse by more than the margin.

    Args:
        metrics: of the candidate, on the same test rows as those of the baselines and the champion.
        champion: None if no model serves yet; `no_worse_than` then passes.
        folds: of cross-validation, for the gates on their mean.
    """
    means = folds.means if folds else {}
    results = (
        _with_undefined(_judge(gate, means, {}, None), folds)
        if gate.of == "folds"
        else _judge(gate, metrics, baselines, champion)
        for gate in gates
    )
    return tuple(
        _with_remedy(result)
        if gate.no_worse_than and isinstance(champion, NotComparable)
        else result
        for gate, result in zip(gates, results, strict=True)
    )


def _with_undefined(result: GateResult, folds: Folds | None) -> GateResult:
    """Say of a mean if it is that of some folds only, such as of those that have a rare class."""
    metric = folds.metrics.get(result.metric) if folds else None
    if not folds or not metric or len(metric.defined) in (0, folds.count):
        return result
    only = f"it is defined in {len(metric.defined)} of {folds.count} folds"
    return result.model_copy(update={"explanation": f"{result.explanation}; {only}"})


def _with_remedy(result: GateResult) -> GateResult:
    """Say how a champion is replaced that cannot be judged any more, as after another target."""
    return result.model_copy(update={"explanation": f"{result.explanation}; {_REPLACE}"})


def judge_default(
    evaluate: Evaluate,
    primary_metric: str,
    metrics: Metrics,
    champion: ChampionMetrics | NotComparable | None,
) -> tuple[GateResult, ...]:
    """Return the result of the gate that holds by default; nothing if the declaration replaces it.

    It requires that the primary metric is no worse than that of the champion.
    """
    if not evaluate.guards_champion:
        return ()
    gate = Gate.model_validate({"metric": primary_metric, "no_worse_than": "champion"})
    result = _judge(gate, metrics, {}, champion)
    off = "" if result.passed else "; `{champion: off}` in `evaluate.gates` leaves it out"
    explanation = f"{result.explanation} (default gate{off})"
    return (result.model_copy(update={"name": CHAMPION_GATE, "explanation": explanation}),)


def _judge(
    gate: Gate,
    metrics: Metrics,
    baselines: Mapping[str, Metrics],
    champion: ChampionMetrics | NotComparable | None,
) -> GateResult:
    compared = None
    if gate.no_worse_than and isinstance(champion, ChampionMetrics):
        compared = champion.compared
    value = (compared.metrics if compared else metrics).get(gate.measured, math.nan)
    if math.isnan(value):
        rows = "in every fold" if gate.of == "folds" else "on these test rows"
        passed, bound, why = False, None, f"{gate.measured} is undefined {rows}"
    elif gate.no_worse_than:
        passed, bound, why = _no_worse(gate, value, champion)
    elif gate.better_than:
        passed, bound, why = _better(gate, value, baselines.get(gate.better_than, {}))
    else:
        passed, bound, why = _constant(gate, value)
    return GateResult(
        name=gate.name,
        metric=gate.measured,
        value=value,
        bound=bound,
        passed=passed,
        explanation=why,
        **_differences(gate, champion),
    )


def _differences(
    gate: Gate, champion: ChampionMetrics | NotComparable | None
) -> dict[str, MetricDifference | None]:
    if not gate.no_worse_than or not isinstance(champion, ChampionMetrics):
        return {}
    answered = champion.answers.champion.differences if champion.answers else {}
    return {
        "difference": champion.differences.get(gate.measured),
        "on_answers": answered.get(gate.measured),
    }


def _constant(gate: Gate, value: float) -> Comparison:
    if gate.at_least is not None:
        bound = float(gate.at_least)
        passed = value - bound >= -_rounding(value, bound)
        return passed, bound, _line(gate, value, "reaches" if passed else "is below", bound, bound)
    bound = float(gate.at_most or 0)
    passed = value - bound <= _rounding(value, bound)
    return passed, bound, _line(gate, value, "stays within" if passed else "is above", bound, bound)


def _better(gate: Gate, value: float, baseline: Metrics) -> Comparison:
    other = baseline.get(gate.measured, math.nan)
    if math.isnan(other):
        return (
            False,
            None,
            f"{gate.measured} of the {gate.better_than} baseline is undefined on these test rows",
        )
    bound = other + gate.margin * _sign(gate)
    passed = (value - bound) * _sign(gate) > _rounding(value, bound)
    verb = "beats" if passed else "does not beat"
    return (
        passed,
        bound,
        _line(gate, value, f"{verb} the {gate.better_than} baseline's", other, bound),
    )


def _lacking(gate: Gate, champion: Metrics) -> str | None:
    """Return the key without which the champion was trained and has no such metric, if any."""
    if gate.metric in COVERAGE_METRICS and "coverage" not in champion:
        return "train.uncertainty"
    abstains = gate.metric in ("abstention_rate", "selective_accuracy")
    return "train.uncertainty.abstain" if abstains and "abstention_rate" not in champion else None


def _no_worse(
    gate: Gate, value: float, champion: ChampionMetrics | NotComparable | None
) -> Comparison:
    if champion is None:
        return True, None, f"{gate.measured} {value:.3g}: there is no champion to compare with yet"
    if isinstance(champion, NotComparable):
        return False, None, f"the champion cannot be judged on these rows: {champion.reason}"
    other = champion.metrics.get(gate.measured, math.nan)
    if math.isnan(other):
        if lacking := _lacking(gate, champion.metrics):
            why = f"the champion has no {gate.measured}: it was trained without {lacking}"
            return False, None, f"{why}; {_REPLACE}"
        return False, None, f"{gate.measured} of the champion is undefined on these test rows"
    passed, bound, why = _compared(gate, value, other, champion)
    if rows := champion.compared:
        why = f"{why}; {rows.line}"
    answers = champion.answers
    if answers and {gate.measured} <= answers.candidate.keys() & answers.champion.metrics.keys():
        mine, theirs = answers.candidate[gate.measured], answers.champion.metrics[gate.measured]
        also, _, on_answers = _compared(gate, mine, theirs, answers.champion)
        return passed and also, bound, f"{why}; on {answers.rows:,} new answers, {on_answers}"
    return passed, bound, why


def _compared(gate: Gate, value: float, other: float, champion: ChampionMetrics) -> Comparison:
    bound = other - gate.margin * _sign(gate)
    rounding = _rounding(value, bound)
    reached = (value - bound) * _sign(gate) >= -rounding
    difference = champion.differences.get(gate.measured)
    passed = reached or not _is_shown(gate, difference, rounding)
    if reached:
        relation = "is no worse than"
    else:
        relation = "is not shown to be worse than" if passed else "is worse than"
    line = _line(gate, value, f"{relation} the champion's", other, bound)
    return passed, bound, f"{line}{_interval(difference, rounding)}"


def _is_shown(gate: Gate, difference: MetricDifference | None, rounding: float) -> bool:
    """Whether a value beyond the margin is so by more than chance, as far as that is known."""
    if difference is None:
        return True
    best = difference.high if _sign(gate) > 0 else -difference.low
    return best + gate.margin < -rounding


def _rounding(value: float, other: float) -> float:
    """Return by how much two equal values of a metric may differ, having been summed otherwise."""
    return 1e-9 * max(abs(value), abs(other))


def _interval(difference: MetricDifference | None, rounding: float) -> str:
    if difference is None:
        return ""
    numbers = (difference.value, difference.low, difference.high)
    value, low, high = (f"{n if abs(n) > rounding else 0:+.3g}" for n in numbers)
    return f"; difference {value}, 90 % interval {low} to {high}"


def _sign(gate: Gate) -> int:
    return 1 if higher_is_better(gate.metric) else -1


def _line(gate: Gate, value: float, relation: str, other: float, bound: float) -> str:
    """Write both numbers with as few digits as tell the first from both others, from 3 to 8."""
    apart = [number for number in (other, bound) if f"{value:.8g}" != f"{number:.8g}"]
    digits = 3
    while any(f"{value:.{digits}g}" == f"{number:.{digits}g}" for number in apart):
        digits += 1
    margin = f" (margin {gate.margin:g})" if gate.margin else ""
    what = f"{gate.measured} (mean of the folds)" if gate.of == "folds" else gate.measured
    return f"{what} {value:.{digits}g} {relation} {other:.{digits}g}{margin}"
