"""Placeholders of partitions in the sources, such as `{day}` or `{day:%Y/%m}`.

Every dimension must be named, and a file of rows must belong to one partition. Replacing the
placeholders belongs in `data.sources.partition_patterns`.
"""

import re
from collections.abc import Iterator, Mapping, Set
from datetime import MAXYEAR, UTC, datetime
from itertools import islice
from typing import Any

from factory_assets.spec.base import suggest
from factory_assets.spec.calendar import key_of, periods
from factory_assets.spec.partitions import Dimension, TimePartitions, time_dimension

PLACE = re.compile(r"\{([a-z][a-z0-9_]*)(?::([^{}]*))?\}")
"""A placeholder: `{day}` is the key of the partition, `{day:%Y/%m}` the beginning of its period in
that format."""

NEVER_BOUND = frozenset({"query", "contract", "python"})
"""Keys of a source in which no placeholder is replaced: a partition's key must never become SQL."""

_FREE = frozenset({"args", "parameters"})
"""Keys below which braces may also be plain text."""


def require_places(dimensions: Mapping[str, Dimension], source: Mapping[str, Any]) -> None:
    """Require that the sources name every dimension; otherwise each partition would have all rows.

    Raises:
        ValueError: a dimension is not named, or a placeholder names no dimension.
    """
    for place in _places(source, without=NEVER_BOUND | _FREE):
        name, form = place[1], place[2]
        if name not in dimensions:
            raise ValueError(f"ingest: no partition {name!r}; {suggest(name, dimensions)}")
        if form and not isinstance(dimensions[name], TimePartitions):
            raise ValueError(f"ingest: partition {name!r} is not of time; write {{{name}}} alone")
    named = {place[1] for place in _places(source, without=NEVER_BOUND)}
    if missing := next((name for name in dimensions if name not in named), None):
        text = f"{{{missing}}}"
        raise ValueError(
            f"ingest: the source does not name partition {missing!r}; put {text} where sources "
            f"differ, as in `files: data/{text}.csv`"
        )


_COMPARED = {"hour": 19_200, "day": 800, "week": 120, "month": 27}
"""How many periods are compared: two years of them, in which clocks change and dates come again."""


def require_own_files(dimensions: Mapping[str, Dimension], pattern: str) -> None:
    """Require that a file of rows belongs to one partition; else its rows would be in several.

    Args:
        dimensions: the dimensions by name.
        pattern: of the files; that of their members too.

    Raises:
        ValueError: the pattern does not name a dimension, or has one text for several periods.
    """
    places = [*PLACE.finditer(pattern)]
    if missing := next((n for n in dimensions if n not in {place[1] for place in places}), None):
        raise ValueError(
            f"ingest: every partition of {missing!r} would read the same files {pattern!r}; put "
            f"{{{missing}}} where they differ"
        )
    name = time_dimension(dimensions)
    forms = {place[2] for place in places if place[1] == name}
    time = dimensions[name] if name else None
    if not isinstance(time, TimePartitions) or not all(forms):
        return
    known: dict[tuple[str, ...], str] = {}
    last = datetime(MAXYEAR, 1, 1, tzinfo=UTC)
    spans = periods(time.start_time, time.end_time, time.every, time.zone, last)
    for begin, _ in islice(spans, _COMPARED[time.every]):
        key = key_of(begin, time.every)
        other = known.setdefault(tuple(begin.strftime(form) for form in forms), key)
        if other != key:
            raise ValueError(
                f"ingest: partitions {other!r} and {key!r} would read the same files {pattern!r}; "
                f"write a format in which each is different, such as {{{name}}}"
            )


def names_partition(source: Mapping[str, Any]) -> bool:
    """Whether what is read depends on the partition."""
    return any(_places(source, without=NEVER_BOUND | _FREE))


def _places(value: Any, without: Set[str]) -> Iterator[re.Match[str]]:
    match value:
        case str():
            yield from PLACE.finditer(value)
        case dict():
            for key, part in value.items():
                if key not in without:
                    yield from _places(part, without)
        case tuple() | list():
            for part in value:
                yield from _places(part, without)
