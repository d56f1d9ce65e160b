"""Where sources name the dimensions of partitions: `{day}`, or `{day:%Y/%m}`."""

import re
from collections.abc import Iterator, Mapping, Set
from typing import Any

from factory_assets.spec.partitions import Dimension, TimePartitions
from factory_assets.spec.suggest import suggest

PLACE = re.compile(r"\{([a-z][a-z0-9_]*)(?::([^{}]*))?\}")
"""`{day}` is the partition's key, `{day:%Y/%m}` the beginning of its period in that form."""
NEVER_BOUND = frozenset({"query", "contract", "python"})
"""Keys of a source in which nothing is named: whoever names a partition would write SQL."""
_FREE = frozenset({"args", "parameters"})
"""Keys below which braces may also be just text."""


def require_places(dimensions: Mapping[str, Dimension], source: Mapping[str, Any]) -> None:
    """Every dimension must tell the sources apart, or each partition would hold all rows.

    Raises:
        ValueError: a dimension is not named, or what is named is none.
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
