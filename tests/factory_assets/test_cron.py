"""Which cron expressions are valid, what is wrong with the others, and when one fires next."""

from datetime import UTC, datetime, timedelta
from itertools import takewhile

import pytest

from factory_assets.cron import check_cron, next_tick, ticks
from tests.long_run import in_long


@pytest.mark.parametrize(
    "value",
    [
        "0 2 * * *",
        "*/15 8-18 * * mon-fri",
        "0 0 1,15 jan,jul *",
        "5 4 * * SUN",
        "59 23 31 12 7",
        "@daily",
    ],
)
def test_valid_cron_is_returned(value: str) -> None:
    assert check_cron(value) == value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("0 2 * *", "4 fields"),
        ("0 2 * * * *", "6 fields"),
        ("", "0 fields"),
        ("@dayly", "@daily"),
        ("60 2 * * *", "minute '60' must lie between 0 and 59"),
        ("0 24 * * *", "hour '24'"),
        ("0 2 0 * *", "day of month '0' must lie between 1 and 31"),
        ("0 2 * 13 *", "month '13'"),
        ("0 2 * * 8", "day of week '8'"),
        ("0 18-8 * * *", "hour '18-8'"),
        ("*/0 * * * *", "a step of 0 never fires"),
        ("x * * * *", "minute 'x' is not"),
        ("0 2 30 feb *", "never fires"),
        # Dagster loads no schedule of the first, and finds no time of the second.
        ("0 2 30 feb mon", "no such day is in these months"),
        ("0 2 31 apr,jun mon-fri", "no such day is in these months"),
        ("1, * * * *", "minute '1,' is not"),
        # Dagster knows the names of months among the months alone, and those of days likewise.
        ("0 0 * mon *", "month 'mon' is not"),
        ("0 0 1 * jan", "day of week 'jan' is not"),
        ("0 jan * * *", "hour 'jan' is not"),
        ("0 0 mon * *", "day of month 'mon' is not"),
    ],
)
def test_wrong_cron_is_refused(value: str, message: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        check_cron(value)
    assert message in str(caught.value)


_NOON = datetime(2026, 3, 27, 12, tzinfo=UTC)
"""A Friday, two days before clocks in Berlin are set forward."""


@pytest.mark.parametrize(
    ("cron", "zone", "expected"),
    [
        ("0 2 * * *", "UTC", "2026-03-28T02:00"),
        ("0 2 * * *", "Europe/Berlin", "2026-03-28T01:00"),
        ("30 2 29 3 *", "Europe/Berlin", "2026-03-29T01:00"),
        ("30 2 25 10 *", "Europe/Berlin", "2026-10-25T01:30"),
        ("@weekly", "UTC", "2026-03-29T00:00"),
        ("0 0 * * 7", "UTC", "2026-03-29T00:00"),
        ("0 0 13 * fri", "UTC", "2026-04-03T00:00"),
        ("*/20 9-17 * * mon-fri", "UTC", "2026-03-27T12:20"),
        ("5/25 * * * *", "UTC", "2026-03-27T12:05"),
        ("0 0 29 2 *", "UTC", "2028-02-29T00:00"),
    ],
)
def test_an_expression_fires_next(cron: str, zone: str, expected: str) -> None:
    found = next_tick(check_cron(cron), zone, _NOON)
    assert found == datetime.fromisoformat(expected).replace(tzinfo=UTC)


def test_an_expression_that_never_fires_has_no_next_time() -> None:
    assert next_tick("0 0 31 2 *", "UTC", _NOON) is None


@pytest.mark.parametrize(
    "cron",
    [
        *("0 2 * * *", "17 */3 * * *", "0 0 1,15 * *", "30 6 * * 1-5"),
        *("0 0 * * 5/2", "0 0 * * 1/3", "0 0 * * 4/1", "0 0 * * fri/2,tue", "0 0 * * 5-7/2"),
        *("0 0 * * 6/2", "0 0 * * 7/2", "0 0 * * 1-1", "0 0 * * */3", "0 0 * * 0-7/3"),
        *("0 2 */1 * 1", "0 2 13 * */1", "0 2 13 * 2-2", "0 2 1-31 * *", "0 2 * * 0-6"),
        *("0 0 31/7 * *", "0 5/8 * * *", "0 23/5 * * *", "59/20 9 * * *", "0 0 1 5/3 *"),
    ],
)
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", *in_long(["Asia/Kolkata"])])
def test_a_year_of_ticks_is_that_of_dagster(cron: str, zone: str) -> None:
    from dagster._utils.schedules import cron_string_iterator

    theirs = cron_string_iterator(_NOON.timestamp(), cron, zone)
    mine, end = _NOON, _NOON + timedelta(days=365)
    while (tick := next_tick(cron, zone, mine)) and tick < end:
        assert tick == next(theirs).astimezone(UTC)
        mine = tick


@pytest.mark.parametrize(
    "cron",
    [
        *("0 2 * * *", "30 2 * * *", "0 3 * * *", "30 0 * * *", "30 1 * * sun", "30 2 * * sun"),
        *("15 2-3 * * *", "0 1,2,3 * * *", "15 */2 * * *", "*/15 2 * * *", "*/20 0-4 * * *"),
        *("0 * * * *", "*/30 * * * *", "10,50 * * * *", "45 0-23 * * *", "*/20 * * * sun"),
        *("30 2 25 10 *", "30 2 29 3 *", "@hourly", "@daily", "@weekly"),
    ],
)
@pytest.mark.parametrize(
    "noon",
    [
        ("Europe/Berlin", "2026-03-28"),
        ("Europe/Berlin", "2026-10-24"),
        ("America/New_York", "2026-03-07"),
        ("America/New_York", "2026-10-31"),
        ("Asia/Beirut", "2026-03-28"),
        ("Asia/Beirut", "2026-10-24"),
    ],
    ids=" ".join,
)
def test_a_night_when_clocks_change_is_that_of_dagster(cron: str, noon: tuple[str, str]) -> None:
    from dagster._utils.schedules import cron_string_iterator

    zone, day = noon
    begin = datetime.fromisoformat(f"{day}T12:00+00:00")
    end = begin + timedelta(hours=40)
    theirs = (one.astimezone(UTC) for one in cron_string_iterator(begin.timestamp(), cron, zone))
    expected = [one for one in takewhile(lambda one: one < end, theirs) if one > begin]
    assert [*takewhile(lambda one: one < end, ticks(cron, zone, begin))] == expected
