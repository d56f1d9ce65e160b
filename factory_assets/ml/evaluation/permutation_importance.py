"""Which inputs matter to a model: how much worse the headline is when a column is shuffled.

It is told of the model, not of the world: of two inputs that say the same, each may seem to matter
little. The work is bounded, so that it can be done by default.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
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


KEPT = 20
"""Inputs that are told, those that matter most."""

ROWS = 2_000

FEWEST = 200

WORK = 50_000
"""Rows that are predicted in all, a window counting as its rows; yet FEWEST rows a column."""

CALLS = 300
"""Predictions in all; the repeats are fewer where columns are many."""


def importances(judgement: TestSet, trained: TrainedModel) -> Importances | None:
    """Permutation importances on judged rows, the largest first.

    None where none are asked for, where there is but one input, or where the rows do not define
    the headline. Sources: Breiman, Random forests (2001), doi 10.1023/A:1010933404324; Fisher et
    al. (2019), arXiv 1801.01489.
    """
    import numpy as np

    features = trained.features
    asked = judgement.pipeline.spec.evaluate.importances
    if not asked or len(features.columns) < 2:
        return None
    repeats = max(1, min(asked, CALLS // len(features.columns)))
    generator = np.random.default_rng(judgement.pipeline.spec.training.seed)
    rows = _rows(len(judgement.places), repeats, features)
    chosen = np.sort(generator.choice(len(judgement.places), rows, replace=False))
    own = replace(judgement, places=judgement.places[chosen], truth=judgement.truth[chosen])
    shuffled = _Shuffled(own, trained)
    plain = shuffled.score()
    if plain is None:
        return None
    sign = 1 if higher_is_better(own.primary_metric) else -1
    found = []
    for column in _columns(features):
        values = [shuffled.score(column, generator) for _ in range(repeats)]
        losses = [sign * (plain - value) for value in values if value is not None]
        if losses:
            found.append(
                Importance(
                    column=column.name, mean=float(np.mean(losses)), sd=float(np.std(losses))
                )
            )
    ranked = sorted(found, key=lambda one: -one.mean)
    return Importances(
        metric=own.primary_metric,
        rows=rows,
        repeats=repeats,
        inputs=len(features.columns),
        columns=tuple(ranked[:KEPT]),
    )


@dataclass(frozen=True)
class _Column:
    """Where an input is in the arrays."""

    name: str
    numbers: tuple[int, ...] = ()
    codes: tuple[int, ...] = ()


def _columns(features: Features) -> Iterator[_Column]:
    last = len(features.numeric)
    for i, number in enumerate(features.numeric):
        # Whether it is missing goes with the value.
        yield _Column(number.name, numbers=(i, last) if number.indicator else (i,))
        last += number.indicator
    for text in features.texts:
        yield _Column(text.name, numbers=tuple(range(last, last + text.width)))
        last += text.width
    if features.picture:
        yield _Column(features.picture.name, numbers=tuple(range(last, features.width)))
    for i, category in enumerate(features.categorical):
        yield _Column(category.name, codes=(i,))


def _rows(judged: int, repeats: int, features: Features) -> int:
    window = features.series.window if features.series else 1
    allowed = WORK // (len(features.columns) * repeats * window)
    return min(judged, ROWS, max(FEWEST, allowed))


class _Shuffled:
    """The rows as the model reads them; of series all rows of the table, as windows see them."""

    def __init__(self, judgement: TestSet, trained: TrainedModel) -> None:
        self._judgement, self._trained = judgement, trained
        self._arrays: Arrays = trained.features.arrays(
            judgement.test, scaled=trained.model.scaled, rows=judgement.places
        )

    def score(
        self, column: _Column | None = None, generator: np.random.Generator | None = None
    ) -> float | None:
        """The headline, one column shuffled."""
        arrays = self._arrays
        if column and generator:
            order = generator.permutation(len(arrays.numbers))
            numbers = _swapped(arrays.numbers, column.numbers, order)
            arrays = Arrays(numbers, _swapped(arrays.codes, column.codes, order), arrays.windows)
        trained, judgement = self._trained, self._judgement
        scored = judgement.score(trained.outputs_of(arrays), trained.description.threshold)
        return scored.metrics({judgement.primary_metric}).get(judgement.primary_metric)


def _swapped(values: NDArray[Any], columns: tuple[int, ...], order: NDArray[Any]) -> NDArray[Any]:
    import numpy as np

    if not columns:
        return values
    found = values.copy()
    found[:, columns] = values[np.ix_(order, np.array(columns))]
    return found
