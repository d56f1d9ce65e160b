"""Inputs that `clean.derive` reads from texts, such as 28,5 or 31.12.24.

Nobody can compare such texts: nearly all are different, and each day has other ones. Which inputs
are watched is decided in `watched`.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.data.transforms.narrowing import narrowed_cleaning
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_resources.home.home import Home
from factory_resources.sql.engine import engine_errors, identifier, sealed
from factory_resources.sql.expressions import parse

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class DerivedExpression:
    """A column of `clean.derive` that the inputs need."""

    name: str
    sql: str
    reads: frozenset[str]
    """The source columns that it is computed from, in lower case."""


@dataclass(frozen=True)
class AnsweredDerivations:
    """Columns that are computed from answered rows as they were from the training rows."""

    columns: tuple[DerivedExpression, ...]
    """In the order of the declaration: each sees those before it."""
    rows: pa.Schema
    """The columns of the training rows."""
    home: Home

    def apply(self, table: pa.Table) -> pa.Table:
        """Return answered rows with these columns.

        Raises:
            ExpressionError: an expression fails on a value.
            StorageError: the disk cannot be written.
        """
        query = "FROM answered"
        for column in self.columns:
            query = f"SELECT *, ({column.sql}\n) AS {identifier(column.name)} FROM ({query})"
        with (
            self.home.scratch() as scratch,
            sealed(read=[], write=scratch) as connection,
            engine_errors("clean.derive"),
        ):
            connection.register("answered", self._typed(table))
            return connection.sql(query).to_arrow_table()

    def _typed(self, table: pa.Table) -> pa.Table:
        """Return the rows with the types that the expressions saw in training."""
        import pyarrow as pa

        for place, name in enumerate(table.column_names):
            type_ = self.rows.field(name).type
            if pa.types.is_integer(type_) or pa.types.is_boolean(type_):
                values = _whole(table[name])
                if values is not None:
                    table = table.set_column(place, name, values.cast(type_, safe=False))
        return table


def _whole(values: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """Return whole numbers; None if there are fractions, with which expressions may calculate."""
    import pyarrow as pa
    import pyarrow.compute as pc

    whole = pc.cast(values, pa.int64(), safe=False)
    is_same = pc.all(pc.equal(pc.cast(whole, pa.float64()), values)).as_py()
    return whole if is_same is not False else None


def derived_columns(model: OnnxModel, readable: Collection[str]) -> tuple[DerivedExpression, ...]:
    """Return the derived columns that can be computed from what the log shows.

    Args:
        readable: the source columns whose values can be read, in lower case.
    """
    found: dict[str, DerivedExpression] = {}
    for name, sql in narrowed_cleaning(model).derive.items():
        named = {one.lower() for one in parse(sql, name).columns}
        if named <= {*readable, *found}:
            reads = (found[one].reads if one in found else {one} for one in named)
            found[name.lower()] = DerivedExpression(name, sql, frozenset().union(*reads))
    return tuple(found.values())


def needed_for(
    names: Collection[str], columns: tuple[DerivedExpression, ...]
) -> tuple[DerivedExpression, ...]:
    """Return these columns and those before them that they are computed from."""
    wanted = {name.lower() for name in names}
    kept: list[DerivedExpression] = []
    for column in reversed(columns):
        if column.name.lower() in wanted:
            wanted |= {one.lower() for one in parse(column.sql, column.name).columns}
            kept.append(column)
    return tuple(reversed(kept))
