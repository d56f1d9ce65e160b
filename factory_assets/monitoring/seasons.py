"""Seasons: which rows are compared with each other, by the hour, the weekday or the month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.spec.watch import Season
from factory_resources.errors import DeclarationError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_COUNTS: dict[Season, int] = {"hour": 24, "weekday": 7, "month": 12}


def column_season_codes(
    times: pa.ChunkedArray, seasons: Sequence[Season], timezone: str
) -> NDArray[np.int64]:
    """Return a code for each row of a column of times or dates, as `season_codes` does.

    Raises:
        DeclarationError: the hours of dates are asked for.
    """
    import pyarrow as pa

    is_date = pa.types.is_date(times.type)
    if is_date and "hour" in seasons:
        raise DeclarationError(
            "the column of watch.time has dates, which have no hour",
            where="watch.seasons",
            remedy="leave `hour` out, or name a column of times",
        )
    values = times.to_numpy().astype("datetime64[ns]")
    return season_codes(values, seasons, None if is_date else timezone)


def season_codes(times: Any, seasons: Sequence[Season], timezone: str | None) -> NDArray[np.int64]:
    """Return a code for each time; rows of the same season have the same code.

    Args:
        times: [rows], datetime64 in UTC; a missing time is of a season of its own.
        timezone: in which clocks and calendars are read, daylight saving included; None for dates,
            which are the same day everywhere.
    """
    import numpy as np
    import pandas as pd

    local = pd.DatetimeIndex(times)
    if timezone is not None:
        local = local.tz_localize("UTC").tz_convert(timezone)
    parts = {"hour": local.hour, "weekday": local.weekday, "month": local.month - 1}
    codes = np.zeros(len(local), dtype=np.int64)
    for season in seasons:
        codes = codes * _COUNTS[season] + parts[season].to_numpy(na_value=0).astype(np.int64)
    return np.where(local.isna(), -1, codes)
