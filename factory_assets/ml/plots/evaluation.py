"""Plots of a model's evaluation: predictions, slices, importance of inputs, robustness.

Every plot is returned as PNG bytes. Plots of class probabilities belong in `classification.py`,
plots of training in `training.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.plots.classification import classification_plots
from factory_assets.ml.plots.style import BLUE, GREY, INK, ORANGE, RED, figure, label, one_line, png
from factory_assets.results.evaluation import Disturbed, Importances, Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


MAX_BARS = 16

MAX_POINTS = 2000
"""Up to this many rows are drawn as points, more as density."""


def evaluation_plots(scored: ScoredRows, classes: Sequence[str], target: str) -> dict[str, bytes]:
    """Return title to PNG of the plots that fit the task.

    Args:
        classes: in the order of the outputs; empty for numbers.
        target: the name of the predicted column, for the axis labels.
    """
    if scored.task == "regression":
        return {
            "predicted against actual": predicted_against_actual(scored, target),
            "residuals": residuals(scored, target),
        }
    return classification_plots(scored, classes)


def predicted_against_actual(scored: ScoredRows, target: str) -> bytes:
    """Plot predicted against actual values, as points or density, and the perfect prediction."""
    drawing, axes = figure()
    truth, outputs = scored.truth, scored.outputs
    _cloud(axes, truth, outputs)
    ends = [min(truth.min(), outputs.min()), max(truth.max(), outputs.max())]
    axes.plot(ends, ends, color=RED, linestyle="--", linewidth=1, label="perfect prediction")
    title = f"Predicted against actual, {len(scored):,} rows"
    label(axes, title=title, x=f"actual {target}", y=f"predicted {target}", legend=True)
    return png(drawing)


def residuals(scored: ScoredRows, target: str) -> bytes:
    """Plot a histogram of predicted - actual, with its mean."""
    drawing, axes = figure()
    errors = scored.outputs - scored.truth
    axes.hist(errors, bins=40, range=_range(errors), color=BLUE, alpha=0.85)
    axes.axvline(0, color=INK, linewidth=0.8)
    mean = f"mean {errors.mean():.3g}"
    axes.axvline(errors.mean(), color=RED, linestyle="--", linewidth=1.2, label=mean)
    title = f"Residuals, {len(scored):,} rows"
    label(axes, title=title, x=f"predicted - actual {target}", y="rows", legend=True)
    return png(drawing)


def _range(errors: NDArray[Any]) -> tuple[float, float] | None:
    """Return what to plot of numbers that rounding alone tells apart; None for others: all."""
    low, high = float(errors.min()), float(errors.max())
    largest = max(abs(low), abs(high))
    if high - low > 1e-12 * largest:
        return None
    half = max(0.5, 1e-6 * largest)
    return low - half, high + half


def plot_slices(slices: Sequence[Slice], metric: str, overall: Mapping[str, float]) -> bytes:
    """Plot the primary metric of each slice, with its rows, and the metric of all test rows."""
    drawing, axes = figure()
    drawn = [s for s in slices if metric in s.metrics][:MAX_BARS]
    positions = list(range(len(drawn)))
    axes.barh(positions, [s.metrics[metric] for s in drawn], color=BLUE, alpha=0.85)
    names = [f"{one_line(f'{s.column} = {s.value}', 20)}, {s.rows:,} rows" for s in drawn]
    axes.set_yticks(positions, names, parse_math=False)
    axes.invert_yaxis()
    more = f" (first {MAX_BARS} of {len(slices)})" if len(slices) > MAX_BARS else ""
    if metric in overall:
        axes.axvline(overall[metric], color=RED, linestyle="--", linewidth=1.2)
        more += f"; dashed line: all rows, {overall[metric]:.3g}"
    label(axes, title=f"Slices{more}", x=metric)
    return png(drawing)


def _cloud(axes: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    if len(x) <= MAX_POINTS:
        axes.scatter(x, y, s=9, color=BLUE, alpha=0.5, linewidths=0)
    else:
        axes.hexbin(x, y, gridsize=45, bins="log", cmap="Blues", mincnt=1, linewidths=0)


def plot_importances(importances: Importances) -> bytes:
    """Plot how much worse the primary metric is if an input is shuffled, with sd over repeats."""
    drawing, axes = figure()
    positions = range(len(importances.columns))
    axes.barh(
        list(positions),
        [one.mean for one in importances.columns],
        xerr=[one.sd for one in importances.columns],
        color=BLUE,
        ecolor=INK,
        alpha=0.85,
    )
    names = [one_line(one.column, 20) for one in importances.columns]
    axes.set_yticks(list(positions), names, parse_math=False, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    shown_inputs = len(importances.columns)
    more = f", first {shown_inputs} of {importances.inputs}"
    title = f"Importance of inputs{more if importances.inputs > shown_inputs else ''}"
    worse = f"worsening of {importances.metric}, {importances.rows:,} rows"
    label(axes, title=title, x=worse)
    return png(drawing)


def plot_robustness(disturbed: Sequence[Disturbed], metric: str, undisturbed: float) -> bytes:
    """Plot the primary metric by level of noise and by share of missing values."""
    drawing, axes = figure()
    for kind, colour, name in (
        ("noise", BLUE, "noise (sd of training rows)"),
        ("missing", ORANGE, "share of missing values"),
    ):
        levels = sorted((one for one in disturbed if one.kind == kind), key=lambda one: one.level)
        if levels:
            axes.errorbar(
                [0, *(one.level for one in levels)],
                [undisturbed, *(one.mean for one in levels)],
                yerr=[0, *(one.sd for one in levels)],
                color=colour,
                marker="o",
                markersize=4,
                linewidth=1.5,
                label=name,
            )
    baseline = f"undisturbed, {undisturbed:.3g}"
    axes.axhline(undisturbed, color=GREY, linestyle="--", linewidth=1, label=baseline)
    label(axes, title="Robustness to disturbed inputs", x="level", y=metric, legend=True)
    return png(drawing)
