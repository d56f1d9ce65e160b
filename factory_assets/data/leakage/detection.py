"""Leaks: what of the inputs or of the parts would make a model look better than it is.

Found once for each split, on a fair sample of the training rows; whether it matters is asked in
every run (see `leak_check`), so that accepting a leak computes nothing again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from factory_assets.data.leakage.overlap import duplicates, groups, later
from factory_assets.data.leakage.predictive_power import powers
from factory_assets.results.data import Leaks
from factory_assets.spec import IDENTITY, Pipeline
from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


_ROWS, _CELLS = 100_000, 10_000_000
"""The training rows that are looked at, and fewer of a wide table."""

_LETTERS = 200
"""A longer text is no name: it may be a picture."""


def find_leaks(
    connection: duckdb.DuckDBPyConnection,
    pipeline: Pipeline,
    columns: Mapping[str, str],
    inputs: Sequence[str],
    rows: Mapping[str, int],
) -> Leaks:
    """Look for leaks in the parts to be.

    Args:
        connection: with the view `source` of the clean rows, numbered by `_order`, and the table
            `parts` of (_order, _part).
        columns: of the clean rows, to their types.
        inputs: those that the model may learn from.
        rows: of each part.
    """
    kinds = {name: kind for name, kind in columns.items() if name not in IDENTITY}
    target = pipeline.spec.training.target
    sample = _sample(connection, {name: kinds[name] for name in (*inputs, target)}, rows["train"])
    power = powers(sample, target, pipeline.spec.training.task)
    total = sum(rows.values())
    return Leaks(
        inputs=tuple(inputs),
        measure=power.measure,
        limit=power.limit,
        power=power.of,
        implied=power.implied,
        duplicates=duplicates(connection, inputs, total),
        groups=groups(connection, pipeline, kinds, total),
        later=later(connection, pipeline, kinds),
    )


def _sample(
    connection: duckdb.DuckDBPyConnection, columns: Mapping[str, str], rows: int
) -> pa.Table:
    """Training rows in their order, which chance chose by their place."""
    every = -(-rows // min(_ROWS, max(1, _CELLS // len(columns))))
    cells = ", ".join(
        f"left({identifier(name)}, {_LETTERS}) AS {identifier(name)}"
        if kind == "VARCHAR"
        else identifier(name)
        for name, kind in columns.items()
    )
    return connection.sql(
        f"SELECT {cells} FROM source JOIN parts USING (_order) "
        f"WHERE _part = 'train' AND hash(_order) % {every} = 0 ORDER BY hash(_order), _order"
    ).to_arrow_table()
