"""Permutation importance: how much worse the primary metric is when an input is shuffled.

It describes the model, not the world: of two inputs with the same information, each may seem to
matter little. The work is bounded, so that it is done by default.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation.test_set import TestSet
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.features.features import Features
from factory_assets.ml.metrics.metrics import higher_is_better
from factory_assets.results.evaluation import Importance, Importances

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


MOST_INPUTS = 20
"""Inputs in the result, those that matter most."""

MAX_ROWS = 2_000
"""Judged rows that are used at most."""

MIN_ROWS = 200
"""Judged rows that are used at least, if there are as many."""

MAX_PREDICTED_ROWS = 50_000
"""Rows to predict in total, where a window counts as its rows; but MIN_ROWS rows per column."""

MAX_PREDICTIONS = 300
"""Predictions in total; the more columns, the fewer repeats."""

MAX_STACKED_VALUES = 10_000_000
"""Values of the rows that are predicted in one call, each of 4 or 8 bytes."""


def importances(test_set: TestSet, trained: TrainedModel) -> Importances | None:
    """Compute permutation importances on judged rows, the largest first.

    None if none are declared, if there is only one input, or if the primary metric is undefined on
    the rows. Sources: Breiman, Random forests (2001), doi 10.1023/A:1010933404324; Fisher et al.
    (2019), arXiv 1801.01489.
    """
    import numpy as np

    features = trained.features
    declared = test_set.pipeline.spec.evaluate.importances
    if not declared or len(features.columns) < 2:
        return None
    repeats = max(1, min(declared, MAX_PREDICTIONS // len(features.columns)))
    generator = np.random.default_rng(test_set.pipeline.spec.training.seed)
    rows = _rows(len(test_set.places), repeats, features)
    chosen = np.sort(generator.choice(len(test_set.places), rows, replace=False))
    sample = replace(test_set, places=test_set.places[chosen], truth=test_set.truth[chosen])
    encoded = _EncodedRows(sample, trained)
    plain = encoded.score()
    if plain is None:
        return None
    sign = 1 if higher_is_better(sample.primary_metric) else -1
    results = []
    columns = [*_columns(features)]
    shuffles = [column for column in columns for _ in range(repeats)]
    scores = encoded.scores_if_shuffled(shuffles, generator)
    for column in columns:
        losses = [sign * (plain - value) for value in islice(scores, repeats) if value is not None]
        if losses:
            results.append(
                Importance(
                    column=column.name, mean=float(np.mean(losses)), sd=float(np.std(losses))
                )
            )
    ranked = sorted(results, key=lambda one: -one.mean)
    return Importances(
        metric=sample.primary_metric,
        rows=rows,
        repeats=repeats,
        inputs=len(features.columns),
        columns=tuple(ranked[:MOST_INPUTS]),
    )


@dataclass(frozen=True)
class _Column:
    """The columns of the arrays that an input fills."""

    name: str
    numbers: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()


def _columns(features: Features) -> Iterator[_Column]:
    last = len(features.scales)
    for i, number in enumerate(features.numeric):
        # The indicator of a missing value is shuffled with the value.
        yield _Column(number.name, numbers=(i, last) if number.indicator else (i,))
        last += number.indicator
    times: dict[str, list[int]] = {name: [] for name in features.time_columns}
    for i, time in enumerate(features.times, len(features.numeric)):
        # A distance is shuffled with either of the two.
        for name in filter(None, (time.column, time.since)):
            times[name] += [i, last] if time.indicator else [i]
        last += time.indicator
    for name, places in times.items():
        yield _Column(name, numbers=tuple(places))
    for text in features.texts:
        yield _Column(text.name, numbers=tuple(range(last, last + text.width)))
        last += text.width
    if features.picture:
        yield _Column(features.picture.name, numbers=tuple(range(last, features.width)))
    statistics = {
        category.name: tuple(range(places.start, places.stop))
        for category, _, places in features.statistics_places()
    }
    for i, category in enumerate(features.categorical):
        yield _Column(category.name, numbers=statistics.get(category.name, ()), codes=(i,))


def _rows(judged: int, repeats: int, features: Features) -> int:
    window = features.series.window if features.series else 1
    allowed = MAX_PREDICTED_ROWS // (len(features.columns) * repeats * window)
    return min(judged, MAX_ROWS, max(MIN_ROWS, allowed))


class _EncodedRows:
    """The encoded rows to predict; of series, all rows of the table."""

    def __init__(self, test_set: TestSet, trained: TrainedModel) -> None:
        self._test_set, self._trained = test_set, trained
        self._arrays: Arrays = trained.features.arrays(
            test_set.test, scaled=trained.model.scaled, rows=test_set.places
        )

    def score(self) -> float | None:
        """Return the primary metric; None if it is undefined."""
        outputs = self._trained.outputs_of(self._arrays)
        return self._test_set.primary_value(self._trained, outputs)

    def scores_if_shuffled(
        self, columns: Sequence[_Column], generator: np.random.Generator
    ) -> Iterator[float | None]:
        """Yield the primary metric with each column shuffled, and only that one."""
        import numpy as np

        size = self._at_once()
        for start in range(0, len(columns), size):
            together = columns[start : start + size]
            shuffled = [self._shuffled(column, generator) for column in together]
            outputs = self._trained.outputs_of(_stacked(shuffled))
            for one in np.split(outputs, len(together)):
                yield self._test_set.primary_value(self._trained, one)

    def _at_once(self) -> int:
        """Return how many times the rows are predicted in one call.

        A call costs much more than its rows if a model first combines its weights, as TabM does.
        """
        if self._arrays.windows is not None:
            return 1
        values = self._arrays.numbers.size + self._arrays.codes.size
        return max(1, MAX_STACKED_VALUES // values)

    def _shuffled(self, column: _Column, generator: np.random.Generator) -> Arrays:
        numbers, codes, windows = self._arrays.numbers, self._arrays.codes, self._arrays.windows
        order = generator.permutation(len(numbers))
        permuted = _permuted(numbers, column.numbers, order)
        return Arrays(permuted, _permuted(codes, column.codes, order), windows)


def _stacked(arrays: Sequence[Arrays]) -> Arrays:
    import numpy as np

    if len(arrays) == 1:
        return arrays[0]
    return Arrays(
        np.concatenate([one.numbers for one in arrays]),
        np.concatenate([one.codes for one in arrays]),
    )


def _permuted(values: NDArray[Any], columns: tuple[int, ...], order: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    if not columns:
        return values
    permuted = values.copy()
    permuted[:, columns] = values[np.ix_(order, np.array(columns))]
    return permuted
