"""The inputs of a model that are watched: how logged values become those of the training rows.

Which of them drifted is found in `ml.drift`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from factory_assets.data.contract.sql_types import is_number
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.monitoring.derived_inputs import (
    AnsweredDerivations,
    DerivedExpression,
    derived_columns,
    needed_for,
)
from factory_assets.serving.edge.score import double, json_text
from factory_assets.spec import Column
from factory_resources.home.home import Home
from factory_resources.prediction_log.protection import Protection, is_protected
from factory_resources.sql.engine import identifier, sealed
from factory_resources.sql.spelling import unified_sql

if TYPE_CHECKING:
    import pyarrow as pa

Kind = Literal["number", "category"]

_BOOLEANS = MappingProxyType({"true": 1.0, "false": 0.0})


@dataclass(frozen=True)
class WatchedInput:
    """A column of the contract that the model reads, or one that is derived from texts."""

    name: str
    source: str
    """Its name in requests; a derived column is in none."""
    kind: Kind
    missing: frozenset[str]
    """Texts that mean a missing value."""
    sensitive: bool = False


@dataclass(frozen=True)
class UnifiedColumns:
    """The columns whose spellings are one in the training rows, by `clean.unify`."""

    names: tuple[str, ...]
    home: Home

    def apply(self, table: pa.Table) -> pa.Table:
        """Return answered rows, in which these columns have one spelling too.

        Raises:
            StorageError: the disk cannot be written.
        """
        cells = (f"{unified_sql(identifier(n))} AS {identifier(n)}" for n in self.names)
        with self.home.scratch() as scratch, sealed(read=[], write=scratch) as connection:
            connection.register("answered", table)
            unified = connection.sql(f"SELECT * REPLACE ({', '.join(cells)}) FROM answered")
            return unified.to_arrow_table()


@dataclass(frozen=True)
class WatchedInputs:
    """The watched columns of one model.

    Args:
        protection: reveals values that were encrypted; None if there are none.
    """

    columns: tuple[WatchedInput, ...]
    hidden: tuple[str, ...]
    """Columns that the log has only as commitments: nobody can watch them."""
    protection: Protection | None
    unified: UnifiedColumns | None = None
    """None if spellings stay as they are."""
    texts: tuple[WatchedInput, ...] = ()
    """Texts that the model does not read itself: what is derived from them is watched instead."""
    derived: AnsweredDerivations | None = None
    """None if nothing is."""

    @property
    def logged(self) -> tuple[WatchedInput, ...]:
        """The columns whose values are read from the log."""
        made = {column.name for column in self.derived.columns} if self.derived else set()
        return (*(column for column in self.columns if column.name not in made), *self.texts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the logged columns in requests."""
        return tuple(column.source for column in self.logged)

    @property
    def sensitive(self) -> frozenset[str]:
        """The columns whose values may not be shown."""
        return frozenset(column.name for column in self.columns if column.sensitive)

    def read(self, values: Sequence[Any], time: int) -> list[Any]:
        """Return the values of a row as those of training rows; None if missing.

        Args:
            values: as they were logged, in the order of `names`.
            time: of the record, in microseconds since 1970.
        """
        return [
            _read(column, self._revealed(value, time))
            for column, value in zip(self.logged, values, strict=True)
        ]

    def _revealed(self, value: Any, time: int) -> Any:
        if not is_protected(value):
            return value
        return self.protection.read(value, time) if self.protection else None

    def table(self, rows: Sequence[Sequence[Any]]) -> pa.Table:
        """Return the watched columns of rows, as float64 and string.

        Args:
            rows: of values, in the order of `names`.

        Raises:
            ExpressionError: a derived column cannot be computed.
            StorageError: the disk cannot be written.
        """
        import pyarrow as pa

        types = {"number": pa.float64(), "category": pa.string()}
        table = pa.table(
            {
                column.name: pa.array([row[i] for row in rows], types[column.kind])
                for i, column in enumerate(self.logged)
            }
        )
        table = self.unified.apply(table) if self.unified else table
        return self.of_training(self.derived.apply(table)) if self.derived else table

    def of_training(self, rows: pa.Table) -> pa.Table:
        """Return the watched columns of training rows, as float64 and string."""
        import pyarrow as pa
        import pyarrow.compute as pc

        def as_kind(column: WatchedInput) -> Any:
            values = rows[column.name]
            if column.kind == "number" and pa.types.is_decimal(values.type):
                return pc.cast(values, pa.float64(), safe=False)
            if column.kind == "number" and pa.types.is_boolean(values.type):
                values = pc.cast(values, pa.int8())
            kind = pa.float64() if column.kind == "number" else pa.string()
            return pc.cast(values, kind, safe=False)

        return pa.table({column.name: as_kind(column) for column in self.columns})


def watched_inputs(
    model: OnnxModel,
    columns: Sequence[Column],
    rows: pa.Schema,
    protection: Protection | None,
    home: Home,
    *,
    committed: bool,
) -> WatchedInputs:
    """Return the columns of a model that can be compared with its training rows.

    Left out are texts, pictures, times, and what separates and orders series. A text that the model
    does not read itself, such as 28,5, is compared by the numbers and words that are derived of it.

    Args:
        columns: those that it needs, as they are logged now.
        rows: the columns of the training rows.
        committed: whether the log has commitments in place of sensitive values.
    """
    windows = model.clean.windows
    keys = {model.series.by, model.series.order} if model.series else set[str]()
    keys |= {windows.by, windows.order} if windows else set()
    read = {text.name for text in model.texts} | ({model.picture.name} if model.picture else set())
    readable: list[WatchedInput] = []
    hidden: list[str] = []
    for column in columns:
        if column.name not in rows.names or column.name in read:
            continue
        if column.name in keys and column.name not in model.inputs:
            continue
        kind = _kind(rows.field(column.name).type)
        if kind is None:
            continue
        if column.sensitive and committed:
            hidden.append(column.name)
        else:
            readable.append(_watched(column, kind, model))
    inputs = {name.lower() for name in model.inputs}
    texts = [c for c in readable if c.kind == "category" and c.name.lower() not in inputs]
    watched = [column for column in readable if column not in texts]
    derived: AnsweredDerivations | None = None
    if texts:
        computed = derived_columns(model, {column.name.lower() for column in readable})
        made = [*_derived_of(texts, computed, model, rows, readable)]
        needed = needed_for([column.name for column in made], computed)
        derived = AnsweredDerivations(needed, rows, home) if needed else None
        texts = [c for c in texts if any(c.name.lower() in one.reads for one in needed)]
        watched += made
    unify = {name.lower() for name in model.clean.unify}
    logged = [column for column in readable if column in watched or column in texts]
    names = tuple(column.name for column in logged if column.name.lower() in unify)
    unified = UnifiedColumns(names, home) if names else None
    return WatchedInputs(tuple(watched), tuple(hidden), protection, unified, tuple(texts), derived)


def _derived_of(
    texts: Sequence[WatchedInput],
    computed: Sequence[DerivedExpression],
    model: OnnxModel,
    rows: pa.Schema,
    readable: Sequence[WatchedInput],
) -> Iterator[WatchedInput]:
    """Yield what is derived of texts and read by the model, itself or by its windows."""
    windows = model.clean.windows
    read = {name.lower() for name in (*model.inputs, *(windows.columns if windows else ()))}
    raw = {column.name.lower() for column in texts}
    sensitive = {column.name.lower() for column in readable if column.sensitive}
    for column in computed:
        if column.name.lower() not in read or not column.reads & raw:
            continue
        kind = _kind(rows.field(column.name).type)
        if kind is not None:
            is_sensitive = bool(column.reads & sensitive)
            yield WatchedInput(column.name, column.name, kind, frozenset(), is_sensitive)


def _watched(column: Column, kind: Kind, model: OnnxModel) -> WatchedInput:
    tokens = frozenset(token.strip() for token in (*model.ingest.missing, *column.missing))
    return WatchedInput(column.name, column.source_name, kind, tokens, bool(column.sensitive))


def _kind(type_: pa.DataType) -> Kind | None:
    import pyarrow as pa

    kinds = pa.types
    if kinds.is_integer(type_) or kinds.is_floating(type_) or kinds.is_decimal(type_):
        return "number"
    if kinds.is_boolean(type_):
        return "number"
    return "category" if kinds.is_string(type_) or kinds.is_large_string(type_) else None


def _read(column: WatchedInput, value: Any) -> Any:
    text = "" if value is None else json_text(value).strip()
    if not text or text in column.missing:
        return None
    if column.kind == "category":
        return text
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    number = double(text)
    # A token of 0 is also written 0.0.
    tokens = {float(token) for token in column.missing if is_number(token)}
    return None if number in tokens else number
