"""Which value of an input comes with one rare class only, however few rows have it.

A threshold of a measured quantity may be as sure, such as too much power for a machine: that is
physics. So of numbers only these are looked at: either of two values, being missing, and being
another one than the one that most rows have. Of names, each.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from factory_assets.results.data import Implied
from factory_assets.stages.leaks_codes import counted, is_named, word

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from factory_assets.stages.leaks_codes import Codes

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
