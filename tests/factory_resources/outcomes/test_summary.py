"""Counts of outcomes: with, without, late, corrected, contradicting."""

from datetime import UTC, datetime, timedelta

from factory_resources.home.home import Home
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.outcomes.summary import outcome_summary
from factory_resources.prediction_log.ids import (
    PredictionIds,
    day_of,
    first_id_at,
    row_id,
    time_of,
)
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.factory_resources.outcomes.samples import add, feedback
from tests.factory_resources.prediction_log.homes import log as log
from tests.factory_resources.prediction_log.samples import payload, write


def test_a_pipeline_without_answers_has_nothing_to_count(log: PredictionLog, home: Home) -> None:
    found = outcome_summary(home, "apples")
    assert (found.answers, found.with_outcome, found.missing) == (0, 0, 0)
    assert (found.corrected, found.contradicting, found.repeated, found.refused) == (0, 0, 0, 0)
    assert found.median_delay is None


def test_rows_with_and_without_an_outcome_are_counted(log: PredictionLog, home: Home) -> None:
    journal, ids = log.journal(), PredictionIds()
    several = ids.take(4)
    journal.append(several, payload(1, rows=4))
    single = write(journal, [2, 3], ids)
    [last] = write(journal, [4], ids, pipeline="pears")
    journal.close()
    add(home, [feedback(row_id(several, 2)), feedback(single[0]), feedback(last, pipeline="pears")])
    for _ in range(2):
        found = outcome_summary(home, "apples", age=timedelta(0))
        assert (found.answers, found.with_outcome, found.missing) == (6, 2, 4)
        assert outcome_summary(home, "apples").missing == 0
        log.collect()
    assert outcome_summary(home, "apples", day_of(several)).answers == 6
    assert outcome_summary(home, "apples", day_of(last) + timedelta(days=1)).answers == 0


def test_corrections_and_contradictions_are_told_apart(home: Home, engine: str) -> None:
    home.require_writable()
    ids = PredictionIds()
    mind, other, agreed, unnamed = (ids.take() for _ in range(4))
    add(home, [feedback(one, caller="line") for one in (mind, other, agreed)])
    add(home, [feedback(unnamed)])
    add(home, [feedback(unnamed, '"bad"', source="table")])
    add(home, [feedback(mind, '"bad"', caller="line")])
    add(home, [feedback(other, '"bad"', source="file")])
    add(home, [feedback(agreed, source="file")])
    found = outcome_summary(home, "apples")
    assert (found.corrected, found.contradicting, found.repeated) == (3, 2, 1)


def test_an_answer_by_a_clock_that_was_ahead_had_its_outcome_at_once(
    log: PredictionLog, home: Home
) -> None:
    add(home, [feedback(first_id_at(datetime.now(UTC) + timedelta(hours=1)))])
    found = outcome_summary(home, "apples")
    assert (found.median_delay, found.late_delay) == (0.0, 0.0)


def test_outcomes_of_answers_that_were_removed_are_no_missing_ones(
    log: PredictionLog, home: Home
) -> None:
    old = first_id_at(datetime.now(UTC) - timedelta(days=8))
    add(home, [feedback(old)])
    found = outcome_summary(home, "apples")
    assert (found.answers, found.with_outcome, found.missing) == (0, 1, 0)


def test_delays_are_those_of_the_first_outcome(home: Home, engine: str) -> None:
    home.require_writable()
    ids = PredictionIds()
    taken = [ids.take() for _ in range(100)]
    add(home, [feedback(one) for one in taken])
    add(home, [feedback(one, '"bad"') for one in taken])
    add(home, [feedback(ids.take(), pipeline="pears")])
    with open_outcomes(home) as store:
        for place, one in enumerate(taken):
            store.database.run(
                "UPDATE outcome SET recorded = ? WHERE id = ? AND number <= 100",
                [time_of(one) + place * 1_000_000, one],
            )
    found = outcome_summary(home, "apples")
    assert found.median_delay == 49.5
    assert found.late_delay is not None
    assert 94 <= found.late_delay <= 95


def test_refused_outcomes_are_counted_since_a_day(home: Home, engine: str) -> None:
    home.require_writable()
    before = datetime.now(UTC).date()
    with open_outcomes(home) as store:
        store.add([], {"apples": 3, "": 7})
    after = datetime.now(UTC).date()
    assert outcome_summary(home, "apples", before).refused == 3
    assert outcome_summary(home, "apples", after + timedelta(days=1)).refused == 0
