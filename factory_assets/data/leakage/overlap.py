"""Test rows that repeat a training row in all of their inputs: copies, or alike by chance?

Counted by the engine over all rows, or over a fair share of them where they are many. Of test rows
the inputs alone are looked at.

Whether training and test rows are of the same people, and whether time runs backwards.

Counted by the engine over all rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_assets.data.leakage.semantics import BIRTHS, NAMES, words_of
from factory_assets.results.data import Duplicates
from factory_assets.spec import Pipeline, SequenceNetwork
from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb


_ROWS = 1_000_000
"""About so many rows are compared."""

_FEWEST = 4
"""Inputs, of which a half is evidence."""

_MORE = 2
"""So many times more pairs are alike in half of the inputs than in all, where chance made them."""

_KINDS = 0.2
"""With fewer kinds of rows than this share of the rows, everybody has a double."""


@dataclass(frozen=True)
class _Alike:
    """Rows of the same key."""

    tested: int
    shared: int
    """Test rows with a training row of their key."""
    pairs: int
    """Of a test row and a training row."""
    kinds: float
    """Keys, as a share of rows."""


def duplicates(
    connection: duckdb.DuckDBPyConnection, inputs: Sequence[str], rows: int
) -> Duplicates | None:
    """The test rows whose inputs a training row has too; None where there are none.

    Copies are alike in each half of their columns just as often as in all of them; rows that are
    alike by chance far more often.

    Args:
        connection: with the view `source` and the table `parts`.
        rows: in all parts.
    """
    one, two = (_hash(inputs[half::2]) for half in (0, 1))
    every = rows // _ROWS + 1
    chosen = " OR ".join(f"{key} % {every} = 0" for key in ("one", "two", "whole"))
    connection.execute(
        "CREATE TEMP TABLE hashed AS SELECT *, hash(one, two) AS whole FROM ("
        f"SELECT _part, {one} AS one, {two} AS two FROM source JOIN parts USING (_order) "
        f"WHERE _part <> 'validation') WHERE {chosen}"
    )
    try:
        whole = _alike(connection, "whole", every)
        if not whole.shared:
            return None
        halves = [_alike(connection, half, every).pairs for half in ("one", "two")]
    finally:
        connection.execute("DROP TABLE hashed")
    return Duplicates(
        rows=whole.shared * every,
        share=round(whole.shared / whole.tested, 4),
        coincidence=len(inputs) < _FEWEST
        or whole.kinds < _KINDS
        or max(halves) >= _MORE * whole.pairs,
    )


def _hash(columns: Sequence[str]) -> str:
    return f"hash({', '.join(map(identifier, columns))})" if columns else "0::UBIGINT"


def _alike(connection: duckdb.DuckDBPyConnection, key: str, every: int) -> _Alike:
    found = connection.execute(
        "SELECT sum(tested), sum(tested) FILTER (trained > 0), sum(tested * trained), "
        "count(*) / sum(tested + trained) FROM ("
        "SELECT count(*) FILTER (_part = 'test') AS tested, "
        f"count(*) FILTER (_part = 'train') AS trained FROM hashed WHERE {key} % {every} = 0 "
        f"GROUP BY {key})"
    ).fetchone()
    tested, shared, pairs, kinds = found or (0, 0, 0, 0)
    return _Alike(int(tested or 0), int(shared or 0), int(pairs or 0), float(kinds or 0))


_VALUES, _OFTEN = 50, 0.02
"""A column names somebody if it has so many values, the average one in no more than this share of
the rows: else it is a code, such as of a kind of admission."""


def groups(
    connection: duckdb.DuckDBPyConnection,
    pipeline: Pipeline,
    columns: Mapping[str, str],
    rows: int,
) -> dict[str, float]:
    """Columns that name somebody to the share of test rows whose name training rows have too.

    Args:
        columns: to their types.
        rows: in all parts.
    """
    declared = _declared(pipeline)
    named = [
        name
        for name, kind in columns.items()
        if name not in declared
        and kind in {"VARCHAR", "BIGINT"}
        and name != pipeline.spec.training.target
        and NAMES.intersection(words_of(name)[-1:])
    ]
    found = {name: _known(connection, name) for name in declared if name in columns}
    for name in named:
        if _names_somebody(connection, name, rows):
            found[name] = _known(connection, name)
    return {name: share for name, share in found.items() if share > 0}


def _declared(pipeline: Pipeline) -> list[str]:
    """The columns of which the declaration says that their rows belong together."""
    spec = pipeline.spec
    model = spec.training.model
    by = [
        spec.split.group,
        model.by if isinstance(model, SequenceNetwork) else None,
        spec.clean.windows.by if spec.clean.windows else None,
        spec.evaluate.last.by if spec.evaluate.last else None,
    ]
    return list(dict.fromkeys(name for name in by if name is not None))


def _names_somebody(connection: duckdb.DuckDBPyConnection, name: str, rows: int) -> bool:
    row = connection.execute(
        f"SELECT approx_count_distinct({identifier(name)}), count({identifier(name)}) FROM source"
    ).fetchone()
    values, present = row or (0, 0)
    return bool(values >= _VALUES and present / values <= _OFTEN * rows)


def _known(connection: duckdb.DuckDBPyConnection, name: str) -> float:
    column = identifier(name)
    row = connection.execute(
        f"SELECT count(*) FILTER (_part = 'test' AND {column} IN (SELECT {column} FROM source "
        f"JOIN parts USING (_order) WHERE _part = 'train' AND {column} IS NOT NULL)), "
        "count(*) FILTER (_part = 'test') FROM source JOIN parts USING (_order)"
    ).fetchone()
    known, tested = row or (0, 0)
    return round(known / tested, 4) if tested else 0.0


def later(
    connection: duckdb.DuckDBPyConnection, pipeline: Pipeline, columns: Mapping[str, str]
) -> dict[str, float]:
    """Columns of time to the share of training rows that are later than half of the test rows.

    For `split.time`, later than any of the test rows.
    """
    found = {}
    for name in _times(pipeline, columns):
        first = "min" if name == pipeline.spec.split.time else "median"
        column = identifier(name)
        row = connection.execute(
            f"SELECT count(*) FILTER (_part = 'train' AND {column} > (SELECT {first}({column}) "
            "FROM source JOIN parts USING (_order) WHERE _part = 'test')), "
            f"count(*) FILTER (_part = 'train') FROM source JOIN parts USING (_order)"
        ).fetchone()
        after, trained = row or (0, 0)
        if after:
            found[name] = round(after / trained, 4)
    return found


def _times(pipeline: Pipeline, columns: Mapping[str, str]) -> Iterable[str]:
    """Where the split is by one time, no other matters; a day of birth is no time of a row."""
    if pipeline.spec.split.time:
        return [pipeline.spec.split.time]
    return [
        name
        for name, kind in columns.items()
        if kind in {"DATE", "TIMESTAMP"} and not BIRTHS.intersection(words_of(name))
    ]
