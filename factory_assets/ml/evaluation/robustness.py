"""How a model holds out: the headline under noise on its numbers, and with values set missing.

The rows go through the model's real preprocessing, each input being disturbed by itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation.test_set import TestSet
from factory_assets.results.evaluation import Disturbed

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


Kind = Literal["noise", "missing"]

Disturb = Callable[["pa.Table", TrainedModel, float, "np.random.Generator"], "pa.Table"]


def robustness(judgement: TestSet, trained: TrainedModel) -> tuple[Disturbed, ...]:
    """One figure a kind and level, the mean over seeded repeats; none where it is not asked for,
    or where there is nothing to disturb so."""
    import numpy as np

    asked, features = judgement.pipeline.spec.evaluate.robustness, trained.features
    if asked is None:
        return ()
    pictures = (features.picture.name,) if features.picture else ()
    generator = np.random.default_rng(judgement.pipeline.spec.training.seed)
    kinds: tuple[tuple[Kind, tuple[float, ...], Disturb], ...] = (
        ("noise", asked.noise if features.numeric else (), with_noise),
        ("missing", asked.missing if features.columns != pictures else (), with_gaps),
    )
    found = []
    for kind, levels, disturb in kinds:
        for level in levels:
            values = [
                _score(judgement, trained, disturb(judgement.test, trained, level, generator))
                for _ in range(asked.repeats)
            ]
            defined = [value for value in values if value is not None]
            if defined:
                mean, sd = float(np.mean(defined)), float(np.std(defined))
                found.append(Disturbed(kind=kind, level=level, mean=mean, sd=sd))
    return tuple(found)


def with_noise(
    table: pa.Table, trained: TrainedModel, level: float, generator: np.random.Generator
) -> pa.Table:
    """Normal noise on the numbers, its sd a share of that of the training rows.

    True and false have no noise, nor has what orders a series.
    """
    import pyarrow as pa

    for number in trained.features.numeric:
        column = table[number.name]
        if number.name in _ordering(trained) or pa.types.is_boolean(column.type):
            continue
        values = column.cast(pa.float64(), safe=False).to_numpy()
        noise = generator.normal(0, level * number.sd, len(values))
        noisy = pa.array(values + noise, from_pandas=True)
        table = table.set_column(table.column_names.index(number.name), number.name, noisy)
    return table


def with_gaps(
    table: pa.Table, trained: TrainedModel, share: float, generator: np.random.Generator
) -> pa.Table:
    """A share of each input's values missing, but for pictures and what orders a series."""
    import pyarrow as pa
    import pyarrow.compute as pc

    features = trained.features
    for name in (n for n in features.columns if not features.picture or n != features.picture.name):
        if name in _ordering(trained):
            continue
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        lost = pa.array(generator.random(len(column)) < share)
        gaps = pc.if_else(lost, pa.scalar(None, column.type), column)
        table = table.set_column(table.column_names.index(name), name, gaps)
    return table


def _ordering(trained: TrainedModel) -> tuple[str, ...]:
    series = trained.features.series
    return (series.by, series.order) if series else ()


def _score(judgement: TestSet, trained: TrainedModel, table: pa.Table) -> float | None:
    outputs = trained.outputs(table, judgement.places)
    scored = judgement.score(outputs, trained.description.threshold)
    return scored.metrics({judgement.primary_metric}).get(judgement.primary_metric)
