"""Encode training rows that do not fit in memory: fit column by column, encode batch by batch.

The encoded rows are files of a scratch folder, mapped into memory. How a network reads them does
not belong here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING, Any

from factory_assets.ml.features.arrays import Arrays, LabelledArrays, MemoryMap
from factory_assets.ml.features.features import Features
from factory_assets.ml.features.target import Target
from factory_resources.home.home import Home, storage_errors
from factory_resources.tables.snapshot import Snapshot, read_arrow, read_batches

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


CELLS = 100_000_000
"""Rows times columns above which a table is large: 800 MB of numbers, and as much again to encode
them. A constant, so that the trained model does not depend on the machine."""

BATCH = 65_536
"""Rows encoded at a time."""

SAMPLE_DIVISOR = 10
"""A sample of a large table has about CELLS / SAMPLE_DIVISOR cells."""


def is_large(snapshot: Snapshot) -> bool:
    return snapshot.rows * len(snapshot.columns) > CELLS


def sample_rows(snapshot: Snapshot, home: Home) -> pa.Table:
    """Return all rows; of a large table every n-th."""
    import pyarrow as pa

    if not is_large(snapshot):
        return read_arrow(snapshot, home)
    step, start, batches = (
        ceil(SAMPLE_DIVISOR * snapshot.rows * len(snapshot.columns) / max(CELLS, 1)),
        0,
        [],
    )
    for batch in read_batches(snapshot, home, snapshot.columns, rows=BATCH):
        batches.append(batch.take(pa.array(range(start, batch.num_rows, step), pa.int64())))
        start = (start - batch.num_rows) % step
    return pa.Table.from_batches(batches)


@dataclass(frozen=True)
class ColumnReader:
    """A snapshot with the interface of a table, which reads a column on each access.

    `sample_rows` and `encode` compare the files with their digests; here each access would.
    """

    snapshot: Snapshot
    home: Home

    @property
    def column_names(self) -> list[str]:
        return list(self.snapshot.columns)

    @property
    def num_rows(self) -> int:
        return self.snapshot.rows

    @cached_property
    def schema(self) -> pa.Schema:
        return next(
            read_batches(self.snapshot, self.home, self.column_names, rows=1, check=False)
        ).schema

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        return read_arrow(self.snapshot, self.home, [name], check=False)[name]


def encode(
    snapshot: Snapshot,
    home: Home,
    features: Features,
    target: Target,
    mapped: MemoryMap,
    *,
    scaled: bool,
) -> tuple[LabelledArrays, NDArray[Any]]:
    """Encode the rows of known classes for a network.

    Args:
        mapped: owns the files; their disk space is freed when it is garbage collected.
        scaled: whether numbers are standardised.

    Returns:
        The encoded rows, and their truth for metrics: class codes or unscaled numbers, [rows].

    Raises:
        DataError: a value of the target is missing or infinite.
        StorageError: writing to the disk failed.
    """
    import numpy as np

    truths = []
    with home.scratch() as folder, storage_errors(folder), ExitStack() as stack:
        files = {n: stack.enter_context((folder / n).open("wb")) for n in ("numbers", "codes", "y")}
        for arrays, truth in _batches(snapshot, home, features, target, scaled=scaled):
            known = np.flatnonzero(truth >= 0) if target.classes else np.arange(len(truth))
            arrays.numbers[known].tofile(files["numbers"])
            arrays.codes[known].tofile(files["codes"])
            learned = truth[known] if target.classes else target.scaled(truth[known])
            learned.tofile(files["y"])
            truths.append(truth[known])
        stack.close()
        whole = np.concatenate(truths)
        arrays = Arrays(
            mapped.array(folder / "numbers", "float32", len(whole), features.width),
            mapped.array(folder / "codes", "int64", len(whole), len(features.categorical)),
        )
        kind = "int64" if target.classes else "float32"
        return LabelledArrays(arrays, mapped.array(folder / "y", kind, len(whole))), whole


def _batches(
    snapshot: Snapshot, home: Home, features: Features, target: Target, *, scaled: bool
) -> Iterator[tuple[Arrays, NDArray[Any]]]:
    import pyarrow as pa

    columns = dict.fromkeys((*features.columns, target.column))
    for batch in read_batches(snapshot, home, columns, rows=BATCH):
        table = pa.Table.from_batches([batch])
        yield features.arrays(table, scaled=scaled), target.values(table)
