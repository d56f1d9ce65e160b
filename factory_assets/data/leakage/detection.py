"""Measure leaks: whatever in the inputs or parts would make a model look better than it is.

They are measured once per split; inputs, on a random sample of the training rows. Whether a leak
matters is decided in every run (see `policy`), so that accepting a leak computes nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from factory_assets.data.leakage.overlap import count_copies, group_overlap, time_overlap
from factory_assets.data.leakage.pairs import measure_pairs
from factory_assets.data.leakage.predictive_power import measure_power
from factory_assets.data.leakage.sample import draw_sample
from factory_assets.results.data import Leaks
from factory_assets.spec import IDENTITY, Pipeline

if TYPE_CHECKING:
    import duckdb


_ROWS = 100_000
"""Rows of the sample."""

_TRAINED = "source JOIN (FROM parts WHERE _part = 'train') USING (_order)"


def find_leaks(
    connection: duckdb.DuckDBPyConnection,
    pipeline: Pipeline,
    columns: Mapping[str, str],
    inputs: Sequence[str],
    rows: Mapping[str, int],
) -> Leaks:
    """Measure the leaks of a split before its parts are stored.

    Args:
        connection: an engine with the view `source` of the clean rows, numbered by `_order`, and
            the table `parts` of (_order, _part).
        columns: the DuckDB type of each clean column.
        inputs: the columns that the model may learn from.
        rows: the number of rows of each part.
    """
    kinds = {name: kind for name, kind in columns.items() if name not in IDENTITY}
    target = pipeline.spec.training.target
    wanted = {name: kinds[name] for name in (*inputs, target)}
    sample = draw_sample(
        connection, _TRAINED, wanted, number="_order", rows=rows["train"], most=_ROWS
    )
    task = pipeline.spec.training.task
    power = measure_power(sample, target, task)
    total = sum(rows.values())
    return Leaks(
        inputs=tuple(inputs),
        measure=power.measure,
        limit=power.limit,
        power=power.of,
        implied=power.implied,
        pairs=measure_pairs(sample, target, task, power),
        duplicates=count_copies(connection, inputs, total),
        groups=group_overlap(connection, pipeline, kinds),
        later=time_overlap(connection, pipeline, kinds),
    )
