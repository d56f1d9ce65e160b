"""The pictures of a model: how it learned, what the test rows say of it. PNG bytes, no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.results.evaluation import Slice
from factory_assets.results.model import Candidate
from factory_assets.stages import plots_classes
from factory_assets.stages.figures import BLUE, GREY, INK, ORANGE, RED, figure, label, png, shown
from factory_assets.stages.metrics import Scored

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

BARS = 16
FEW = 2000
"""Rows up to which every one is a point of its own."""


def loss_curve(candidate: Candidate) -> bytes:
    """The loss of training and validation rows by epoch, the best epoch marked."""
    from matplotlib.ticker import MaxNLocator

    made, axes = figure()
    epochs = [epoch.epoch for epoch in candidate.history]
    marker = "o" if len(epochs) == 1 else None
    for name, colour in (("train", BLUE), ("validation", ORANGE)):
        losses = [getattr(epoch, f"{name}_loss") for epoch in candidate.history]
        axes.plot(epochs, losses, color=colour, linewidth=1.8, marker=marker, label=name)
    if candidate.best_epoch is not None:
        best = f"best: epoch {candidate.best_epoch}"
        axes.axvline(candidate.best_epoch, color=GREY, linestyle="--", linewidth=1, label=best)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    what = "squared error" if candidate.task == "regression" else "cross entropy"
    label(axes, title=f"Loss, {candidate.model}", x="epoch", y=f"loss ({what})", legend=True)
    return png(made)


def pictures(scored: Scored, classes: Sequence[str], target: str) -> dict[str, bytes]:
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
    return plots_classes.pictures(scored, classes)


def predicted_against_actual(scored: Scored, target: str) -> bytes:
    """Every row, or their density where there are many, beside the line of perfect prediction."""
    made, axes = figure()
    truth, outputs = scored.truth, scored.outputs
    _cloud(axes, truth, outputs)
    ends = [min(truth.min(), outputs.min()), max(truth.max(), outputs.max())]
    axes.plot(ends, ends, color=RED, linestyle="--", linewidth=1, label="perfect")
    title = f"Predicted against actual, {len(scored):,} rows"
    label(axes, title=title, x=f"actual {target}", y=f"predicted {target}", legend=True)
    return png(made)


def residuals(scored: Scored, target: str) -> bytes:
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


def slices(found: Sequence[Slice], metric: str, overall: Mapping[str, float]) -> bytes:
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
