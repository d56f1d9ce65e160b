"""Answers are counted for each version wherever they are, without reading what was counted."""

from contextlib import closing
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.prediction_log import archiving, collector
from factory_resources.prediction_log.answer_counts import AnswerCount
from factory_resources.prediction_log.blocks import PredictionBlock
from factory_resources.prediction_log.ids import PredictionIds, row_id
from factory_resources.prediction_log.lookup import LARGEST
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import encode
from tests.factory_resources.prediction_log.homes import fill
from tests.factory_resources.prediction_log.homes import log as log
from tests.factory_resources.prediction_log.samples import payload, record, write
from tests.factory_resources.prediction_log.test_archive import AFTER, DAY, Clock, answer
from tests.factory_resources.prediction_log.test_archive import clock as clock
from tests.factory_resources.released_forms import ANSWERS
from tests.postgres import Postgres


def _apples(taken: dict[bytes, tuple[int, str]]) -> list[bytes]:
    return sorted(one for one, (_, name) in taken.items() if name == "apples")


def _require(log: PredictionLog, apples: list[bytes]) -> None:
    expected = AnswerCount(len(apples), apples[0], apples[-1])
    assert log.count_answers("apples") == {3: expected}
    assert log.answer_ids("apples", 3) == apples
    assert log.answer_ids("apples", 3, 2) == apples[-2:]
    assert log.answer_ids("apples", 4) == []
    assert log.count_answers("plums") == {}


def test_answers_are_counted_in_the_database_and_the_archive(
    log: PredictionLog, clock: Clock
) -> None:
    apples = _apples(answer(log, clock))
    assert log.database.uncounted_blocks() == []
    for before in (DAY, DAY + timedelta(days=1), AFTER):
        log.archive(before)
        _require(log, apples)


def test_answers_are_counted_by_a_server_without_functions_that_are_new_in_it(
    home: Home, clock: Clock, postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    # PostgreSQL can tell the smallest and the largest of bytes since 18; we need 13.
    with postgres.database() as address:
        name = address.partition("?")[0].rpartition("/")[2]
        postgres.execute(
            "CREATE ROLE plain LOGIN PASSWORD 'word'",
            f"GRANT CREATE ON DATABASE {name} TO plain",
            "REVOKE EXECUTE ON FUNCTION pg_catalog.min(bytea), pg_catalog.max(bytea) FROM PUBLIC",
            database=address,
        )
        monkeypatch.setenv(DATABASE_VARIABLE, postgres.url_of("plain", "word", name))
        Ledger(home).begin()
        with PredictionLog(home) as log:
            apples = _apples(answer(log, clock))
            for before in (DAY, AFTER):
                log.archive(before)
                _require(log, apples)
    postgres.execute("DROP ROLE plain")


def test_rows_are_counted_and_refused_requests_are_not(log: PredictionLog) -> None:
    ids = PredictionIds()
    with closing(log.journal()) as journal:
        taken = [ids.take() for _ in range(4)]
        for identifier, rows in zip(taken, (0, 3, 1, 0), strict=True):
            journal.append(identifier, encode(record(rows=rows)))
        journal.flush()
        every = [*(row_id(taken[1], row) for row in range(3)), taken[2]]
        # In the journal, and then in the database.
        assert log.count_answers("apples") == {3: AnswerCount(4, taken[1], taken[2])}
        assert log.answer_ids("apples", 3) == every
    log.collect()
    assert log.count_answers("apples") == {3: AnswerCount(4, taken[1], taken[2])}
    assert log.answer_ids("apples", 3) == every
    assert log.answer_ids("apples", 3, 2) == every[-2:]


@pytest.mark.parametrize("what", ["answers", "rows"])
@pytest.mark.parametrize("queries", range(1, 5))
def test_answers_that_are_stored_while_they_are_counted_are_counted_once(
    log: PredictionLog, home: Home, what: str, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = PredictionIds()
    [stored] = fill(log, ids, [2])
    with closing(log.journal()) as journal:
        taken = [*stored, *write(journal, range(2, 5), ids)]
    run, done = type(log.database).run, 0

    def collecting(store: Any, *arguments: Any) -> Any:
        nonlocal done
        found = run(store, *arguments)
        if store is log.database:
            done += 1
            if done == queries:
                with PredictionLog(home) as other:
                    other.collect()
        return found

    monkeypatch.setattr(type(log.database), "run", collecting)
    if what == "answers":
        assert log.count_answers("apples") == {3: AnswerCount(5, taken[0], taken[-1])}
    else:
        assert log.count_rows("apples", bytes(16), LARGEST) == 5


def test_answers_in_a_segment_that_is_stored_already_are_counted_once(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(collector, "remove_segment", lambda _: None)
    [taken] = fill(log, PredictionIds(), [3])
    assert log.count_answers("apples") == {3: AnswerCount(3, taken[0], taken[-1])}
    assert log.count_rows("apples", bytes(16), LARGEST) == 3


def test_answers_whose_move_to_the_archive_was_interrupted_are_counted_once(
    log: PredictionLog, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples = _apples(answer(log, clock))
    log.archive(DAY + timedelta(days=1))
    monkeypatch.setattr(archiving, "enter_archived", Mock(side_effect=InterruptedError))
    with pytest.raises(InterruptedError):
        log.archive(AFTER)
    _require(log, apples)
    assert log.count_rows("apples", bytes(16), LARGEST) == len(apples)
    assert log.count_rows("apples", apples[1], apples[-1]) == len(apples) - 2


def test_an_id_that_is_in_two_blocks_is_counted_once(log: PredictionLog) -> None:
    ids = PredictionIds()
    one, two, three = (ids.take() for _ in range(3))
    log.database.add(PredictionBlock("a", [(one, payload(1)), (two, payload(2))]))
    log.database.add(PredictionBlock("b", [(two, payload(2)), (three, payload(3))]))
    assert log.database.uncounted_blocks() == [2]
    _require(log, [one, two, three])


def test_only_blocks_with_answers_of_the_version_are_read_for_its_last_ones(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = fill(log, PredictionIds(), [2, 3, 4])
    read: list[tuple[int, int]] = []
    answered = type(log.database).answered

    def noted(store: object, pipeline: str, version: int, after: int, until: int) -> object:
        read.append((after, until))
        return answered(log.database, pipeline, version, after, until)

    monkeypatch.setattr(type(log.database), "answered", noted)
    assert log.answer_ids("apples", 3, 5) == [*blocks[1], *blocks[2]][-5:]
    assert read == [(2, 3), (1, 2)]
    assert log.answer_ids("apples", 2, 5) == []
    assert len(read) == 2


def test_the_engine_adds_up_the_counts_of_all_blocks(
    log: PredictionLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is asked all day makes some thousand blocks in it."""
    apples = [one for block in fill(log, PredictionIds(), [2] * 30) for one in block]
    rows: list[Any] = []
    run = type(log.database).run

    def noted(store: Any, *arguments: Any) -> list[Any]:
        rows.extend(found := run(store, *arguments))
        return found

    monkeypatch.setattr(type(log.database), "run", noted)
    expected = AnswerCount(len(apples), apples[0], apples[-1])
    assert log.count_answers("apples") == {3: expected}
    assert len(rows) < 5


def test_answers_of_a_released_factory_are_counted_wherever_they_are(
    log: PredictionLog, home: Home, clock: Clock
) -> None:
    apples = _apples(answer(log, clock))
    log.archive(DAY + timedelta(days=1))
    log.close()
    ANSWERS.put_back(home.path)
    # One block is in the archive, of which no counts can be made from the database.
    assert log.database.uncounted_blocks() == [1]
    _require(log, apples)
    log.archive(AFTER)
    _require(log, apples)
