"""The columns that are watched, and their rows as numbers: categories as codes, missing as NaN.

What is computed from the numbers belongs in the other modules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MAX_CATEGORIES = 20
"""Categories of a column that have a code of their own; all others share code 0."""


@dataclass(frozen=True)
class WatchedColumn:
    """A column of the rows that a model answers, or one of its outputs."""

    name: str
    kind: Literal["number", "category"]
    role: Literal["input", "output"] = "input"


Categories = tuple[str, ...]
"""Names of categories, rare ones first: the name at index i has code i + 1. Empty for numbers."""


def learn_categories(table: pa.Table, columns: Sequence[WatchedColumn]) -> tuple[Categories, ...]:
    """Return the categories of each column, which these rows alone decide.

    The order, from rare to frequent, makes ranks of codes meaningful: what was never seen has the
    lowest rank.

    Raises:
        DataError: a column is missing or of another kind.
    """
    learned = []
    for column in columns:
        if column.kind == "number":
            learned.append(())
            continue
        counted = _texts(table, column).drop_null().value_counts().to_pylist()
        ordered = sorted((one["counts"], one["values"]) for one in counted)
        learned.append(tuple(name for _, name in ordered[-MAX_CATEGORIES:]))
    return tuple(learned)


def read_rows(
    table: pa.Table, columns: Sequence[WatchedColumn], categories: Sequence[Categories]
) -> NDArray[np.float64]:
    """Return [rows, columns]: numbers as they are, categories as codes, NaN if missing.

    Raises:
        DataError: a column is missing or of another kind.
    """
    import numpy as np

    rows = np.empty((table.num_rows, len(columns)))
    for index, (column, names) in enumerate(zip(columns, categories, strict=True)):
        read = _numbers(table, column) if column.kind == "number" else _codes(table, column, names)
        rows[:, index] = read
    return rows


def take_rows(
    table: pa.Table, columns: Sequence[WatchedColumn], rows: NDArray[np.int64]
) -> pa.Table:
    """Return the rows at these places, of the watched columns that there are."""
    given = set(table.column_names)
    names = [column.name for column in columns if column.name in given]
    return table.select(names).take(rows)


def _numbers(table: pa.Table, column: WatchedColumn) -> NDArray[np.float64]:
    import pyarrow as pa

    try:
        # Without this step, a column of text that looks like numbers would pass.
        numbers = _column(table, column).cast(pa.float64(), safe=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _wrong_kind(table, column) from None
    values: NDArray[np.float64] = numbers.to_numpy()
    return values


def _codes(table: pa.Table, column: WatchedColumn, names: Categories) -> NDArray[np.float64]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = _texts(table, column)
    codes = pc.index_in(texts, value_set=pa.array(names, pa.string()), skip_nulls=True)
    known = codes.fill_null(-1).to_numpy() + 1.0
    return np.where(texts.is_null().to_numpy(), np.nan, known)


def _texts(table: pa.Table, column: WatchedColumn) -> pa.ChunkedArray:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = _column(table, column)
    missing = pc.is_null(values, nan_is_null=True)
    try:
        texts = values.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise _wrong_kind(table, column) from None
    return pc.if_else(missing, pa.scalar(None, pa.string()), texts)


def _column(table: pa.Table, column: WatchedColumn) -> pa.ChunkedArray:
    if column.name not in table.column_names:
        raise DataError(
            f"the rows have no column {column.name!r}",
            remedy=f"their columns are {', '.join(table.column_names)}",
        )
    return table[column.name]


def _wrong_kind(table: pa.Table, column: WatchedColumn) -> DataError:
    return DataError(
        f"column {column.name!r} is of type {table[column.name].type}, not a {column.kind}",
        remedy="watch it as the other kind, or leave it out",
    )
