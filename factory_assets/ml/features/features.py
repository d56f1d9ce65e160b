"""Input encoding: which columns of a table are inputs, and how they become arrays for a model.

Everything here is fitted on training rows and is plain data, so that it can be stored as JSON and
be rebuilt inside an ONNX graph. The target belongs in `target.py`, the models in `ml/models/`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.features.columns import (
    input_columns,
    is_number,
    is_text,
    read_categories,
    read_numbers,
    require_columns,
)
from factory_assets.ml.features.images import Picture, fit_picture
from factory_assets.ml.features.numbers import Number, fit_number
from factory_assets.ml.features.series import Series, lay_out
from factory_assets.ml.features.target_statistics import TargetStatistics, word_places
from factory_assets.ml.features.texts import Text, describe_text, is_read_by_default
from factory_assets.ml.features.times import TimeNumber, fit_times, is_time, read_times
from factory_assets.results.base import StageResult
from factory_assets.spec import Cnn, Pipeline
from factory_assets.spec.base import is_unset
from factory_resources.encoders.sentence_encoder import DEFAULT_ENCODER
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


OUTPUTS = ("probabilities", "prediction")
"""The names of the served model's outputs."""


class Category(StageResult):
    """A categorical input: code i+1 is `vocabulary[i]`, code 0 is missing, rare or unseen."""

    name: str
    vocabulary: tuple[str, ...]
    statistics: Annotated[TargetStatistics | None, Field(exclude_if=is_unset)] = None
    """What other words say as numbers; None if they say nothing, or the model does not read it."""

    @property
    def words(self) -> tuple[str, ...]:
        """All that the model tells apart, frequent first."""
        return (*self.vocabulary, *(self.statistics.words if self.statistics else ()))


class Features(StageResult):
    """The fitted encoding of all inputs, in the order of the model's inputs."""

    numeric: tuple[Number, ...]
    categorical: tuple[Category, ...]
    constant: tuple[str, ...]
    """Columns left out because all training rows have the same value."""
    ignored: tuple[str, ...]
    """Columns left out because of their type, such as nested values."""
    series: Series | None = None
    """How rows form the windows that the model reads; None if it reads single rows."""
    texts: tuple[Text, ...] = ()
    """Columns that a sentence encoder reads; their numbers follow those of `numeric`."""
    picture: Picture | None = None
    """The column of images, if any; its pixels are the last of the numbers."""
    booleans: Annotated[tuple[str, ...], Field(exclude_if=is_unset)] = ()
    """Those of `numeric` that are true or false, as rows to score write them."""
    times: Annotated[tuple[TimeNumber, ...], Field(exclude_if=is_unset)] = ()
    """The numbers that are read from times; in the arrays they follow those of `numeric`."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The input columns, numbers first, then times."""
        picture = [self.picture.name] if self.picture else []
        texts = (text.name for text in self.texts)
        return (
            *(n.name for n in self.numeric),
            *self.time_columns,
            *(c.name for c in self.categorical),
            *texts,
            *picture,
        )

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The columns of times, in the order of the graph's inputs."""
        pairs = ((number.column, number.since) for number in self.times)
        return tuple(dict.fromkeys(name for pair in pairs for name in pair if name))

    @property
    def numbers(self) -> tuple[Number, ...]:
        """All that is scaled as a number and can be missing, as it stands first in the arrays."""
        return (*self.numeric, *self.times)

    @property
    def width(self) -> int:
        """The columns of `Arrays.numbers`: numbers, numbers of times, statistics of categories,
        indicators of missing values, texts, pixels."""
        plain = len(self.scales) + sum(n.indicator for n in self.numbers)
        pixels = self.picture.numbers if self.picture else 0
        return plain + sum(text.width for text in self.texts) + pixels

    @property
    def scales(self) -> tuple[tuple[float, float], ...]:
        """Mean and standard deviation of the first numbers: of `numbers`, then of statistics."""
        numbers = tuple((number.mean, number.sd) for number in self.numbers)
        return sum((c.statistics.scales for c in self.categorical if c.statistics), numbers)

    def statistics_places(self) -> Iterator[tuple[Category, TargetStatistics, slice]]:
        """Yield each category with statistics, and their columns in `Arrays.numbers`."""
        last = len(self.numbers)
        for category in self.categorical:
            if found := category.statistics:
                yield category, found, slice(last, last + found.columns)
                last += found.columns

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """The number of codes of each categorical input, including code 0."""
        return tuple(len(c.vocabulary) + 1 for c in self.categorical)

    def arrays(
        self, table: pa.Table, *, scaled: bool, rows: NDArray[np.int64] | None = None
    ) -> Arrays:
        """Encode rows.

        Args:
            scaled: whether to standardise numbers, which tree models do not need.
            rows: indices of the rows to encode (default: all); a model of series still reads the
                whole table.

        Raises:
            DataError: if an input column is missing or has values of another type.
        """
        import numpy as np

        require_columns(table, self.columns)
        windows = None
        if self.series:
            layout, windows = lay_out(table, self.series)
            table = table.select(self.columns).take(layout)
            windows = windows if rows is None else windows.take(rows)
        elif rows is not None:
            table = table.take(rows)
        numbers = np.empty((table.num_rows, self.width), dtype=np.float32)
        last = len(self.scales)
        for i, (number, values) in enumerate(self._read_numbers(table)):
            absent = np.isnan(values)
            values[absent] = np.float32(number.median)
            if number.indicator:
                numbers[:, last] = absent
                last += 1
            if scaled:
                # Of rows to learn from, none is so far off; of others, each model decides.
                with np.errstate(over="ignore"):
                    values -= np.float32(number.mean)
                    values /= np.float32(number.sd)
            # Write once: the values of a column are far apart in the row-major array.
            numbers[:, i] = values
        for text in self.texts:
            numbers[:, last : last + text.width] = text.read(table)
            numbers[:, last : last + text.width] *= np.float32(text.scale or 1)
            last += text.width
        if self.picture:
            numbers[:, last:] = self.picture.read(table)
            numbers[:, last:] /= np.float32(255)
        codes = np.empty((table.num_rows, len(self.categorical)), dtype=np.int64)
        for i, category in enumerate(self.categorical):
            codes[:, i] = word_places(read_categories(table, category.name), category.vocabulary)
        for category, statistics, places in self.statistics_places():
            words = word_places(read_categories(table, category.name), statistics.words)
            numbers[:, places] = statistics.table(scaled=scaled)[words]
        return Arrays(numbers, codes, windows)

    def _read_numbers(self, table: pa.Table) -> Iterator[tuple[Number, NDArray[np.float32]]]:
        for number in self.numeric:
            yield number, read_numbers(table, number.name)
        seconds = {name: read_times(table, name) for name in self.time_columns}
        for time in self.times:
            yield time, time.value.of(seconds)


def fit_features(
    pipeline: Pipeline, training: pa.Table, *, vocabulary: int, series: Series | None = None
) -> Features:
    """Choose the inputs and fit their encoding on training rows.

    Args:
        vocabulary: the maximum number of values encoded per categorical column, frequent first.
        series: how rows form windows, for a model of series.

    Raises:
        DataError: if no input column is left, the declared image column is missing or holds no
            images, a declared text is none, or an input has the name of a model output.
        ModelError: if a declared text encoder is missing.
    """
    import pyarrow.types as types

    numeric, categorical, constant, ignored = [], [], [], []
    times = []
    model = pipeline.spec.training.model
    windows = pipeline.spec.clean.windows
    ordered_by = windows.order if windows else None
    # A network of series reads the order of its rows, an image is all that its network reads.
    may_read_times = series is None and not isinstance(model, Cnn)
    picture = None
    texts = []
    for name in _candidates(pipeline, training.column_names):
        kind = training.schema.field(name).type
        if isinstance(model, Cnn) and name == model.image:
            picture = fit_picture(training, name)
            continue
        if reader := (pipeline.spec.training.text or {}).get(name):
            texts.append(_declared_text(name, reader, kind))
            continue
        names = name in pipeline.spec.training.categorical or is_text(kind)
        if not names and is_time(kind) and may_read_times and name != ordered_by:
            times.append(name)
        elif not names and not (is_number(kind) or types.is_boolean(kind)):
            ignored.append(name)
        elif _is_constant(training[name]):
            constant.append(name)
        elif is_read_by_default(pipeline, training, name):
            texts.append(describe_text(name, DEFAULT_ENCODER))
        elif names:
            category = _fit_category(training, name, vocabulary)
            categorical.append(category) if category else constant.append(name)
        else:
            number = fit_number(name, read_numbers(training, name))
            numeric.append(number) if number else constant.append(name)
    trend = pipeline.spec.training.trend
    _require_times(trend, times)
    found = fit_times(training, times, years=pipeline.spec.split.time is None, trend=trend)
    read = {name for number in found for name in (number.column, number.since)}
    constant += [name for name in times if name not in read]
    features = Features(
        numeric=tuple(numeric),
        categorical=tuple(categorical),
        constant=tuple(constant),
        ignored=tuple(ignored),
        series=series,
        texts=tuple(texts),
        picture=picture,
        booleans=tuple(
            number.name
            for number in numeric
            if types.is_boolean(training.schema.field(number.name).type)
        ),
        times=found,
    )
    _require_inputs(pipeline, features)
    return features


def _require_inputs(pipeline: Pipeline, features: Features) -> None:
    model = pipeline.spec.training.model
    if isinstance(model, Cnn) and not features.picture:
        raise DataError(
            f"there is no input column {model.image!r}",
            where="train.model.image",
            remedy="name a column of images that is not excluded",
        )
    inputs = (features.numeric, features.times, features.categorical, features.texts)
    if not any(inputs) and not features.picture:
        left_out = ", ".join((*features.constant, *features.ignored)) or "none"
        raise DataError(
            "no input column is left to learn from",
            where=pipeline.name,
            remedy="provide one that varies and that train.exclude does not name "
            f"(constant or of an unsupported type: {left_out})",
        )


def _require_times(names: Collection[str], times: Collection[str]) -> None:
    """Require that columns are times that the model reads."""
    for name in names:
        if name not in times:
            raise DataError(
                f"{name!r} is no date or timestamp among the inputs",
                where="train.trend",
                remedy="take it out, or give it the type date or timestamp in ingest.contract",
            )


def _declared_text(name: str, reader: str, kind: pa.DataType) -> Text:
    if not is_text(kind):
        raise DataError(
            f"{name!r} holds {kind}, which no sentence encoder reads",
            where="train.text",
            remedy="take it out, or give it the type string in ingest.contract",
        )
    return describe_text(name, reader)


def _candidates(pipeline: Pipeline, columns: Sequence[str]) -> list[str]:
    """Return the columns that may be inputs by the declaration; their values decide later.

    Raises:
        DataError: if one has the name of an output of the served model.
    """
    candidates = input_columns(pipeline, columns)
    for name in OUTPUTS:
        if name in candidates:
            raise DataError(
                f"input column {name!r} has the name of the model's own output",
                where=pipeline.name,
                remedy="rename it with `from` in the contract, or exclude it in train.exclude",
            )
    return candidates


def _is_constant(column: pa.ChunkedArray) -> bool:
    """Whether all rows have the same value or all values are missing."""
    import pyarrow.compute as pc
    import pyarrow.types as types

    if column.null_count or not len(column):
        return bool(column.null_count == len(column))
    if types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    # The first rows nearly always decide.
    return all(pc.all(pc.equal(rows, column[0])).as_py() for rows in (column[:1000], column))


def _fit_category(training: pa.Table, name: str, limit: int) -> Category | None:
    """Fit a categorical input; return None if every value is missing or empty."""
    import numpy as np

    column = read_categories(training, name)
    indices: NDArray[Any] = column.indices.drop_null().to_numpy(zero_copy_only=False)
    words = column.dictionary.to_pylist()
    counts = np.bincount(indices, minlength=len(words))
    ranked = sorted(zip(-counts, words, strict=True))
    vocabulary = tuple(word for _, word in ranked if word)[:limit]
    return Category(name=name, vocabulary=vocabulary) if vocabulary else None
