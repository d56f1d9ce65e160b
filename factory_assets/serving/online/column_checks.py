"""The contract of a model's columns, checked on arrays: all rows of a request at once.

As in `row_schema`, what does not certainly satisfy it is left to the engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from factory_assets.serving.online.row_schema import EXACT, RowSchema
from factory_resources.sql.scalar.values import UndecidedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Values = NDArray[Any] | list[str | None]


@dataclass(frozen=True)
class ColumnChecks:
    """The contract of the numeric columns as arrays, [columns, 1] each."""

    schema: RowSchema
    numeric: tuple[int, ...]
    """Positions of the columns that do not come as text."""
    textual: tuple[int, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    required: NDArray[np.bool_]
    whole: NDArray[np.bool_]

    @classmethod
    def of(cls, schema: RowSchema) -> ColumnChecks:
        """Build the arrays of a contract."""
        import numpy as np

        kinds = schema.kinds
        numeric = tuple(i for i in range(len(kinds)) if i not in schema.texts)
        bounds = [
            (0, 1) if kinds[i] == "BOOLEAN" else schema.columns[i].range or (None, None)
            for i in numeric
        ]

        def side(values: Sequence[Any], otherwise: float) -> NDArray[np.float64]:
            return np.array([otherwise if v is None else float(v) for v in values])[:, None]

        return cls(
            schema=schema,
            numeric=numeric,
            textual=schema.texts,
            low=np.maximum(side([low for low, _ in bounds], -math.inf), 1 - EXACT),
            high=np.minimum(side([high for _, high in bounds], math.inf), EXACT - 1),
            required=np.array([not schema.columns[i].nullable for i in numeric], bool),
            whole=np.array([kinds[i] == "BIGINT" for i in numeric], bool),
        )

    def checked(
        self, given: Mapping[str, Values], rows: int
    ) -> tuple[NDArray[np.float64], list[list[str | None]]]:
        """Return the values of the numeric columns, [columns, rows], and those of the texts.

        Raises:
            UndecidedError: a column is missing, or only the engine may decide about a value.
        """
        import numpy as np

        columns = self.schema.columns
        block = np.empty((len(self.numeric), rows))
        for place, i in enumerate(self.numeric):
            values = given.get(columns[i].source_name)
            if values is None or isinstance(values, list):
                raise UndecidedError
            if (values.dtype.kind == "b") != (self.schema.kinds[i] == "BOOLEAN"):
                raise UndecidedError
            block[place] = values
            if self.schema.missing[i]:
                block[place][np.isin(block[place], [*self.schema.missing[i]])] = np.nan
            if (allowed := columns[i].values) is not None:
                known = np.isin(block[place], np.array(allowed, dtype=np.float64))
                if not (known | np.isnan(block[place])).all():
                    raise UndecidedError
        # A comparison with NaN is false.
        if ((block < self.low) | (block > self.high)).any():
            raise UndecidedError
        if np.isnan(block[self.required]).any():
            raise UndecidedError
        present = block[self.whole]
        if (present != np.floor(present))[~np.isnan(present)].any():
            raise UndecidedError
        return block, [self._texts(given, i) for i in self.textual]

    def _texts(self, given: Mapping[str, Values], position: int) -> list[str | None]:
        column = self.schema.columns[position]
        values = given.get(column.source_name)
        if not isinstance(values, list):
            raise UndecidedError
        # Like other spellings of a missing value, an allowed one is left to the engine.
        tokens = self.schema.tokens[position]
        allowed = None if column.values is None else {*column.values} - tokens
        check = dict(self.schema.checks).get(position)
        checked: list[str | None] = []
        for value in values:
            if value is None:
                if not column.nullable:
                    raise UndecidedError
            elif allowed is not None and value not in allowed:
                raise UndecidedError
            checked.append(check(value) if check else value)
        return checked

    def as_rows(
        self, block: NDArray[np.float64], texts: Sequence[Sequence[str | None]]
    ) -> list[tuple[Any, ...]]:
        """Return checked columns as rows in the order of the schema."""
        columns: list[Sequence[Any]] = [()] * len(self.schema.columns)
        for place, i in enumerate(self.numeric):
            kind = self.schema.kinds[i]
            convert = {"BIGINT": int, "BOOLEAN": bool}.get(kind, float)
            cells = block[place].tolist()
            columns[i] = [None if value != value else convert(value) for value in cells]
        for values, i in zip(texts, self.textual, strict=True):
            columns[i] = values
        return list(zip(*columns, strict=True))
