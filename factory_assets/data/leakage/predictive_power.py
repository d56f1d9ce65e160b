"""Measure how well each input alone predicts the target, and which values give a class away.

The target for each name, or each interval of numbers, is learned from one half of the training rows
and predicted in the other. scikit-learn is not used: its import alone costs 1 s.

A value gives a rare class away if it occurs with that class only, however few rows have it. A
threshold of a measured quantity may be just as certain, such as too much power for a machine: that
is physics, not a leak. So of numbers only these conditions are tested: each of two values, being
missing, and differing from the value of most rows. Of names, each value is tested.

Which measurements count as leaks belongs in `policy`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from factory_assets.data.leakage.encoding import (
    encode,
    encode_names,
    is_named,
    is_regressed,
    ranks,
    value_text,
)
from factory_assets.results.data import Implied

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_assets.data.leakage.encoding import Codes


_FEWEST = 100
"""Fewest training rows with which an input is judged."""

_CLASSES = 20
"""Number of classes that are judged, the most frequent ones."""

_AUC, _HONEST = 0.99, 0.975
"""AUC of an input that almost decides the class alone, and the best AUC of a legitimate input in
known data sets (breast cancer's worst perimeter): a leak must be significantly above that."""

_R2 = 0.98
"""R² of an input that almost decides a number alone."""

_SURE = 1.645
"""Standard errors of a one-sided 95 % bound."""


@dataclass(frozen=True)
class Power:
    """How well the inputs predict the target; the fields are explained in `Leaks`."""

    measure: Literal["AUC", "R²"]
    limit: float | None = None
    of: dict[str, float] = field(default_factory=dict)
    implied: dict[str, Implied] = field(default_factory=dict)


def measure_power(table: pa.Table, target: str, task: str | None) -> Power:
    """Measure every column other than the target.

    Args:
        table: training rows in random order; every second one is held out.
        target: the name of a column without missing values.
        task: the declared task; None to infer it from the target.
    """
    inputs = [name for name in table.column_names if name != target]
    if not is_regressed(table[target], task):
        return _of_classes(table, inputs, target)
    if table.num_rows < _FEWEST:
        return Power("R²")
    place = ranks(table[target].cast("float64", safe=False).to_numpy())
    power = {}
    for name in inputs:
        codes = encode(table[name])
        if codes is not None:
            power[name] = round(_explained(codes, place), 4)
    return Power("R²", _R2, power)


def _of_classes(table: pa.Table, inputs: list[str], target: str) -> Power:
    import numpy as np

    classes, values = encode_names(table[target])
    names = [value_text(value) for value in values]
    counts = np.bincount(classes, minlength=len(names))
    limits = {
        int(code): auc_limit(int(counts[code]), table.num_rows)
        for code in np.argsort(-counts, kind="stable")[:_CLASSES]
    }
    judged = {code: limit for code, limit in limits.items() if limit is not None}
    power, implied = {}, {}
    for name in inputs:
        codes = encode(table[name])
        if codes is None:
            continue
        if judged:
            power[name] = round(_separated(codes, classes, len(names), list(judged)), 4)
        if found := implication(table[name], classes, names):
            implied[name] = found
    return Power("AUC", max(judged.values(), default=None), power, implied)


def auc_limit(of_class: int, rows: int) -> float | None:
    """Return the AUC from which an input is a leak; None with too few rows.

    It is significantly above the best legitimate AUC, by the standard error that Hanley and McNeil
    (1982) give for the latter.

    Args:
        of_class: the number of rows of the class.
        rows: the number of all rows.
    """
    others = rows - of_class
    if rows < _FEWEST or not of_class or not others:
        return None
    a = _HONEST
    one, two = a / (2 - a) - a**2, 2 * a**2 / (1 + a) - a**2
    variance = (a * (1 - a) + (of_class - 1) * one + (others - 1) * two) / (of_class * others)
    beyond = a + _SURE * float(variance**0.5)
    return max(_AUC, beyond) if beyond < 1 else None


def _explained(codes: Codes, place: NDArray[np.float64]) -> float:
    """Return the R² of predicting ranks by the mean rank of the same code in the other half.

    If all ranks are the same, as in a sample without the few losses, nothing can be explained.
    """
    import numpy as np

    if place.min() == place.max():
        return 0.0
    error, width = 0.0, int(codes.max()) + 1
    for half in (0, 1):
        fit, held_out = slice(half, None, 2), slice(1 - half, None, 2)
        rows = np.bincount(codes[fit], minlength=width)
        sums = np.bincount(codes[fit], place[fit], minlength=width)
        means = np.where(rows > 0, sums / np.maximum(rows, 1), 0.5)
        error += float(((place[held_out] - means[codes[held_out]]) ** 2).sum())
    return 1 - error / float(((place - place.mean()) ** 2).sum())


def _separated(codes: Codes, classes: Codes, width: int, wanted: list[int]) -> float:
    """Return the AUC, averaged over both halves, of the wanted class that is separated worst."""
    import numpy as np

    # Codes may have gaps; only those that occur are counted.
    _, codes = np.unique(codes, return_inverse=True)
    levels = int(codes.max()) + 1
    first, second = (
        np.bincount(codes[half::2] * width + classes[half::2], minlength=levels * width)
        .reshape(levels, width)
        .astype(float)
        for half in (0, 1)
    )
    return min((_auc(first, second, c) + _auc(second, first, c)) / 2 for c in wanted)


def _auc(fit: NDArray[np.float64], held_out: NDArray[np.float64], code: int) -> float:
    """Return the AUC of a class: one half of the rows ranks the values, the other is judged.

    Args:
        fit: rows by [value, class] in the half that ranks.
        held_out: the same of the half that is judged.
        code: the column of the class.
    """
    import numpy as np

    rows = fit.sum(axis=1)
    base = fit[:, code].sum() / rows.sum()
    score = np.where(rows > 0, fit[:, code] / np.maximum(rows, 1), base)
    _, place = np.unique(score, return_inverse=True)
    hits = np.bincount(place, held_out[:, code])
    others = np.bincount(place, held_out.sum(axis=1) - held_out[:, code])
    pairs = hits.sum() * others.sum()
    won = ((np.cumsum(others) - others / 2) * hits).sum()
    return float(won / pairs) if pairs else 0.5


_RARE = 0.5
"""A class counts as rare if it has at most this part of an equal share of the rows: a quarter of
them if there are two classes. Of thirty species, each is one in thirty, and one alone may have
needles."""

_PURE, _BOUND, _QUANTILE = 0.99, 0.85, 1.645
"""Smallest share of a value's rows that are of the class, smallest one-sided 95 % lower bound of
that share, and the quantile of the bound."""

_LEVELS = 20
"""Largest number of different names that are tested one by one."""


def implication(column: pa.ChunkedArray, classes: Codes, names: list[str]) -> Implied | None:
    """Return the most frequent condition that gives a rare class away; None if there is none.

    Args:
        classes: the class of each row, as an index into `names`.
    """
    import numpy as np

    totals = np.bincount(classes, minlength=len(names))
    most = _RARE / len(names)
    candidates = []
    for value, rows in _conditions(column):
        of_class = np.bincount(classes[rows], minlength=len(names))
        code, count = int(np.argmax(of_class)), int(rows.sum())
        hits, share = int(of_class[code]), float(totals[code]) / len(classes)
        if share <= most and gives_away(hits, count):
            candidates.append(
                Implied(value=value, target=names[code], hits=hits, rows=count, share=share)
            )
    return max(candidates, key=lambda one: one.rows, default=None)


def gives_away(hits: int, rows: int) -> bool:
    """Return whether nearly all rows are hits, and enough of them by Wilson's lower bound."""
    if not rows or hits / rows < _PURE:
        return False
    z2, share = _QUANTILE**2, hits / rows
    spread = _QUANTILE * (share * (1 - share) / rows + z2 / (4 * rows**2)) ** 0.5
    return bool((share + z2 / (2 * rows) - spread) / (1 + z2 / rows) >= _BOUND)


def _conditions(column: pa.ChunkedArray) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each condition to test, in words, with the rows that satisfy it."""
    import numpy as np

    codes, values = encode_names(column)
    counts = np.bincount(codes, minlength=len(values) + 1)
    missing, most = len(values), int(np.argmax(counts))
    if counts[missing]:
        yield "is missing", codes == missing
    if len(values) <= (_LEVELS if is_named(column) else 2):
        for code, value in enumerate(values):
            yield f"is {value_text(value)}", codes == code
    elif counts[most] >= len(codes) / 2:
        yield "is there" if most == missing else f"is not {value_text(values[most])}", codes != most
