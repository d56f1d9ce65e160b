"""The prediction target: its task, ordered classes or scale, fitted on the training rows.

The encoding of inputs belongs in `features.py`.
"""

from __future__ import annotations

from dataclasses import replace
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


MAX_INTEGER_CLASSES = 20
"""An integer target of at most this many values is taken as classes, unless declared otherwise."""

_EXACT = 2.0**53
"""Below it, a float holds every whole number."""

MAX_CLASSES = 1000
"""More classes than this are refused: such a target is a number or free text."""

_SHOWN, _LONGEST = 5, 20
"""How many classes a message names, and how many characters of each."""


class Target(StageResult):
    """The fitted target column."""

    column: str
    task: Task
    classes: tuple[str, ...]
    """In the order of the model's outputs, the positive of two classes last; empty for numbers."""
    mean: float
    sd: float
    """Models learn `(value - mean) / sd`. For classes, `mean` is 0 and `sd` is 1."""

    @property
    def outputs(self) -> int:
        return len(self.classes) or 1

    def values(self, table: pa.Table) -> NDArray[Any]:
        """Return the true values: class codes, int64 [rows], or numbers, float64 [rows].

        A class that does not occur in the training rows has code -1.

        Raises:
            DataError: if the column is missing, or if a value is missing or infinite.
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
        result: NDArray[np.int64] = lookup[encoded.indices.to_numpy(zero_copy_only=False)]
        return result

    def known_rows(self, table: pa.Table) -> NDArray[np.int64]:
        """Return the positions of the rows whose class the training rows have; of numbers, all."""
        import numpy as np

        if not self.classes:
            return np.arange(table.num_rows)
        return np.flatnonzero(self.values(table) >= 0)

    def learned(self, table: pa.Table) -> NDArray[Any]:
        """Return what models learn of rows: class codes, int64 [rows], or scaled numbers."""
        values = self.values(table)
        return values if self.classes else self.scaled(values)

    def scaled(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return what models learn.

        Raises:
            DataError: if a value is too far from the training rows for 32 bits.
        """
        import numpy as np

        with np.errstate(over="ignore"):
            scaled: NDArray[np.float32] = ((values - self.mean) / self.sd).astype(np.float32)
        if bad := int((~np.isfinite(scaled)).sum()):
            where = f"{bad} row{'s' * (bad != 1)}"
            raise _infinite_loss(self.column, f"is over 1e38 standard deviations off in {where}")
        return scaled

    def unscaled(self, outputs: NDArray[Any]) -> NDArray[np.float64]:
        import numpy as np

        values: NDArray[np.float64] = outputs.astype(np.float64) * self.sd + self.mean
        return values


def fit_target(pipeline: Pipeline, training: pa.Table) -> Target:
    """Derive the task and the classes or the scale from the training rows.

    Raises:
        DataError: if the column or a value is missing, a value is infinite, all values are equal,
            numbers are too large or too close, or the values do not fit the declared task.
    """
    import numpy as np

    name, task = pipeline.spec.training.target, pipeline.spec.training.task
    column = target_column(training, name)
    task = task or _guess(column)
    if task == "regression":
        values = _numbers(column, name)
        if values.min() == values.max():
            raise _one_value(name, f"{values[0]:g}")
        with np.errstate(over="ignore"):
            mean, sd = float(values.mean()), float(values.std())
        if not 0 < sd < np.inf:
            raise _infinite_loss(name, f"has a standard deviation of {sd:g} in the training rows")
        return Target(column=name, task=task, classes=(), mean=mean, sd=sd)
    classes = _classes(column)
    if len(classes) == 1:
        raise _one_value(name, classes[0])
    if len(classes) > MAX_CLASSES or (task == "binary" and len(classes) > 2):
        names = ", ".join(repr(one[:_LONGEST]) for one in classes[:_SHOWN])
        raise DataError(
            f"target {name!r} has {len(classes)} classes in the training rows, such as {names}",
            where=pipeline.name,
            remedy="if one is wrong, list the right ones as values in the contract; train.task: "
            f"binary needs 2 classes, multiclass at most {MAX_CLASSES}",
        )
    kind: Task = "binary" if len(classes) == 2 and task != "multiclass" else "multiclass"
    if kind == "binary":
        classes = _positive_last(pipeline, column, classes)
    return Target(column=name, task=kind, classes=classes, mean=0.0, sd=1.0)


def with_target(pipeline: Pipeline, target: Target) -> Pipeline:
    """Declare the task and the positive class that were found: other rows then have them too."""
    positive = {"positive": target.classes[1]} if target.task == "binary" else {}
    train = pipeline.spec.training.model_copy(update={"task": target.task, **positive})
    return replace(pipeline, spec=pipeline.spec.model_copy(update={"train": train}))


def target_column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return the target column and ensure that it has rows and no missing values.

    Raises:
        DataError: if there is no such column or no row, or if a value is missing.
    """
    if name not in table.column_names:
        shown = ", ".join(c for c in table.column_names if not c.startswith("_"))
        raise DataError(f"no target column {name!r}", remedy=f"set train.target to one of {shown}")
    column = table[name]
    if not len(column):
        raise DataError("there is no row to learn from", remedy="add data or enlarge its share")
    if column.null_count:
        raise _incomplete(name, column.null_count, "missing")
    return column


def _guess(column: pa.ChunkedArray) -> Task | None:
    """Return the task by type and distinct values; None if the number of classes decides."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if types.is_integer(column.type):
        return "regression" if pc.count_distinct(column).as_py() > MAX_INTEGER_CLASSES else None
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
    """Return the class name of each value; 1.0 and 1 are the same class."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as types

    if types.is_floating(column.type) or types.is_decimal(column.type):
        values = column.cast(pa.float64(), safe=False)
        if bad := pc.sum(pc.invert(pc.is_finite(values))).as_py():
            raise _incomplete("of classes", bad, "NaN or infinite")
        whole = pc.and_(pc.equal(pc.floor(values), values), pc.less(pc.abs(values), _EXACT))
        column = values.cast(pa.int64()) if pc.all(whole).as_py() else values
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    encoded = column.cast(pa.large_string()).dictionary_encode().combine_chunks()
    return encoded if isinstance(encoded, pa.DictionaryArray) else encoded.chunk(0)


def _classes(column: pa.ChunkedArray) -> tuple[str, ...]:
    """Return the distinct classes, numbers in numeric and other names in alphabetical order."""
    names = _texts(column).dictionary.to_pylist()
    return tuple(sorted(names, key=float if is_number(column.type) else str))


def _positive_last(
    pipeline: Pipeline, column: pa.ChunkedArray, classes: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the two classes, the positive one last."""
    import pyarrow.types as types

    declared = pipeline.spec.training.positive
    if declared is None:
        if is_number(column.type) or types.is_boolean(column.type):
            return classes
        counts = {c["values"]: c["counts"] for c in _texts(column).value_counts().to_pylist()}
        # The rarer class is positive; of equally frequent ones, the alphabetically last.
        return tuple(sorted(classes, key=lambda name: (-counts[name], name)))
    positive = str(declared).lower() if isinstance(declared, bool) else str(declared)
    if positive not in classes:
        raise DataError(
            f"train.positive {positive!r} is not a class of target "
            f"{pipeline.spec.training.target!r}",
            where=pipeline.name,
            remedy=f"choose one of {', '.join(classes)}",
        )
    return tuple(sorted(classes, key=lambda name: name == positive))


def _incomplete(name: str, count: int, fault: str) -> DataError:
    return DataError(
        f"target {name!r} is {fault} in {count} row{'s' * (count != 1)}",
        remedy="quarantine such rows: nullable: false in the contract, or a rule in clean.where",
    )


def _infinite_loss(name: str, fault: str) -> DataError:
    return DataError(
        f"target {name!r} {fault}, so that the loss would be infinite",
        remedy="correct or quarantine such rows by a rule in clean.where, or scale the target in "
        "clean.derive",
    )


def _one_value(name: str, value: str) -> DataError:
    return DataError(
        f"target {name!r} is {value!r} in every training row",
        remedy="choose a target that varies, or check the rules and the split",
    )
