"""How well each input alone tells the target, on training rows that it was not fitted on.

What the target is for each name, or in each stretch of numbers, is learned from one half of the
rows and asked of the other. No scikit-learn: its import alone costs 1 s.

Which value of an input comes with one rare class only, however few rows have it.

A threshold of a measured quantity may be as sure, such as too much power for a machine: that is
physics. So of numbers only these are looked at: either of two values, being missing, and being
another one than the one that most rows have. Of names, each.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from factory_assets.data.leakage.encoding import coded, counted, is_named, is_regressed, ranks, word
from factory_assets.results.data import Implied

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_assets.data.leakage.encoding import Codes


_FEWEST = 100
"""Training rows, below which nothing is said."""

_CLASSES = 20
"""So many of the most frequent classes are looked at."""

_AUC, _HONEST = 0.99, 0.975
"""Telling almost alone, and the best that a measurement of the known data sets reaches (breast
cancer's worst perimeter): a leak must surely be beyond that."""

_R2 = 0.98

_SURE = 1.645
"""Standard errors of a one-sided 95 % bound."""


@dataclass(frozen=True)
class Power:
    """What the inputs tell of the target; see `Leaks`."""

    measure: Literal["AUC", "R²"]
    limit: float | None = None
    of: dict[str, float] = field(default_factory=dict)
    implied: dict[str, Implied] = field(default_factory=dict)


def powers(table: pa.Table, target: str, task: str | None) -> Power:
    """Look at each column but the target.

    Args:
        table: training rows, in an order that chance made: every second one is held back.
        target: a column without a missing value.
        task: as declared.
    """
    inputs = [name for name in table.column_names if name != target]
    if not is_regressed(table[target], task):
        return _of_classes(table, inputs, target)
    if table.num_rows < _FEWEST:
        return Power("R²")
    place = ranks(table[target].cast("float64", safe=False).to_numpy())
    found = {}
    for name in inputs:
        codes = coded(table[name])
        if codes is not None:
            found[name] = round(_explained(codes, place), 4)
    return Power("R²", _R2, found)


def _of_classes(table: pa.Table, inputs: list[str], target: str) -> Power:
    import numpy as np

    classes, values = counted(table[target])
    names = [word(value) for value in values]
    counts = np.bincount(classes, minlength=len(names))
    limits = {
        int(code): auc_limit(int(counts[code]), table.num_rows)
        for code in np.argsort(-counts, kind="stable")[:_CLASSES]
    }
    clear = {code: limit for code, limit in limits.items() if limit is not None}
    power, implied = {}, {}
    for name in inputs:
        codes = coded(table[name])
        if codes is None:
            continue
        if clear:
            power[name] = round(_separated(codes, classes, len(names), list(clear)), 4)
        if found := implication(table[name], classes, names):
            implied[name] = found
    return Power("AUC", max(clear.values(), default=None), power, implied)


def auc_limit(of_class: int, rows: int) -> float | None:
    """From which AUC an input is surely better than an honest one; None with too few rows.

    By the standard error that Hanley and McNeil (1982) give for the honest one.
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
    """R² of the mean rank that the same code has in the other half."""
    import numpy as np

    error, width = 0.0, int(codes.max()) + 1
    for half in (0, 1):
        fit, held = slice(half, None, 2), slice(1 - half, None, 2)
        rows = np.bincount(codes[fit], minlength=width)
        sums = np.bincount(codes[fit], place[fit], minlength=width)
        means = np.where(rows > 0, sums / np.maximum(rows, 1), 0.5)
        error += float(((place[held] - means[codes[held]]) ** 2).sum())
    return 1 - error / float(((place - place.mean()) ** 2).sum())


def _separated(codes: Codes, classes: Codes, width: int, wanted: list[int]) -> float:
    """The AUC of the wanted class that is told least well, the mean of both halves."""
    import numpy as np

    # Codes may have gaps, and a column of many names is counted by those that there are.
    _, codes = np.unique(codes, return_inverse=True)
    levels = int(codes.max()) + 1
    first, second = (
        np.bincount(codes[half::2] * width + classes[half::2], minlength=levels * width)
        .reshape(levels, width)
        .astype(float)
        for half in (0, 1)
    )
    return min((_auc(first, second, c) + _auc(second, first, c)) / 2 for c in wanted)


def _auc(fit: NDArray[np.float64], held: NDArray[np.float64], code: int) -> float:
    """From rows by [value, class]: values are ranked by one half, and the other half is judged."""
    import numpy as np

    rows = fit.sum(axis=1)
    base = fit[:, code].sum() / rows.sum()
    score = np.where(rows > 0, fit[:, code] / np.maximum(rows, 1), base)
    _, place = np.unique(score, return_inverse=True)
    hits = np.bincount(place, held[:, code])
    others = np.bincount(place, held.sum(axis=1) - held[:, code])
    pairs = hits.sum() * others.sum()
    won = ((np.cumsum(others) - others / 2) * hits).sum()
    return float(won / pairs) if pairs else 0.5


_RARE = 0.25
"""A class of at most this share of the rows is given away ..."""

_PURE, _BOUND, _QUANTILE = 0.99, 0.85, 1.645
"""... by a value of whose rows this share is of it, and by a one-sided 95 % bound the other."""

_LEVELS = 20


def implication(column: pa.ChunkedArray, classes: Codes, names: list[str]) -> Implied | None:
    """The value of most rows that comes with one rare class only.

    Args:
        classes: of each row, as a place in `names`.
    """
    import numpy as np

    totals = np.bincount(classes, minlength=len(names))
    found = []
    for value, rows in _values(column):
        of_class = np.bincount(classes[rows], minlength=len(names))
        code, count = int(np.argmax(of_class)), int(rows.sum())
        hits, share = int(of_class[code]), float(totals[code]) / len(classes)
        if share <= _RARE and gives_away(hits, count):
            found.append(
                Implied(value=value, target=names[code], hits=hits, rows=count, share=share)
            )
    return max(found, key=lambda one: one.rows, default=None)


def gives_away(hits: int, rows: int) -> bool:
    """Whether nearly all rows are hits, and there are enough of them; by Wilson's lower bound."""
    if not rows or hits / rows < _PURE:
        return False
    z2, share = _QUANTILE**2, hits / rows
    spread = _QUANTILE * (share * (1 - share) / rows + z2 / (4 * rows**2)) ** 0.5
    return bool((share + z2 / (2 * rows) - spread) / (1 + z2 / rows) >= _BOUND)


def _values(column: pa.ChunkedArray) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """What a row may be, in words, and which rows are."""
    import numpy as np

    codes, values = counted(column)
    counts = np.bincount(codes, minlength=len(values) + 1)
    missing, most = len(values), int(np.argmax(counts))
    if counts[missing]:
        yield "is missing", codes == missing
    if len(values) <= (_LEVELS if is_named(column) else 2):
        for code, value in enumerate(values):
            yield f"is {word(value)}", codes == code
    elif counts[most] >= len(codes) / 2:
        yield "is there" if most == missing else f"is not {word(values[most])}", codes != most
