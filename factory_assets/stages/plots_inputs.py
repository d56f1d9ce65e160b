"""The pictures of a model's inputs: which matter, and what noise and gaps in them do."""

from __future__ import annotations

from collections.abc import Sequence

from factory_assets.results.evaluation import Disturbed, Importances
from factory_assets.stages.figures import BLUE, GREY, INK, ORANGE, figure, label, png, shown


def importances(found: Importances) -> bytes:
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


def robustness(found: Sequence[Disturbed], metric: str, plain: float) -> bytes:
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
