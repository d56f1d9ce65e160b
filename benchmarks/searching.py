"""A search of a whole home for the values of people, against `grep -F -r` for the same bytes.

    python -m benchmarks.searching [PEOPLE ...]

The home is filled with what takes most of one: tables of a million rows, events in SQLite, logs.
`grep` reads the bytes of the files, and stops at the first place of each. The search goes on, and
reads every cell as well, of tables that are compressed in files.
"""

import json
import random
import sqlite3
import string
import sys
import tempfile
from contextlib import closing
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

from benchmarks.measure import Result, Usage, measure
from factory_resources.erasure.search import find_values
from factory_resources.erasure.values import Value, needles
from factory_resources.home.home import Home

SNAPSHOTS, ROWS, EVENTS, LINES = 10, 1_000_000, 400_000, 2_500_000

_TABLE = """\
COPY (
  SELECT repeat('ab', 32) AS _file, range AS _row,
    (hash(range + {n}) % 900000000)::BIGINT AS number,
    'person' || hash(range * 7 + {n}) % 10000000 AS name, 'town' || range % 5000 AS town,
    round(40 + (hash(range * 3 + {n}) % 7000000) / 100000, 6) AS weight,
    DATE '1930-01-01' + (hash(range * 5 + {n}) % 30000)::INTEGER AS born
  FROM range({rows})
) TO '{file}' (FORMAT parquet, COMPRESSION zstd)
"""


def run(people: int = 50) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        home = Home(Path(name) / "home")
        _fill(home)
        size = sum(path.stat().st_size for path in home.path.rglob("*") if path.is_file())
        values = persons(people)
        patterns = Path(name) / "patterns"
        # To grep, each line is a pattern.
        lines = [one.content for one in needles(values) if b"\n" not in one.content]
        patterns.write_bytes(b"\n".join(lines) + b"\n")
        command = 'grep -Fral -f "$1" "$2" || true'
        grep = measure(["sh", "-c", command, "", str(patterns), str(home.path)], {"LC_ALL": "C"})
        module = [sys.executable, "-m", "benchmarks.searching"]
        ours = measure([*module, "search", str(home.path), str(people)], {})
    return [_result(f"search of {size / 1e9:.1f} GB for {people} people", ours, grep)]


def _result(name: str, ours: Usage, grep: Usage) -> Result:
    ratio = grep.cpu / ours.cpu
    return Result(
        name,
        f"{ours.cpu:.1f} s CPU, {ours.megabytes:.0f} MB; grep -F {grep.cpu:.1f} s: {ratio:.2f} of "
        "its speed",
        "0.5",
        ratio >= 0.5,
    )


def persons(count: int) -> list[Value]:
    """Return seven values of each of some people, of whom the home knows nothing."""
    draw = random.Random(3)
    found: list[Value] = []
    for _ in range(count):
        name = "".join(draw.choices(string.ascii_lowercase, k=9))
        found += [
            draw.randrange(10**9, 10**10),
            f"{name} {''.join(draw.choices(string.ascii_lowercase, k=8))}",
            "".join(draw.choices(string.ascii_letters, k=10)),
            draw.uniform(40, 110),
            draw.uniform(0, 1),
            date(1930, 1, 1) - timedelta(draw.randrange(20_000)),
            datetime(2000, 1, 1) + timedelta(seconds=draw.randrange(10**8)),
        ]
    return found


def _fill(home: Home) -> None:
    folder = home.tables / "people" / "clean"
    folder.mkdir(parents=True)
    for number in range(SNAPSHOTS):
        file = folder / f"{number}.parquet"
        duckdb.sql(_TABLE.format(n=number, rows=ROWS, file=file))
    draw = random.Random(5)
    events = [
        json.dumps({"rows": number, "md": " | ".join(f"{draw.random():.6g}" for _ in range(120))})
        for number in range(2000)
    ]
    with closing(sqlite3.connect(home.mlflow_database)) as connection, connection:
        connection.execute("CREATE TABLE events (id INTEGER PRIMARY KEY, run TEXT, event TEXT)")
        rows = ((f"run {number}", events[number % 2000]) for number in range(EVENTS))
        connection.executemany("INSERT INTO events (run, event) VALUES (?, ?)", rows)
    (home.path / "logs").mkdir()
    with (home.path / "logs" / "door.log").open("w") as log:
        for number in range(LINES):
            log.write(f"2026-11-27T05:{number % 60:02}:00 asked /graphql {number} of 127.0.0.1\n")


def main() -> None:
    if sys.argv[1:2] == ["search"]:
        home, people = Home(Path(sys.argv[2])), int(sys.argv[3])
        print(sum(1 for _ in find_values(home, persons(people))))
        return
    for people in map(int, sys.argv[1:] or ["50"]):
        for result in run(people):
            print(result.name, result.measured, sep=": ")


if __name__ == "__main__":
    main()
