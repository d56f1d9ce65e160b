"""The verifier compares the blocks in the ledger with the stored answers."""

import json
import shutil
from collections.abc import Callable, Iterator
from hashlib import sha256
from itertools import product
from uuid import uuid4

import pytest
from msgspec import msgpack

from factory_resources.home.home import Home
from factory_resources.ledger import factory_verify
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import PredictionsLogged
from factory_resources.prediction_log.blocks import PredictionBlock, read_block
from factory_resources.prediction_log.collector import enter, journal_folder
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.store import PredictionStore
from tests.factory_resources.prediction_log.homes import fill, problems, verify
from tests.factory_resources.prediction_log.samples import payload, write


@pytest.fixture
def log(home: Home) -> Iterator[PredictionLog]:
    Ledger(home).begin()
    with PredictionLog(home) as opened:
        yield opened


def test_a_log_that_nobody_changed_holds(log: PredictionLog, home: Home) -> None:
    fill(log, PredictionIds(), [300, 1, 20])
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert report.checked["blocks of answers"] == 3
    assert report.checked["answers in the database"] == 321


def test_the_blocks_of_many_devices_of_the_same_time_are_compared_in_time(
    log: PredictionLog, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids, devices = PredictionIds(), 300
    taken = [(ids.take(), payload(number)) for number in range(10 * devices)]
    blocks = [PredictionBlock(str(uuid4()), taken[one::devices]) for one in range(devices)]
    enter(home, blocks)
    for block in blocks:
        log.database.add(block)
    log.close()
    # A tenth of the steps, as for ten times as many devices.
    monkeypatch.setattr(factory_verify, "_STEPS", 0)
    monkeypatch.setattr(factory_verify, "_BYTES_PER_STEP", 1000)
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert report.checked["answers in the database"] == len(taken)
    changed = "UPDATE prediction SET record = x'00' WHERE id = ?"
    log.database.run(changed, [taken[devices + 7][0]])
    log.database.run("DELETE FROM prediction WHERE id = ?", [taken[8][0]])
    log.close()
    found = problems(home)
    assert [problem for problem in found if f"{taken[devices + 7][0].hex()} was changed" in problem]
    assert [problem for problem in found if "1 of the 10 records of block" in problem]
    assert len(found) == 2


def test_a_large_record_is_compared_too(log: PredictionLog, home: Home) -> None:
    journal, ids = log.journal(), PredictionIds()
    [identifier] = write(journal, [1], ids)
    changed = payload(1).replace(b"[0.25]", b"[0.25]" + b" " * 70_000)
    journal.append(ids.take(), payload(2).replace(b"\xc4\x06[0.25]", _bytes(b" " * 70_000)))
    journal.flush()
    journal.close()
    log.collect()
    assert verify(home).checked["answers in the database"] == 2
    log.database.run("UPDATE prediction SET record = ? WHERE id = ?", [changed, identifier])
    assert any("was changed" in problem for problem in problems(home))


def _bytes(content: bytes) -> bytes:
    """Return bytes in MessagePack."""
    return b"\xc6" + len(content).to_bytes(4, "big") + content


def _run(statement: str) -> Callable[[PredictionStore], object]:
    return lambda store: store.run(statement)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            _run("UPDATE prediction SET record = x'00' WHERE leaf = 7 AND block = 1"),
            "the record of {id} was changed",
        ),
        (
            _run("UPDATE prediction SET pipeline = 'pears' WHERE leaf = 7 AND block = 1"),
            "the record of {id} is stored as that of another pipeline or version",
        ),
        (
            _run("UPDATE prediction SET version = version + 1 WHERE leaf = 7 AND block = 1"),
            "the record of {id} is stored as that of another pipeline or version",
        ),
        (
            _run("UPDATE prediction SET rows = 0 WHERE leaf = 7 AND block = 1"),
            "the record of {id} is stored as that of another pipeline or version, or of other rows",
        ),
        (
            _run("DELETE FROM prediction WHERE leaf >= 7 AND block = 1"),
            "3 of the 10 records of block {block} are missing, the first is number 7",
        ),
        (
            _run("UPDATE leaf_tile SET hashes = zeroblob(320) WHERE block = 1"),
            "the stored hashes of block {block} are not those of the entry",
        ),
        (_run("DELETE FROM leaf_tile WHERE block = 1"), "stored hashes of its block are not comp"),
        *(
            (
                _run(f"UPDATE block SET {changed} WHERE number = 1"),
                "block {block} is stored with other ids or another number of records",
            )
            for changed in ("first = zeroblob(16)", "last = first", "count = 9")
        ),
        (_run("DELETE FROM block WHERE number = 1"), "its block is missing: it is neither in"),
        (
            _run("UPDATE prediction SET leaf = 7 - leaf WHERE leaf IN (3, 4) AND block = 1"),
            "not in the order of their ids",
        ),
        (
            _run("UPDATE prediction SET leaf = leaf + 1 WHERE block = 1"),
            "its first or last id is not",
        ),
        (_run("UPDATE prediction SET leaf = 'x' WHERE block = 1"), "not in the order of their ids"),
        (_run("DROP TABLE leaf_tile"), "has no table 'leaf_tile'"),
    ],
)
def test_a_changed_database_is_found(
    log: PredictionLog, home: Home, change: Callable[[PredictionStore], object], expected: str
) -> None:
    [taken, _] = fill(log, PredictionIds(), [10, 10])
    block = log.database.blocks()[0].identity
    change(log.database)
    expected = expected.format(id=taken[7].hex(), block=block)
    assert [problem for problem in problems(home) if expected in problem]


def test_records_of_no_block_are_noted(log: PredictionLog, home: Home) -> None:
    fill(log, PredictionIds(), [3])
    log.database.run(
        "INSERT INTO prediction SELECT zeroblob(16), 9, leaf, pipeline, version, rows, record "
        "FROM prediction LIMIT 1"
    )
    report = verify(home)
    assert report.holds
    assert [note for note in report.notes if "1 records are of no block" in note.what]


def test_a_missing_database_is_found(log: PredictionLog, home: Home) -> None:
    fill(log, PredictionIds(), [3])
    log.close()
    home.predictions_database.unlink()
    assert len([problem for problem in problems(home) if "its block is missing" in problem]) == 1


def test_answers_on_a_server_are_not_compared(log: PredictionLog, home: Home) -> None:
    fill(log, PredictionIds(), [3])
    log.close()
    home.predictions_database.unlink()
    ledger = home.ledger.rename(home.path.with_name("copy.db"))
    report, _ = verify_path(str(home.path), Expectation(), str(ledger))
    assert report.holds
    assert [note for note in report.notes if "answers are not compared" in note.what]


def test_files_from_before_the_databases_were_on_a_server_are_not_compared(
    log: PredictionLog, home: Home
) -> None:
    fill(log, PredictionIds(), [3])
    log.close()
    old = home.predictions_database.read_bytes()
    fill(log, PredictionIds(), [3])
    log.close()
    home.predictions_database.write_bytes(old)
    copy = shutil.copy(home.ledger, home.path.with_name("copy.db"))
    for database, holds in (("sqlite", False), ("an address", True)):
        digest = sha256(database.encode()).hexdigest()
        (home.path / "prepared.json").write_text(json.dumps({"database": digest}))
        report, _ = verify_path(str(home.path), Expectation(), str(copy))
        assert report.holds == holds
        noted = [note for note in report.notes if "answers are not compared" in note.what]
        assert bool(noted) == holds


def test_a_record_begins_with_its_pipeline_version_and_rows() -> None:
    names = ("a", "b" * 31, "c" * 32, "é" * 100)
    numbers = (0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53)
    callers = ("", "night", "d" * 32, "é" * 200)
    for name, version, time in product(names, numbers, (0, 128, 300, 70_000, 2**40)):
        rows, caller = numbers[(version + time) % 10], callers[(version + time) % 4]
        about = (caller, "plain", "answer", 200, rows)
        record = msgpack.encode((time, time + 1, name, version, *about, b"", b""))
        assert factory_verify.is_record_of(record, name.encode(), version, rows)
        assert not factory_verify.is_record_of(record, name.encode(), version + 1, rows)
        assert not factory_verify.is_record_of(record, b"x" + name.encode(), version, rows)
        assert not factory_verify.is_record_of(record, name.encode(), version, rows + 1)
        for cut in range(0, len(record), 7):
            factory_verify.is_record_of(record[:cut], name.encode(), version, rows)
    assert not factory_verify.is_record_of(b"", b"a", 1, 0)


def test_a_block_that_is_still_in_the_journal_is_compared_there(
    log: PredictionLog, home: Home
) -> None:
    journal, ids = log.journal(), PredictionIds()
    write(journal, range(3), ids)
    journal.close()
    [segment] = journal_folder(home).iterdir()
    enter(home, [read_block(segment)])
    assert verify(home).checked["blocks of answers in the journal"] == 1
    content = bytearray(segment.read_bytes())
    content[-1] ^= 1
    segment.write_bytes(content)
    assert [problem for problem in problems(home) if "it has other records" in problem]
    shutil.copy(__file__, segment)
    assert [problem for problem in problems(home) if "is another segment" in problem]
    segment.unlink()
    assert [problem for problem in problems(home) if "its block is missing" in problem]


def test_a_block_that_is_stored_while_it_is_looked_for_is_not_missing(
    log: PredictionLog, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log, PredictionIds(), [1])
    journal, ids = log.journal(), PredictionIds()
    write(journal, range(3), ids)
    journal.close()
    [segment] = journal_folder(home).iterdir()
    enter(home, [read_block(segment)])
    path_of = factory_verify.HomeFolder.path

    def collect_first(files: factory_verify.HomeFolder, name: str) -> str:
        if name.endswith(".sealed") and segment.exists():
            log.database.add(read_block(segment))
            segment.unlink()
        return path_of(files, name)

    monkeypatch.setattr(factory_verify.HomeFolder, "path", collect_first)
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert report.checked["blocks of answers"] == 2


def test_a_block_that_was_entered_twice_is_found(log: PredictionLog, home: Home) -> None:
    fill(log, PredictionIds(), [3])
    with Ledger(home).reading() as reading:
        first = read_entry(reading.body(1))
    Ledger(home).append([first])
    assert [problem for problem in problems(home) if "another entry of the same block" in problem]


@pytest.mark.parametrize("wrong", ["first", "last"])
def test_an_entry_with_another_range_than_its_records_is_found(
    log: PredictionLog, home: Home, wrong: str
) -> None:
    ids = PredictionIds()
    before = ids.take()
    block = PredictionBlock("b", [(ids.take(), payload(number)) for number in range(3)])
    ends = {"first": block.first, "last": block.last}
    ends[wrong] = before if wrong == "first" else ids.take()
    entry = PredictionsLogged(
        subject="predictions/b",
        block="b",
        root=block.root.hex(),
        first=ends["first"].hex(),
        last=ends["last"].hex(),
        count=3,
        bytes=1,
    )
    Ledger(home).append([entry])
    log.database.add(block)
    assert [problem for problem in problems(home) if "its first or last id is not" in problem]
