"""Outcomes are bound in the ledger once, whatever is killed when, and changes are found."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from factory_resources.errors import StorageError
from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.factory_verify import Expectation, verify_path
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import OutcomesRecorded
from factory_resources.outcomes import binding
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.outcome import Outcome
from factory_resources.prediction_log.ids import PredictionIds
from tests.factory_resources.outcomes.samples import add, feedback, record_some
from tests.factory_resources.prediction_log.homes import problems, verify
from tests.long_run import in_long


def _entries(home: Home) -> list[OutcomesRecorded]:
    with Ledger(home).reading() as reading:
        entries = [read_entry(body) for _, body in reading.bodies()]
    return [entry for entry in entries if isinstance(entry, OutcomesRecorded)]


def test_each_outcome_is_in_one_batch_of_the_ledger(home: Home, engine: str) -> None:
    Ledger(home).begin()
    assert bind_outcomes(home) == 0
    record_some(home, [300, 1, 20])
    assert bind_outcomes(home) == 0
    assert [entry.count for entry in _entries(home)] == [300, 1, 20]


def test_more_outcomes_than_a_batch_may_have_are_in_several(
    home: Home, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding, "BATCH", 2)
    Ledger(home).begin()
    ids = PredictionIds()
    add(home, [feedback(ids.take()) for _ in range(5)])
    assert bind_outcomes(home) == 3
    assert [entry.count for entry in _entries(home)] == [2, 2, 1]


def test_a_batch_that_another_machine_has_stored_meanwhile_is_stored_once(
    home: Home, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    add(home, [feedback(PredictionIds().take())])
    with open_outcomes(home) as store, open_outcomes(home) as other:
        read = store.from_number

        def overtaken(first: int, count: int) -> Iterator[Outcome]:
            found = [*read(first, count)]
            assert binding.store_batch(other)
            return iter(found)

        monkeypatch.setattr(store, "from_number", overtaken)
        assert binding.store_batch(store)
        assert [batch.count for batch in binding.unentered(store)] == [1]


def test_entries_have_no_values(home: Home, engine: str) -> None:
    Ledger(home).begin()
    [[identifier]] = record_some(home, [1])
    with Ledger(home).reading() as reading:
        body = [body for _, body in reading.bodies()][-1]
    assert b"good" not in body
    assert identifier.hex().encode() not in body


def test_without_a_ledger_outcomes_wait(home: Home, engine: str) -> None:
    home.require_writable()
    add(home, [feedback(PredictionIds().take())])
    assert bind_outcomes(home) == 0
    Ledger(home).begin()
    assert bind_outcomes(home) == 1


_DYING = """
import os, sys
from factory_resources.home.home import Home
from factory_resources.outcomes import binding
step = getattr(binding, sys.argv[1])
def dying(*arguments):
    if sys.argv[2] == "after":
        step(*arguments)
    os._exit(9)
setattr(binding, sys.argv[1], dying)
binding.bind_outcomes(Home.from_env())
"""


@pytest.mark.parametrize("step", ["store_batch", "enter", "mark"])
@pytest.mark.parametrize("moment", ["before", *in_long(["after"])])
def test_a_kill_at_each_step_binds_each_outcome_once(
    home: Home, engine: str, step: str, moment: str
) -> None:
    Ledger(home).begin()
    ids = PredictionIds()
    add(home, [feedback(ids.take()) for _ in range(5)])
    died = subprocess.run(
        [sys.executable, "-c", _DYING, step, moment],
        env={**os.environ, "FACTORY_HOME": str(home.path), "PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert died.returncode == 9
    add(home, [feedback(ids.take()) for _ in range(2)])
    bind_outcomes(home)
    bind_outcomes(home)
    assert sum(entry.count for entry in _entries(home)) == 7
    with open_outcomes(home) as store:
        rows = store.database.run("SELECT first, count, entered FROM outcome_batch ORDER BY number")
    assert rows in ([(1, 5, 1), (6, 2, 1)], [(1, 7, 1)])
    if engine == "sqlite":
        assert problems(home) == []
        assert verify(home).checked["outcomes"] == 7


def test_a_batch_that_was_changed_is_not_entered_again(home: Home, engine: str) -> None:
    Ledger(home).begin()
    record_some(home, [3])
    with open_outcomes(home) as store:
        store.database.run("UPDATE outcome_batch SET entered = 0")
        hashes = store.database.literal(bytes(96))
        store.database.run(f"UPDATE outcome_tile SET hashes = {hashes}")
    with pytest.raises(StorageError, match=r"batch .* of outcomes was changed"):
        bind_outcomes(home)


def test_outcomes_in_a_file_that_nobody_changed_hold(home: Home) -> None:
    Ledger(home).begin()
    record_some(home, [300, 1, 20])
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert report.checked["batches of outcomes"] == 3
    assert report.checked["outcomes"] == 321


def _run(statement: str) -> Callable[[Home], object]:
    def change(home: Home) -> None:
        with open_outcomes(home) as store:
            store.database.run(statement)

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (_run("UPDATE outcome SET value = '\"bad\"' WHERE number = 8"), "outcome 8 was changed"),
        (_run("UPDATE outcome SET observed = 0 WHERE number = 8"), "outcome 8 was changed"),
        (_run("UPDATE outcome SET caller = 'eve' WHERE number = 8"), "outcome 8 was changed"),
        (_run("UPDATE outcome SET id = zeroblob(16) WHERE number = 8"), "outcome 8 was changed"),
        (_run("UPDATE outcome SET value = x'ff' WHERE number = 8"), "outcome 8 was changed"),
        (
            _run("DELETE FROM outcome WHERE number >= 8 AND number <= 10"),
            "3 of the 10 outcomes of batch {batch} are missing, the first is number 8",
        ),
        (
            _run("UPDATE outcome SET number = number + 100 WHERE number <= 10"),
            "10 of the 10 outcomes of batch {batch} are missing",
        ),
        (
            _run("UPDATE outcome_tile SET hashes = zeroblob(320) WHERE batch = 1"),
            "the stored hashes of batch {batch} are not those of the entry",
        ),
        (_run("DELETE FROM outcome_tile WHERE batch = 1"), "hashes of its batch are not complete"),
        (_run("DELETE FROM outcome_batch WHERE number = 1"), "its batch of outcomes is missing"),
        (_run("UPDATE outcome_batch SET first = 'x' WHERE number = 1"), "its batch of outcomes is"),
        (
            _run("UPDATE outcome_batch SET count = 1 WHERE number = 1"),
            "the number of outcomes is not",
        ),
        (_run("DROP TABLE outcome_tile"), "has no table 'outcome_tile'"),
        (lambda home: home.outcomes_database.unlink(), "its batch of outcomes is missing"),
    ],
)
def test_a_changed_file_is_found(
    home: Home, change: Callable[[Home], object], expected: str
) -> None:
    Ledger(home).begin()
    record_some(home, [10, 10])
    expected = expected.format(batch=_entries(home)[0].batch)
    change(home)
    assert [problem for problem in problems(home) if expected in problem]


def test_outcomes_in_a_file_that_are_not_bound_are_noted(home: Home) -> None:
    Ledger(home).begin()
    record_some(home, [3])
    add(home, [feedback(PredictionIds().take())])
    report = verify(home)
    assert report.holds
    assert [note for note in report.notes if "1 outcomes are of no batch" in note.what]


def test_outcomes_on_a_server_are_not_compared(home: Home) -> None:
    Ledger(home).begin()
    record_some(home, [3])
    home.outcomes_database.unlink()
    ledger = home.ledger.rename(home.path.with_name("copy.db"))
    report, _ = verify_path(str(home.path), Expectation(), str(ledger))
    assert report.holds
    assert [note for note in report.notes if "outcomes are not compared" in note.what]
