"""Plots of training: the loss by epoch, the trials of a search, the members of a portfolio.

Every plot is returned as PNG bytes. Plots of the test rows belong in `evaluation.py`.
"""

from __future__ import annotations

from factory_assets.ml.plots.style import BLUE, GREY, ORANGE, RED, figure, label, png
from factory_assets.results.model import Candidate, Portfolio, Tuned


def plot_search(candidate: Candidate, tuned: Tuned) -> bytes:
    """Plot the metric of each trial in order; pruned and failed trials are at the bottom."""
    from matplotlib.ticker import MaxNLocator

    drawing, axes = figure()
    done = [(i, t.value) for i, t in enumerate(tuned.trials, 1) if t.value is not None]
    numbers, values = zip(*done, strict=True)
    axes.scatter(numbers, values, s=16, color=BLUE, label="trial")
    best = tuned.best_so_far()
    axes.step(numbers, best, where="post", color=BLUE, linewidth=1.2, label="best so far")
    axes.scatter(
        [tuned.chosen + 1],
        [tuned.trials[tuned.chosen].value],
        s=60,
        facecolors="none",
        edgecolors=RED,
        label="chosen",
    )
    unfinished = [i for i, trial in enumerate(tuned.trials, 1) if trial.value is None]
    if unfinished:
        floor = axes.get_ylim()[0]
        bottom = [floor] * len(unfinished)
        axes.scatter(unfinished, bottom, marker="x", s=16, color=GREY, label="pruned or failed")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    title = f"Hyperparameter search, {candidate.model}"
    label(axes, title=title, x="trial", y=f"validation {tuned.metric}", legend=True)
    return png(drawing)


def plot_loss(candidate: Candidate) -> bytes:
    """Plot the loss of training and validation rows by epoch, with the best epoch marked."""
    from matplotlib.ticker import MaxNLocator

    drawing, axes = figure()
    epochs = [epoch.epoch for epoch in candidate.history]
    marker = "o" if len(epochs) == 1 else None
    for name, colour in (("train", BLUE), ("validation", ORANGE)):
        losses = [getattr(epoch, f"{name}_loss") for epoch in candidate.history]
        axes.plot(epochs, losses, color=colour, linewidth=1.8, marker=marker, label=name)
    if candidate.best_epoch is not None:
        best = f"best epoch: {candidate.best_epoch}"
        axes.axvline(candidate.best_epoch, color=GREY, linestyle="--", linewidth=1, label=best)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    label(axes, title=f"Loss, {candidate.model}", x="epoch", y="loss", legend=True)
    return png(drawing)


def plot_portfolio(candidate: Candidate, portfolio: Portfolio) -> bytes:
    """Plot the metric of each member and of the blend, the best at the top, with the weights."""
    import numpy as np

    ranked = portfolio.ranked
    names = [f"{member.name} {member.weight:.0%}" for member in ranked]
    values = [np.nan if member.value is None else member.value for member in ranked]
    colours = [BLUE if member.weight else GREY for member in ranked]
    blend = np.nan if portfolio.value is None else portfolio.value
    places = np.arange(len(names) + 1)
    drawing, axes = figure()
    errors = [portfolio.sd or 0.0, *(member.sd or 0.0 for member in ranked)]
    axes.errorbar([blend, *values], places, xerr=errors, fmt="none", ecolor=GREY, linewidth=1)
    axes.scatter([blend, *values], places, color=[RED, *colours], zorder=3)
    axes.set_yticks(places, ["blend", *names])
    axes.invert_yaxis()
    title = f"Members, {candidate.model}"
    label(axes, title=title, x=f"{portfolio.metric}, rows held out", y="weight in the blend")
    return png(drawing)
