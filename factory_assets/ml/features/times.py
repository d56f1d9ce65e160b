"""Times as inputs: parts of dates and timestamps, and how far two of them are apart.

A time becomes numbers by integer arithmetic alone, so that the exported graph computes the same.
How these numbers are scaled belongs in `features.py`, the nodes of the graph, in `ml/artifacts/`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Literal

from factory_assets.ml.features.numbers import Number, fit_number
from factory_resources.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


MOST_TIMES = 4
"""The first so many columns of times of which distances are inputs."""

DAY, HOUR = 86_400, 3_600
"""In seconds."""

LONG = 20 * 365.25 * DAY
"""Seconds over which nine tenths of a column extend if its months, weekdays and hours are not read:
it has dates of birth or the like."""

TimePart = Literal["year", "month", "weekday", "hour", "days"]
"""`days` are those since 1970."""


@dataclass(frozen=True)
class TimeValue:
    """What is read from a time: one part of it, or the days since another."""

    column: str
    part: TimePart | None
    since: str | None = None
    """The other column, if it is a distance."""

    @property
    def name(self) -> str:
        """How a person calls it."""
        return f"{self.column} {self.part}" if self.part else f"{self.column} since {self.since}"

    def of(self, seconds: Mapping[str, NDArray[np.float64]]) -> NDArray[np.float32]:
        """Return [rows], NaN if missing: weekdays from 1 for Monday, distances in days.

        Args:
            seconds: of each column, as `read_times` returns them.
        """
        import numpy as np

        own = seconds[self.column]
        if self.part is None:
            assert self.since
            apart: NDArray[np.float64] = (own - seconds[self.since]) / DAY
            return apart.astype(np.float32)
        absent = np.isnan(own)
        found = _part(self.part, np.where(absent, 0.0, own)).astype(np.float32)
        found[absent] = np.nan
        return found


class TimeNumber(Number):
    """A number that is read from a time."""

    column: str
    part: TimePart | None
    since: str | None
    """The other column of times, if it is the days since that."""

    @property
    def value(self) -> TimeValue:
        return TimeValue(self.column, self.part, self.since)


def fit_times(
    training: pa.Table, names: Sequence[str], *, years: bool, trend: Collection[str] = ()
) -> tuple[TimeNumber, ...]:
    """Choose what is read from times: whatever varies in the training rows.

    That a time is missing is an input once.

    Args:
        names: the columns of times.
        years: as of `possible_values`.
        trend: as of `possible_values`.
    """
    import numpy as np

    clocks = [name for name in names if _has_clock(training.schema.field(name).type)]
    seconds = {name: read_times(training, name) for name in names}
    fitted: list[TimeNumber] = []
    indicated: list[NDArray[np.bool_]] = []
    for value in possible_values(seconds, clocks, years=years, trend=trend):
        values = value.of(seconds)
        absent = np.isnan(values)
        is_new = absent.any() and not any(np.array_equal(absent, one) for one in indicated)
        present = values[~absent]
        varies = len(present) and present.min() < present.max()
        number = fit_number(value.name, values) if is_new or varies else None
        if number is None:
            continue
        if is_new:
            indicated.append(absent)
        described = {**number.model_dump(), "indicator": is_new}
        fitted.append(TimeNumber(**described, **asdict(value)))
    return tuple(fitted)


def _has_clock(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return bool(types.is_timestamp(kind))


def is_time(kind: pa.DataType) -> bool:
    """Whether a column has dates or timestamps."""
    import pyarrow.types as types

    return bool(types.is_date(kind) or types.is_timestamp(kind))


def read_times(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return [rows]: whole seconds since 1970 by the clock of the column's zone, NaN if missing.

    Raises:
        DataError: if the column cannot be cast to times.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    column = table[name]
    try:
        if pa.types.is_timestamp(column.type) and column.type.tz:
            column = pc.local_timestamp(column)
        whole = column.cast(pa.timestamp("us")).cast(pa.int64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"input column {name!r} holds {table.schema.field(name).type}, not times",
            remedy="provide it as dates or timestamps",
        ) from error
    # Of whole numbers: a fraction of a late year's second would be rounded to the next one.
    micros = whole.fill_null(0).to_numpy()
    seconds: NDArray[np.float64] = (micros // 1_000_000).astype(np.float64)
    seconds[whole.is_null().to_numpy()] = np.nan
    return seconds


def possible_values(
    seconds: Mapping[str, NDArray[np.float64]],
    clocks: Sequence[str],
    *,
    years: bool,
    trend: Collection[str],
) -> Iterator[TimeValue]:
    """Yield what can be read from times, whether or not it varies.

    Args:
        seconds: of each column of times in training rows, as `read_times` returns them.
        clocks: the columns that have hours.
        years: whether rows to predict are of the same years, unless a column extends over `LONG`.
        trend: the columns of which days are read, unless they extend over `LONG`: years tell that.
    """
    import numpy as np

    for name, values in seconds.items():
        if np.isnan(values).all():
            continue
        early, late = np.nanquantile(values, (0.05, 0.95))
        is_long = late - early > LONG
        if years or is_long:
            yield TimeValue(name, "year")
        if is_long:
            continue
        if name in trend:
            yield TimeValue(name, "days")
        yield TimeValue(name, "month")
        yield TimeValue(name, "weekday")
        if name in clocks:
            yield TimeValue(name, "hour")
    for first, second in combinations([*seconds][:MOST_TIMES], 2):
        yield TimeValue(second, None, since=first)


def _part(part: TimePart, seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return a part of each time.

    Source of years and months: H. Hinnant, chrono-compatible low-level date algorithms,
    howardhinnant.github.io/date_algorithms.html; a year begins with March there.
    """
    import numpy as np

    days = np.floor(seconds / DAY)
    if part == "hour":
        hours: NDArray[np.int64] = np.floor((seconds - days * DAY) / HOUR).astype(np.int64)
        return hours
    whole = days.astype(np.int64)
    if part == "days":
        return whole
    if part == "weekday":
        return (whole + 3) % 7 + 1
    shifted = whole + 719_468
    era = shifted // 146_097
    of_era = shifted - era * 146_097
    year = (of_era - of_era // 1_460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    from_march = (5 * of_year + 2) // 153
    month = np.where(from_march < 10, from_march + 3, from_march - 9)
    years: NDArray[np.int64] = year + era * 400 + (month <= 2)
    return month if part == "month" else years
