"""Robustness: the primary metric under noise on numbers, and with values set missing.

The disturbed rows go through the model's own preprocessing. All inputs are disturbed at once, each
independently.
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


def robustness(test_set: TestSet, trained: TrainedModel) -> tuple[Disturbed, ...]:
    """Return one figure for each kind and level: the mean over seeded repeats.

    Empty if it is not declared; a kind is left out if the model has no input to disturb that way.
    """
    import numpy as np

    declared, features = test_set.pipeline.spec.evaluate.robustness, trained.features
    if declared is None:
        return ()
    pictures = (features.picture.name,) if features.picture else ()
    generator = np.random.default_rng(test_set.pipeline.spec.training.seed)
    kinds: tuple[tuple[Kind, tuple[float, ...], Disturb], ...] = (
        ("noise", declared.noise if features.numeric else (), with_noise),
        ("missing", declared.missing if features.columns != pictures else (), with_gaps),
    )
    results = []
    for kind, levels, disturb in kinds:
        for level in levels:
            disturbed = (
                disturb(test_set.test, trained, level, generator) for _ in range(declared.repeats)
            )
            values = [
                test_set.primary_value(trained, trained.outputs(table, test_set.places))
                for table in disturbed
            ]
            defined = [value for value in values if value is not None]
            if defined:
                mean, sd = float(np.mean(defined)), float(np.std(defined))
                results.append(Disturbed(kind=kind, level=level, mean=mean, sd=sd))
    return tuple(results)


def with_noise(
    table: pa.Table, trained: TrainedModel, level: float, generator: np.random.Generator
) -> pa.Table:
    """Add normal noise to the numbers, except booleans and the columns that order a series.

    Args:
        level: the standard deviation of the noise, as a share of that of the training rows.
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
    """Set a share of each input's values missing, except pictures and what orders a series."""
    import pyarrow as pa
    import pyarrow.compute as pc

    features = trained.features
    for name in (n for n in features.columns if not features.picture or n != features.picture.name):
        if name in _ordering(trained):
            continue
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        missing = pa.array(generator.random(len(column)) < share)
        gaps = pc.if_else(missing, pa.scalar(None, column.type), column)
        table = table.set_column(table.column_names.index(name), name, gaps)
    return table


def _ordering(trained: TrainedModel) -> tuple[str, ...]:
    series = trained.features.series
    return (series.by, series.order) if series else ()
