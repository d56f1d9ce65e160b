"""Old answers move to Parquet files, are found and proven there, and are removed by day."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from factory_resources.errors import RefusedError, StorageError, UnknownNameError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log import archive, archive_files, archiving, sqlite_database
from factory_resources.prediction_log.archive import archive_folder, files_of, list_leaves
from factory_resources.prediction_log.ids import PredictionIds, text
from factory_resources.prediction_log.lookup import LARGEST
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.engines import ON_FILES
from tests.factory_resources.prediction_log.homes import log as log
from tests.factory_resources.prediction_log.homes import problems, verify
from tests.factory_resources.prediction_log.samples import record, write
from tests.long_run import in_long

DAY = date(2026, 1, 31)
AFTER = DAY + timedelta(days=2)
COUNT = 24


class Clock:
    """A clock that tests set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ids = PredictionIds()
        self._patch = monkeypatch

    def set(self, day: date, hour: int) -> None:
        moment = datetime(day.year, day.month, day.day, hour, tzinfo=UTC)
        nanoseconds = int(moment.timestamp()) * 1_000_000_000
        self._patch.setattr(time, "time_ns", lambda: nanoseconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def answer(log: PredictionLog, clock: Clock, day: date = DAY) -> dict[bytes, tuple[int, str]]:
    """Log two blocks across two days, of two pipelines in turn; return number and pipeline."""
    taken = {}
    journal, number = log.journal(), 0
    for hour in (1, 23, 25, 47):
        clock.set(day + timedelta(days=hour // 24), hour % 24)
        for _ in range(COUNT // 8):
            for pipeline in ("apples", "pears"):
                [identifier] = write(journal, [number], clock.ids, pipeline=pipeline)
                taken[identifier] = number, pipeline
                number += 1
        if hour == 25:
            journal.roll()
    journal.close()
    log.collect()
    return taken


def require_all(log: PredictionLog, taken: dict[bytes, tuple[int, str]], place: str = "") -> None:
    for identifier, (number, pipeline) in taken.items():
        found = log.find(text(identifier))
        assert found
        assert found.record == record(number, pipeline=pipeline)
        assert place in ("", found.place)


def test_moved_answers_are_found_in_the_archive(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    taken = answer(log, clock)
    assert log.archive(DAY) == 0
    require_all(log, taken, "database")
    assert log.archive(DAY + timedelta(days=1)) == 1
    places = [log.find(text(one)) for one in taken]
    assert [found.place for found in places if found] == ["archive"] * 12 + ["database"] * 12
    assert log.archive(AFTER) == 1
    require_all(log, taken, "archive")
    assert log.database.counts() == {}
    assert {path.parent.parent.name for path in archive_folder(home).rglob("*.parquet")} == {
        "apples",
        "pears",
    }
    assert log.find(text(clock.ids.take())) is None
    assert log.find(text(max(taken), 1)) is None


def test_answers_of_more_blocks_than_a_statement_can_name_are_forgotten(
    log: PredictionLog, clock: Clock
) -> None:
    ids = sorted(answer(log, clock))
    [first, *_, last] = log.database.blocks()
    others = [f"no block {number}" for number in range(150_000)]
    log.database.delete(
        "apples", ids[0], ids[-1], [first.identity, *others, *others, last.identity]
    )
    assert not log.database.has("apples", DAY)
    assert log.database.has("pears", DAY)


def test_a_day_of_many_row_groups_and_files_is_in_the_order_of_ids(
    log: PredictionLog, home: Home, engine: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pyarrow.parquet as pq

    monkeypatch.setattr(archiving, "FILE_ROWS", 3)
    monkeypatch.setattr(sqlite_database, "_ARROW_ROWS", 2)
    monkeypatch.setattr(archive_files, "GROUP_ROWS", 2)
    taken = answer(log, clock)
    log.archive(AFTER)
    require_all(log, taken, "archive")
    files = files_of(home, DAY, "apples")
    # A file ends with a batch, and the server sends these few rows as one.
    groups = [2, 1] if engine == "sqlite" else [3]
    assert [pq.read_metadata(file.path).num_row_groups for file in files] == groups
    ids = [one for file in files for one in pq.read_table(file.path)["id"].to_pylist()]
    assert ids == sorted(ids)
    assert set(ids) == {one for one, (n, p) in taken.items() if p == "apples" and n < 12}


def test_a_process_without_arrow_finds_the_same_answers(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    taken = answer(log, clock)
    log.archive(AFTER)
    [file] = files_of(home, DAY, "apples")
    inside = [one for one in taken if file.first <= one <= file.last]
    for identifier in inside:
        found = file.find(identifier, archive.read_footer(file.path))
        assert file.find_without_arrow(identifier) == found
    assert len({found for one in inside if (found := file.find_without_arrow(one))}) == 6
    file.path.unlink()
    assert file.find_without_arrow(inside[0]) is None


def test_a_damaged_file_is_told_by_its_name(log: PredictionLog, home: Home, clock: Clock) -> None:
    taken = answer(log, clock)
    log.archive(AFTER)
    [file] = files_of(home, DAY, "apples")
    first = next(iter(taken))
    content = file.path.read_bytes()
    # At its start are the rows of a group, at its end is what says where the groups are.
    for damaged in (content[:8] + bytes(len(content) // 3) + content[8 + len(content) // 3 :], b""):
        file.path.write_bytes(damaged)
        log.close()
        for read in (
            lambda: log.find(text(first)),
            lambda: [*log.records([first])],
            lambda: [*log.every("apples", first)],
            lambda: log.erase("apples", [first], "of a person"),
            lambda: file.find_without_arrow(first),
        ):
            with pytest.raises(StorageError, match=f"{file.path.name}: a file of .* is damaged"):
                read()


@ON_FILES
def test_the_verifier_of_files_accounts_for_archived_and_removed_answers(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    taken = answer(log, clock)
    log.archive(DAY + timedelta(days=1))
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert (
        report.checked["answers in the archive"] == report.checked["answers in the database"] == 12
    )
    told = "the 12 answers in its files are compared by the digests of the files, not one by one"
    assert [note for note in report.notes if told in note.what]
    assert log.remove("apples", DAY + timedelta(days=1), "kept for six months") == 6
    assert log.remove("apples", DAY + timedelta(days=1), "kept for six months") == 0
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert report.checked["answers removed"] == report.checked["answers in the archive"] == 6
    found = {one: log.find(text(one)) for one in taken}
    gone = [taken[one] for one, answer in found.items() if answer is None]
    assert gone == [(number, "apples") for number in range(0, 12, 2)]


@ON_FILES
def test_what_is_missing_beside_a_file_is_told_from_what_was_removed(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    answer(log, clock)
    log.archive(AFTER)
    [file] = files_of(home, DAY, "pears")
    content, leaves = file.path.read_bytes(), file.leaves.read_bytes()
    file.path.write_bytes(content[:-1])
    assert [problem for problem in problems(home) if "was changed" in problem]
    file.path.unlink()
    assert [problem for problem in problems(home) if "is missing" in problem]
    file.path.write_bytes(content)
    file.leaves.write_bytes(leaves.replace(b"1-1", b"0-1"))
    assert [problem for problem in problems(home) if "leaves: was changed" in problem]
    file.leaves.unlink()
    found = problems(home)
    assert [problem for problem in found if "leaves: is missing" in problem]
    assert [problem for problem in found if "records of block" in problem]
    file.leaves.write_bytes(leaves)
    assert problems(home) == []


def test_archived_answers_are_proven_and_what_is_between_them_absent(
    log: PredictionLog, home: Home, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = log.journal()
    clock.set(DAY, 3)
    [first] = write(journal, [0], clock.ids)
    unused = clock.ids.take()
    [other] = write(journal, [1], clock.ids, pipeline="pears")
    journal.close()
    log.collect()
    log.archive(AFTER)
    assert log.prove(text(first)).record
    proof = log.prove(text(unused))
    assert [leaf.identifier for leaf in proof.leaves] == [first, other]
    with monkeypatch.context() as front_door:
        for name in ("pyarrow", "pyarrow.parquet"):
            front_door.setitem(sys.modules, name, None)
        assert log.prove(text(unused)) == proof
    log.remove("pears", AFTER, "no longer needed")
    with pytest.raises(UnknownNameError, match="were removed"):
        log.prove(text(unused))


def test_late_answers_of_an_archived_day_get_a_file_of_their_own(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    late = log.journal()
    clock.set(DAY, 2)
    taken = dict.fromkeys(write(late, [7], clock.ids), (7, "apples"))
    early = answer(log, clock)
    log.archive(AFTER)
    late.close()
    log.collect()
    log.archive(AFTER)
    assert len(files_of(home, DAY, "apples")) == 2
    require_all(log, taken | early, "archive")


def test_a_file_that_was_not_entered_stays_if_nothing_else_has_its_answers(
    log: PredictionLog, home: Home, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = log.journal()
    clock.set(DAY, 2)
    write(late, [7], clock.ids)
    answer(log, clock)
    log.archive(AFTER)
    [file] = files_of(home, DAY, "apples")
    late.close()
    log.collect()
    # As with a ledger from a backup, which is older than the file.
    monkeypatch.setattr(archiving, "archived_entries", lambda *_: ())
    log.archive(AFTER)
    assert file.path.exists()
    assert len(files_of(home, DAY, "apples")) == 2


def test_late_answers_of_a_day_whose_archive_is_elsewhere_are_told_and_stay(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    late = log.journal()
    clock.set(DAY, 2)
    [identifier] = write(late, [7], clock.ids)
    answer(log, clock)
    log.archive(AFTER)
    archive_folder(home).rename(home.path.with_name("elsewhere"))
    late.close()
    log.collect()
    with pytest.raises(StorageError, match="their list is missing") as caught:
        log.archive(AFTER)
    assert DAY.isoformat() in str(caught.value.where)
    assert log.find(text(identifier))


def test_answers_younger_than_six_months_are_not_removed(log: PredictionLog) -> None:
    today = datetime.now(UTC).date()
    with pytest.raises(RefusedError, match="younger than six months"):
        log.remove("apples", today - timedelta(days=183), "why not")
    assert log.remove("apples", today - timedelta(days=184), "old") == 0


def test_removing_one_pipeline_leaves_the_others(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    taken = answer(log, clock)
    assert log.remove("apples", AFTER, "old") == 12
    require_all(log, {one: of for one, of in taken.items() if of[1] == "pears"})
    assert not any(log.find(text(one)) for one, of in taken.items() if of[1] == "apples")
    assert not [*(archive_folder(home) / "apples").rglob("*.parquet")]


def test_answers_are_counted_wherever_they_are(log: PredictionLog, clock: Clock) -> None:
    names = ("apples", "pears")
    assert [log.count_rows(name, bytes(16), LARGEST) for name in names] == [0, 0]
    answer(log, clock)
    log.archive(DAY + timedelta(days=1))
    assert [log.count_rows(name, bytes(16), LARGEST) for name in names] == [12, 12]


def test_the_last_thirty_days_stay_in_the_database(log: PredictionLog, clock: Clock) -> None:
    today = datetime.now(UTC).date()
    answer(log, clock, today - timedelta(days=31))
    assert log.archive() == 1
    assert log.database.counts() == {"apples": 6, "pears": 6}


def test_later_days_are_not_removed(log: PredictionLog, home: Home, clock: Clock) -> None:
    taken = answer(log, clock)
    log.archive(AFTER)
    assert log.remove("apples", DAY + timedelta(days=1), "old") == 6
    require_all(log, {one: of for one, of in taken.items() if of[0] >= 12}, "archive")


def test_leaves_are_listed_as_ranges() -> None:
    import numpy as np

    blocks, leaves = np.array([1, 1, 2, 1, 2, 1]), np.array([0, 1, 0, 2, 5, 4])
    assert list_leaves({1: "a", 2: "b"}, blocks, leaves) == b"a 0-2,4-4\nb 0-0,5-5\n"
    assert archive.blocks_in(b"a 0-2,4-4\nb 0-0,5-5\n") == ["a", "b"]


_KILLED = """
import os, sys
from datetime import date
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.prediction_log import archiving
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.store import PredictionStore
home, step, when, before = Home(Path(sys.argv[1])), *sys.argv[2:4], date.fromisoformat(sys.argv[4])
owner, name = {
    "write": (archiving, "_write"),
    "install": (archiving, "install"),
    "archived": (archiving, "enter_archived"),
    "delete": (PredictionStore, "delete"),
    "removed": (archiving, "enter_removed"),
    "unlink": (Path, "unlink"),
}[step]
act = getattr(owner, name)
def killed(*arguments, **named):
    if name == "unlink" and arguments[0].suffix != ".parquet":
        return act(*arguments, **named)
    if when == "after":
        act(*arguments, **named)
    os._exit(9)
setattr(owner, name, killed)
log = PredictionLog(home)
log.archive(before)
log.remove("apples", before, "old")
"""


@pytest.fixture
def killed_log(home: Home) -> Iterator[PredictionLog]:
    Ledger(home).begin()
    with PredictionLog(home) as opened:
        yield opened


@pytest.mark.parametrize("when", ["before", *in_long(["after"])])
@pytest.mark.parametrize("step", ["write", "install", "archived", "delete", "removed", "unlink"])
def test_a_kill_between_any_two_steps_of_moving_or_removing_loses_nothing(
    killed_log: PredictionLog, home: Home, clock: Clock, step: str, when: str
) -> None:
    taken = answer(killed_log, clock)
    killed_log.close()
    command = [sys.executable, "-c", _KILLED, str(home.path), step, when, AFTER.isoformat()]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    pears = {one: of for one, of in taken.items() if of[1] == "pears"}
    if step not in ("removed", "unlink"):
        require_all(killed_log, taken)
    require_all(killed_log, pears)
    assert problems(home) == []
    killed_log.archive(AFTER)
    assert killed_log.database.counts() == {}
    require_all(killed_log, pears, "archive")
    killed_log.remove("apples", AFTER, "old")
    assert not [*(archive_folder(home) / "apples").rglob("*.parquet")]
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert report.checked["answers removed"] == report.checked["answers in the archive"] == 12


@pytest.mark.parametrize("when", ["before its list", "after its list"])
def test_a_file_that_was_not_entered_is_replaced_if_answers_of_its_day_come_late(
    log: PredictionLog, home: Home, clock: Clock, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    late = log.journal()
    clock.set(DAY, 2)
    taken = dict.fromkeys(write(late, [7], clock.ids), (7, "apples")) | answer(log, clock)
    write_atomic = Home.write_atomic

    def killed(at: Home, path: Path, content: bytes) -> None:
        if path.suffix != ".leaves" or when == "after its list":
            write_atomic(at, path, content)
        if path.suffix == ".leaves":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Home, "write_atomic", killed)
        with pytest.raises(KeyboardInterrupt):
            log.archive(AFTER)
    assert log.removed_days("apples") == frozenset()
    late.close()
    log.collect()
    log.archive(AFTER)
    require_all(log, taken, "archive")
    assert log.count_rows("apples", bytes(16), LARGEST) == 13
    assert len(files_of(home, DAY, "apples")) == 1
    assert log.removed_days("apples") == frozenset()
    log.remove("apples", AFTER, "old")
    assert not [*(archive_folder(home) / "apples").rglob("*.parquet")]
