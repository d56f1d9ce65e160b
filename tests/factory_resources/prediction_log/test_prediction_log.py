"""An answer is found from the moment it is durable, and stored once whatever is killed when."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.errors import StorageError, UnknownNameError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log.blocks import PredictionBlock, read_block
from factory_resources.prediction_log.collector import enter, journal_folder
from factory_resources.prediction_log.engines import open_store
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.segments import OPEN, first_id, read
from tests.disks import small_disk
from tests.engines import ON_POSTGRES
from tests.factory_resources.prediction_log.homes import log as log
from tests.factory_resources.prediction_log.samples import payload, record, write
from tests.long_run import in_long
from tests.postgres import Postgres


def _entries(home: Home) -> list[PredictionsLogged]:
    with Ledger(home).reading() as reading:
        entries = [read_entry(body) for _, body in reading.bodies()]
    return [entry for entry in entries if isinstance(entry, PredictionsLogged)]


def test_an_answer_is_found_in_every_place_that_it_passes(log: PredictionLog, home: Home) -> None:
    journal, ids = log.journal(), PredictionIds()
    [identifier] = write(journal, [7], ids)
    places = []
    for step in (lambda: None, journal.close, log.collect):
        step()
        found = log.find(text(identifier))
        assert found
        assert (found.row, found.record) == (0, record(7))
        places.append(found.place)
    assert places == ["journal", "journal", "database"]
    assert found.block == _entries(home)[0].block


def test_each_row_of_a_request_is_found_by_its_own_id(log: PredictionLog, home: Home) -> None:
    journal, ids = log.journal(), PredictionIds()
    base = ids.take(3)
    journal.append(base, payload(5, rows=3))
    write(journal, [6], ids)
    journal.close()
    for _ in range(2):
        rows = [log.find(text(base, row)) for row in range(4)]
        assert [found and found.row for found in rows] == [0, 1, 2, None]
        assert all(found.record == record(5, rows=3) for found in rows if found)
        log.collect()


def test_an_error_without_rows_is_found_by_the_id_of_its_request(
    log: PredictionLog, home: Home
) -> None:
    journal, ids = log.journal(), PredictionIds()
    base = ids.take()
    journal.append(base, payload(5, rows=0))
    journal.flush()
    journal.close()
    assert log.find(text(base))
    assert not log.find(text(base, 1))


def test_an_id_that_was_never_given_out_is_not_found(log: PredictionLog, home: Home) -> None:
    ids = PredictionIds()
    before = ids.take()
    journal = log.journal()
    write(journal, range(3), ids)
    between = text(PredictionIds().take())
    assert log.find(text(before)) is log.find(between) is None
    journal.close()
    log.collect()
    assert log.find(text(before)) is log.find(between) is None
    with pytest.raises(UnknownNameError, match="not the id"):
        log.find("apple")


def test_a_home_that_never_answered_has_nothing_to_find_or_collect(
    log: PredictionLog, home: Home
) -> None:
    assert log.find(text(PredictionIds().take())) is None
    assert log.collect() == 0


def test_a_block_enters_the_ledger_with_its_root_and_range(log: PredictionLog, home: Home) -> None:
    journal, ids = log.journal(), PredictionIds()
    taken = write(journal, range(300), ids)
    journal.close()
    [segment] = journal_folder(home).iterdir()
    block = read_block(segment)
    assert log.collect() == 1
    [entry] = _entries(home)
    assert entry.subject == f"predictions/{block.identity}"
    assert (entry.first, entry.last, entry.count) == (taken[0].hex(), taken[-1].hex(), 300)
    assert (entry.root, entry.bytes) == (block.root.hex(), sum(len(payload(n)) for n in range(300)))
    with open_store(home) as store:
        [stored] = store.blocks()
        assert store.leaves(stored, 0, 300) == block.leaves
        assert store.leaves(stored, 257, 260) == block.leaves[257:260]
        assert store.counts() == {"apples": 300}
    assert log.collect() == 0
    assert len(_entries(home)) == 1


def test_what_a_killed_server_flushed_is_collected(log: PredictionLog, home: Home) -> None:
    script = """
import os, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.segments import OPEN, first_id, read
from tests.factory_resources.prediction_log.samples import write
journal = PredictionLog(Home(Path(sys.argv[1]))).journal()
sys.stdout.buffer.write(b"".join(write(journal, range(5), PredictionIds())))
sys.stdout.flush()
os.kill(os.getpid(), 9)
"""
    command = [sys.executable, "-c", script, str(home.path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert log.collect() == 1
    for number in range(5):
        found = log.find(text(done.stdout[16 * number : 16 * number + 16]))
        assert found
        assert found.record == record(number)


_KILLED = """
import os, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log import collector, journal, segments
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.postgres_store import PostgresStore
from factory_resources.prediction_log.sqlite_store import SqliteStore
engine = PostgresStore if os.environ.get("FACTORY_DATABASE_URL") else SqliteStore
home, step, when = Home(Path(sys.argv[1])), sys.argv[2], sys.argv[3]
owner, name = {
    "read": (collector, "read_block"),
    "enter": (collector, "enter"),
    "rows": (engine, "insert_rows"),
    "store": (engine, "add"),
    "remove": (collector, "remove_segment"),
    "recover": (journal, "whole_bytes"),
    "seal": (journal, "seal"),
}[step]
act = getattr(owner, name)
def killed(*arguments):
    if when == "after":
        act(*arguments)
    os._exit(9)
setattr(owner, name, killed)
PredictionLog(home).collect()
"""


STEPS = ("recover", "seal", "read", "enter", "rows", "store", "remove")


@pytest.mark.parametrize("when", ["before", *in_long(["after"])])
@pytest.mark.parametrize(
    ("engine", "step"),
    [
        *(("sqlite", step) for step in STEPS),
        ("postgres", "store"),
        *in_long(("postgres", step) for step in STEPS if step != "store"),
    ],
    indirect=["engine"],
)
def test_a_kill_between_any_two_steps_loses_and_doubles_nothing(
    log: PredictionLog, home: Home, step: str, when: str
) -> None:
    journal, ids = log.journal(), PredictionIds()
    taken = write(journal, range(20), ids)
    journal.roll()
    taken += write(journal, range(20, 30), ids)
    [left] = journal_folder(home).glob("*.open")
    content = left.read_bytes()
    journal.close()
    # The second segment is as a killed server leaves it.
    left.with_suffix(".sealed").unlink()
    left.write_bytes(content)
    command = [sys.executable, "-c", _KILLED, str(home.path), step, when]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    log.collect()
    assert not os.listdir(journal_folder(home))
    assert sorted(entry.count for entry in _entries(home)) == [10, 20]
    with open_store(home) as store:
        assert store.counts() == {"apples": 30}
        assert sorted(block.count for block in store.blocks()) == [10, 20]
    for number, identifier in enumerate(taken):
        found = log.find(text(identifier))
        assert found
        assert found.record == record(number)


_COLLECT = """
import sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log.prediction_log import PredictionLog
print(PredictionLog(Home(Path(sys.argv[1]))).collect())
"""


def test_several_collectors_at_once_store_each_block_once(log: PredictionLog, home: Home) -> None:
    journal, ids = log.journal(), PredictionIds()
    for start in range(0, 200, 10):
        write(journal, range(start, start + 10), ids)
        journal.roll()
    journal.close()
    command = [sys.executable, "-c", _COLLECT, str(home.path)]
    collectors = [
        subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    counts = [int(collector.communicate()[0]) for collector in collectors]
    assert sum(counts) == len(_entries(home)) == 20
    with open_store(home) as store:
        assert store.counts() == {"apples": 200}


def test_a_block_that_the_ledger_knows_otherwise_is_not_stored(
    log: PredictionLog, home: Home
) -> None:
    journal, ids = log.journal(), PredictionIds()
    write(journal, range(3), ids)
    journal.close()
    [segment] = journal_folder(home).iterdir()
    content = segment.read_bytes()
    log.collect()
    with open_store(home) as store:
        [block] = store.blocks()
        for table in ("block", "leaf_tile", "prediction"):
            store.run(f"DELETE FROM {table}")
    # A whole record less: each of the others is as it was written.
    segment.write_bytes(content[: -24 - len(payload(2))])
    with pytest.raises(StorageError, match="entry 1 of the ledger names other records"):
        log.collect()
    assert segment.exists()
    segment.write_bytes(content)
    assert log.collect() == 1
    assert block.identity == _entries(home)[0].block


def test_a_damaged_segment_does_not_keep_the_others_from_being_stored(
    log: PredictionLog, home: Home
) -> None:
    journal, ids = log.journal(), PredictionIds()
    taken = []
    for number in range(3):
        taken += write(journal, [number], ids)
        journal.roll()
    journal.close()
    [damaged] = [
        path
        for path in journal_folder(home).iterdir()
        if taken[0] in (identifier for identifier, _ in read(path))
    ]
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with pytest.raises(StorageError, match="is damaged"):
        log.collect()
    assert [*journal_folder(home).iterdir()] == [damaged]
    assert log.find(text(taken[1]))
    assert log.find(text(taken[2]))


def _segments_of(log: PredictionLog, home: Home, count: int) -> tuple[list[bytes], list[Path]]:
    """Write so many segments of two answers; return the ids of their first answers, and them."""
    journal, ids, taken = log.journal(), PredictionIds(), list[bytes]()
    for number in range(count):
        taken.append(write(journal, [number, number + count], ids)[0])
        journal.roll()
    journal.close()
    return taken, sorted(journal_folder(home).iterdir(), key=first_id)


def test_a_changed_segment_does_not_keep_the_others_from_being_stored(
    log: PredictionLog, home: Home
) -> None:
    taken, segments = _segments_of(log, home, 3)
    # As after a kill before anything was stored, but for the entry.
    enter(home, [read_block(segments[0])])
    segments[0].write_bytes(segments[0].read_bytes()[: -24 - len(payload(3))])
    with pytest.raises(StorageError, match="entry 1 of the ledger names other records"):
        log.collect()
    assert [*journal_folder(home).iterdir()] == segments[:1]
    assert [found.place for one in taken if (found := log.find(text(one)))] == [
        *("journal", "database", "database")
    ]


def test_a_damaged_segment_of_a_killed_server_does_not_keep_the_others_from_being_stored(
    log: PredictionLog, home: Home
) -> None:
    taken, segments = _segments_of(log, home, 3)
    orphans = [segment.rename(segment.with_suffix(OPEN)) for segment in segments]
    orphans[0].write_bytes(b"x" * 200)
    with pytest.raises(StorageError, match="is damaged: it has no header"):
        log.collect()
    assert [*journal_folder(home).iterdir()] == orphans[:1]
    assert all(log.database.find(one) for one in taken[1:])


def test_an_id_that_is_stored_already_stays_as_it_is(log: PredictionLog) -> None:
    ids = PredictionIds()
    one, two, three = (ids.take() for _ in range(3))
    store = log.database
    store.add(PredictionBlock("a", [(one, payload(1)), (two, payload(2))]))
    assert store.add(PredictionBlock("b", [(two, payload(20)), (three, payload(3))]))
    for identifier, number in ((one, 1), (two, 2), (three, 3)):
        found = store.find(identifier)
        assert found
        assert found.record == payload(number)


@ON_POSTGRES
def test_what_a_server_that_was_restarted_has_is_found(
    log: PredictionLog, postgres: Postgres
) -> None:
    journal = log.journal()
    [identifier] = write(journal, [1], PredictionIds())
    journal.close()
    log.collect()
    postgres.stop()
    with pytest.raises(StorageError, match="the database of FACTORY_DATABASE_URL"):
        log.find(text(identifier))
    postgres.start()
    assert log.find(text(identifier))


def test_a_block_is_stored_once(log: PredictionLog, home: Home) -> None:
    ids = PredictionIds()
    block = PredictionBlock("b", [(ids.take(), payload(n)) for n in range(3)])
    with open_store(home) as store:
        assert store.add(block)
        assert not store.add(block)
        assert store.counts() == {"apples": 3}


def test_the_file_says_in_one_line_that_it_is_damaged(home: Home) -> None:
    Ledger(home).begin()
    log = PredictionLog(home)
    log.collect()
    log.close()
    Path(home.predictions_database).write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="the database of the prediction log is damaged"):
        log.find(text(PredictionIds().take()))


def test_what_does_not_fit_on_the_disk_is_collected_later(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8 << 20) as disk:
        home = Home(disk.folder / "home")
        Ledger(home).begin()
        with PredictionLog(home) as log:
            journal, ids = Journal(journal_folder(home), size=1 << 20), PredictionIds()
            taken = write(journal, range(3000), ids)
            journal.close()
            with disk.filled(free=100_000), pytest.raises(StorageError) as refused:
                log.collect()
            assert "\n" not in str(refused.value)
            found = log.find(text(taken[-1]))
            assert found
            assert found.place == "journal"
            assert log.collect() == 1
            assert log.database.counts() == {"apples": 3000}


def test_nothing_heavy_is_imported_to_write_and_to_ask() -> None:
    script = """
import sys
from factory_resources.prediction_log import journal, prediction_log, protection
heavy = {"pyarrow", "pydantic", "psycopg2", "duckdb", "mlflow", "pandas", "cryptography"}
print(*sorted(heavy & {name.partition(".")[0] for name in sys.modules}))
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("\n", "")
