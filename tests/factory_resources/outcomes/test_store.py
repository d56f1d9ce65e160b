"""Outcomes are recorded once, corrected by later ones, and lost by nothing."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.home.home import Home
from factory_resources.outcomes.engines import has_outcomes, open_outcomes
from factory_resources.outcomes.outcome import Decision, Feedback, Outcome
from factory_resources.outcomes.store import SCHEMA, OutcomeStore, values_of
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.sqlite_database import SqliteDatabase
from tests.factory_resources.outcomes.samples import add, current, feedback


def test_the_same_again_is_repeated_and_another_value_corrects(home: Home, engine: str) -> None:
    home.require_writable()
    assert not has_outcomes(home)
    identifier = PredictionIds().take()
    sent = [feedback(identifier, value) for value in ('"good"', '"good"', '"bad"', '"bad"')]
    assert [add(home, [one])[0] for one in sent] == [
        "recorded",
        "repeated",
        "corrected",
        "repeated",
    ]
    assert has_outcomes(home)
    assert current(home) == {identifier: '"bad"'}
    with open_outcomes(home) as store:
        history = [*store.history("apples", [identifier])]
    assert [one.value for one in history] == ['"good"', '"bad"']
    assert [one.number for one in history] == [1, 2]
    assert history[0].observed == history[0].recorded <= history[1].recorded


def test_the_same_rules_hold_within_one_request(home: Home, engine: str) -> None:
    home.require_writable()
    ids = PredictionIds()
    first, second = ids.take(), ids.take()
    sent = [feedback(first), feedback(second), feedback(first), feedback(second, '"bad"')]
    assert add(home, sent) == ["recorded", "recorded", "repeated", "corrected"]
    assert current(home) == {first: '"good"', second: '"bad"'}


def test_a_late_retry_does_not_undo_a_correction(home: Home, engine: str) -> None:
    home.require_writable()
    identifier = PredictionIds().take()
    sent = feedback(identifier, observed=5, caller="line")
    assert add(home, [sent]) == ["recorded"]
    assert add(home, [feedback(identifier, '"bad"', observed=6)]) == ["corrected"]
    assert add(home, [sent]) == ["repeated"]
    assert current(home) == {identifier: '"bad"'}
    assert add(home, [feedback(identifier, observed=7, caller="line")]) == ["corrected"]
    # Somebody else says the same at another time than its sender.
    other = feedback(identifier, '"bad"', observed=6, caller="lab")
    assert add(home, [other]) == ["corrected"]


def test_a_row_belongs_to_one_time_by_when_its_first_outcome_was_recorded(
    home: Home, engine: str
) -> None:
    home.require_writable()
    ids = PredictionIds()
    first, second = ids.take(), ids.take()
    with open_outcomes(home) as store:
        recorded = [
            Outcome(number, identifier, "apples", '"good"', 5, time, "http", "")
            for number, identifier, time in ((1, first, 1_000), (2, second, 2_000))
        ]
        with store.database.writing():
            store.database.insert("outcome", [*map(values_of, recorded)])

        def rows(start: int = 0, stop: int = 9_000, since: bytes = b"") -> list[bytes]:
            return [one.id for one in store.known_rows("apples", 2, start, stop, since=since)]

        assert (rows(1_000, 2_000), rows(2_000, 3_000)) == ([first], [second])
        assert (rows(since=first), rows(since=second)) == ([first, second], [second])
        assert [*map(store.last_number, (999, 1_000, 1_999, 2_000))] == [0, 1, 1, 2]


def test_rows_of_other_pipelines_stay_apart(home: Home, engine: str) -> None:
    home.require_writable()
    ids = PredictionIds()
    first, second = ids.take(), ids.take()
    add(home, [feedback(first), feedback(second, "1.5", pipeline="pears")])
    assert current(home) == {first: '"good"'}
    assert current(home, "pears") == {second: "1.5"}


def test_what_left_no_outcome_is_counted_by_day(home: Home, engine: str) -> None:
    home.require_writable()
    identifier = PredictionIds().take()
    with open_outcomes(home) as store:
        for _ in range(3):
            store.add([feedback(identifier)], {"apples": 2, "": 1})
        rows = store.database.run("SELECT pipeline, kind, number FROM feedback_count")
    assert sorted(rows) == [("", "refused", 3), ("apples", "refused", 6), ("apples", "repeated", 2)]


def test_many_outcomes_are_recorded_at_once(home: Home, engine: str) -> None:
    home.require_writable()
    ids = PredictionIds()
    sent = [feedback(ids.take(), str(float(i))) for i in range(3_000)]
    assert add(home, sent) == ["recorded"] * 3_000
    assert add(home, [*reversed(sent)]) == ["repeated"] * 3_000
    assert current(home) == {one.id: one.value for one in sent}


def test_writers_at_once_lose_nothing_and_number_all(home: Home, engine: str) -> None:
    home.require_writable()
    ids = PredictionIds()
    rows = [ids.take() for _ in range(40)]

    def write(seed: int) -> None:
        mine = Random(seed).sample(rows, len(rows))
        for identifier in mine:
            add(home, [feedback(identifier, caller=str(seed))])

    with ThreadPoolExecutor(4) as threads:
        [*threads.map(write, range(4))]
    with open_outcomes(home) as store:
        numbers = [one.number for one in store.from_number(1, 1_000)]
    assert numbers == [*range(1, 41)]
    assert current(home) == dict.fromkeys(rows, '"good"')


def test_a_failed_request_records_nothing(home: Home, engine: str) -> None:
    home.require_writable()
    identifier = PredictionIds().take()
    with open_outcomes(home) as store:
        store.database.run("DROP TABLE feedback_count")
        with pytest.raises(Exception, match=r"no such table|does not exist"):
            store.add([feedback(identifier)], {"apples": 1})
        assert [*store.from_number(1, 10)] == []


def test_rows_are_counted_by_their_first_outcome(home: Home, engine: str) -> None:
    home.require_writable()
    ids, chance = PredictionIds(), Random(5)
    rows = [ids.take() for _ in range(30)]
    with open_outcomes(home) as store:
        counted, ends = 0, [0]
        for _ in range(12):
            sent = [feedback(chance.choice(rows), str(chance.random())) for _ in range(6)]
            store.add([*sent, feedback(ids.take(), pipeline="pears")])
            last = store.last_number()
            counted += store.count_first("apples", ends[-1], last, 0)
            ends.append(last)
            assert counted == len([*store.known_rows("apples", last)])
        [late, *_] = sorted(row.first for row in store.known_rows("apples", last))[-5:]
        known = [*store.known_rows("apples", last, late)]
        assert store.count_first("apples", 0, last, late) == len(known) < counted


_IDS = [bytes([1] * 15 + [n]) for n in range(4)]

_SENT = st.lists(
    st.builds(
        feedback,
        st.sampled_from(_IDS),
        st.sampled_from(["1.0", "2.0"]),
        observed=st.sampled_from([1, 2]),
        caller=st.sampled_from(["", "line"]),
    ),
    max_size=12,
)


def _decided(sent: list[Feedback]) -> tuple[list[Decision], dict[bytes, str]]:
    """Return what each is in a new database, and the outcomes in the end."""
    with OutcomeStore(SqliteDatabase(Path(":memory:"), SCHEMA)) as store:
        decisions = [store.add([one])[0] for one in sent]
        return decisions, {one.id: one.value for one in store.current("apples")}


@given(sent=_SENT, data=st.data())
def test_order_and_repetition_do_not_matter_without_corrections(
    sent: list[Feedback], data: st.DataObject
) -> None:
    agreeing = [*{one.id: one for one in sent}.values()]
    again = data.draw(st.lists(st.sampled_from(agreeing), max_size=12)) if agreeing else []
    mixed = data.draw(st.permutations([*agreeing, *again]))
    decisions, found = _decided(mixed)
    assert found == {one.id: one.value for one in agreeing}
    assert decisions.count("recorded") == len(agreeing)
    assert "corrected" not in decisions


@given(sent=_SENT, data=st.data())
def test_what_was_recorded_may_be_sent_again_at_any_later_moment(
    sent: list[Feedback], data: st.DataObject
) -> None:
    decisions, found = _decided(sent)
    delayed, known = list[Feedback](), list[Feedback]()
    for one, decision in zip(sent, decisions, strict=True):
        delayed.append(one)
        known += [one] if decision != "repeated" else []
        delayed += data.draw(st.lists(st.sampled_from(known), max_size=3))
    assert _decided(delayed)[1] == found
