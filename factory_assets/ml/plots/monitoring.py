"""Plots of looks at the answers: evidence of drift and the number of rows over time.

Every plot is returned as PNG bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from factory_assets.ml.plots.style import BLUE, GREEN, GREY, RED, figure, label, png


def plot_evidence(
    times: Sequence[datetime], evidence: Sequence[float], period: float, pipeline: str
) -> bytes:
    """Plot the strongest evidence of each look, in days, and the bound of an alarm."""
    drawing, axes = figure()
    # Beyond that, more evidence says no more, and would leave the rest of the plot flat.
    shown = [min(max(one, 1e-2), 1e3 * period) for one in evidence]
    axes.plot(times, shown, color=BLUE, marker="o", markersize=3)
    axes.axhline(period, color=RED, linestyle="--", linewidth=1, label="alarm")
    axes.set_yscale("log")
    drawing.autofmt_xdate()
    label(axes, title=f"Evidence of drift, {pipeline}", y="evidence [days]", legend=True)
    return png(drawing)


def plot_rows(times: Sequence[datetime], rates: Sequence[float], pipeline: str) -> bytes:
    """Plot the rows a day of each look."""
    drawing, axes = figure()
    axes.step(times, rates, where="pre", color=GREEN)
    axes.set_ylim(bottom=0)
    drawing.autofmt_xdate()
    label(axes, title=f"Answered rows, {pipeline}", y="rows a day")
    return png(drawing)


def plot_metric(
    times: Sequence[datetime],
    bands: Sequence[tuple[float, float, float]],
    tested: float | None,
    real: Sequence[tuple[datetime, float]],
    name: str,
) -> bytes:
    """Plot a metric of each look as it was estimated, with its interval, and as it turned out.

    Args:
        bands: value, lower and upper end of the interval.
        tested: the metric on the test rows.
        real: when and what, where outcomes were known.
    """
    drawing, axes = figure()
    values, low, high = zip(*bands, strict=True)
    axes.fill_between(times, low, high, color=BLUE, alpha=0.15, linewidth=0)
    axes.plot(times, values, color=BLUE, marker="o", markersize=3, label="estimated")
    if real:
        axes.plot(
            *zip(*real, strict=True), color=GREEN, marker="s", markersize=3, label="with outcomes"
        )
    if tested is not None:
        axes.axhline(tested, color=GREY, linestyle="--", linewidth=1, label="test rows")
    drawing.autofmt_xdate()
    label(axes, title=f"{name} of the answers", y=name, legend=True)
    return png(drawing)
