"""Find the values of a category, or of the target, that are spelt in several ways.

What the check says of them belongs in `split_checks`; making them one, in `transforms.cleaning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.results.data import Spellings
from factory_assets.spec import Cnn, Pipeline
from factory_resources.sql.engine import identifier
from factory_resources.sql.spelling import unified_sql

if TYPE_CHECKING:
    import duckdb


_MOST = 10_000
"""A text with more different values than this is no category."""

_LETTERS = 200
"""Characters of a value that are compared: a longer text is no category either."""

_EXAMPLES = 3


def find_spellings(
    connection: duckdb.DuckDBPyConnection,
    pipeline: Pipeline,
    columns: Mapping[str, str],
    inputs: Sequence[str],
) -> dict[str, Spellings]:
    """Return the categories, and the target, that have values in several spellings.

    Args:
        connection: an engine with the view `source` of the clean rows.
        columns: the DuckDB type of each clean column.
        inputs: the columns that the model may learn from.
    """
    train = pipeline.spec.training
    prose = {*(train.text or ()), train.model.image if isinstance(train.model, Cnn) else None}
    names = [
        name
        for name in dict.fromkeys((train.target, *inputs))
        if columns[name] == "VARCHAR" and name not in prose
    ]
    if not names:
        return {}
    counts = ", ".join(f"approx_count_distinct({_short(name)})" for name in names)
    distinct = connection.execute(f"SELECT {counts} FROM source").fetchone() or ()
    sensitive = sensitive_columns(pipeline)
    found = {
        name: _spellings(connection, name, name in sensitive)
        for name, values in zip(names, distinct, strict=True)
        if values <= _MOST
    }
    return {name: spellings for name, spellings in found.items() if spellings}


def _short(name: str) -> str:
    return f"left({identifier(name)}, {_LETTERS})"


def _spellings(
    connection: duckdb.DuckDBPyConnection, name: str, sensitive: bool
) -> Spellings | None:
    # The most frequent spelling first.
    order = "ORDER BY rows DESC, value"
    groups = connection.execute(
        f"SELECT list(value {order}), list(rows {order}) FROM ("
        f"SELECT {_short(name)} AS value, count(*) AS rows FROM source "
        f"WHERE {identifier(name)} IS NOT NULL GROUP BY 1) "
        f"GROUP BY {unified_sql('value')} HAVING count(*) > 1 ORDER BY sum(rows) DESC, min(value)"
    ).fetchall()
    if not groups:
        return None
    examples = [] if sensitive else groups[:_EXAMPLES]
    return Spellings(
        values=len(groups),
        rows=sum(sum(rows[1:]) for _, rows in groups),
        examples=tuple(dict(zip(values, rows, strict=True)) for values, rows in examples),
    )
