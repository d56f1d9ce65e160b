"""The pictures of a model: how it learned, what the test rows say of it. PNG bytes, no files.

The pictures of a model's inputs: which matter, and what noise and gaps in them do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.plots.classification import classification_plots
from factory_assets.ml.plots.style import BLUE, GREY, INK, ORANGE, RED, figure, label, png, shown
from factory_assets.results.evaluation import Disturbed, Importances, Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray


BARS = 16

FEW = 2000
"""Rows up to which every one is a point of its own."""


def evaluation_plots(scored: ScoredRows, classes: Sequence[str], target: str) -> dict[str, bytes]:
    """Title to PNG of everything worth seeing of these outputs.

    Args:
        classes: in the order of the outputs; none for numbers.
        target: the name of the predicted column, for the axes.
    """
    if scored.task == "regression":
        return {
            "predicted against actual": predicted_against_actual(scored, target),
            "residuals": residuals(scored, target),
        }
    return classification_plots(scored, classes)


def predicted_against_actual(scored: ScoredRows, target: str) -> bytes:
    """Every row, or their density where there are many, beside the line of perfect prediction."""
    made, axes = figure()
    truth, outputs = scored.truth, scored.outputs
    _cloud(axes, truth, outputs)
    ends = [min(truth.min(), outputs.min()), max(truth.max(), outputs.max())]
    axes.plot(ends, ends, color=RED, linestyle="--", linewidth=1, label="perfect")
    title = f"Predicted against actual, {len(scored):,} rows"
    label(axes, title=title, x=f"actual {target}", y=f"predicted {target}", legend=True)
    return png(made)


def residuals(scored: ScoredRows, target: str) -> bytes:
    """Histogram of predicted - actual, with its mean."""
    made, axes = figure()
    errors = scored.outputs - scored.truth
    axes.hist(errors, bins=40, color=BLUE, alpha=0.85)
    axes.axvline(0, color=INK, linewidth=0.8)
    mean = f"mean {errors.mean():.3g}"
    axes.axvline(errors.mean(), color=RED, linestyle="--", linewidth=1.2, label=mean)
    title = f"Residuals, {len(scored):,} rows"
    label(axes, title=title, x=f"predicted - actual {target}", y="rows", legend=True)
    return png(made)


def plot_slices(found: Sequence[Slice], metric: str, overall: Mapping[str, float]) -> bytes:
    """The headline metric of each slice, with its number of rows, beside that of all test rows."""
    made, axes = figure()
    drawn = [s for s in found if metric in s.metrics][:BARS]
    places = list(range(len(drawn)))
    axes.barh(places, [s.metrics[metric] for s in drawn], color=BLUE, alpha=0.85)
    names = [f"{shown(f'{s.column} = {s.value}', 20)}, {s.rows:,} rows" for s in drawn]
    axes.set_yticks(places, names, parse_math=False)
    axes.invert_yaxis()
    more = f" (first {BARS} of {len(found)})" if len(found) > BARS else ""
    if metric in overall:
        axes.axvline(overall[metric], color=RED, linestyle="--", linewidth=1.2)
        more += f"; dashed: all rows, {overall[metric]:.3g}"
    label(axes, title=f"Slices{more}", x=metric)
    return png(made)


def _cloud(axes: Axes, x: NDArray[Any], y: NDArray[Any]) -> None:
    if len(x) <= FEW:
        axes.scatter(x, y, s=9, color=BLUE, alpha=0.5, linewidths=0)
    else:
        axes.hexbin(x, y, gridsize=45, bins="log", cmap="Blues", mincnt=1, linewidths=0)


def plot_importances(found: Importances) -> bytes:
    """How much worse the headline is without each input, with the sd over the repeats."""
    made, axes = figure()
    places = range(len(found.columns))
    axes.barh(
        list(places),
        [one.mean for one in found.columns],
        xerr=[one.sd for one in found.columns],
        color=BLUE,
        ecolor=INK,
        alpha=0.85,
    )
    names = [shown(one.column, 20) for one in found.columns]
    axes.set_yticks(list(places), names, parse_math=False, fontsize=7)
    axes.invert_yaxis()
    axes.axvline(0, color=INK, linewidth=0.8)
    more = f", first {len(found.columns)} of {found.inputs}"
    title = f"Importance of inputs{more if found.inputs > len(found.columns) else ''}"
    label(axes, title=title, x=f"{found.metric} lost, {found.rows:,} rows")
    return png(made)


def plot_robustness(found: Sequence[Disturbed], metric: str, plain: float) -> bytes:
    """The headline by the level of noise, and by the share of missing values."""
    made, axes = figure()
    for kind, colour, words in (
        ("noise", BLUE, "noise [sd]"),
        ("missing", ORANGE, "missing share"),
    ):
        levels = sorted((one for one in found if one.kind == kind), key=lambda one: one.level)
        if levels:
            axes.errorbar(
                [0, *(one.level for one in levels)],
                [plain, *(one.mean for one in levels)],
                yerr=[0, *(one.sd for one in levels)],
                color=colour,
                marker="o",
                markersize=4,
                linewidth=1.5,
                label=words,
            )
    axes.axhline(plain, color=GREY, linestyle="--", linewidth=1, label=f"as they are, {plain:.3g}")
    label(axes, title="Disturbed inputs", x="level", y=metric, legend=True)
    return png(made)
