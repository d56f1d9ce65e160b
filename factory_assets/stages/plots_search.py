"""The picture of a search: each trial, and the best until then. PNG bytes, no files."""

from factory_assets.results.model import Candidate, Tuned
from factory_assets.stages.figures import BLUE, GREY, RED, figure, label, png


def search(candidate: Candidate, tuned: Tuned) -> bytes:
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
