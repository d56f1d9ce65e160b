"""The ledger of a home: entries are ordered, durable, all or none, and nobody changes one."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from factory_resources.errors import StorageError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger import factory_verify, log
from factory_resources.ledger.connection import begin_postgres, connected
from factory_resources.ledger.entries import (
    ChampionMade,
    FilesRemoved,
    LedgerStarted,
    RunStarted,
)
from factory_resources.ledger.factory_verify import (
    CompactRange,
    Expectation,
    LedgerDatabase,
    LogCheckpoint,
    Scratch,
    SignedNote,
    VerificationReport,
    VerifierKey,
    leaf_hash,
)
from factory_resources.ledger.keys import LogKey, key_file
from factory_resources.ledger.ledger import Ledger
from tests.disks import denied
from tests.engines import ON_FILES, ON_POSTGRES, server_in_long

_DIGEST = "ab" * 32

_APPEND = """
import sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.ledger import Ledger
home, name, count = Home(Path(sys.argv[1])), sys.argv[2], int(sys.argv[3])
for number in range(count):
    entries = [FilesRemoved(paths=(f"{name}/{number}/{half}",), reason="r") for half in "ab"]
    print(list(Ledger(home).append(entries)), flush=True)
"""


@pytest.fixture
def ledger(home: Home, engine: str) -> Ledger:
    ledger = Ledger(home)
    ledger.begin()
    return ledger


def made(version: int, pipeline: str = "apples") -> ChampionMade:
    return ChampionMade(
        subject=f"champion/{pipeline}",
        pipeline=pipeline,
        version=version,
        graph=_DIGEST,
        record="records/apples/deploy/x.json",
    )


def _paths(ledger: Ledger) -> list[str]:
    with ledger.reading() as reading:
        entries = [json.loads(body) for _, body in reading.bodies()]
    return [entry["paths"][0] for entry in entries if entry["kind"] == "removed"]


def _require_sound(ledger: Ledger) -> None:
    """Check the numbers, and the signed checkpoint against the entries."""
    with ledger.reading() as reading:
        numbered, note = [*reading.bodies()], SignedNote.parse(reading.signed[1].encode())
        first = json.loads(reading.body(0))
    tree = CompactRange()
    for number, body in numbered:
        assert number == tree.size
        tree.append(leaf_hash(body))
    assert note.time_of(VerifierKey.parse(first["key"])) == 0
    assert LogCheckpoint.parse(note.text) == LogCheckpoint(first["origin"], tree.size, tree.root)


def test_the_latest_entry_about_a_subject_is_found(ledger: Ledger) -> None:
    assert ledger.latest(ChampionMade, "champion/apples") is None
    assert [*ledger.append([made(1), made(7, "pears")])] == [1, 2]
    assert [*ledger.append([made(2)])] == [3]
    found = ledger.latest(ChampionMade, "champion/apples")
    assert found
    assert (found[0], found[1].version) == (3, 2)
    assert ledger.latest(RunStarted, "champion/apples") is None
    _require_sound(ledger)


def test_entries_of_every_epoch_of_the_index_are_found(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert log.EPOCH == factory_verify.EPOCH
    for module in (log, factory_verify):
        monkeypatch.setattr(module, "EPOCH", 4)
    for version in range(1, 21):
        ledger.append([made(version), *([made(version, "pears")] if version in {1, 9} else [])])
    ledger.copy(tmp_path / "ledger.db")
    verifier = LedgerDatabase(str(tmp_path / "ledger.db"))
    with ledger.reading() as reading, closing(verifier), closing(Scratch()) as scratch:
        assert reading.numbers("champion/pears") == [11, 2]
        assert len(reading.numbers("champion/apples")) == 20
        assert verifier.verify(Expectation(), VerificationReport(), scratch)
        for before, number in ((None, 11), (11, 2), (2, None)):
            last = verifier.last("champion", "champion/pears", before)
            assert (last[0] if last else None) == number


def test_entries_that_were_appended_are_never_changed(ledger: Ledger) -> None:
    ledger.append([made(1)])
    with connected(ledger.home, write=True) as connection:
        for statement in ("UPDATE entry SET body = body", "DELETE FROM entry"):
            with pytest.raises(Exception, match="append-only"):
                connection.execute(statement)


@server_in_long("engine")
def test_entries_of_twenty_processes_are_ordered_and_complete(ledger: Ledger) -> None:
    count, rounds = 20, 5
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", _APPEND, str(ledger.home.path), str(name), str(rounds)],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
        )
        for name in range(count)
    ]
    told = [process.communicate(timeout=240)[0] for process in processes]
    assert all(process.returncode == 0 for process in processes)
    numbers = [number for text in told for line in text.splitlines() for number in json.loads(line)]
    assert sorted(numbers) == [*range(1, 2 * count * rounds + 1)]
    paths = _paths(ledger)
    assert sorted(paths) == sorted(
        f"{name}/{number}/{half}"
        for name in range(count)
        for number in range(rounds)
        for half in "ab"
    )
    # Entries that were appended together are neighbours.
    assert all(paths[i][:-1] == paths[i + 1][:-1] for i in range(0, len(paths), 2))
    _require_sound(ledger)


def test_a_killed_process_leaves_all_of_an_append_or_nothing(ledger: Ledger) -> None:
    told = 0
    for attempt in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", _APPEND, str(ledger.home.path), str(attempt), "100000"],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        for _ in range(3 + attempt):
            told = json.loads(process.stdout.readline())[-1]
        process.send_signal(signal.SIGKILL)
        process.communicate()
        paths = _paths(ledger)
        assert len(paths) % 2 == 0
        # What a process was told is there.
        assert len(paths) >= told
    _require_sound(ledger)


@pytest.mark.parametrize("step", ["save", "create", "install"])
def test_a_beginning_that_was_killed_is_repeated(
    home: Home, engine: str, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(log.Log if step == "create" else LogKey, step, killed)
        with pytest.raises(Killed):
            Ledger(home).begin()
    ledger = Ledger(home)
    ledger.begin()
    ledger.append([made(1)])
    _require_sound(ledger)


@ON_FILES
def test_a_file_of_the_ledger_that_is_gone_is_not_begun_anew(ledger: Ledger) -> None:
    ledger.home.ledger.unlink()
    with pytest.raises(StorageError, match=r"the ledger is gone.*restore ledger.db"):
        ledger.begin()


@ON_FILES
def test_to_a_file_of_the_ledger_that_is_gone_nothing_is_appended(ledger: Ledger) -> None:
    ledger.home.ledger.unlink()
    with pytest.raises(StorageError, match=r"a database is missing .*backup"):
        ledger.append([made(1)])
    with pytest.raises(StorageError, match="the ledger is gone"):
        _ = ledger.exists


@ON_FILES
def test_an_entry_without_a_value_as_in_a_page_of_zeroes_is_missing(ledger: Ledger) -> None:
    ledger.append([made(1)])
    for change in (
        "DROP TRIGGER entry_update; PRAGMA writable_schema = ON;"
        "UPDATE sqlite_master SET sql = replace(sql, 'NOT NULL', '') WHERE name = 'entry'",
        "UPDATE entry SET body = NULL WHERE number = 1",
    ):
        with closing(sqlite3.connect(ledger.home.ledger)) as database:
            database.executescript(change)
    with ledger.reading() as log, pytest.raises(StorageError, match="entry 1 is missing"):
        log.body(1)


@ON_FILES
def test_the_stamp_of_the_file_of_a_ledger_differs_after_each_entry(ledger: Ledger) -> None:
    stamps = set()
    for version in range(5):
        ledger.append([made(version)])
        assert ledger.stamp() is None, "just written: another entry could have the same time"
        long_ago = ledger.home.ledger.stat().st_mtime_ns - 5_000_000_000 * (5 - version)
        os.utime(ledger.home.ledger, ns=(long_ago, long_ago))
        stamps.add(ledger.stamp())
        assert ledger.stamp() in stamps
    assert None not in stamps
    assert len(stamps) == 5
    ledger.home.ledger.unlink()
    assert ledger.stamp() is None


def test_a_key_of_another_user_is_not_to_be_restored(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(StorageError, match="run the factory as the user who owns the home"):
        ledger.append([made(1)])


def test_without_its_key_nothing_is_appended(ledger: Ledger) -> None:
    key_file(ledger.home).unlink()
    with pytest.raises(StorageError, match=r"the key of the ledger cannot be read"):
        ledger.append([made(1)])
    assert ledger.latest(ChampionMade, "champion/apples") is None


@pytest.mark.parametrize("rights", [0o640, 0o604])
def test_a_key_that_others_can_read_is_refused(ledger: Ledger, rights: int) -> None:
    assert key_file(ledger.home).stat().st_mode & 0o077 == 0
    key_file(ledger.home).chmod(rights)
    with pytest.raises(StorageError, match="other users can read the key"):
        ledger.append([made(1)])


@ON_FILES
def test_a_key_of_another_kind_is_damaged(ledger: Ledger) -> None:
    name = key_file(ledger.home).read_bytes().partition(b"\n")[0]
    other = Ed448PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    key_file(ledger.home).write_bytes(name + b"\n" + other)
    with pytest.raises(StorageError, match=r"cannot be read \(it is damaged\); restore it"):
        ledger.append([made(1)])


@ON_FILES
def test_a_key_of_a_ledger_that_was_never_begun_leaves_the_other_one(ledger: Ledger) -> None:
    LogKey.generate().save(ledger.home)
    ledger.append([made(1)])
    _require_sound(ledger)


def test_another_key_appends_nothing(ledger: Ledger, tmp_path: Path) -> None:
    other = LogKey.generate()
    other.save(ledger.home)
    other.install(ledger.home)
    with pytest.raises(StorageError, match="was not signed by the key of"):
        ledger.append([made(1)])


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE head SET size = size - 1",
        "UPDATE head SET frontier = substr(frontier, 2)",
        "UPDATE head SET checkpoint = replace(checkpoint, 'factory', 'FACTORY')",
        "DELETE FROM head",
    ],
)
def test_a_changed_head_is_refused(ledger: Ledger, change: str) -> None:
    ledger.append([made(1)])
    with connected(ledger.home, write=True) as connection:
        connection.execute(change)
    with pytest.raises(StorageError, match="the ledger was changed"):
        ledger.append([made(2)])


def _full(home: Home) -> None:
    # A trigger stands for the disk: `tests/e2e/test_full_disk.py` fills a real one.
    with closing(sqlite3.connect(home.ledger)) as connection:
        connection.execute(
            "CREATE TRIGGER full BEFORE INSERT ON entry "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
        connection.commit()


def _damaged(home: Home) -> None:
    with home.ledger.open("r+b") as file:
        file.seek(0)
        file.write(b"no database any more")


@ON_FILES
@pytest.mark.parametrize(
    ("fault", "line"),
    [(_full, "cannot write"), (_damaged, "the ledger is damaged")],
)
def test_a_file_of_the_ledger_that_cannot_be_written_refuses_in_one_line(
    ledger: Ledger, fault: Callable[[Home], None], line: str
) -> None:
    fault(ledger.home)
    before = ledger.home.ledger.read_bytes()
    with pytest.raises(StorageError, match=line):
        ledger.append([made(1)])
    assert ledger.home.ledger.read_bytes() == before


@ON_FILES
def test_a_locked_file_of_the_ledger_is_waited_for(ledger: Ledger) -> None:
    other = sqlite3.connect(ledger.home.ledger, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    arguments = [sys.executable, "-c", _APPEND, str(ledger.home.path), "late", "1"]
    late = subprocess.Popen(arguments, cwd=PROJECT, stdout=subprocess.PIPE)
    with pytest.raises(subprocess.TimeoutExpired):
        late.wait(3)
    other.execute("ROLLBACK")
    other.close()
    assert late.communicate(timeout=60)[0]
    assert _paths(ledger) == ["late/0/a", "late/0/b"]


_COMMIT = """
import os, sqlite3, sys
ledger = sqlite3.connect(sys.argv[1], isolation_level=None)
# So few pages fit in memory that the file is changed before the end of the transaction.
ledger.execute("PRAGMA cache_size = 5")
ledger.execute("BEGIN IMMEDIATE")
for size in range(2000):
    ledger.execute("INSERT INTO checkpoint VALUES (?, ?)", (size, 500 * "x"))
os.kill(os.getpid(), 9)
"""


@ON_FILES
def test_a_file_of_the_ledger_is_read_after_a_kill_within_a_commit(ledger: Ledger) -> None:
    ledger.append([made(1)])
    before, file = ledger.home.ledger.read_bytes(), str(ledger.home.ledger)
    subprocess.run([sys.executable, "-c", _COMMIT, file], cwd=PROJECT, check=False)
    assert ledger.home.ledger.read_bytes() != before
    with ledger.reading() as log:
        assert log.size == 2
    assert ledger.home.ledger.read_bytes() == before


@ON_FILES
def test_a_power_cut_after_an_append_does_not_undo_it(ledger: Ledger) -> None:
    with connected(ledger.home, write=True) as connection:
        [(journal,)] = connection.execute("PRAGMA journal_mode")
        [(synchronous,)] = connection.execute("PRAGMA synchronous")
    # EXTRA: without it, only the journal that is removed, not its removal, is on the disk.
    assert (journal, synchronous) == ("delete", 3)


@ON_POSTGRES
def test_a_server_that_is_away_refuses_in_one_line(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StorageError, match="the database of FACTORY_DATABASE_URL cannot be used"):
        ledger.append([made(1)])


@ON_POSTGRES
def test_another_machine_needs_the_key_of_the_first(ledger: Ledger, tmp_path: Path) -> None:
    other = Ledger(Home(tmp_path / "other"))
    other.begin()
    with pytest.raises(StorageError, match="copy it from the home that began the ledger"):
        other.append([made(1)])
    key_file(other.home).parent.mkdir(parents=True)
    shutil.copy2(key_file(ledger.home), key_file(other.home))
    assert [*other.append([made(1)])] == [1]


@ON_POSTGRES
def test_of_two_machines_that_begin_at_once_the_slower_needs_the_key_of_the_faster(
    home: Home, engine: str, tmp_path: Path
) -> None:
    slower = Ledger(Home(tmp_path / "slower"))
    key = LogKey.generate()
    first = LedgerStarted(origin=key.origin, key=str(key.verifier))
    with ThreadPoolExecutor(1) as pool, begin_postgres() as connection:
        waiting = pool.submit(slower.begin)
        # It has seen no ledger, and waits to make one.
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while not connection.execute(waits)[0][0]:
            assert not waiting.done()
        log.Log.create(connection, key, [log.NewEntry(first.body)])
        with pytest.raises(StorageError, match="another machine has just begun the ledger"):
            waiting.result()
    with pytest.raises(StorageError, match="copy it from the home that began the ledger"):
        slower.append([made(1)])


def test_a_copy_has_the_same_rows(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append([made(version) for version in range(700)])
    ledger.copy(tmp_path / "ledger.db")
    with connected(ledger.home) as own, closing(sqlite3.connect(tmp_path / "ledger.db")) as copy:
        for table in ("entry", "subtree", "subject", "head", "checkpoint"):
            rows = own.execute(f"SELECT * FROM {table}")
            assert sorted(rows) == sorted(copy.execute(f"SELECT * FROM {table}"))


def test_a_connection_on_which_a_transaction_failed_goes_on(ledger: Ledger) -> None:
    with connected(ledger.home, write=True) as connection:
        with (
            pytest.raises(Exception, match="no_such_table"),
            connection.writing("SELECT size FROM head"),
        ):
            connection.execute("SELECT 1 FROM no_such_table")
        with connection.writing("SELECT size FROM head") as head:
            assert head == [(1,)]


def test_an_entry_that_is_too_long_is_refused(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="has 70"):
        ledger.append([FilesRemoved(paths=("x" * 70_000,), reason="r")])
    assert _paths(ledger) == []


def test_the_home_has_no_file_that_others_can_read(home: Home) -> None:
    os.umask(0o022)
    Ledger(home).begin()
    assert home.path.stat().st_mode & 0o077 == 0
