"""How a pipeline's data is cut into partitions that are ingested and cleaned one by one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Discriminator, Field, Tag

from factory_assets.spec.base import Name, Spec, Strings
from factory_assets.spec.cron import check_timezone

Period = Literal["hour", "day", "week", "month"]
FORMATS: Mapping[Period, str] = {
    "hour": "%Y-%m-%d-%H:%M",
    "day": "%Y-%m-%d",
    "week": "%Y-%m-%d",
    "month": "%Y-%m-%d",
}
"""How the beginning of a period is written as a key; the same as Dagster's own."""


def _date(value: str) -> str:
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no date; write it as 2024-01-31") from error
    return value


class TimePartitions(Spec):
    """One partition a period."""

    every: Period
    """The length of a period; a week begins on Sunday."""
    start: Annotated[str, AfterValidator(_date)]
    """When the first period begins, such as "2024-01-01"."""
    end: Annotated[str, AfterValidator(_date)] | None = None
    """When the last one ends; without it, the last whole period is the newest partition."""
    timezone: Annotated[str, AfterValidator(check_timezone)] = "UTC"
    """Where the periods begin, such as Europe/Berlin."""


class ListedPartitions(Spec):
    """One partition for each of a few known keys, such as sites."""

    values: Annotated[Strings, Field(min_length=1)]
    """The keys."""


class DynamicPartitions(Spec):
    """One partition for each key that turns up, such as machines."""

    dynamic: Literal[True]
    """The keys become known by the sensor, or in the UI."""


def _kind(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((kind for kind in ("values", "dynamic") if kind in given), "every")


Dimension = Annotated[
    Annotated[TimePartitions, Tag("every")]
    | Annotated[ListedPartitions, Tag("values")]
    | Annotated[DynamicPartitions, Tag("dynamic")],
    Discriminator(_kind),
]
Partitions = Annotated[dict[Name, Dimension], Field(max_length=2)]
"""One or two dimensions by name, at most one of them of time; each is a column of the data."""


@dataclass(frozen=True)
class Partition:
    """One partition: its key in each dimension, by the dimensions' names in alphabetical order."""

    keys: Mapping[str, str]
    begins: Mapping[str, datetime]
    """Of dimensions of time."""
    ends: Mapping[str, datetime]

    @property
    def key(self) -> str:
        """Such as `2024-01-31`, or `2024-01-31|berlin`: as Dagster writes it."""
        return "|".join(self.keys.values())


def partition_of(dimensions: Mapping[str, Dimension], key: str) -> Partition | None:
    """The partition that a key names, or None where the dimensions have no such partition."""
    names = sorted(dimensions)
    parts = key.split("|")
    if len(parts) != len(names):
        return None
    begins, ends = {}, {}
    for name, part in zip(names, parts, strict=True):
        dimension = dimensions[name]
        if isinstance(dimension, TimePartitions):
            period = _period(dimension, part)
            if period is None:
                return None
            begins[name], ends[name] = period
        elif isinstance(dimension, ListedPartitions) and part not in dimension.values:
            return None
    return Partition(dict(zip(names, parts, strict=True)), begins, ends)


def time_dimension(dimensions: Mapping[str, Dimension]) -> str | None:
    """The name of the dimension of time."""
    return next((n for n, d in dimensions.items() if isinstance(d, TimePartitions)), None)


def _period(dimension: TimePartitions, key: str) -> tuple[datetime, datetime] | None:
    zone = ZoneInfo(dimension.timezone)
    try:
        begin = datetime.strptime(key, FORMATS[dimension.every]).replace(tzinfo=zone)
    except ValueError:
        return None
    if begin < datetime.fromisoformat(dimension.start).replace(tzinfo=zone):
        return None
    return begin, _end(begin, dimension.every)


def _end(begin: datetime, every: Period) -> datetime:
    match every:
        case "hour":
            return begin + timedelta(hours=1)
        case "day":
            return begin + timedelta(days=1)
        case "week":
            return begin + timedelta(weeks=1)
        case "month":
            return (begin.replace(day=1) + timedelta(days=32)).replace(day=1)


__all__ = [
    "FORMATS",
    "Dimension",
    "DynamicPartitions",
    "ListedPartitions",
    "Partition",
    "Partitions",
    "TimePartitions",
    "partition_of",
    "time_dimension",
]
