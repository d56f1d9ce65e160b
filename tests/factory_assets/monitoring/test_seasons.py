"""Seasons are read from the clocks and calendars of the declared time zone."""

from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.monitoring.seasons import column_season_codes, season_codes
from factory_resources.errors import DeclarationError


def test_hours_follow_the_clocks_of_the_time_zone() -> None:
    times = np.array(["2026-03-28T05:00", "2026-03-29T05:00", "NaT"], "datetime64[ns]")
    # Berlin: UTC+1 on Saturday, UTC+2 on Sunday.
    assert season_codes(times, ("hour",), "Europe/Berlin").tolist() == [6, 7, -1]
    assert season_codes(times, ("hour",), "UTC").tolist() == [5, 5, -1]


def test_seasons_together_are_told_apart() -> None:
    hours = np.datetime64("2026-01-01T00:00", "ns") + np.arange(24 * 365) * np.timedelta64(1, "h")
    codes = season_codes(hours, ("hour", "weekday", "month"), "UTC")
    assert len(np.unique(codes)) == 24 * 7 * 12
    assert codes.min() == 0
    midnight = season_codes(hours[:1], ("weekday",), "America/New_York")
    assert midnight.tolist() == [2]  # there it is still Wednesday


def test_a_date_is_the_same_day_in_every_time_zone() -> None:
    dates = pa.chunked_array([[date(2024, 1, 1), None], [date(2024, 2, 29)]])
    for zone in ("America/New_York", "UTC", "Asia/Tokyo"):
        assert column_season_codes(dates, ("weekday",), zone).tolist() == [0, -1, 3]
        assert column_season_codes(dates, ("month",), zone).tolist() == [0, -1, 1]
    midnight = pa.chunked_array([[datetime(2024, 1, 1)]])
    assert column_season_codes(midnight, ("weekday",), "America/New_York").tolist() == [6]


def test_dates_have_no_hours() -> None:
    dates = pa.chunked_array([[date(2024, 1, 1)]])
    with pytest.raises(DeclarationError, match="dates, which have no hour; leave `hour` out"):
        column_season_codes(dates, ("hour", "weekday"), "UTC")
