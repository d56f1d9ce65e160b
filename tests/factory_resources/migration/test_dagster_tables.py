"""Cursors in Dagster's tables name the same events after a migration."""

import sqlite3
from contextlib import closing

from factory_resources.migration.catalog import StoredColumn, StoredTable
from factory_resources.migration.dagster_tables import renamed_rows

_KVS = StoredTable(
    "public",
    "kvs",
    tuple(
        StoredColumn(name, kind, kind)
        for name, kind in (("id", "integer"), ("key", "text"), ("value", "text"))
    ),
)


def test_of_the_bare_numbers_in_kvs_only_the_cursors_of_retries_are_ids() -> None:
    rows = [
        (1, "EVENT_LOG_CONSUMER_CURSOR-PIPELINE_FAILURE", "7"),
        (2, "MIGRATED_CURSOR", "1"),
        (3, "OTHER", '{"last_event_id": 7}'),
    ]
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE kvs (id, key, value)")
        connection.executemany("INSERT INTO kvs VALUES (?, ?, ?)", rows)
        [renamed] = renamed_rows(connection, _KVS, lambda number: number + 100)
    values = [row[2] for row in renamed]
    assert values == ["107", "1", '{"last_event_id": 107}']
