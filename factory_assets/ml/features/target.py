"""What is predicted: task, classes in order, scale of a number. Fitted on training rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.columns import is_number
from factory_assets.results.base import StageResult
from factory_assets.spec import Pipeline
from factory_assets.spec.train import Task
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


FEW = 20
"""A whole-number target of at most this many values names classes, unless declared otherwise."""

MOST = 1000
"""More classes than this are surely numbers or free text."""


class Target(StageResult):
    """The target column as the models see it."""

    column: str
    task: Task
    classes: tuple[str, ...]
    """In the order of the outputs, for two classes the positive last; empty for numbers."""
    mean: float
    sd: float
    """Models learn `(value - mean) / sd`; 0 and 1 for classes."""

    @property
    def outputs(self) -> int:
        return len(self.classes) or 1

    def values(self, table: pa.Table) -> NDArray[Any]:
        """The truth: int64 class codes [rows], -1 for a class that training never saw; or float64.

        Raises:
            DataError: when the column is missing or a value of it is missing or infinite.
        """
        import numpy as np

        column = target_column(table, self.column)
        if self.task == "regression":
            return _numbers(column, self.column)
        codes = {name: code for code, name in enumerate(self.classes)}
        encoded = _texts(column)
        lookup = np.array(
            [codes.get(w, -1) for w in encoded.dictionary.to_pylist()], dtype=np.int64
        )
        found: NDArray[np.int64] = lookup[encoded.indices.to_numpy(zero_copy_only=False)]
        return found

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        import numpy as np

        return ((values - self.mean) / self.sd).astype(np.float32)

    def unscaled(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        import numpy as np

        values: NDArray[np.float64] = outputs.astype(np.float64) * self.sd + self.mean
        return values


def fit_target(pipeline: Pipeline, training: pa.Table) -> Target:
    """Find the task and the classes from the training rows.

    Raises:
        DataError: when the column or a value is missing, a value is infinite, all rows have the
            same, or the values do not fit the declared task.
    """
    name, task = pipeline.spec.training.target, pipeline.spec.training.task
    column = target_column(training, name)
    task = task or _guess(column)
    if task == "regression":
        values = _numbers(column, name)
        if values.min() == values.max():
            raise _one_value(name, f"{values[0]:g}")
        return Target(
            column=name, task=task, classes=(), mean=float(values.mean()), sd=float(values.std())
        )
    classes = _classes(column)
    if len(classes) == 1:
        raise _one_value(name, classes[0])
    if len(classes) > MOST or (task == "binary" and len(classes) > 2):
        raise DataError(
            f"target {name!r} has {len(classes)} classes in the training rows",
            where=pipeline.name,
            remedy=f"a binary target has 2, a multiclass one at most {MOST}; set train.task",
        )
    kind: Task = "binary" if len(classes) == 2 and task != "multiclass" else "multiclass"
    if kind == "binary":
        classes = _positive_last(pipeline, column, classes)
    return Target(column=name, task=kind, classes=classes, mean=0.0, sd=1.0)


def target_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """The target, complete.

    Raises:
        DataError: when there is no such column, no row, or a value is missing.
    """
    if name not in table.column_names:
        shown = ", ".join(c for c in table.column_names if not c.startswith("_"))
        raise DataError(f"no target column {name!r}", remedy=f"train.target may be one of {shown}")
    column = table[name]
    if not len(column):
        raise DataError("there is no row to learn from", remedy="give more data or a larger share")
    if column.null_count:
        raise _incomplete(name, column.null_count, "missing")
    return column


def _guess(column: pa.ChunkedArray) -> Task | None:
    """None for classes of a number yet to be counted."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if types.is_integer(column.type):
        return "regression" if pc.count_distinct(column).as_py() > FEW else None
    return "regression" if is_number(column.type) else None


def _numbers(column: pa.ChunkedArray, name: str) -> NDArray[np.float64]:
    import numpy as np
    import pyarrow as pa

    try:
        values: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy()
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"target {name!r} holds {column.type}, not numbers",
            remedy="set train.task to binary or multiclass, or name a numeric target",
        ) from error
    if bad := int((~np.isfinite(values)).sum()):
        raise _incomplete(name, bad, "NaN or infinite")
    return values


def _texts(column: pa.ChunkedArray) -> pa.DictionaryArray:
    """Each value's class name; 1.0 and 1 name the same class."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    if types.is_floating(column.type) or types.is_decimal(column.type):
        values = column.cast(pa.float64(), safe=False)
        if bad := pc.sum(pc.invert(pc.is_finite(values))).as_py():
            raise _incomplete("of classes", bad, "NaN or infinite")
        column = (
            values.cast(pa.int64())
            if pc.all(pc.equal(pc.floor(values), values)).as_py()
            else values
        )
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.cast(pa.large_string()).dictionary_encode().combine_chunks()
    return encoded if isinstance(encoded, pa.DictionaryArray) else encoded.chunk(0)


def _classes(column: pa.ChunkedArray) -> tuple[str, ...]:
    """Numbers by size, other names by alphabet."""
    names = _texts(column).dictionary.to_pylist()
    return tuple(sorted(names, key=float if is_number(column.type) else str))


def _positive_last(
    pipeline: Pipeline, column: pa.ChunkedArray, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Two classes, the one that the metrics are about second."""
    import pyarrow.types as types

    declared = pipeline.spec.training.positive
    if declared is None:
        if is_number(column.type) or types.is_boolean(column.type):
            return classes
        counts = {c["values"]: c["counts"] for c in _texts(column).value_counts().to_pylist()}
        # Of equally frequent ones, the last by alphabet.
        return tuple(sorted(classes, key=lambda name: (-counts[name], name)))
    positive = str(declared).lower() if isinstance(declared, bool) else str(declared)
    if positive not in classes:
        raise DataError(
            f"train.positive {positive!r} is no class of target {pipeline.spec.training.target!r}",
            where=pipeline.name,
            remedy=f"the classes are {' and '.join(classes)}",
        )
    return tuple(sorted(classes, key=lambda name: name == positive))


def _incomplete(name: str, count: int, what: str) -> DataError:
    return DataError(
        f"target {name!r} is {what} in {count} rows",
        remedy="quarantine such rows: nullable: false in the contract, or a rule in clean.where",
    )


def _one_value(name: str, value: str) -> DataError:
    return DataError(
        f"target {name!r} is {value!r} in every training row",
        remedy="there is nothing to tell apart; check the target, the rules and the split",
    )
