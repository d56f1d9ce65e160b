"""Many answers are looked up at once, in every place that they pass."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from factory_resources.home.home import Home
from factory_resources.prediction_log.ids import PredictionIds, first_of, text
from factory_resources.prediction_log.lookup import LARGEST, AnswerFacts
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_resources.prediction_log.homes import log as log
from tests.factory_resources.prediction_log.samples import payload, write
from tests.factory_resources.prediction_log.samples import record as record_of
from tests.factory_resources.prediction_log.test_archive import AFTER, DAY, Clock, answer
from tests.factory_resources.prediction_log.test_archive import clock as clock


def require_all(log: PredictionLog, taken: dict[bytes, tuple[int, str]], clock: Clock) -> None:
    unknown = clock.ids.take()
    facts = log.facts([*taken, unknown])
    assert facts == {one: AnswerFacts(name, 3, 1) for one, (_, name) in taken.items()}
    found = dict(log.records([*taken, unknown]))
    assert found == {one: record_of(number, pipeline=name) for one, (number, name) in taken.items()}
    apples = {one: number for one, (number, name) in taken.items() if name == "apples"}
    assert dict(log.every("apples", bytes(16))) == {
        one: record_of(number) for one, number in apples.items()
    }
    second = first_of(DAY + timedelta(days=1))
    later = [one for one in apples if one >= second]
    assert 0 < len(later) < len(apples)
    assert {one for one, _ in log.every("apples", second)} == {*later}
    assert log.count_rows("apples", bytes(16), LARGEST) == len(apples)
    assert log.count_rows("apples", second, LARGEST) == len(later)
    assert log.count_rows("apples", bytes(16), second) == len(apples) - len(later)


def test_answers_are_found_in_the_database_and_the_archive(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    taken = answer(log, clock)
    require_all(log, taken, clock)
    log.archive(DAY + timedelta(days=1))
    require_all(log, taken, clock)
    log.archive(AFTER)
    require_all(log, taken, clock)


def test_requests_of_blocks_are_found_wherever_they_are(log: PredictionLog, clock: Clock) -> None:
    taken = answer(log, clock)
    [first, second] = log.database.blocks()
    begins = first_of(DAY + timedelta(days=1))

    def answered(after: int = 0, until: int = 2, since: bytes = bytes(16), version: int = 3) -> Any:
        return log.answered("apples", version, after, until, since)

    apples = [(one, 1) for one, (_, name) in sorted(taken.items()) if name == "apples"]
    parts = (
        [one for one in apples if one[0] <= first.last],
        [one for one in apples if one[0] >= second.first],
    )
    # In the database, in both places, and in the archive.
    for before in (DAY, DAY + timedelta(days=1), AFTER):
        log.archive(before)
        assert answered() == apples
        assert answered(after=1) == parts[1]
        assert answered(until=1) == parts[0]
        assert answered(since=begins) == [one for one in apples if one[0] >= begins]
        assert answered(after=2, until=9) == answered(version=4) == []


def test_answers_are_found_in_the_journal(log: PredictionLog, clock: Clock) -> None:
    clock.set(DAY, 1)
    journal = log.journal()
    taken = dict.fromkeys(write(journal, [7, 7], clock.ids), (7, "apples"))
    clock.set(DAY + timedelta(days=1), 1)
    taken |= dict.fromkeys(write(journal, [7], clock.ids), (7, "apples"))
    require_all(log, taken, clock)
    journal.close()
    require_all(log, taken, clock)


def test_a_request_counts_by_its_rows_and_a_refused_one_not_at_all(
    log: PredictionLog, clock: Clock
) -> None:
    clock.set(DAY, 1)
    journal = log.journal()
    several, refused = clock.ids.take(5), clock.ids.take()
    journal.append(several, payload(1, rows=5))
    journal.append(refused, payload(2, rows=0))
    journal.flush()
    journal.close()
    for _ in range(2):
        assert log.count_rows("apples", bytes(16), LARGEST) == 5
        assert [log.facts([one])[one].rows for one in (several, refused)] == [5, 0]
        log.collect()


def test_removed_answers_are_known_by_their_days(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    taken = answer(log, clock)
    log.archive(AFTER)
    assert log.removed_days("apples") == frozenset()
    for path in (home.predictions / "archive" / "apples" / DAY.isoformat()).glob("*.parquet"):
        path.unlink()
    assert log.removed_days("apples") == {DAY}
    assert len(log.facts(taken)) == len(taken) * 3 // 4


@pytest.mark.parametrize("how", ["record", "answers"])
def test_an_answer_is_found_once_though_its_segment_is_sealed_meanwhile(
    log: PredictionLog, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, glob = log.journal(), Path.glob
    [taken] = write(journal, range(1), PredictionIds())

    def and_seal(folder: Path, pattern: str) -> list[Path]:
        found = [*glob(folder, pattern)]
        journal.roll()
        return found

    monkeypatch.setattr(Path, "glob", and_seal)
    if how == "record":
        assert log.find(text(taken))
    else:
        assert log.count_answers("apples")[3].answers == 1
