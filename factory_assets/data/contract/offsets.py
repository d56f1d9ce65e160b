"""Times with and without an offset from UTC: which zone the latter are in, and how many there are.

Other types of cells belong in `sql_types`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from factory_assets.data.contract.sql_types import LATEST, value_sql
from factory_assets.data.contract.type_inference import missing_tokens
from factory_assets.spec import Column, Ingest
from factory_assets.spec.contract import ColumnType
from factory_resources.sources.files.reader import SourceTable, parquet
from factory_resources.sql.engine import ZONED, ZONED_NANOSECONDS, identifier, literal

if TYPE_CHECKING:
    import duckdb

    from factory_resources.tables.writer import StagedTable


Offsets = dict[str, tuple[int, int]]
"""Each time column with the number of its values that have an offset, and that have none."""


def has_offset_sql(value: str, kind: str) -> str:
    """Return SQL for whether a time is written with an offset or a zone."""
    if kind != "VARCHAR":
        return "true" if kind in (ZONED, ZONED_NANOSECONDS) else "false"
    pattern = r":[0-9]{2}([.,][0-9]+)? *([+-][0-9]|[A-Za-z])"
    # Most times have seconds and end with them: there is no room for an offset.
    plain = f"(strlen({value}) = 19 AND substr({value}, 17, 1) = ':')"
    return f"(NOT {plain} AND regexp_matches({value}, '{pattern}'))"


def in_zone_sql(time: str, value: str, kind: str, zone: str) -> str:
    """Return SQL for the time in UTC, if a value without an offset is in the zone.

    It is null if the zone moves it into a year that Python does not have, such as 10000.

    Args:
        time: SQL of the time as `typed_sql` reads it: without an offset, as if it were UTC.
        value: SQL of the value.
        kind: its DuckDB type.
    """
    local = f"CAST(timezone({literal(zone)}, {time}) AS TIMESTAMP)"
    moved = f"CASE WHEN {local} BETWEEN '0001-01-01' AND {LATEST} THEN {local} END"
    return f"CASE WHEN {has_offset_sql(value, kind)} THEN {time} ELSE {moved} END"


OFFSETS_SEEN = "offsets_seen"
"""The sequence that counts the times with an offset while a text is read."""


def noting_offsets_sql(time: str, value: str) -> str:
    """Return SQL for the time that also counts it in `OFFSETS_SEEN` if it has an offset.

    Another pass over a text for what hardly ever occurs would cost a fifth of reading it.
    """
    counted = f"CASE WHEN nextval('{OFFSETS_SEEN}') > 0 THEN {time} END"
    return f"CASE WHEN {has_offset_sql(value, 'VARCHAR')} THEN {counted} ELSE {time} END"


def offsets_after_reading(
    connection: duckdb.DuckDBPyConnection,
    ingest: Ingest,
    columns: Sequence[Column],
    types: Sequence[ColumnType],
    raws: Sequence[SourceTable],
    good: StagedTable,
) -> Offsets:
    """Count the times with and without an offset of every column that declares no zone.

    Args:
        good: the valid rows, which were read from `raws` just before.
    """
    seen = connection.execute(
        "SELECT last_value FROM duckdb_sequences() WHERE sequence_name = ?", [OFFSETS_SEEN]
    ).fetchone()
    if not raws[0].text or (seen and seen[0]):
        return count_offsets(connection, ingest, columns, types, raws)
    names = [column.name for column in _times_without_zone(columns, types)]
    # The first count keeps the query valid if there are no such columns.
    counts = ", ".join(["count(*)", *(f"count({identifier(name)})" for name in names)])
    [row] = connection.execute(f"SELECT {counts} FROM {parquet(good.path)}").fetchall()
    return {name: (0, count) for name, count in zip(names, row[1:], strict=True)}


def _times_without_zone(columns: Sequence[Column], types: Sequence[ColumnType]) -> list[Column]:
    pairs = zip(columns, types, strict=True)
    return [column for column, kind in pairs if kind == "timestamp" and not column.timezone]


def count_offsets(
    connection: duckdb.DuckDBPyConnection,
    ingest: Ingest,
    columns: Sequence[Column],
    types: Sequence[ColumnType],
    raws: Sequence[SourceTable],
) -> Offsets:
    """Count the times with and without an offset of every column that declares no zone."""
    counted: Offsets = {}
    for column in _times_without_zone(columns, types):
        total = (0, 0)
        for raw in raws:
            name, kind = raw.columns[column.source_name]
            value = value_sql(identifier(name), kind, missing_tokens(ingest, column))
            offset = has_offset_sql("value", kind)
            row = connection.execute(
                f"SELECT count(*) FILTER (WHERE {offset}), count(*) FILTER (WHERE NOT {offset}) "
                f"FROM (SELECT {value} AS value FROM {raw.relation}) WHERE value IS NOT NULL"
            ).fetchone()
            total = _sum([total, row or (0, 0)])
        counted[column.name] = total
    return counted


def mixed(offsets: Iterable[Offsets]) -> Offsets:
    """Add up the counts of several blocks; return the columns that have times of both kinds."""
    total: Offsets = {}
    for block in offsets:
        for name, counts in block.items():
            total[name] = _sum([total.get(name, (0, 0)), counts])
    return {name: counts for name, counts in total.items() if all(counts)}


def _sum(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    with_offset, without = zip(*counts, strict=True)
    return sum(with_offset), sum(without)
