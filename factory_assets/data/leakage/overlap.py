"""Measure what test rows share with the others: copies, people or things, and time.

Training rows are here all rows but the test rows: a model also learns from the validation rows.

The engine counts over all rows; copies, over a random share of the rows if there are many. What
inputs say about the target belongs in `predictive_power`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.data.leakage.semantics import BIRTHS, NAMES, is_count, words_of
from factory_assets.results.data import Duplicates
from factory_assets.spec import Pipeline, SequenceNetwork
from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb


_ROWS = 1_000_000
"""Approximate number of rows that are compared for copies."""

_FEWEST = 4
"""Fewest inputs with which half of them is evidence."""

_MORE = 2
"""Factor by which more pairs agree in half of the inputs than in all, if they agree by chance."""

_SAMPLE = 20_000
"""Approximate number of rows that show which input determines another one."""

_REPEATED = 10
"""Fewest rows that have the average value of a column which may determine others."""

_KINDS = 0.2
"""With fewer different rows than this share of the rows, every row has a double."""


@dataclass(frozen=True)
class _Alike:
    """Counts of rows with equal keys."""

    tested: int
    """Test rows."""
    shared: int
    """Test rows whose key a training row has too."""
    pairs: int
    """Pairs of a test row and a training row with equal keys."""
    kinds: float
    """Number of different keys, as a share of the rows."""


def count_copies(
    connection: duckdb.DuckDBPyConnection, inputs: Sequence[str], rows: int
) -> Duplicates | None:
    """Count the test rows whose inputs a training row has too; None if there are none.

    Copies agree in each half of their inputs just as often as in all of them; rows that agree by
    chance do so far more often. Of test rows, only the inputs are read.

    Args:
        connection: an engine with the view `source` and the table `parts`.
        rows: the number of rows in all parts.
    """
    one, two = (_hash(inputs[half::2]) for half in (0, 1))
    every = rows // _ROWS + 1
    chosen = " OR ".join(f"{key} % {every} = 0" for key in ("one", "two", "whole"))
    connection.execute(
        "CREATE TEMP TABLE hashed AS SELECT *, hash(one, two) AS whole FROM ("
        f"SELECT _part, {one} AS one, {two} AS two FROM source JOIN parts USING (_order) "
        f") WHERE {chosen}"
    )
    try:
        whole = _alike(connection, "whole", every)
        if not whole.shared:
            return None
        halves = [_alike(connection, half, every).pairs for half in ("one", "two")]
    finally:
        connection.execute("DROP TABLE hashed")
    coincidence = (
        len(inputs) < _FEWEST or whole.kinds < _KINDS or max(halves) >= _MORE * whole.pairs
    )
    if not coincidence:
        free = _undetermined(connection, inputs, rows)
        if len(free) < len(inputs):
            apart = count_copies(connection, free, rows)
            coincidence = apart is not None and apart.coincidence
    return Duplicates(
        rows=whole.shared * every,
        share=round(whole.shared / whole.tested, 4),
        coincidence=coincidence,
    )


def _undetermined(
    connection: duckdb.DuckDBPyConnection, inputs: Sequence[str], rows: int
) -> list[str]:
    """Return the inputs without those that another one determines, as a product does its price.

    With these, each half of the inputs may say as much as all of them, though rows agree by chance.
    Only columns whose values are repeated can show that.
    """
    import numpy as np

    every = rows // _SAMPLE + 1
    cells = ", ".join(f"hash({identifier(name)}) AS c{i}" for i, name in enumerate(inputs))
    sample = connection.execute(
        f"SELECT {cells} FROM source WHERE hash(_order) % {every} = 0"
    ).fetchnumpy()
    codes = {}
    for name, column in zip(inputs, sample.values(), strict=True):
        values, own = np.unique(column, return_inverse=True)
        if _REPEATED * len(values) <= len(column):
            codes[name] = own, len(values)
    determined = set[str]()
    for name, (own, kinds) in sorted(codes.items(), key=lambda one: -one[1][1]):
        if name in determined:
            continue
        for other, (theirs, fewer) in codes.items():
            if other not in determined | {name} and fewer <= kinds:
                pairs = len(np.unique(own * fewer + theirs))
                determined |= {other} if pairs == kinds else set()
    return [name for name in inputs if name not in determined]


def _hash(columns: Sequence[str]) -> str:
    return f"hash({', '.join(map(identifier, columns))})" if columns else "0::UBIGINT"


def _alike(connection: duckdb.DuckDBPyConnection, key: str, every: int) -> _Alike:
    row = connection.execute(
        "SELECT sum(tested), sum(tested) FILTER (trained > 0), sum(tested * trained), "
        "count(*) / sum(tested + trained) FROM ("
        "SELECT count(*) FILTER (_part = 'test') AS tested, "
        f"count(*) FILTER (_part <> 'test') AS trained FROM hashed WHERE {key} % {every} = 0 "
        f"GROUP BY {key})"
    ).fetchone()
    tested, shared, pairs, kinds = row or (0, 0, 0, 0)
    return _Alike(int(tested or 0), int(shared or 0), int(pairs or 0), float(kinds or 0))


_VALUES = 50
"""A column with fewer values names nobody: it is a code, such as for a kind of admission."""


def group_overlap(
    connection: duckdb.DuckDBPyConnection, pipeline: Pipeline, columns: Mapping[str, str]
) -> dict[str, float]:
    """Map each column that names somebody to the share of test rows that training rows know.

    A test row is known if a training row has the same value in that column.

    Args:
        columns: the DuckDB type of each column.
    """
    declared = _grouping_columns(pipeline)
    named = [
        name
        for name, kind in columns.items()
        if name not in declared
        and kind in {"VARCHAR", "BIGINT"}
        and name != pipeline.spec.training.target
        and NAMES.intersection(words_of(name)[-1:])
        and not is_count(words_of(name), whole=kind == "BIGINT")
    ]
    shares = {name: _share_in_training(connection, name) for name in declared if name in columns}
    for name in named:
        if _names_somebody(connection, name):
            shares[name] = _share_in_training(connection, name)
    return {name: share for name, share in shares.items() if share > 0}


def _grouping_columns(pipeline: Pipeline) -> list[str]:
    """Return the columns whose equal values belong together according to the declaration."""
    spec = pipeline.spec
    model = spec.training.model
    by = [
        spec.split.group,
        model.by if isinstance(model, SequenceNetwork) else None,
        spec.clean.windows.by if spec.clean.windows else None,
        spec.evaluate.last.by if spec.evaluate.last else None,
    ]
    return list(dict.fromkeys(name for name in by if name is not None))


def _names_somebody(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    row = connection.execute(
        f"SELECT approx_count_distinct({identifier(name)}) FROM source"
    ).fetchone()
    return bool(row and row[0] >= _VALUES)


def _share_in_training(connection: duckdb.DuckDBPyConnection, name: str) -> float:
    column = identifier(name)
    row = connection.execute(
        f"SELECT count(*) FILTER (_part = 'test' AND {column} IN (SELECT {column} FROM source "
        f"JOIN parts USING (_order) WHERE _part <> 'test' AND {column} IS NOT NULL)), "
        "count(*) FILTER (_part = 'test') FROM source JOIN parts USING (_order)"
    ).fetchone()
    known, tested = row or (0, 0)
    return round(known / tested, 4) if tested else 0.0


def time_overlap(
    connection: duckdb.DuckDBPyConnection, pipeline: Pipeline, columns: Mapping[str, str]
) -> dict[str, float]:
    """Map each time column to the share of training rows that are later than half the test rows.

    For `split.time`, it is the share that is later than the earliest test row.
    """
    shares = {}
    for name in _times(pipeline, columns):
        first = "min" if name == pipeline.spec.split.time else "median"
        column = identifier(name)
        row = connection.execute(
            f"SELECT count(*) FILTER (_part <> 'test' AND {column} > (SELECT {first}({column}) "
            "FROM source JOIN parts USING (_order) WHERE _part = 'test')), "
            f"count(*) FILTER (_part <> 'test') FROM source JOIN parts USING (_order)"
        ).fetchone()
        after, trained = row or (0, 0)
        if after:
            shares[name] = round(after / trained, 4)
    return shares


def _times(pipeline: Pipeline, columns: Mapping[str, str]) -> Iterable[str]:
    """Return the columns that say when a row happened; a date of birth does not.

    If the split is by a time, only that one counts.
    """
    if pipeline.spec.split.time:
        return [pipeline.spec.split.time]
    return [
        name
        for name, kind in columns.items()
        if kind in {"DATE", "TIMESTAMP"} and not BIRTHS.intersection(words_of(name))
    ]
