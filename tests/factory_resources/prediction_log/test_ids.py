"""Ids of predictions are UUIDs of version 7 that grow, and rows have those that follow."""

import time
from datetime import UTC, date, datetime
from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.errors import DataError, UnknownNameError
from factory_resources.prediction_log.ids import (
    ROWS,
    PredictionIds,
    day_of,
    first_of,
    parse,
    request_of,
    row_id,
    text,
)


def test_an_id_is_a_uuid_of_version_7_with_the_time_in_front() -> None:
    before = time.time_ns() // 1_000_000
    taken = UUID(bytes=PredictionIds().take())
    assert taken.version == 7
    assert taken.variant == "specified in RFC 4122"
    assert before <= taken.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_strictly_increase_within_a_millisecond() -> None:
    ids = PredictionIds()
    taken = [ids.take() for _ in range(20_000)]
    assert all(one < other for one, other in pairwise(taken))


@given(st.lists(st.integers(min_value=0, max_value=2**62), min_size=2))
def test_ids_strictly_increase_whatever_the_clock_says(moments: list[int]) -> None:
    clock = iter(moments)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time_ns", lambda: next(clock))
        ids = PredictionIds()
        taken = [ids.take() for _ in moments]
    assert all(one < other for one, other in pairwise(taken))
    assert all(UUID(bytes=one).version == 7 for one in taken)


def test_two_processes_take_different_ids_at_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1_700_000_000_000_000_000)
    assert len({PredictionIds().take() for _ in range(100)}) == 100


@given(st.integers(min_value=0, max_value=ROWS - 1))
def test_the_id_of_a_row_leads_back_to_its_request(row: int) -> None:
    base = PredictionIds().take(ROWS)
    assert request_of(parse(text(base, row))) == (base, row)
    assert UUID(text(base, row)).version == 7
    assert row_id(base, row)[:13] == base[:13]


def test_a_request_has_at_most_a_million_rows() -> None:
    assert PredictionIds().take(ROWS)
    with pytest.raises(DataError, match="at most 1,000,000 rows"):
        PredictionIds().take(ROWS + 1)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "12",
        "no id",
        "3b241101-e2bb-4255-8caf-4136c566a962",
        "é" * 36,
        "\n199aaaa000070008000000000000000",
        "+199aaaa000070008000000000000000",
        "\uff10199aaaa000070008000000000000000",
    ],
)
def test_a_text_that_is_no_id_is_refused(written: str) -> None:
    with pytest.raises(UnknownNameError, match="is not the id of a prediction"):
        parse(written)


@pytest.mark.parametrize("spelling", ["{}", "urn:uuid:{}", "{{{}}}"])
def test_other_spellings_of_an_id_are_read(spelling: str) -> None:
    base = PredictionIds().take()
    assert parse(spelling.format(text(base))) == base
    assert parse(spelling.format(text(base).upper())) == base
    assert parse(spelling.format(base.hex())) == base


def test_the_days_of_ids_end_at_midnight_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
    ids = PredictionIds()
    monkeypatch.setattr(time, "time_ns", lambda: midnight - 1)
    last = ids.take()
    monkeypatch.setattr(time, "time_ns", lambda: midnight)
    first = ids.take()
    assert (day_of(last), day_of(first)) == (date(2026, 2, 28), date(2026, 3, 1))
    assert last < first_of(date(2026, 3, 1)) <= first


def test_every_id_has_a_day_and_every_day_a_first_id() -> None:
    assert day_of(b"\xff" * 16) == date(9999, 12, 31)
    assert first_of(date(1, 1, 1)) == bytes(16)
