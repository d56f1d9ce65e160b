"""Seasons: which rows are compared with each other, by the hour, the weekday or the month."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from factory_assets.spec.watch import Season

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_COUNTS: dict[Season, int] = {"hour": 24, "weekday": 7, "month": 12}


def season_codes(times: Any, seasons: Sequence[Season], timezone: str) -> NDArray[np.int64]:
    """Return a code for each time; rows of the same season have the same code.

    Args:
        times: [rows], datetime64 in UTC; a missing time is of a season of its own.
        timezone: in which clocks and calendars are read, daylight saving included.
    """
    import numpy as np
    import pandas as pd

    local = pd.DatetimeIndex(times).tz_localize("UTC").tz_convert(timezone)
    parts = {"hour": local.hour, "weekday": local.weekday, "month": local.month - 1}
    codes = np.zeros(len(local), dtype=np.int64)
    for season in seasons:
        codes = codes * _COUNTS[season] + parts[season].to_numpy(na_value=0).astype(np.int64)
    return np.where(local.isna(), -1, codes)
