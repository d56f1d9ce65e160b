"""The chosen hour is that with the least carbon in the window, in every zone, on every day."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from dagster._utils.schedules import schedule_execution_time_iterator
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.green_hours import GreenHours

_ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "America/Santiago",
    "Africa/Cairo",
]
"""Clocks change by an hour and by half of one, at night and at midnight, or never."""

_DAY, _MINUTE = timedelta(days=1), timedelta(minutes=1)

_CHANGES = [date(2026, month, 1) for month in (3, 4, 9, 10, 11)]
"""Months in which clocks change in one of the zones."""

_times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))


def hours(window: str, zone: str, **changed: object) -> GreenHours:
    settings = {"cron": None, "carbon": _at(2), "carbon_timezone": zone, "source": "a meter"}
    return GreenHours(window=window, timezone=zone, **{**settings, **changed})  # type: ignore[arg-type]


def _at(*best: int) -> tuple[float, ...]:
    """Return a table with the least carbon at these hours of every day."""
    return tuple(100.0 if hour in best else 400.0 for hour in range(24)) * 7


def _berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin"))


@given(
    zone=st.sampled_from(_ZONES),
    table_zone=st.sampled_from(_ZONES),
    ends=st.tuples(_times, _times).filter(lambda ends: ends[0] != ends[1]),
    carbon=st.lists(st.sampled_from([50.0, 300.0, 310.0]), min_size=168, max_size=168).map(tuple),
    month=st.sampled_from(_CHANGES),
    day=st.integers(0, 29),
)
def test_each_window_has_one_run_at_its_best_hour(
    zone: str,
    table_zone: str,
    ends: tuple[str, str],
    carbon: tuple[float, ...],
    month: date,
    day: int,
) -> None:
    chosen = hours("-".join(ends), zone, carbon=carbon, carbon_timezone=table_zone)
    today = month + day * _DAY
    begin, end = (datetime.fromisoformat(f"{today}T{text}") for text in ends)
    local = begin, end if begin < end else end + _DAY
    began, ended = (one.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC) for one in local)

    def shown(moment: datetime) -> datetime:
        return moment.astimezone(ZoneInfo(zone))

    def at(moment: datetime) -> float:
        there = moment.astimezone(ZoneInfo(table_zone))
        return carbon[there.weekday() * 24 + there.hour]

    # By force: each minute of the window that clocks show as one of its hours for the first time.
    every = [began + step * _MINUTE for step in range(int((ended - began) / _MINUTE))]
    marks = [one for one in every if shown(one).minute == begin.minute and not shown(one).fold]
    found = chosen.between(began - _MINUTE / 60, max(ended - _MINUTE, began))
    mine = [one for one in found if one.window_began == began]
    assert len(mine) == 1
    assert mine[0].at == min((at(one), one) for one in marks or [began])[1]
    assert (mine[0].carbon, mine[0].carbon_then) == (at(mine[0].at), at(began))


@given(
    zone=st.sampled_from(_ZONES),
    ends=st.tuples(_times, _times).filter(lambda ends: ends[0] != ends[1]),
    best=st.sets(st.integers(0, 23), max_size=3),
    month=st.sampled_from(_CHANGES),
)
def test_dagster_looks_at_every_chosen_hour(
    zone: str, ends: tuple[str, str], best: set[int], month: date
) -> None:
    chosen = hours("-".join(ends), zone, carbon=_at(*best))
    start = datetime.combine(month, datetime.min.time(), UTC)
    ticks = schedule_execution_time_iterator(start.timestamp(), chosen.crons, zone)
    until = start + 35 * _DAY
    looked = {tick.astimezone(UTC) for tick in takewhile(lambda tick: tick < until, ticks)}
    for one in chosen.between(start, until - _DAY):
        local = one.at.astimezone(ZoneInfo(zone))
        is_shown_twice = local.utcoffset() != local.replace(fold=1).utcoffset()
        again = local.replace(fold=1).astimezone(UTC)
        assert one.at in looked or (is_shown_twice and again in looked)


def test_the_hour_moves_if_clocks_skip_it_and_counts_once_if_they_show_it_twice() -> None:
    chosen = hours("22:00-06:00", "Europe/Berlin", carbon=_at(2, 5))
    found = [one.at for one in islice(_from(chosen, _berlin("2026-03-27")), 3)]
    expected = ["2026-03-27T02:00", "2026-03-28T02:00", "2026-03-29T05:00"]
    assert found == [_berlin(text).astimezone(UTC) for text in expected]
    autumn = chosen.between(_berlin("2026-10-24T12:00"), _berlin("2026-10-25T12:00"))
    # Clocks show 2:00 at midnight and again at 1:00 UTC.
    assert [one.at for one in autumn] == [datetime(2026, 10, 25, 0, tzinfo=UTC)]


def _from(chosen: GreenHours, after: datetime):  # type: ignore[no-untyped-def]
    while (one := chosen.next(after)) is not None:
        yield one
        after = one.at


def test_of_several_best_hours_it_is_the_earliest() -> None:
    chosen = hours("22:00-06:00", "UTC", carbon=_at(1, 23))
    found = chosen.next(datetime(2026, 5, 4, 12, tzinfo=UTC))
    assert found
    assert found.at == datetime(2026, 5, 4, 23, tzinfo=UTC)
    assert (found.carbon, found.carbon_then) == (100.0, 400.0)
    assert found.window_began == datetime(2026, 5, 4, 22, tzinfo=UTC)


_WORKING = ["04T02", "05T02", "06T02", "07T02", "08T02", "11T02"]
"""The nights before Monday to Friday; 3 May is a Sunday."""


@pytest.mark.parametrize(
    ("cron", "window", "expected"),
    [
        ("0 23 * * 0-4", "22:00-06:00", _WORKING),
        # A time at noon is of the night that follows.
        ("0 12 * * 0-4", "22:00-06:00", _WORKING),
        ("0 3 * * 1", "22:00-06:00", ["04T02", "11T02"]),
        ("0 12 4,9 * *", "01:00-05:00", ["05T02", "10T02"]),
        ("@hourly", "01:00-05:00", [f"{day:02}T02" for day in range(3, 12)]),
    ],
)
def test_cron_says_which_windows(cron: str, window: str, expected: list[str]) -> None:
    chosen = hours(window, "UTC", cron=cron)
    began = datetime(2026, 5, 3, tzinfo=UTC)
    found = chosen.between(began, began + 8.5 * _DAY)
    assert [f"{one.at:%dT%H}" for one in found] == expected


def test_an_expression_that_never_fires_chooses_nothing() -> None:
    chosen = hours("22:00-06:00", "UTC", cron="0 0 31 2 *")
    assert chosen.next(datetime(2026, 5, 4, tzinfo=UTC)) is None
