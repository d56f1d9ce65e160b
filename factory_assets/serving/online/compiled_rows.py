"""Turn requested rows into the inputs of a model's graph without the SQL engine.

Contract, rules and derived columns are compiled once, when a model is loaded. A row for which the
result is not certainly that of the engine is left to `warm_engine`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from factory_assets.data.transforms.narrowing import narrowed_cleaning, needed_columns
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.serving.online.row_schema import TIMES, ColumnKind, RowSchema
from factory_resources.sql.row_functions import RowFunction, compile_expression
from factory_resources.sql.scalar.binding import Kind
from factory_resources.sql.scalar.values import UndecidedError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CompiledRows:
    """The preparation of rows, as Python functions."""

    schema: RowSchema
    names: tuple[str, ...]
    """Of the columns, in lower case: SQL ignores case."""
    rules: tuple[RowFunction, ...]
    derived: tuple[tuple[str, RowFunction], ...]
    numbers: tuple[tuple[str, str], ...]
    """Numeric inputs of the graph: name, and the value that it reads."""
    texts: tuple[tuple[str, str], ...]
    """Text inputs of the graph: name, and the value that it reads."""
    times: tuple[tuple[str, str], ...] = ()
    """Times that the graph reads: name, and the value."""

    @classmethod
    def of(cls, model: OnnxModel, beside: Sequence[str] = ()) -> CompiledRows | None:
        """Compile the preparation of a model's rows; None if it needs the engine for every row.

        Args:
            beside: names that a row may have beside the columns that the model needs.
        """
        if model.series or model.texts or model.picture:
            return None
        if any(join.required for join in model.ingest.joins.values()):
            return None
        clean = narrowed_cleaning(model)
        if clean.windows or clean.unify:
            return None
        schema = RowSchema.of(needed_columns(model), model.ingest, beside)
        if schema is None:
            return None
        names = tuple(column.name.lower() for column in schema.columns)
        of_columns = dict(zip(names, schema.kinds, strict=True))
        # No expression over times is compiled.
        kinds: dict[str, Kind] = {n: k for n, k in of_columns.items() if k not in TIMES}  # type: ignore[misc]
        rules = [compile_expression(sql, kinds) for sql in clean.where.values()]
        derived: list[tuple[str, RowFunction]] = []
        for name, sql in clean.derive.items():
            function = compile_expression(sql, kinds)
            if function is None:
                return None
            derived.append((name.lower(), function))
            kinds[name.lower()] = function.kind
        known = [rule for rule in rules if rule is not None]
        inputs = {name: (name.lower(), kind) for name, kind in model.inputs.items()}
        times = {name: key for name, (key, kind) in inputs.items() if kind == _TIME}
        others = {name: one for name, one in inputs.items() if name not in times}
        if len(known) < len(rules) or not _are_readable(others.values(), kinds):
            return None
        if any(of_columns.get(key) not in TIMES or key in kinds for key in times.values()):
            return None
        return cls(
            schema=schema,
            names=names,
            rules=tuple(known),
            derived=tuple(derived),
            numbers=tuple((n, key) for n, (key, kind) in others.items() if kind != _TEXT),
            texts=tuple((n, key) for n, (key, kind) in others.items() if kind == _TEXT),
            times=tuple(times.items()),
        )

    @property
    def needs_rows(self) -> bool:
        """Whether something is computed from the values of a row."""
        return bool(self.rules or self.derived)

    @cached_property
    def takes_columns(self) -> bool:
        """Whether everything can be computed from whole columns."""
        functions = (*self.rules, *(function for _, function in self.derived))
        derived = {name for name, _ in self.derived}
        return all(one.compute_columns for one in functions) and not derived & {
            key for _, key in self.texts
        }

    def feed_many(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, NDArray[Any]]:
        """Return the same as `feed`, by way of columns if possible: many rows take less time so."""
        import numpy as np

        if not self.takes_columns:
            return self.feed(rows)
        columns = list(zip(*rows, strict=True))
        texts = [columns[i] for i in self.schema.texts]
        numeric = [cells for i, cells in enumerate(columns) if i not in self.schema.texts]
        block = np.array(numeric, dtype=np.float64).reshape(len(numeric), len(rows))
        return self.feed_block(block, texts)

    def feed_block(
        self, block: NDArray[np.float64], texts: Sequence[Sequence[str | None]]
    ) -> dict[str, NDArray[Any]]:
        """Return the inputs of the graph for columns that were checked.

        Args:
            block: the values of the columns that are not text, [columns, rows], NaN if missing.
            texts: the values of the columns that are.

        Raises:
            UndecidedError: a row breaks a rule, or only the engine may decide.
        """
        import numpy as np

        names = dict(zip(self.names, self.schema.kinds, strict=True))
        textual = [self.names[i] for i in self.schema.texts]
        numeric = [name for name in self.names if name not in textual]
        columns = self._with_derived_columns(dict(zip(numeric, block, strict=True)))
        wide = np.array([columns[key] for _, key in self.numbers])
        narrow = wide.astype(np.float32)[:, :, None]
        feed: dict[str, NDArray[Any]] = {
            name: narrow[i] for i, (name, _) in enumerate(self.numbers)
        }
        for name, key in self.texts:
            if key in textual:
                cells: Sequence[Any] = texts[textual.index(key)]
            else:
                kind = names[key]
                cells = [_of_number(value, kind) for value in block[numeric.index(key)].tolist()]
            feed[name] = np.array([[_as_text(value)] for value in cells], dtype=object)
        for name, key in self.times:
            feed[name] = np.array(texts[textual.index(key)], dtype=np.float64)[:, None]
        return feed

    def feed(self, rows: Sequence[tuple[Any, ...]]) -> dict[str, NDArray[Any]]:
        """Return the inputs of the graph, each [rows, 1].

        Args:
            rows: the checked values of each row, in the order of the schema's columns.

        Raises:
            UndecidedError: a row breaks a rule, or only the engine may decide.
        """
        import numpy as np

        columns: Mapping[str, Sequence[Any]]
        if self.needs_rows:
            whole = [self._with_derived(dict(zip(self.names, row, strict=True))) for row in rows]
            read = [key for _, key in (*self.numbers, *self.texts, *self.times)]
            columns = {key: [row[key] for row in whole] for key in read}
        else:
            columns = dict(zip(self.names, zip(*rows, strict=True), strict=True))
        feed: dict[str, NDArray[Any]] = {}
        if self.numbers:
            # By way of float64, as when a file is scored.
            wide = np.array([columns[key] for _, key in self.numbers], dtype=np.float64)
            block = wide.astype(np.float32)[:, :, None]
            feed = {name: block[i] for i, (name, _) in enumerate(self.numbers)}
        for name, key in self.texts:
            cells = [[_as_text(value)] for value in columns[key]]
            feed[name] = np.array(cells, dtype=object)
        for name, key in self.times:
            feed[name] = np.array(columns[key], dtype=np.float64)[:, None]
        return feed

    def _with_derived_columns(self, columns: dict[str, Any]) -> dict[str, Any]:
        import numpy as np

        rows = len(next(iter(columns.values()), ()))
        for rule in self.rules:
            assert rule.compute_columns is not None
            if np.equal(rule.compute_columns(columns), 0).any():
                raise UndecidedError
        for name, function in self.derived:
            assert function.compute_columns is not None
            values = np.broadcast_to(function.compute_columns(columns), (rows,))
            if (np.abs(values) > _LARGEST).any():
                raise UndecidedError
            columns[name] = values
        return columns

    def _with_derived(self, row: dict[str, Any]) -> dict[str, Any]:
        for rule in self.rules:
            # A rule that yields null is not broken.
            if rule.compute(row) is False:
                raise UndecidedError
        for name, function in self.derived:
            value = function.compute(row)
            # What a source column may hold certainly fits float32, in which models compute.
            if type(value) is float and not -_LARGEST <= value <= _LARGEST:
                raise UndecidedError
            row[name] = value
        return row


_TEXT, _TIME = "tensor(string)", "tensor(double)"

_LARGEST = 3.4028234663852886e38
"""The largest number that float32 holds."""


def _are_readable(inputs: Any, kinds: Mapping[str, Kind]) -> bool:
    """Whether each input reads a value whose conversion is certain."""
    fits = {_TEXT: {"VARCHAR", "BOOLEAN", "BIGINT", "INTEGER"}}
    numeric = {"DOUBLE", "BOOLEAN", "BIGINT", "INTEGER"}
    return all(kinds.get(key) in fits.get(kind, numeric) for key, kind in inputs)


def _of_number(value: float, kind: ColumnKind) -> Any:
    """Return a value of a block as the engine has it."""
    if value != value:
        return None
    return bool(value) if kind == "BOOLEAN" else int(value)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
