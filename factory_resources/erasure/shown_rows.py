"""Blank the pages in Dagster's history that show rows of pipelines' tables.

A row that is erased may have no value by which it is told from others, so that such a page goes as
a whole. Replacing single values belongs in `scrubbing`.
"""

import json
import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

from factory_resources.erasure.databases import in_transaction, sqlite_tables
from factory_resources.erasure.redaction import ERASED
from factory_resources.erasure.scrubbing_sqlite import rewritten
from factory_resources.home.database import DATABASE_VARIABLE, server_address
from factory_resources.home.home import Home
from factory_resources.home.sqlite_files import dagster_files, run_logs
from factory_resources.sql.engine import identifier

PAGES = frozenset({"preview", "quarantine"})
"""The labels of the metadata that have such a page."""

_PLACES = {
    "event_logs": ("event", ("asset_key", "step_key")),
    "asset_keys": ("last_materialization", ("asset_key",)),
}
"""Tables of Dagster to the column with metadata, and to those that say what it is about."""


def blank_shown_rows(home: Home, pipelines: Collection[str]) -> int:
    """Blank the pages of pipelines; return how many texts were changed. It can be done again.

    Nothing else may use the home meanwhile.

    Raises:
        StorageError: a database cannot be read or written.
    """
    if server_address() is not None:
        return _in_server(pipelines)
    files = [*dagster_files(home), *run_logs(home)]
    return sum(_in_file(file.path, pipelines) for file in files if file.path.is_file())


def without_pages(text: str) -> str:
    """Return JSON of Dagster without the pages; other texts stay as they are."""
    if not any(f'"{label}"' in text for label in PAGES):
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    changed = _blanked(value)
    return text if changed == value else json.dumps(changed)


def _blanked(value: Any) -> Any:
    if isinstance(value, list):
        return [_blanked(one) for one in value]
    if not isinstance(value, dict):
        return value
    label, data = value.get("label"), value.get("entry_data")
    if isinstance(label, str) and label in PAGES and isinstance(data, dict) and "md_str" in data:
        return {**value, "entry_data": {**data, "md_str": ERASED}}
    return {name: _blanked(one) for name, one in value.items()}


def _in_file(path: Path, pipelines: Collection[str]) -> int:
    with rewritten(path, "rows shown on pages cannot be removed", always=False) as connection:
        return sum(
            _in_table(connection, table, name)
            for table in _PLACES.keys() & {*sqlite_tables(connection)}
            for name in pipelines
        )


def _in_table(connection: sqlite3.Connection, table: str, pipeline: str) -> int:
    column, conditions, values = _rows_about(table, pipeline, "substr({}, 1, ?) = ?")
    rows = connection.execute(
        f"SELECT rowid, {column} FROM {identifier(table)} WHERE {conditions}", values
    ).fetchall()
    count = 0
    for row, text in rows:
        if isinstance(text, str) and (changed := without_pages(text)) != text:
            connection.execute(
                f"UPDATE {identifier(table)} SET {column} = ? WHERE rowid = ?", [changed, row]
            )
            count += 1
    return count


def _rows_about(table: str, pipeline: str, begins: str) -> tuple[str, str, list[object]]:
    """Return the column with metadata, and the condition for rows about a pipeline with its values.

    Args:
        begins: SQL for whether a column begins with a text, whose length is given first.
    """
    column, names = _PLACES[table]
    # How Dagster writes the keys of its assets, and how the steps of its stages are called.
    beginnings = {"asset_key": f'["{pipeline}", ', "step_key": f"{pipeline}__"}
    conditions = " OR ".join(begins.format(f'"{name}"') for name in names)
    values: list[object] = []
    for name in names:
        values += [len(beginnings[name]), beginnings[name]]
    return f'"{column}"', conditions, values


def _in_server(pipelines: Collection[str]) -> int:
    from factory_resources.migration.catalog import run, tables_of
    from factory_resources.migration.server import connected, default_schema
    from factory_resources.migration.stores import stores

    count = 0
    with connected(server_address() or "", DATABASE_VARIABLE) as connection:
        [dagster] = [store for store in stores() if store.name == "Dagster"]
        schema = dagster.schema or default_schema(connection)
        tables = {table.name: table.address for table in tables_of(connection, schema)}
        for name in _PLACES.keys() & tables.keys():
            with in_transaction(connection):
                for pipeline in pipelines:
                    column, conditions, values = _rows_about(name, pipeline, "left({}, %s) = %s")
                    query = f"SELECT id, {column} FROM {tables[name]} WHERE {conditions}"
                    for row, text in run(connection, query, values):
                        if text is not None and (changed := without_pages(text)) != text:
                            update = f"UPDATE {tables[name]} SET {column} = %s WHERE id = %s"
                            run(connection, update, [changed, row])
                            count += 1
            run(connection, f"VACUUM (FULL, ANALYZE) {tables[name]}")
    return count
