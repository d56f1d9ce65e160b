"""The picture of a search: each trial, and the best until then. PNG bytes, no files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from factory_assets.ml.plots.style import BLUE, GREY, ORANGE, RED, figure, label, png
from factory_assets.results.model import Candidate, Tuned

if TYPE_CHECKING:
    pass


def plot_search(candidate: Candidate, tuned: Tuned) -> bytes:
    """Every trial's metric in the order of the trials; those given up or failed at the bottom."""
    from matplotlib.ticker import MaxNLocator

    made, axes = figure()
    done = [(i, t.value) for i, t in enumerate(tuned.trials, 1) if t.value is not None]
    places, values = zip(*done, strict=True)
    axes.scatter(places, values, s=16, color=BLUE, label="a trial")
    axes.step(places, tuned.best_so_far(), where="post", color=BLUE, linewidth=1.2, label="best")
    axes.scatter(
        [tuned.chosen + 1],
        [tuned.trials[tuned.chosen].value],
        s=60,
        facecolors="none",
        edgecolors=RED,
        label="chosen",
    )
    without = [i for i, trial in enumerate(tuned.trials, 1) if trial.value is None]
    if without:
        floor = axes.get_ylim()[0]
        axes.scatter(without, [floor] * len(without), marker="x", s=16, color=GREY, label="none")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    title = f"Search, {candidate.model}"
    label(axes, title=title, x="trial", y=f"validation {tuned.metric}", legend=True)
    return png(made)


def plot_loss(candidate: Candidate) -> bytes:
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
