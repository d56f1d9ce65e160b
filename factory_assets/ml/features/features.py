"""From a table to the arrays that a model reads: which columns are inputs, and how each is encoded.

Everything here is fitted on training rows and is plain data, so that it can be stored as JSON and
be rebuilt inside an ONNX graph. The target is in `target.py`, the models are in `models/`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.features.columns import (
    inputs_of,
    is_number,
    is_text,
    read_names,
    read_numbers,
)
from factory_assets.ml.features.images import Picture, fit_picture
from factory_assets.ml.features.series import Series, lay_out
from factory_assets.ml.features.texts import Text, text_input
from factory_assets.results.base import StageResult
from factory_assets.spec import Cnn, Pipeline
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


OUTPUTS = ("probabilities", "prediction")
"""What the served model's output is called."""


class Number(StageResult):
    """A numeric input: `(value or median - mean) / sd`, and perhaps whether it is missing."""

    name: str
    median: float
    mean: float
    sd: float
    """At least the smallest step that float32 can tell apart at the mean; never 0."""
    indicator: bool
    """Whether training rows missed it, so that being missing is an input of its own."""


class Category(StageResult):
    """An input of names: code i+1 is `vocabulary[i]`, code 0 is missing, rare or never seen."""

    name: str
    vocabulary: tuple[str, ...]


class Features(StageResult):
    """The fitted preprocessing, in the order of the model's inputs."""

    numeric: tuple[Number, ...]
    categorical: tuple[Category, ...]
    constant: tuple[str, ...]
    """Columns left out because every training row holds the same."""
    ignored: tuple[str, ...]
    """Columns left out because of their type: dates, times, nested values."""
    series: Series | None = None
    """How rows make the windows that the model reads; None where it reads single rows."""
    texts: tuple[Text, ...] = ()
    """Columns that an encoder reads: their numbers follow those of `numeric`."""
    picture: Picture | None = None
    """The column of pictures, where there is one: its pixels are numbers too, the last ones."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The input columns, numbers first."""
        picture = [self.picture.name] if self.picture else []
        texts = (text.name for text in self.texts)
        return (
            *(n.name for n in self.numeric),
            *(c.name for c in self.categorical),
            *texts,
            *picture,
        )

    @property
    def width(self) -> int:
        """Number columns of `Arrays.numbers`: one for each number and one for each indicator, those
        of texts, and the pixels of the picture."""
        plain = len(self.numeric) + sum(n.indicator for n in self.numeric)
        pixels = self.picture.numbers if self.picture else 0
        return plain + sum(text.width for text in self.texts) + pixels

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """The number of codes of each categorical input, code 0 included."""
        return tuple(len(c.vocabulary) + 1 for c in self.categorical)

    def arrays(
        self, table: pa.Table, *, scaled: bool, rows: NDArray[np.int64] | None = None
    ) -> Arrays:
        """Encode rows; `scaled` divides numbers by their spread, which trees neither need nor want.

        Args:
            rows: the places of the rows that are asked for, all where left out; a series is read
                from the whole table all the same.

        Raises:
            DataError: when an input column is missing or holds another kind of value.
        """
        import numpy as np

        missing = [name for name in self.columns if name not in table.column_names]
        if missing:
            raise DataError(
                f"input column {missing[0]!r} is missing",
                remedy=f"the model reads {', '.join(self.columns)}",
            )
        windows = None
        if self.series:
            layout, windows = lay_out(table, self.series)
            table = table.select(self.columns).take(layout)
            windows = windows if rows is None else windows.take(rows)
        elif rows is not None:
            table = table.take(rows)
        numbers = np.empty((table.num_rows, self.width), dtype=np.float32)
        last = len(self.numeric)
        for i, number in enumerate(self.numeric):
            values = read_numbers(table, number.name)
            absent = np.isnan(values)
            values[absent] = np.float32(number.median)
            if number.indicator:
                numbers[:, last] = absent
                last += 1
            if scaled:
                values -= np.float32(number.mean)
                values /= np.float32(number.sd)
            # Once, because the rows of a column lie far apart.
            numbers[:, i] = values
        for text in self.texts:
            numbers[:, last : last + text.width] = text.read(table)
            last += text.width
        if self.picture:
            numbers[:, last:] = self.picture.read(table)
            numbers[:, last:] /= np.float32(255)
        codes = np.empty((table.num_rows, len(self.categorical)), dtype=np.int64)
        for i, category in enumerate(self.categorical):
            codes[:, i] = _encode(read_names(table, category.name), category.vocabulary)
        return Arrays(numbers, codes, windows)


def fit_features(
    pipeline: Pipeline, training: pa.Table, *, vocabulary: int, series: Series | None = None
) -> Features:
    """Choose the inputs and learn their encoding from training rows.

    Args:
        vocabulary: how many names of a categorical column are kept at most, the frequent first.
        series: how rows make windows, for a model that reads them.

    Raises:
        DataError: when no input column is left.
    """
    import pyarrow.types as types

    numeric, categorical, constant, ignored = [], [], [], []
    model = pipeline.spec.training.model
    picture = None
    texts = []
    for name in _candidates(pipeline, training.column_names):
        kind = training.schema.field(name).type
        if isinstance(model, Cnn) and name == model.image:
            picture = fit_picture(training, name)
            continue
        if (reader := pipeline.spec.training.text.get(name)) and is_text(kind):
            texts.append(text_input(name, reader))
            continue
        names = name in pipeline.spec.training.categorical or is_text(kind)
        if not names and not (is_number(kind) or types.is_boolean(kind)):
            ignored.append(name)
        elif _is_constant(training[name]):
            constant.append(name)
        elif names:
            category = _fit_category(training, name, vocabulary)
            categorical.append(category) if category else constant.append(name)
        else:
            number = _fit_number(training, name)
            numeric.append(number) if number else constant.append(name)
    if isinstance(model, Cnn) and not picture:
        raise DataError(
            f"there is no input column {model.image!r}",
            where="train.model.image",
            remedy="name a column of pictures that is not excluded",
        )
    if not numeric and not categorical and not picture and not texts:
        left_out = ", ".join((*constant, *ignored)) or "none"
        raise DataError(
            "no input column is left to learn from",
            where=pipeline.name,
            remedy=f"keep one that varies (constant or of no usable type: {left_out})",
        )
    return Features(
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        constant=tuple(constant),
        ignored=tuple(ignored),
        series=series,
        texts=tuple(texts),
        picture=picture,
    )


def _candidates(pipeline: Pipeline, columns: Sequence[str]) -> list[str]:
    """The columns that may be inputs, if their values allow it.

    Raises:
        DataError: one has a name that the served model's output has.
    """
    found = inputs_of(pipeline, columns)
    for name in OUTPUTS:
        if name in found:
            raise DataError(
                f"input column {name!r} has the name of the model's own output",
                where=pipeline.name,
                remedy="rename it with `from` in the contract, or exclude it in train.exclude",
            )
    return found


def _is_constant(column: pa.ChunkedArray) -> bool:
    """Whether every row holds the same, or nothing."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if column.null_count or not len(column):
        return bool(column.null_count == len(column))
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # The first rows tell nearly always.
    return all(pc.all(pc.equal(rows, column[0])).as_py() for rows in (column[:1000], column))


def _fit_number(training: pa.Table, name: str) -> Number | None:
    """None where only missing or infinite values vary."""
    import numpy as np

    values = read_numbers(training, name)
    absent = np.isnan(values)
    missing = bool(absent.any())
    present = values[~absent] if missing else values
    if not len(present):
        return None
    median = np.float32(_median(present))
    if missing:
        values[absent] = median
    mean, sd = float(values.mean(dtype=np.float64)), float(values.std(dtype=np.float64))
    step = float(np.spacing(np.float32(abs(mean))))
    return Number(
        name=name,
        median=float(median),
        mean=mean,
        sd=sd if sd > step else 1.0,
        indicator=missing,
    )


def _median(values: NDArray[np.float32]) -> float:
    """Numpy's own looks for NaN, and halves the sum of the middle two in the type of the values."""
    import numpy as np

    upper = len(values) // 2
    lower = (len(values) - 1) // 2
    parted = np.partition(values, (lower, upper))
    return (float(parted[lower]) + float(parted[upper])) / 2


def _fit_category(training: pa.Table, name: str, limit: int) -> Category | None:
    """None where there are only missing and empty values."""
    import numpy as np

    column = read_names(training, name)
    indices: NDArray[Any] = column.indices.drop_null().to_numpy(zero_copy_only=False)
    words = column.dictionary.to_pylist()
    counts = np.bincount(indices, minlength=len(words))
    ranked = sorted(zip(-counts, words, strict=True))
    kept = tuple(word for _, word in ranked if word)[:limit]
    return Category(name=name, vocabulary=kept) if kept else None


def _encode(column: pa.DictionaryArray, vocabulary: Sequence[str]) -> NDArray[np.int64]:
    import numpy as np

    codes = {word: code for code, word in enumerate(vocabulary, 1)}
    lookup = np.array(
        [*(codes.get(w, 0) for w in column.dictionary.to_pylist()), 0], dtype=np.int64
    )
    indices = column.indices.fill_null(len(lookup) - 1).to_numpy(zero_copy_only=False)
    found: NDArray[np.int64] = lookup[indices]
    return found
