"""Plots of class probabilities: ROC, precision and recall, confusion matrix, calibration.

Plots of predicted numbers belong in `evaluation.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.ml.metrics.reliability import BINS
from factory_assets.ml.plots.style import (
    BLUE,
    COLOURS,
    GREY,
    INK,
    figure,
    label,
    one_line,
    png,
    thin,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


MAX_CURVES = 6

MAX_CLASSES = 12


def classification_plots(scored: ScoredRows, classes: Sequence[str]) -> dict[str, bytes]:
    """Return title to PNG; ROC and precision-recall curves need more than one true class."""
    drawn = {"confusion matrix": confusion_matrix(scored, classes)}
    if scored.present > 1:
        drawn["ROC curve"] = roc_curve(scored, classes)
        drawn["precision and recall"] = precision_recall(scored, classes)
    drawn["calibration"] = calibration(scored, classes)
    return drawn


def roc_curve(scored: ScoredRows, classes: Sequence[str]) -> bytes:
    """Plot true against false positive rate: the positive class, or each class against the rest."""
    from sklearn import metrics

    drawing, axes = figure()
    for name, colour, truth, scores in _one_against_rest(scored, classes):
        false, true, _ = metrics.roc_curve(truth, scores)
        area = metrics.auc(false, true)
        false, true = thin(false, true)
        axes.plot(false, true, color=colour, linewidth=1.8, label=f"{name}: area {area:.3f}")
    axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="random guess")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    title = f"ROC, {len(scored):,} rows"
    label(axes, title=title, x="false positive rate", y="true positive rate", legend=True)
    return png(drawing)


def precision_recall(scored: ScoredRows, classes: Sequence[str]) -> bytes:
    """Plot precision against recall, with the base rate: the precision of random guessing."""
    from sklearn import metrics

    drawing, axes = figure()
    for name, colour, truth, scores in _one_against_rest(scored, classes):
        precision, recall, _ = metrics.precision_recall_curve(truth, scores)
        average = metrics.average_precision_score(truth, scores)
        precision, recall = thin(precision, recall)
        text = f"{name}: average {average:.3f}"
        axes.step(recall, precision, color=colour, linewidth=1.8, where="post", label=text)
        base = f"base rate {truth.mean():.3f}" if scored.task == "binary" else None
        axes.axhline(truth.mean(), color=colour, linestyle=":", linewidth=1, label=base)
    axes.set(xlim=(-0.01, 1.01), ylim=(0, 1.02))
    title = f"Precision and recall, {len(scored):,} rows"
    label(axes, title=title, x="recall", y="precision", legend=True)
    return png(drawing)


def confusion_matrix(scored: ScoredRows, classes: Sequence[str]) -> bytes:
    """Plot rows by true and predicted class; the colour shows the share of the true class."""
    from sklearn import metrics

    codes = _most_frequent(scored, MAX_CLASSES)
    counts = metrics.confusion_matrix(scored.truth, scored.predicted, labels=range(len(classes)))
    counts = counts[codes][:, codes]
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
    drawing, axes = figure()
    axes.grid(visible=False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 9 if len(codes) <= 5 else 6
    for row, column in ((r, c) for r in range(len(codes)) for c in range(len(codes))):
        colour = "white" if shares[row, column] > 0.55 else INK
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=size)
    names = [one_line(classes[code], 12) for code in codes]
    rotated = {"rotation": 45, "ha": "right"} if len(codes) > 3 else {}
    axes.set_xticks(range(len(codes)), names, parse_math=False, **rotated)
    axes.set_yticks(range(len(codes)), names, parse_math=False)
    more = f" (the {len(codes)} most frequent classes)" if len(codes) < len(classes) else ""
    label(axes, title=f"Confusion matrix{more}", x=_decision(scored), y="actual")
    return png(drawing)


def calibration(scored: ScoredRows, classes: Sequence[str]) -> bytes:
    """Plot observed share against predicted probability, in bins of equal width.

    Both are those of the positive class or, for several classes, of the most likely one.
    """
    import numpy as np

    bins = scored.bins
    drawing, (curve, bars) = figure(nrows=2, height_ratios=[3, 1], sharex=True)
    curve.plot(
        [0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="perfectly calibrated"
    )
    curve.plot(
        bins.given, bins.true, color=BLUE, marker="o", markersize=4, linewidth=1.5, label="model"
    )
    curve.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    bars.bar((np.arange(BINS) + 0.5) / BINS, bins.counts, width=0.9 / BINS, color=BLUE, alpha=0.85)
    bars.set_yscale("log")
    # Powers such as 10³ would be typeset as mathematics, which takes half of the plot's time.
    bars.yaxis.set_major_formatter("{x:,.0f}")
    bars.yaxis.set_minor_formatter("")
    name = one_line(classes[1]) if scored.task == "binary" else "the most likely class"
    title = f"Calibration, {len(scored):,} rows, ECE {bins.error:.3g}"
    label(curve, title=title, y="observed share", legend=True)
    label(bars, x=f"predicted probability of {name}", y="rows (log)")
    return png(drawing)


def _decision(scored: ScoredRows) -> str:
    return (
        f"predicted (threshold {scored.threshold:.3g})" if scored.task == "binary" else "predicted"
    )


def _one_against_rest(
    scored: ScoredRows, classes: Sequence[str]
) -> Iterator[tuple[str, str, NDArray[Any], NDArray[Any]]]:
    """Yield (name, colour, truth, scores) of the positive class, or of each frequent class."""
    codes = [1] if scored.task == "binary" else _most_frequent(scored, MAX_CURVES)
    for code, colour in zip(codes, COLOURS, strict=False):
        truth = scored.truth == code
        if truth.any():
            yield one_line(classes[code]), colour, truth, scored.outputs[:, code]


def _most_frequent(scored: ScoredRows, limit: int) -> list[int]:
    """Return the codes of the classes with the most true rows, in the order of the codes."""
    import numpy as np

    counts = np.bincount(scored.truth, minlength=scored.outputs.shape[1])
    return sorted(int(code) for code in (-counts).argsort(kind="stable")[:limit])
