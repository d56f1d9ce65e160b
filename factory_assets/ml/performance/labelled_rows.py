"""Rows with inputs, outputs and truth, and their encoding for the models that estimate performance.

These models only weigh rows and predict errors; the encoding of a served model belongs in
`ml/features/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.columns import (
    is_number,
    is_text,
    read_categories,
    read_numbers,
    require_columns,
)
from factory_assets.spec.train import Task
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Labelled:
    """Rows whose truth is known, such as the test rows of an evaluation."""

    inputs: pa.Table
    """Columns of numbers and texts, with nulls; columns of other types are not read."""
    outputs: NDArray[np.float64]
    """Probabilities [rows, classes], or predictions [rows]."""
    truth: NDArray[Any]
    """Class codes, int64 [rows]; or numbers, float64 [rows]."""
    multiclass: bool = False
    """Whether two classes are judged as several are, as `train.task` may declare."""

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def task(self) -> Task:
        return task_of(self.outputs, multiclass=self.multiclass)

    def require_whole(self) -> None:
        """Raise DataError if lengths differ, or a true class or number is not known."""
        if not self.inputs.num_rows == len(self.outputs) == len(self.truth):
            raise DataError(
                f"{self.inputs.num_rows} inputs, {len(self.outputs)} outputs and {len(self.truth)} "
                "true values are not of the same rows",
                remedy="pass one of each for every row",
            )
        if bad := int((~known_truth(self.truth, self.outputs)).sum()):
            raise DataError(
                f"{bad} true values are missing, or of a class that the model does not know",
                remedy="leave these rows out, or train the model again",
            )


@dataclass(frozen=True)
class EncodedRows:
    """Rows as numbers: inputs, then outputs."""

    inputs: NDArray[np.float32]
    """[rows, inputs + outputs], NaN if missing."""
    outputs: NDArray[np.float64]
    """[rows, classes] or [rows]."""
    multiclass: bool = False
    """As of `Labelled`."""

    def __len__(self) -> int:
        return len(self.outputs)

    @property
    def task(self) -> Task:
        return task_of(self.outputs, multiclass=self.multiclass)

    def take(self, rows: NDArray[Any]) -> EncodedRows:
        """Select rows by indices or by a mask [rows]."""
        return EncodedRows(self.inputs[rows], self.outputs[rows], self.multiclass)


@dataclass(frozen=True)
class RowEncoder:
    """Encodes columns by what reference rows had in them."""

    numbers: tuple[str, ...]
    categories: Mapping[str, Mapping[str, int]]
    """Column to code of each value; a value that no reference row had gets the code after them."""

    @classmethod
    def fit(cls, table: pa.Table) -> RowEncoder:
        """Learn the columns and the values of their categories, frequent ones first."""
        import pyarrow.types as types

        kinds = {name: table.schema.field(name).type for name in table.column_names}
        return cls(
            tuple(n for n, kind in kinds.items() if is_number(kind) or types.is_boolean(kind)),
            {n: _codes(table, n) for n, kind in kinds.items() if is_text(kind)},
        )

    def encode(self, table: pa.Table, outputs: NDArray[Any]) -> EncodedRows:
        """Encode rows with their outputs, [rows, classes] or [rows].

        Raises:
            DataError: a column is missing or holds values of another type.
        """
        import numpy as np

        require_columns(table, [*self.numbers, *self.categories])
        exact = np.asarray(outputs, dtype=np.float64)
        columns = [read_numbers(table, name) for name in self.numbers]
        for name, codes in self.categories.items():
            encoded = read_categories(table, name)
            words = encoded.dictionary.to_pylist()
            lookup = np.array([*(codes.get(w, len(codes)) for w in words), np.nan], np.float32)
            rows = encoded.indices.fill_null(len(words)).to_numpy(zero_copy_only=False)
            columns.append(lookup[rows])
        # The probabilities of two classes say the same.
        shown = exact[:, 1:] if exact.ndim == 2 else exact[:, None]
        inputs = np.column_stack([*columns, shown]).astype(np.float32)
        return EncodedRows(inputs, exact)


def task_of(outputs: NDArray[Any], *, multiclass: bool = False) -> Task:
    if outputs.ndim == 1:
        return "regression"
    return "binary" if outputs.shape[1] == 2 and not multiclass else "multiclass"


def known_truth(truth: NDArray[Any], outputs: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each row whether the true value is a number, or a class that has an output."""
    import numpy as np

    numbers = outputs.ndim == 1
    known: NDArray[np.bool_] = (
        np.isfinite(truth) if numbers else (truth >= 0) & (truth < outputs.shape[1])
    )
    return known


def _codes(table: pa.Table, name: str) -> dict[str, int]:
    from collections import Counter

    encoded = read_categories(table, name)
    words = encoded.dictionary.to_pylist()
    counts = Counter(encoded.indices.drop_null().to_pylist())
    ranked = sorted(counts, key=lambda index: (-counts[index], words[index]))
    return {words[index]: code for code, index in enumerate(ranked)}
