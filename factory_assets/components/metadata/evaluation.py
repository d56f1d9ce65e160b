"""Markdown of a verdict: metrics and gates, and what a closer look found. No Dagster."""

from collections.abc import Sequence

from factory_assets.components.metadata.markdown import table
from factory_assets.results.evaluation import (
    Disturbed,
    EvaluationResult,
    Folds,
    GroupRate,
    Importances,
    InfluenceQuality,
)
from factory_assets.spec.evaluate import FAIRNESS, METRICS


def verdict(value: EvaluationResult) -> str:
    """Metrics beside the baselines' and the champion's, and what each gate said."""
    others = {**value.baselines, **({"champion": value.champion} if value.champion else {})}
    classes = value.candidate.classes
    rows = []
    for name, number in value.metrics.items():
        found = (metrics.get(name) for metrics in others.values())
        rows.append((name, number, _interval(value, name), *found))
    numbers = table(("metric", "candidate", "95 % interval", *others), rows)
    gates = [f"- {'passed' if g.passed else '**FAILED**'}: {g.explanation}" for g in value.gates]
    listed = "\n".join(gates) or "No gate is declared."
    positive = f"Positive class: {classes[1]}\n\n" if len(classes) == 2 else ""
    return f"{listed}\n\n{positive}{numbers}"


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
    """Which inputs the model rests on."""
    first = f"; the first {len(value.columns)} of {value.inputs} inputs"
    more = first if value.inputs > len(value.columns) else ""
    numbers = table(
        ("input", f"{value.metric} lost", "sd"), [(c.column, c.mean, c.sd) for c in value.columns]
    )
    return (
        f"How much worse {value.metric} is where an input is shuffled over {value.rows} test rows, "
        f"the mean of {value.repeats}{more}. Of inputs that say the same, each may seem to matter "
        f"little.\n\n{numbers}"
    )


def robustness(found: Sequence[Disturbed], metric: str, plain: float) -> str:
    """The headline where the inputs are disturbed, beside that of the rows as they are."""
    rows = [(one.kind, one.level, one.mean, one.sd, one.mean - plain) for one in found]
    numbers = table(("disturbed by", "level", metric, "sd", "change"), rows)
    return (
        f"{metric} is {plain:.4g} on the rows as they are. Noise: on numbers, its level in "
        "standard deviations of the training rows. Missing: that share of all inputs."
        f"\n\n{numbers}"
    )


def fairness(value: EvaluationResult) -> str:
    """How decisions fall on each group, with how sure that is."""
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
        "The share decided positive: of all rows of the group, of its true and of its untrue ones, "
        f"each with its 95 % interval (Wilson).\n\n{numbers}\n\nBetween the groups of one "
        "column, the worst of all columns, with bootstrap intervals:\n\n"
        f"{table(('gap', 'value', '95 % interval'), gaps)}"
    )


def _rate(rate: GroupRate | None) -> str:
    if rate is None:
        return "too few"
    return f"{rate.value:.3g} ({rate.low:.3g} to {rate.high:.3g}) of {rate.rows}"


def folds(value: Folds) -> str:
    """Cross-validation: which figure is of one fold, and which of all rows."""
    rows = [
        (name, metric.mean, metric.sd, len(metric.defined), metric.pooled)
        for name, metric in value.metrics.items()
    ]
    numbers = table(("metric", "mean", "sd", "folds", "pooled"), rows)
    return (
        f"Each of the {value.rows} judged rows of all three parts, once, by one of {value.count} "
        "models trained without its fold. Mean and sd: of the folds' own figures. Pooled: of all "
        f"rows at once.\n\n{numbers}"
    )


def influence(value: InfluenceQuality) -> str:
    """How far effects of training rows are to be believed."""
    listed = "are listed" if value.believed else f"are not listed below {value.at_least:g}"
    return (
        f"LDS **{value.score:.3g}**, of at most {value.ceiling:.3g} as seeds differ too: how the "
        f"effects of groups of training rows rank with what models say that are trained on "
        f"{value.subsets} random halves of them, over {value.rows} test rows. Influential rows "
        f"{listed}. Told from {value.reach} of {value.seeds} seeds; it took {value.trainings} "
        "trainings."
    )
