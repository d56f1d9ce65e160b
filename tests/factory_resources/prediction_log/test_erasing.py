"""Single answers are erased wherever they are; all others are proven as before."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import uuid4

import pytest

from factory_resources.errors import RefusedError, UnknownNameError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import PredictionsErased
from factory_resources.prediction_log import erasing
from factory_resources.prediction_log.archive import archive_folder, files_of
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.ids import PredictionIds, request_of, row_id, text
from factory_resources.prediction_log.journal import Journal
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode
from tests.engines import ON_FILES, ON_POSTGRES
from tests.factory_resources.prediction_log.homes import fill, problems, verify
from tests.factory_resources.prediction_log.homes import log as log
from tests.factory_resources.prediction_log.samples import payload, record
from tests.long_run import in_long
from tests.postgres import Postgres

DAY = date(2026, 1, 31)
ERASURE = str(uuid4())
PLANTED = b"Maria Musterfrau"


def answer(
    number: int, *, planted: bool = False, pipeline: str = "apples", output: bytes = b"[0.25]"
) -> bytes:
    """Return the bytes of a record, which names a person or a number."""
    one = record(number, pipeline=pipeline)
    name = PLANTED if planted else b"Erika %d" % number
    fields = {field: getattr(one, field) for field in one.__struct_fields__}
    return encode(
        PredictionRecord(**{**fields, "input": b'[{"name":"%s"}]' % name, "output": output})
    )


def shadow(of: bytes) -> bytes:
    """Return the bytes of what a shadow computed for an answer."""
    one = record(1, rows=0)
    fields = {field: getattr(one, field) for field in one.__struct_fields__}
    said = {"kind": "shadow", "input": b"", "version": 4}
    output = b'{"shadow_of":"%s","predictions":[0.77]}' % text(of).encode()
    return encode(PredictionRecord(**{**fields, **said, "output": output}))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[date, int], None]:
    """Sets the clock to an hour of a day."""

    def set_to(day: date, hour: int) -> None:
        moment = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        monkeypatch.setattr(time, "time_ns", lambda: int(moment.timestamp()) * 10**9)

    return set_to


Taken = dict[bytes, bytes]
"""Records by the ids of their requests."""


def log_days(log: PredictionLog, clock: Callable[[date, int], None]) -> tuple[Taken, Taken]:
    """Log answers of three days, one block a day, of which the first two are in the archive.

    Returns:
        Those that are to be erased, and the others.
    """
    ids, gone, kept = PredictionIds(), Taken(), Taken()
    for day in range(3):
        journal = log.journal()
        for number in range(8):
            clock(DAY + timedelta(days=day), number)
            identifier, planted = ids.take(), number in (0, 3, 7)
            content = answer(number, planted=planted)
            (gone if planted else kept)[identifier] = content
            journal.append(identifier, content)
            if number == 3:
                identifier = ids.take()
                gone[identifier] = shadow(next(reversed(gone)))
                journal.append(identifier, gone[identifier])
            clock(DAY + timedelta(days=day), number)
            identifier = ids.take()
            kept[identifier] = answer(number, pipeline="pears")
            journal.append(identifier, kept[identifier])
        journal.flush()
        journal.close()
        log.collect()
    log.archive(DAY + timedelta(days=2))
    return gone, kept


def requests_of(taken: Taken) -> list[bytes]:
    """Return those that are not what a shadow computed."""
    return [request for request, content in taken.items() if b"shadow_of" not in content]


def records_of(log: PredictionLog) -> Taken:
    found = Taken()
    for pipeline in ("apples", "pears"):
        for request, one in log.every(pipeline, bytes(16)):
            assert request not in found
            found[request] = encode(one)
    return found


def entries_of(home: Home) -> list[PredictionsErased]:
    with Ledger(home).reading() as reading:
        entries = [read_entry(body) for _, body in reading.bodies()]
    return [entry for entry in entries if isinstance(entry, PredictionsErased)]


def files_with(folder: Path, content: bytes) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and content in path.read_bytes()]


def test_answers_are_erased_in_database_and_archive_and_the_others_stay(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None]
) -> None:
    gone, kept = log_days(log, clock)
    counted = log.count_answers("apples"), log.count_answers("pears")
    assert records_of(log) == gone | kept
    wanted = requests_of(gone)
    assert len(wanted) == 9
    assert log.erase("apples", wanted, ERASURE) == 9
    assert records_of(log) == kept
    assert not any(log.find(text(request)) for request in gone)
    assert (log.count_answers("apples"), log.count_answers("pears")) == counted
    assert len(log.facts([*gone, *kept])) == len(kept)
    assert {request for entry in entries_of(home) for request in entry.requests} == set(gone)
    assert {entry.erasure for entry in entries_of(home)} == {ERASURE}
    size = len(entries_of(home))
    assert log.erase("apples", wanted, ERASURE) == 9
    assert len(entries_of(home)) == size
    assert log.removed_days("apples") == frozenset()


def test_an_erased_answer_says_when_it_was_erased_and_others_are_proven(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None]
) -> None:
    gone, kept = log_days(log, clock)
    log.erase("apples", requests_of(gone), ERASURE)
    found = log.erased([*gone, *kept])
    assert found.keys() == gone.keys()
    for request in gone:
        number, entry = found[request]
        with pytest.raises(UnknownNameError, match=rf"was erased on {entry.time[:10]} \(entry"):
            log.prove(text(request))
        with Ledger(home).reading() as reading:
            assert read_entry(reading.body(number)) == entry
    for request, content in kept.items():
        assert log.prove(text(request)).record == content


@ON_FILES
def test_the_verifier_of_files_holds_after_an_erasure_and_after_what_follows(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None]
) -> None:
    gone, kept = log_days(log, clock)
    before = log.prove(text(min(gone))).format()
    log.erase("apples", requests_of(gone), ERASURE)
    report = verify(home, before)
    assert report.holds, [*report.lines()]
    assert report.checked["answers erased"] == len(gone) == 12
    assert report.checked["files of the archive replaced"] == 2
    assert [note for note in report.notes if "and erased since (entry" in note.what]
    log.archive(DAY + timedelta(days=3))
    assert verify(home).holds
    assert records_of(log) == kept
    assert log.remove("apples", DAY + timedelta(days=1), "old") == 5
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert (report.checked["answers removed"], report.checked["answers erased"]) == (5, 12)
    assert log.removed_days("apples") == {DAY}


@ON_FILES
def test_nothing_of_an_erased_answer_is_left_in_files(log: PredictionLog, home: Home) -> None:
    journal, ids = log.journal(), PredictionIds()
    taken = [ids.take() for _ in range(200)]
    for number, request in enumerate(taken):
        journal.append(request, answer(number, planted=number % 5 == 0))
    journal.flush()
    assert files_with(home.path, PLANTED)
    journal.close()
    log.collect()
    # What was moved or deleted before is in free pages.
    log.database.run("PRAGMA secure_delete = OFF")
    log.database.run("DELETE FROM prediction WHERE leaf = 0")
    assert files_with(home.path, PLANTED)
    log.erase("apples", taken[::5][1:], ERASURE)
    assert files_with(home.path, PLANTED) == []
    assert home.predictions_database.with_name("predictions.db-wal").stat().st_size == 0


@ON_POSTGRES
def test_nothing_of_an_erased_answer_is_left_in_tables_of_a_server(
    log: PredictionLog, home: Home, postgres: Postgres
) -> None:
    journal, ids = log.journal(), PredictionIds()
    taken = [ids.take() for _ in range(200)]
    noise = Random(7)
    for number, request in enumerate(taken):
        # The server compresses samples of values, but for such.
        content = answer(number, planted=number % 5 == 0, output=noise.randbytes(800))
        journal.append(request, content)
    journal.flush()
    journal.close()
    log.collect()
    log.database.run("ANALYZE prediction")
    log.database.run("CHECKPOINT")
    [(folder,)] = log.database.run("SHOW data_directory")
    [(samples,)] = log.database.run(
        "SELECT pg_relation_filepath(reltoastrelid) FROM pg_class WHERE relname = 'pg_statistic'"
    )
    assert PLANTED in (Path(folder) / samples).read_bytes()
    assert files_with(Path(folder) / "base", PLANTED)
    log.erase("apples", taken[::5], ERASURE)
    log.database.run("CHECKPOINT")
    assert files_with(Path(folder) / "base", PLANTED) == []


def test_a_file_of_the_archive_with_nothing_else_is_removed(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None]
) -> None:
    clock(DAY, 1)
    [taken] = fill(log, PredictionIds(), [3])
    log.archive(DAY + timedelta(days=1))
    # A killed process leaves what it has staged.
    files_of(home, DAY)[0].path.with_name("left.new").write_bytes(PLANTED)
    assert log.erase("apples", taken, ERASURE) == 3
    assert [path for path in archive_folder(home).rglob("*") if path.is_file()] == []
    assert log.removed_days("apples") == frozenset()
    if home.predictions_database.exists():
        assert problems(home) == []


def test_a_shadow_of_the_day_after_is_erased_too(
    log: PredictionLog, clock: Callable[[date, int], None]
) -> None:
    for archived in (False, True):
        ids, journal = PredictionIds(), log.journal()
        clock(DAY, 23)
        request, other = ids.take(), ids.take()
        journal.append(request, answer(1, planted=True))
        journal.append(other, answer(2))
        clock(DAY + timedelta(days=1), 0)
        late, kept = ids.take(), ids.take()
        journal.append(late, shadow(request))
        journal.append(kept, shadow(other))
        journal.flush()
        journal.close()
        log.collect()
        if archived:
            log.archive(DAY + timedelta(days=2))
        assert log.erase("apples", [request], ERASURE) == 1
        assert not log.find(text(late))
        assert log.find(text(kept))


def test_answers_of_another_pipeline_and_unknown_ids_stay_as_they_are(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None]
) -> None:
    gone, kept = log_days(log, clock)
    assert log.erase("pears", gone.keys(), ERASURE) == 0
    assert log.erase("apples", [PredictionIds().take()], ERASURE) == 0
    assert log.erase("apples", [], ERASURE) == 0
    assert records_of(log) == gone | kept
    assert entries_of(home) == []


def test_what_a_server_still_writes_is_refused_until_it_is_sealed(
    log: PredictionLog, home: Home
) -> None:
    journal, ids = log.journal(), PredictionIds()
    early, late = ids.take(), ids.take()
    journal.append(early, answer(1, planted=True))
    journal.flush()
    journal.roll()
    journal.append(late, shadow(early))
    journal.flush()
    with pytest.raises(RefusedError, match="a server has written 1 of the answers to apples just"):
        log.erase("apples", [early], ERASURE)
    assert entries_of(home) == []
    journal.roll()
    assert log.erase("apples", [early], ERASURE) == 1
    journal.close()


def test_many_answers_are_several_entries(
    log: PredictionLog,
    home: Home,
    clock: Callable[[date, int], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Those of another day would have entries of their own.
    clock(DAY, 1)
    monkeypatch.setattr(erasing, "_REQUESTS_PER_ENTRY", 40)
    monkeypatch.setattr(erasing, "_IDS_PER_QUERY", 30)
    taken = [one for block in fill(log, PredictionIds(), [60, 1, 60]) for one in block]
    assert log.erase("apples", taken, ERASURE) == 121
    assert [entry.count for entry in entries_of(home)] == [40, 40, 40, 1]
    assert records_of(log) == {}


def test_an_entry_has_room_for_requests_of_as_many_blocks() -> None:
    places = [((number + 1).to_bytes(16, "big"), str(uuid4()), 999_999) for number in range(600)]
    [entry] = erasing._entries("a" * 60, DAY, places, ERASURE, "0" * 64)
    assert len(entry.body) < 65_000


def test_rows_of_a_request_are_erased_with_it(log: PredictionLog) -> None:
    journal, ids = log.journal(), PredictionIds()
    request = ids.take(3)
    journal.append(request, payload(1, rows=3))
    journal.flush()
    journal.close()
    assert log.erase("apples", [request], ERASURE) == 1
    last = row_id(request, 2)
    assert log.find(text(last)) is None
    with pytest.raises(UnknownNameError, match="was erased on"):
        log.prove(text(last))
    assert request_of(last) == (request, 2)


_KILLED = """
import os, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log import archive_files, erasing
from factory_resources.prediction_log.postgres_store import PostgresStore
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.sqlite_store import SqliteStore
engine = PostgresStore if os.environ.get("FACTORY_DATABASE_URL") else SqliteStore
home, step, erasure, *requests = Home(Path(sys.argv[1])), *sys.argv[2:]
owner, name, calls = {
    "collect": (erasing, "collect", 1),
    "write": (erasing, "write_rows", 2),
    "stage": (erasing, "stage", 1),
    "enter of a file": (erasing, "enter_erased", 1),
    "place": (archive_files, "_place", 1),
    "remove": (archive_files, "remove_file", 2),
    "enter of the database": (erasing, "enter_erased", 3),
    "delete": (erasing, "delete_answers", 1),
    "scrub": (engine, "scrub", 1),
    "end": (erasing, "_named", 1),
}[step]
act = getattr(owner, name)
def killed(*arguments, **named):
    global calls
    calls -= 1
    if calls:
        return act(*arguments, **named)
    os._exit(9)
setattr(owner, name, killed)
PredictionLog(home).erase("apples", [bytes.fromhex(one) for one in requests], erasure)
"""


def require_made_good(
    log: PredictionLog, home: Home, taken: tuple[Taken, Taken], step: str
) -> None:
    """Kill an erasure before a step, and require that another call finishes it."""
    gone, kept = taken
    wanted = requests_of(gone)
    log.close()
    words = [str(home.path), step, ERASURE, *(one.hex() for one in wanted)]
    command = [sys.executable, "-c", _KILLED, *words]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    assert ids_of(log) >= kept.keys()
    assert log.erase("apples", wanted, ERASURE) == len(wanted)
    assert records_of(log) == kept
    assert [*archive_folder(home).rglob("*.new")] == []


@ON_FILES
@pytest.mark.slow
@pytest.mark.parametrize(
    "step",
    [
        "write",
        "place",
        "delete",
        "scrub",
        *in_long(
            [
                "collect",
                "stage",
                "enter of a file",
                "remove",
                "enter of the database",
                "end",
            ]
        ),
    ],
)
def test_a_kill_before_any_step_is_made_good_in_files_by_the_next_call(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None], step: str
) -> None:
    taken = log_days(log, clock)
    require_made_good(log, home, taken, step)
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert report.checked["answers erased"] == len(taken[0])


@ON_POSTGRES
@pytest.mark.slow
@pytest.mark.parametrize("step", ["delete", *in_long(["enter of the database", "scrub"])])
def test_a_kill_before_any_step_is_made_good_on_a_server_by_the_next_call(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None], step: str
) -> None:
    require_made_good(log, home, log_days(log, clock), step)


def ids_of(log: PredictionLog) -> set[bytes]:
    """Return the ids of the records; while one is moved it is there twice."""
    return {one for name in ("apples", "pears") for one, _ in log.every(name, bytes(16))}


@pytest.mark.slow
def test_a_file_that_a_killed_process_left_unnamed_is_erased_from_too(
    log: PredictionLog, home: Home, clock: Callable[[date, int], None]
) -> None:
    gone, kept = log_days(log, clock)
    log.close()
    script = _KILL_ARCHIVING.format(day=(DAY + timedelta(days=3)).isoformat())
    command = [sys.executable, "-c", script, str(home.path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    assert files_of(home, DAY + timedelta(days=2), "apples")
    log.erase("apples", requests_of(gone), ERASURE)
    assert ids_of(log) == kept.keys()
    log.archive(DAY + timedelta(days=3))
    assert records_of(log) == kept


_KILL_ARCHIVING = """
import os, sys
from datetime import date
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log import archiving
from factory_resources.prediction_log.prediction_log import PredictionLog
archiving.enter_archived = lambda *_: os._exit(9)
PredictionLog(Home(Path(sys.argv[1]))).archive(date.fromisoformat("{day}"))
"""


@pytest.fixture
def erased(home: Home) -> Iterator[tuple[PredictionLog, list[bytes]]]:
    """A log of which the records 3 and 7 of ten are erased, and the ids of all."""
    Ledger(home).begin()
    with PredictionLog(home) as opened:
        [taken] = fill(opened, PredictionIds(), [10])
        opened.database.run("VACUUM INTO ?", [str(home.path.with_name("before.db"))])
        opened.erase("apples", [taken[3], taken[7]], ERASURE)
        assert problems(home) == []
        yield opened, taken


def test_an_answer_that_is_gone_without_an_entry_is_found(
    erased: tuple[PredictionLog, list[bytes]], home: Home
) -> None:
    log, taken = erased
    log.database.run("DELETE FROM prediction WHERE id = ?", [taken[5]])
    [problem] = problems(home)
    assert "1 of the 10 records of block" in problem
    assert "the first is number 5" in problem


def test_an_answer_that_is_there_although_an_entry_erases_it_is_found(
    erased: tuple[PredictionLog, list[bytes]], home: Home
) -> None:
    log, taken = erased
    log.close()
    os.replace(home.path.with_name("before.db"), home.predictions_database)
    found = problems(home)
    assert len(found) == 2
    for problem, number in zip(found, (3, 7), strict=True):
        assert f"the answer {taken[number].hex()} was erased, yet it is there" in problem


def test_an_answer_that_was_changed_beside_an_erased_one_is_found(
    erased: tuple[PredictionLog, list[bytes]], home: Home
) -> None:
    log, taken = erased
    log.database.run("UPDATE prediction SET record = x'00' WHERE id = ?", [taken[4]])
    [problem] = problems(home)
    assert f"the record of {taken[4].hex()} was changed" in problem


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"leaves": {7: 6}}, "and an earlier entry another in place|order of the ids"),
        ({"leaves": {5: 20}}, "cannot have had"),
        ({"leaves": {5: 6}}, "not in the order of the ids"),
        ({"leaves": {0: 1}}, "not in the order of the ids"),
        ({"count": 5}, "the number of answers"),
        ({"block": str(uuid4())}, "of a block .* that is not logged"),
        ({"subject": "predictions/apples/2020-01-01"}, "the subject"),
    ],
)
def test_an_entry_that_erases_what_cannot_have_been_there_is_found(
    erased: tuple[PredictionLog, list[bytes]],
    home: Home,
    change: dict[str, object],
    expected: str,
) -> None:
    log, taken = erased
    [entry] = entries_of(home)
    [block] = entry.blocks
    leaves = change.get("leaves", {5: 5})
    assert isinstance(leaves, dict)
    named = {taken[number].hex(): leaf for number, leaf in leaves.items()}
    log.database.run("DELETE FROM prediction WHERE id = ?", [taken[5]])
    update = {
        "blocks": {change.get("block", block): named},
        "count": change.get("count", 1),
        "subject": change.get("subject", entry.subject),
    }
    Ledger(home).append([entry.model_copy(update=update)])
    assert [problem for problem in problems(home) if re.search(expected, problem)], problems(home)


def test_a_replaced_file_that_is_put_back_is_found(
    home: Home, clock: Callable[[date, int], None]
) -> None:
    Ledger(home).begin()
    with PredictionLog(home) as log:
        gone, _ = log_days(log, clock)
        [file] = files_of(home, DAY, "apples")
        kept = shutil.copy(file.path, home.path.with_name("kept"))
        log.erase("apples", requests_of(gone), ERASURE)
        assert problems(home) == []
        shutil.move(kept, file.path)
        [problem] = problems(home)
        assert "was replaced by one without erased answers, yet it is there" in problem


def test_an_erased_answer_whose_segment_is_put_back_is_found(home: Home) -> None:
    Ledger(home).begin()
    with PredictionLog(home) as log:
        journal, ids = Journal(journal_folder(home)), PredictionIds()
        request = ids.take()
        journal.append(request, answer(1, planted=True))
        journal.flush()
        journal.close()
        [segment] = journal_folder(home).iterdir()
        kept = shutil.copy(segment, home.path.with_name("kept"))
        log.erase("apples", [request], ERASURE)
        assert problems(home) == []
        log.database.run("DELETE FROM block")
        shutil.move(kept, segment)
        [problem] = problems(home)
        assert f"the answer {request.hex()} was erased, yet it is there" in problem


@ON_FILES
def test_answers_that_are_erased_although_nobody_decided_it_are_reported(
    log: PredictionLog, home: Home
) -> None:
    [[request, *_]] = fill(log, PredictionIds(), [3])
    log.erase("apples", [request], ERASURE)
    report, _ = verify_path(str(home.path), Expectation())
    assert [problem.what for problem in report.problems] == [
        f"is part of an erasure {ERASURE!r} that has no entry"
    ]
    assert problems(home) == []
