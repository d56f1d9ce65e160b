"""The `partitions` section: how data is cut into partitions, each ingested and cleaned by itself.

How sources name the dimensions belongs in `partition_places`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, datetime
from itertools import product
from typing import Annotated, Any, Literal, Self
from urllib.parse import quote
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from factory_assets.spec.base import Name, Spec, Strings
from factory_assets.spec.calendar import (
    Period,
    begin_of,
    check_timezone,
    end_of,
    first_begin,
    in_utc,
    key_of,
    local_moment,
    periods,
)

_LONGEST = 80
"""The most bytes of a key in the name of a file; two keys must fit into one name."""

_FIRST_YEAR = 1000
"""Keys of earlier years would have fewer digits."""

_LAST_END = datetime(MAXYEAR, 12, 31)
"""An end that is meant as none may be too late to be a moment in UTC."""


def wrong_key(key: str) -> str | None:
    """Return why `key` cannot be the key of a partition; None if it can."""
    if not key.strip():
        return "is empty"
    # Dagster gives `|`, `,`, `[` and `]` a meaning in keys; `[]*?` are wildcards in file names.
    if bad := next((c for c in key if c in "|,[]*?" or not c.isprintable()), None):
        return f"contains {bad!r}, which is not allowed in a key"
    if bad := next((text for text in ("...", "${") if text in key), None):
        return f"contains {bad!r}, which is not allowed in a key"
    if key in {".", ".."} or key.startswith("~"):
        return "would mean a folder"
    if len(quote(key, safe="")) > _LONGEST:
        return f"is too long; at most {_LONGEST} bytes (percent-encoded) are allowed"
    return None


def _date(value: str) -> str:
    try:
        zone = datetime.fromisoformat(value).tzinfo
    except ValueError as error:
        raise ValueError(f"{value!r} is not a date; write it as 2024-01-31") from error
    if zone is not None:
        raise ValueError(f"{value!r} has an offset; leave it out and declare `timezone`")
    return value


def _keys(values: tuple[str, ...]) -> tuple[str, ...]:
    for value in values:
        if reason := wrong_key(value):
            raise ValueError(f"key {value!r} {reason}")
    return _distinct(values)


def _distinct(values: tuple[str, ...]) -> tuple[str, ...]:
    if repeated := next((value for value in values if values.count(value) > 1), None):
        raise ValueError(f"key {repeated!r} occurs twice")
    return values


Excluded = Annotated[Strings, AfterValidator(_distinct), Field(exclude_if=lambda keys: not keys)]
"""Keys of one dimension, or whole keys of partitions in two, such as `2024-01-31|berlin`."""


class TimePartitions(Spec):
    """One partition for each period of time, once the period is over."""

    every: Period
    """The length of a period; a week begins on Sunday."""
    start: Annotated[str, AfterValidator(_date)]
    """When the first period begins, such as `"2024-01-01"`."""
    end: Annotated[str, AfterValidator(_date)] | None = None
    """When the last period ends, such as `"2025-01-01"`. Default: no end; the newest partition is
    the last period that is over."""
    timezone: Annotated[str, AfterValidator(check_timezone)] = "UTC"
    """The time zone in which the periods begin, such as `Europe/Berlin`."""
    exclude: Excluded = ()
    """Keys of partitions that are not read, such as `["2024-01-31"]`: what was delivered by
    mistake. In two dimensions also whole keys, such as `["2024-01-31|berlin"]`."""

    @model_validator(mode="after")
    def _has_a_period(self) -> Self:
        if not _FIRST_YEAR <= self.start_time.year < MAXYEAR:
            raise ValueError(
                f"start {self.start!r} does not lie in the years {_FIRST_YEAR} to {MAXYEAR - 1}"
            )
        first = first_begin(self.start_time, self.every, self.zone)
        if self._is_beyond(end_of(first, self.every)):
            raise ValueError(f"no whole {self.every} lies between start and end")
        return self

    def _is_beyond(self, end: datetime) -> bool:
        """Whether a period that ends then is not over by `end`."""
        return self.end_time is not None and in_utc(end) > in_utc(
            local_moment(self.end_time, self.zone)
        )

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def start_time(self) -> datetime:
        """Local time in the time zone."""
        return datetime.fromisoformat(self.start)

    @property
    def end_time(self) -> datetime | None:
        """Local time in the time zone."""
        return min(datetime.fromisoformat(self.end), _LAST_END) if self.end else None

    def period(self, key: str) -> tuple[datetime, datetime] | None:
        """Return beginning and end of the period, over or not; None if there is no such period."""
        begin = begin_of(key, self.every, self.zone)
        first = first_begin(self.start_time, self.every, self.zone)
        if begin is None or in_utc(begin) < in_utc(first):
            return None
        end = end_of(begin, self.every)
        return None if self._is_beyond(end) else (begin, end)


class ListedPartitions(Spec):
    """One partition for each of a few known keys, such as sites."""

    values: Annotated[Strings, Field(min_length=1), AfterValidator(_keys)]
    """The keys, such as `[berlin, munich]`."""


class DynamicPartitions(Spec):
    """One partition for each key that appears over time, such as a machine."""

    dynamic: Literal[True]
    """`true`: the keys are found in the names of arriving files, or added in the UI."""
    exclude: Excluded = ()
    """Keys of partitions that are not read, such as `[test_bench]`. In two dimensions also whole
    keys, such as `["2024-01-31|test_bench"]`."""


def _kind(value: Any) -> str | None:
    given = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return next((kind for kind in ("values", "dynamic") if kind in given), "every")


Dimension = Annotated[
    Annotated[TimePartitions, Tag("every")]
    | Annotated[ListedPartitions, Tag("values")]
    | Annotated[DynamicPartitions, Tag("dynamic")],
    Discriminator(_kind),
]

_NAMES = {"every": "day", "values": "site", "dynamic": "site"}
"""The keys that make a dimension, with a name that such a one may have."""


def _named(value: Any) -> Any:
    given = value if isinstance(value, dict) else {}
    if key := next((k for k in _NAMES if not isinstance(given.get(k, {}), dict)), None):
        raise ValueError(
            f"partitions are a dimension without a name; write `{{{_NAMES[key]}: {{{key}: …}}}}`"
        )
    return value


Partitions = Annotated[dict[Name, Dimension], Field(max_length=2), BeforeValidator(_named)]
"""One or two dimensions by name, at most one of them of time; each is a column of the data."""


@dataclass(frozen=True)
class Partition:
    """One partition: its key in each dimension, in the alphabetical order of the dimensions."""

    keys: Mapping[str, str]
    begins: Mapping[str, datetime]
    """When the period begins, by dimension of time."""
    ends: Mapping[str, datetime]
    """When the period ends, by dimension of time."""

    @property
    def key(self) -> str:
        """The key as Dagster writes it, such as `2024-01-31` or `2024-01-31|berlin`."""
        return "|".join(self.keys.values())


def partition_of(dimensions: Mapping[str, Dimension], key: str) -> Partition | None:
    """Return the partition with this key; None if there is none, or if it is excluded."""
    return None if excluding(dimensions, key) else _possible(dimensions, key)


def excluding(dimensions: Mapping[str, Dimension], key: str) -> str | None:
    """Return the name of the dimension whose `exclude` names the partition; None if none does."""
    own = zip(sorted(dimensions), key.split("|"), strict=False)
    return next((n for n, part in own if {part, key} & {*excluded(dimensions[n])}), None)


def excluded(dimension: Dimension) -> tuple[str, ...]:
    """Return what a dimension excludes; of listed keys, the list says it."""
    return () if isinstance(dimension, ListedPartitions) else dimension.exclude


def withdrawing(dimensions: Mapping[str, Dimension], key: str) -> str:
    """Return what to declare so that a partition is not read; empty if only a file decides that."""
    for name, dimension in dimensions.items():
        if not isinstance(dimension, ListedPartitions):
            return f"list {key!r} under partitions.{name}.exclude"
    [name, *others] = dimensions
    return "" if others else f"take {key!r} out of partitions.{name}.values"


def require_excludable(dimensions: Mapping[str, Dimension]) -> None:
    """Require that there could be a partition with each excluded key.

    Raises:
        ValueError: there is none, such as `2024-02-31`.
    """
    for name, dimension in dimensions.items():
        for key in excluded(dimension):
            if not _possible(dimensions if "|" in key else {name: dimension}, key):
                raise ValueError(
                    f"partitions.{name}.exclude: there can be no partition {key!r}; write keys as "
                    "the pages of `ingest` show them"
                )


def _possible(dimensions: Mapping[str, Dimension], key: str) -> Partition | None:
    names = sorted(dimensions)
    parts = key.split("|")
    if len(parts) != len(names):
        return None
    begins, ends = {}, {}
    for name, part in zip(names, parts, strict=True):
        dimension = dimensions[name]
        if isinstance(dimension, TimePartitions):
            period = dimension.period(part)
            if period is None:
                return None
            begins[name], ends[name] = period
        elif isinstance(dimension, ListedPartitions):
            if part not in dimension.values:
                return None
        elif wrong_key(part):
            return None
    return Partition(dict(zip(names, parts, strict=True)), begins, ends)


def partitions_until(
    dimensions: Mapping[str, Dimension], now: datetime, known: Mapping[str, Sequence[str]]
) -> Iterator[Partition]:
    """Yield every partition that is over by `now`, in the order of the keys of each dimension.

    Excluded ones are left out.

    Args:
        dimensions: the dimensions by name.
        now: the current time, with a time zone.
        known: the keys of each dynamic dimension.
    """
    axes: list[list[tuple[str, str, tuple[datetime, datetime] | None]]] = []
    for name, dimension in sorted(dimensions.items()):
        if isinstance(dimension, TimePartitions):
            every, zone = dimension.every, dimension.zone
            over = periods(dimension.start_time, dimension.end_time, every, zone, now)
            axes.append([(name, key_of(span[0], every), span) for span in over])
        elif isinstance(dimension, ListedPartitions):
            axes.append([(name, key, None) for key in dimension.values])
        else:
            axes.append([(name, key, None) for key in known.get(name, ())])
    for cell in product(*axes):
        spans = {name: span for name, _, span in cell if span}
        partition = Partition(
            {name: key for name, key, _ in cell},
            {name: begin for name, (begin, _) in spans.items()},
            {name: end for name, (_, end) in spans.items()},
        )
        if not excluding(dimensions, partition.key):
            yield partition


def time_dimension(dimensions: Mapping[str, Dimension]) -> str | None:
    """Return the name of the dimension of time; None if there is none."""
    return next((n for n, d in dimensions.items() if isinstance(d, TimePartitions)), None)
