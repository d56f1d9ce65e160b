"""Outcomes of erased answers go, their hashes stay, and what else is missing is found."""

import os
import subprocess
import sys
from uuid import uuid4

import pytest

from factory_resources.home.home import PROJECT, Home
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.prediction_entries import OutcomesErased
from factory_resources.outcomes.binding import bind_outcomes
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.erasing import erase_outcomes
from factory_resources.prediction_log.ids import PredictionIds, row_id
from tests.factory_resources.outcomes.samples import add, current, feedback, record_some
from tests.factory_resources.prediction_log.homes import problems, verify

ERASURE = str(uuid4())


def _entries(home: Home) -> list[OutcomesErased]:
    with Ledger(home).reading() as reading:
        entries = [read_entry(body) for _, body in reading.bodies()]
    return [entry for entry in entries if isinstance(entry, OutcomesErased)]


def test_outcomes_of_requests_are_erased_and_the_others_stay(home: Home, engine: str) -> None:
    Ledger(home).begin()
    [one, two] = record_some(home, [300, 20])
    gone = [one[7], one[299], two[0]]
    assert erase_outcomes(home, "pears", gone, ERASURE) == 0
    assert erase_outcomes(home, "apples", gone, ERASURE) == 3
    assert current(home).keys() == {*one, *two} - {*gone}
    assert [entry.outcomes for entry in _entries(home)] == [(8, 300, 301)]
    assert erase_outcomes(home, "apples", gone, ERASURE) == 3
    assert len(_entries(home)) == 1
    assert erase_outcomes(home, "apples", one[:2], str(uuid4())) == 2


def test_an_erased_value_is_in_no_file_of_the_database(home: Home) -> None:
    Ledger(home).begin()
    ids = PredictionIds()
    gone, other = ids.take(), ids.take()
    # As a server has it open, so that its log stays.
    with open_outcomes(home):
        add(home, [feedback(gone, '"Zaphod7Qbeeble"'), feedback(other)])
        assert erase_outcomes(home, "apples", [gone], ERASURE) == 1
        files = [path.read_bytes() for path in home.path.rglob("*") if path.is_file()]
    assert not [content for content in files if b"Zaphod7Qbeeble" in content]


def test_every_outcome_of_every_row_of_a_request_is_erased_also_one_that_was_not_bound(
    home: Home, engine: str
) -> None:
    Ledger(home).begin()
    ids = PredictionIds()
    request, other = ids.take(3), ids.take()
    rows = [row_id(request, row) for row in range(3)]
    add(home, [feedback(row) for row in (*rows, other)])
    bind_outcomes(home)
    add(home, [feedback(rows[1], '"bad"')])
    assert erase_outcomes(home, "apples", [request], ERASURE) == 4
    assert current(home).keys() == {other}


def test_no_outcome_is_erased_of_which_no_hash_stays(
    home: Home, engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Ledger(home).begin()
    [[bound, late]] = record_some(home, [2])
    add(home, [feedback(late, '"bad"')])
    # As if it had come behind the binding.
    with monkeypatch.context() as patch:
        patch.setattr("factory_resources.outcomes.erasing.bind_outcomes", lambda home: 0)
        assert erase_outcomes(home, "apples", [bound, late], ERASURE) == 2
    assert current(home) == {late: '"bad"'}
    assert erase_outcomes(home, "apples", [bound, late], ERASURE) == 3
    assert current(home) == {}


def test_a_number_is_not_given_out_again(home: Home, engine: str) -> None:
    Ledger(home).begin()
    [taken] = record_some(home, [5])
    erase_outcomes(home, "apples", taken[3:], ERASURE)
    assert add(home, [feedback(PredictionIds().take())]) == ["recorded"]
    bind_outcomes(home)
    with open_outcomes(home) as store:
        assert store.database.run("SELECT number FROM outcome ORDER BY number") == [
            (1,),
            (2,),
            (3,),
            (6,),
        ]
    if engine == "sqlite":
        assert problems(home) == []


def test_the_verifier_of_files_holds_and_nothing_is_left(home: Home) -> None:
    Ledger(home).begin()
    ids = PredictionIds()
    request = ids.take()
    add(home, [feedback(ids.take()) for _ in range(9)])
    add(home, [feedback(request, '"Maria Musterfrau"')])
    assert erase_outcomes(home, "apples", [request], ERASURE) == 1
    report = verify(home)
    assert report.holds, [*report.lines()]
    assert (report.checked["outcomes"], report.checked["outcomes erased"]) == (9, 1)
    files = [path for path in home.path.rglob("*") if path.is_file()]
    assert [path for path in files if b"Musterfrau" in path.read_bytes()] == []


def test_other_changes_of_a_file_are_found_as_before(home: Home) -> None:
    Ledger(home).begin()
    [taken] = record_some(home, [10])
    before = home.path.with_name("before.db")
    with open_outcomes(home) as store:
        store.database.run("VACUUM INTO ?", [str(before)])
    erase_outcomes(home, "apples", [taken[3]], ERASURE)
    assert problems(home) == []
    with open_outcomes(home) as store:
        store.database.run("UPDATE outcome SET value = '1' WHERE number = 5")
    [problem] = problems(home)
    assert "outcome 5 was changed" in problem
    with open_outcomes(home) as store:
        store.database.run("DELETE FROM outcome WHERE number = 5")
    [problem] = problems(home)
    assert "1 of the 10 outcomes of batch" in problem
    assert "the first is number 5" in problem
    os.replace(before, home.outcomes_database)
    [problem] = problems(home)
    assert "outcome 4 was erased, yet it is there" in problem


def test_a_home_without_outcomes_has_nothing_to_erase(home: Home, engine: str) -> None:
    Ledger(home).begin()
    assert erase_outcomes(home, "apples", [PredictionIds().take()], ERASURE) == 0
    assert erase_outcomes(home, "apples", [], ERASURE) == 0


_DYING = """
import os, sys
from factory_resources.home.home import Home
from factory_resources.outcomes import erasing
setattr(erasing, sys.argv[1], lambda *_: os._exit(9))
erasing.erase_outcomes(Home.from_env(), "apples", [bytes.fromhex(sys.argv[2])], sys.argv[3])
"""


@pytest.mark.slow
@pytest.mark.parametrize("step", ["enter_erased_outcomes", "delete_outcomes"])
def test_a_kill_before_each_step_is_made_good_by_the_next_call(
    home: Home, engine: str, step: str
) -> None:
    Ledger(home).begin()
    [taken] = record_some(home, [5])
    died = subprocess.run(
        [sys.executable, "-c", _DYING, step, taken[2].hex(), ERASURE],
        env={**os.environ, "FACTORY_HOME": str(home.path), "PYTHONPATH": str(PROJECT)},
        check=False,
    )
    assert died.returncode == 9
    assert taken[2] in current(home)
    assert erase_outcomes(home, "apples", [taken[2]], ERASURE) == 1
    assert taken[2] not in current(home)
    assert [entry.outcomes for entry in _entries(home)] == [(3,)]
    if engine == "sqlite":
        assert problems(home) == []
