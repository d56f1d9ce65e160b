"""Find the type of each column: declared, given by the source, or inferred from all values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from factory_assets.data.contract.sql_types import (
    INFERRED,
    looks_like_sql,
    may_exceed,
    native_type,
    typed_sql,
    value_sql,
)
from factory_assets.spec import Column, Ingest
from factory_assets.spec.contract import ColumnType
from factory_resources.sources.files.reader import SourceTable
from factory_resources.sql.engine import identifier

if TYPE_CHECKING:
    import duckdb


CHUNK = 200
"""Columns in one query: planning time grows faster than their number."""

FIRST = 100
"""Rows of a source by which most types of a column can be ruled out."""


def missing_tokens(ingest: Ingest, column: Column) -> tuple[str, ...]:
    """Return the texts that mean a missing value in the column."""
    return (*ingest.missing, *column.missing)


def column_types(
    connection: duckdb.DuckDBPyConnection,
    ingest: Ingest,
    columns: Sequence[Column],
    raws: Sequence[SourceTable],
) -> list[ColumnType]:
    """Return the declared type, else the one in the source, else the narrowest for all values."""
    types: list[ColumnType | None] = [c.type or _own_type(c, raws) for c in columns]
    unknown = [i for i, kind in enumerate(types) if kind is None]
    for start in range(0, len(unknown), CHUNK):
        chunk = unknown[start : start + CHUNK]
        for i, kind in zip(chunk, _inferred(connection, ingest, columns, raws, chunk), strict=True):
            types[i] = kind
    for i in _beyond_own_type(connection, ingest, columns, raws):
        types[i] = "string"
    return [kind or "string" for kind in types]


def _own_type(column: Column, raws: Sequence[SourceTable]) -> ColumnType | None:
    kinds = {raw.columns[column.source_name][1] for raw in raws}
    types = {native_type(kind) for kind in kinds}
    if types == {"int64", "float64"}:
        return "float64"
    if types == {None} and not any(raw.format in {"csv", "jsonl"} for raw in raws):
        return "string"
    return types.pop() if len(types) == 1 else None


def _beyond_own_type(
    connection: duckdb.DuckDBPyConnection,
    ingest: Ingest,
    columns: Sequence[Column],
    raws: Sequence[SourceTable],
) -> set[int]:
    """Return the columns of no declared type with a whole number that their own has not."""
    wide = {
        i: wanted
        for i, column in enumerate(columns)
        if not column.type
        and (wanted := _own_type(column, raws))
        and any(may_exceed(raw.columns[column.source_name][1], wanted) for raw in raws)
    }
    found: set[int] = set()
    for start in range(0, len(wide), CHUNK):
        chunk = [*wide][start : start + CHUNK]
        for raw in raws:
            tests = []
            for i in chunk:
                name, kind = raw.columns[columns[i].source_name]
                value = value_sql(identifier(name), kind, missing_tokens(ingest, columns[i]))
                beyond = f"{value} IS NOT NULL AND ({typed_sql(value, kind, wide[i])}) IS NULL"
                tests.append(f"bool_or({beyond if may_exceed(kind, wide[i]) else 'false'})")
            row = connection.execute(f"SELECT {', '.join(tests)} FROM {raw.relation}").fetchone()
            found.update(i for i, beyond in zip(chunk, row or (), strict=True) if beyond)
    return found


def _inferred(
    connection: duckdb.DuckDBPyConnection,
    ingest: Ingest,
    columns: Sequence[Column],
    raws: Sequence[SourceTable],
    chunk: Sequence[int],
) -> list[ColumnType]:
    # One row per cell keeps the plan small, however many columns there are.
    parts = [_texts(ingest, columns, raw, chunk, raw.relation) for raw in raws]
    first = _texts(ingest, columns, raws[0], chunk, f"(FROM {raws[0].relation} LIMIT {FIRST})")
    rows = connection.execute(fits_sql(" UNION ALL ".join(parts), first)).fetchall()
    answers = {i: fits for i, *fits in rows}
    return [_first_that_fits(INFERRED, answers.get(i, ())) for i in range(len(chunk))]


def _texts(
    ingest: Ingest, columns: Sequence[Column], raw: SourceTable, chunk: Sequence[int], rows: str
) -> str:
    """Return SQL for the cells of these rows of a source as (name, text); a name is a place."""
    cells = []
    for i in chunk:
        name, kind = raw.columns[columns[i].source_name]
        value = value_sql(identifier(name), kind, missing_tokens(ingest, columns[i]))
        cells.append(f"CAST({value} AS VARCHAR)")
    return (
        f"SELECT unnest([{', '.join(cells)}]) AS text, unnest(range({len(chunk)})) AS name "
        f"FROM {rows}"
    )


def fits_sql(
    texts: str, first: str, known: str = "text IS NOT NULL", also: Sequence[str] = ()
) -> str:
    """Return SQL for each column's name, and for each of `INFERRED` whether all its texts fit it.

    A type that one of the first texts does not fit is not tried on the others: it would take most
    of the time, since a text that is no date or number is slow to refuse.

    Args:
        texts: SQL of a table of (name, text).
        first: SQL of some of its rows.
        known: SQL for whether a text counts.
        also: aggregates of the texts of a column, to be returned between its name and the types.
    """
    tests = {f"may_be_{kind}": looks_like_sql("text", kind) for kind in INFERRED}
    early = [f"bool_and({test}) AS {may}" for may, test in tests.items()]
    all_rows = [
        f"bool_and(CASE WHEN {may} = false THEN false ELSE {test} END) FILTER ({known})"
        for may, test in tests.items()
    ]
    possible = f"SELECT name, {', '.join(early)} FROM ({first}) WHERE {known} GROUP BY name"
    return (
        f"SELECT name, {', '.join((*also, *all_rows))} "
        f"FROM ({texts}) LEFT JOIN ({possible}) USING (name) GROUP BY name"
    )


def _first_that_fits(kinds: Sequence[ColumnType], answers: Sequence[bool | None]) -> ColumnType:
    return next((kind for kind, fits in zip(kinds, answers, strict=False) if fits), "string")
