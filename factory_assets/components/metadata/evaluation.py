"""Markdown of an evaluation: metrics, gates, slices and the optional analyses. No Dagster.

Computing them belongs in `ml.evaluation`.
"""

from collections.abc import Sequence

from factory_assets.components.metadata.markdown import escaped, table
from factory_assets.results.evaluation import (
    Disturbed,
    EvaluationResult,
    Folds,
    GroupRate,
    Importances,
    InfluenceQuality,
)
from factory_assets.spec.evaluate import FAIRNESS, METRICS

_LONGEST = 1_000
"""Characters of a line, which may name a class or another value of the data."""


def verdict(value: EvaluationResult) -> str:
    """Return the gates' outcomes, and the metrics beside those of baselines and champion."""
    others = {**value.baselines, **({"champion": value.champion} if value.champion else {})}
    if value.compared:
        where = f"on {value.compared.rows:,} rows"
        others[f"candidate {where}"] = value.compared.metrics
        others[f"champion {where}"] = value.compared.champion
    classes = value.candidate.classes
    if value.at_half:
        others["candidate at .5"] = value.at_half
    rows = []
    for name, number in value.metrics.items():
        compared = (metrics.get(name) for metrics in others.values())
        rows.append((name, number, _interval(value, name), *compared))
    numbers = table(("metric", "candidate", "95 % interval", *others), rows)
    gates = [
        f"- {'passed' if gate.passed else '**FAILED**'}: {escaped(gate.explanation, _LONGEST)}"
        for gate in value.gates
    ]
    listed = "\n".join(gates) or "No gate is declared."
    named = f"Positive class: {escaped(classes[1])}" if len(classes) == 2 else ""
    positive = f"{named}{_threshold(value)}\n\n" if named else ""
    warnings = "".join(f"**Warning**: {line}.\n\n" for line in value.warnings)
    return f"{listed}\n\n{_comparisons(value)}{warnings}{positive}{numbers}"


def _comparisons(value: EvaluationResult) -> str:
    return "".join(
        f"{escaped(one.line, _LONGEST)}\n\n" for one in (value.compared, value.answers) if one
    )


def _threshold(value: EvaluationResult) -> str:
    threshold = value.candidate.threshold
    return "" if threshold is None else f", predicted from a probability of {threshold:.3g}"


def _interval(value: EvaluationResult, metric: str) -> str:
    low, high = value.intervals.get(metric, (None, None))
    return "" if low is None else f"{low:.4g} to {high:.4g}"


def slices(value: EvaluationResult) -> str:
    if not value.slices:
        return "No slice is declared."
    names = list(dict.fromkeys(name for s in value.slices for name in s.metrics))
    names = names or [value.headline]
    rows = [
        (s.column, s.value, s.rows, *(s.metrics.get(name, "too few") for name in names))
        for s in value.slices
    ]
    return table(("column", "value", "rows", *names), rows)


def importances(value: Importances) -> str:
    """Return how much the model depends on each input."""
    first = f"; the first {len(value.columns)} of {value.inputs} inputs"
    more = first if value.inputs > len(value.columns) else ""
    numbers = table(
        ("input", f"{value.metric} lost", "sd"), [(c.column, c.mean, c.sd) for c in value.columns]
    )
    return (
        f"How much worse {value.metric} becomes when an input is shuffled across {value.rows} test "
        f"rows, mean of {value.repeats} repeats{more}. Of inputs that carry the same information, "
        f"each may seem unimportant.\n\n{numbers}"
    )


def robustness(disturbed: Sequence[Disturbed], metric: str, plain: float) -> str:
    """Return the primary metric with disturbed inputs, beside that with undisturbed ones."""
    rows = [(one.kind, one.level, one.mean, one.sd, one.mean - plain) for one in disturbed]
    numbers = table(("disturbed by", "level", metric, "sd", "change"), rows)
    return (
        f"{metric} is {plain:.4g} on the undisturbed rows. Noise is added to numbers; its level is "
        "in standard deviations of the training rows. Missing: that share of all inputs is removed."
        f"\n\n{numbers}"
    )


def fairness(value: EvaluationResult) -> str:
    """Return how decisions differ between groups, with intervals."""
    rates = dict.fromkeys(rate for group in value.groups for rate in group.rates)
    rows = [
        (g.column, g.value, g.rows, *(_rate(g.rates.get(rate)) for rate in rates))
        for g in value.groups
    ]
    gaps = [
        (name, value.metrics[name], _interval(value, name))
        for name in METRICS
        if name in FAIRNESS & set(value.metrics)
    ]
    numbers = table(("column", "group", "rows", *(rate.replace("_", " ") for rate in rates)), rows)
    return (
        "The share of positive decisions among all rows of the group, among its truly positive and "
        f"its truly negative rows, with 95 % intervals (Wilson).\n\n{numbers}\n\nGaps between the "
        "groups of one column, for the worst column, with bootstrap intervals:\n\n"
        f"{table(('gap', 'value', '95 % interval'), gaps)}"
    )


def _rate(rate: GroupRate | None) -> str:
    if rate is None:
        return "too few"
    return f"{rate.value:.3g} ({rate.low:.3g} to {rate.high:.3g}) of {rate.rows}"


def folds(value: Folds) -> str:
    """Return the results of cross-validation, over the folds and over all rows."""
    rows = [
        (name, metric.mean, metric.sd, len(metric.defined), metric.pooled)
        for name, metric in value.metrics.items()
    ]
    numbers = table(("metric", "mean", "sd", "folds", "pooled"), rows)
    return (
        f"Each of {value.rows} rows of all three parts is predicted once, by that one of "
        f"{value.count} models that was trained without its fold. Mean and sd are taken over the "
        f"folds; pooled is computed on all rows at once.\n\n{numbers}"
    )


def influence(value: InfluenceQuality) -> str:
    """Return how reliable the estimated effects of training rows are."""
    required = f"the LDS must be at least {value.at_least:g}"
    listed = "can be listed" if value.believed else f"cannot be listed: {required}"
    return (
        f"LDS **{value.score:.3g}** (at most {value.ceiling:.3g}, because seeds differ too): the "
        f"rank correlation between the estimated effects of groups of training rows and the "
        f"outputs of models trained on {value.subsets} random halves of them, over {value.rows} "
        f"test rows. Influential rows {listed}. Estimated from {value.reach} of {value.seeds} "
        f"seeds, with {value.trainings} trainings."
    )
