"""Score rows once more, as if one input after the other were missing; many inputs at once.

What an answer says of it belongs in `answers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.onnx_model import OnnxModel

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    Compared = Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]
    """For each input: the outputs of the rows as they are, and if it were missing. Both
    come from runs of as many rows, so that an input without effect changes nothing."""

_AT_ONCE = 512
"""Rows of a run: with a thousand inputs, a run for each would take a minute. Where the rows alone
are so many, a run for each input is right, and what they are is computed once."""


def in_feed(
    model: OnnxModel, feed: Mapping[str, NDArray[Any]], rows: int, names: Sequence[str]
) -> Compared:
    """Yield the outputs for arrays as the graph reads them, and those without each input."""
    import numpy as np

    if rows >= _AT_ONCE:
        as_is = model.run(feed)
        for name in names:
            missing = "" if feed[name].dtype == object else np.nan
            yield as_is, model.run({**feed, name: np.full_like(feed[name], missing)})
        return
    for some in _parts(names, rows):
        copied = {name: np.concatenate([cells] * (1 + len(some))) for name, cells in feed.items()}
        for place, name in enumerate(some, 1):
            cells = copied[name]
            cells[place * rows : (place + 1) * rows] = "" if cells.dtype == object else np.nan
        yield from _compared(model.run(copied), rows)


def in_table(
    model: OnnxModel, table: pa.Table, wanted: NDArray[np.int64], names: Sequence[str]
) -> Compared:
    """Yield the outputs for rows of a table, and those without each input."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if model.series or len(wanted) >= _AT_ONCE:
        # Of a series, rows of a unit are read together, and copies would belong to it.
        as_is = model.outputs(table, wanted)
        for name in names:
            yield as_is, model.outputs(_without(table, name), wanted)
        return
    chosen, rows = table.take(wanted), len(wanted)
    for some in _parts(names, rows):
        copied = chosen.take(np.tile(np.arange(rows), 1 + len(some)))
        owners = np.repeat(np.arange(1 + len(some)), rows)
        for place, name in enumerate(some, 1):
            kept = pc.if_else(pa.array(owners != place), copied[name], None)
            copied = copied.set_column(copied.column_names.index(name), name, kept)
        yield from _compared(model.outputs(copied), rows)


def _without(table: pa.Table, name: str) -> pa.Table:
    import pyarrow as pa

    absent = pa.nulls(table.num_rows, table.schema.field(name).type)
    return table.set_column(table.column_names.index(name), name, absent)


def _parts(names: Sequence[str], rows: int) -> Iterator[Sequence[str]]:
    many = _AT_ONCE // rows
    return (names[start : start + many] for start in range(0, len(names), many))


def _compared(outputs: NDArray[np.float64], rows: int) -> Compared:
    as_is = outputs[:rows]
    for start in range(rows, len(outputs), rows):
        yield as_is, outputs[start : start + rows]
