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
    selects = []
    for raw in raws:
        cells = []
        for i in chunk:
            name, kind = raw.columns[columns[i].source_name]
            text = value_sql(identifier(name), kind, missing_tokens(ingest, columns[i]))
            cells.append(f"CAST({text} AS VARCHAR)")
        selects.append(
            f"SELECT unnest([{', '.join(cells)}]) AS cell, unnest(range({len(chunk)})) AS i "
            f"FROM {raw.relation}"
        )
    tests = ", ".join(f"bool_and({looks_like_sql('cell', kind)})" for kind in INFERRED)
    rows = connection.execute(
        f"SELECT i, {tests} FROM ({' UNION ALL '.join(selects)}) WHERE cell IS NOT NULL GROUP BY i"
    ).fetchall()
    answers = {i: fits for i, *fits in rows}
    return [_first_that_fits(INFERRED, answers.get(i, ())) for i in range(len(chunk))]


def _first_that_fits(kinds: Sequence[ColumnType], answers: Sequence[bool | None]) -> ColumnType:
    return next((kind for kind, fits in zip(kinds, answers, strict=False) if fits), "string")
