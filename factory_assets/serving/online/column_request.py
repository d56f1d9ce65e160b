"""Rows that come as arrays, one per column.

The contract is checked in `column_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from factory_assets.serving.online.served_model import ScoredRequest, ServedModel
from factory_resources.prediction_log.logged_rows import plain_cells
from factory_resources.sql.scalar.values import UndecidedError

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class ColumnRequest:
    """Rows by column: numbers and booleans as arrays, texts as lists."""

    columns: Mapping[str, NDArray[Any] | list[Any]]
    """By the name of the source; NaN and None if missing."""
    rows: int

    def __len__(self) -> int:
        return self.rows

    def score(self, served: ServedModel) -> ScoredRequest:
        """Score the rows without the engine.

        Raises:
            UndecidedError: only the engine may decide.
        """
        compiled = served.compiled
        if compiled is None:
            raise UndecidedError
        checks = served.column_checks
        assert checks is not None
        block, texts = checks.checked(self.columns, self.rows)
        if not compiled.takes_columns:
            return served.score_compiled(checks.as_rows(block, texts))
        return served.score_feed(compiled.feed_block(block, texts), self.rows)

    def objects(self) -> Sequence[Mapping[str, Any]]:
        """Return the rows as JSON objects."""
        lists = [_as_list(values) for values in self.columns.values()]
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*lists, strict=True)]

    def logged(self, served: ServedModel) -> bytes:
        """Return the needed columns and the keys."""
        needed = {column.source_name for column in served.columns}
        logged = {n: cells for n, cells in self.columns.items() if n in needed}
        for key in served.keys:
            if (cells := self.columns.get(key.source_name)) is not None:
                logged[key.source_name] = [*map(key.cell, _as_list(cells))]
        return encode_columns(logged)


def _as_list(values: NDArray[Any] | list[str | None]) -> list[Any]:
    return values if isinstance(values, list) else plain_cells(values)


def encode_columns(columns: Mapping[str, NDArray[Any] | list[Any]]) -> bytes:
    """Return columns in MessagePack: arrays as their bytes, lists as they are.

    `factory_resources.prediction_log.logged_rows` reads them.
    """
    lists = {name: cells for name, cells in columns.items() if isinstance(cells, list)}
    arrays = {
        name: (cells.dtype.str, cells.tobytes())
        for name, cells in columns.items()
        if not isinstance(cells, list)
    }
    return msgspec.msgpack.encode({"arrays": arrays, "lists": lists})
