"""Placeholders of partitions in a declaration, such as `{day}`: fill them in, or find their keys.

`{day}` stands for the key, `{day:%Y/%m}` for the beginning of a period of time in that format.
`bind` inserts the keys of a partition; in file patterns they are escaped, so that no character of a
key acts as a wildcard. `Pattern` goes the other way, from the name of a file to the keys.

Listing the files belongs in `partition_listing`.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from glob import escape
from itertools import product
from typing import Any

from factory_assets.spec import Partition, Pipeline, Spec
from factory_assets.spec.calendar import FORMATS
from factory_assets.spec.partition_places import NEVER_BOUND, PLACE
from factory_assets.spec.partitions import (
    Dimension,
    ListedPartitions,
    TimePartitions,
    partitions_until,
    wrong_key,
)
from factory_resources.errors import SourceError

_FILES = frozenset({"files", "reads", "delta", "member", "database"})

_UNSAFE = re.compile(r"[/\\]")


def bind(pipeline: Pipeline, partition: Partition | None) -> Pipeline:
    """Return the pipeline with the sources of one partition.

    Raises:
        SourceError: a key cannot be part of a file name.
    """
    if partition is None:
        return pipeline
    ingest = _bound(pipeline.spec.ingest, partition, in_file=False)
    return replace(pipeline, spec=pipeline.spec.model_copy(update={"ingest": ingest}))


def _bound(value: Any, partition: Partition, in_file: bool) -> Any:
    match value:
        case str():
            return PLACE.sub(_filler(partition, in_file), value)
        case Spec():
            return value.model_copy(
                update={
                    name: _bound(part, partition, in_file or name in _FILES)
                    for name, part in value
                    if name not in NEVER_BOUND
                }
            )
        case dict():
            return {key: _bound(part, partition, in_file) for key, part in value.items()}
        case tuple() | list():
            return type(value)(_bound(part, partition, in_file) for part in value)
        case _:
            return value


def _filler(partition: Partition, in_file: bool) -> Callable[[re.Match[str]], str]:
    """Return the function that replaces a placeholder by the partition's key."""

    def fill(match: re.Match[str]) -> str:
        name, form = match[1], match[2]
        if name not in partition.keys:
            return match[0]
        key = partition.keys[name]
        if form and name in partition.begins:
            key = partition.begins[name].strftime(form)
        elif in_file and _UNSAFE.search(key):
            raise SourceError(
                f"partition key {key!r} cannot be part of a file name",
                where=name,
                remedy="name the partition without slashes",
            )
        return escape(key) if in_file else key

    return fill


Place = tuple[str, str | None]
"""A placeholder: a dimension, and the format of its time, if it gives one."""


def places_in(text: str, dimensions: Mapping[str, Dimension]) -> Iterator[re.Match[str]]:
    """Yield the placeholders of a pattern; other names in braces are those of files or folders."""
    return (place for place in PLACE.finditer(text) if place[1] in dimensions)


_DIGITS = {"Y": 4, "j": 3, **dict.fromkeys("mdHMSyUWV", 2)}

_WILD = re.compile(r"\*\*/|\*+|\?|\[!?[^]]+\]")


@dataclass(frozen=True)
class Pattern:
    """A glob with placeholders, such as `/data/{day:%Y}/{day}-{site}.csv`."""

    names: tuple[str, ...]
    """The dimensions in the pattern, in order of name."""
    _expression: re.Pattern[str]
    """Has one group for each placeholder."""
    _places: tuple[Place, ...]
    _texts_to_keys: Mapping[str, Mapping[tuple[str, ...], Sequence[str]]]
    """For each dimension that is not dynamic: its keys by the texts at its placeholders."""

    @classmethod
    def of(cls, text: str, dimensions: Mapping[str, Dimension], now: datetime) -> "Pattern":
        """Parse the pattern; time dimensions have the keys of the periods that end by `now`."""
        places = tuple(dict.fromkeys((one[1], one[2]) for one in places_in(text, dimensions)))
        names = tuple(sorted({name for name, _ in places}))
        known = {}
        for name in names:
            if isinstance(dimensions[name], TimePartitions | ListedPartitions):
                known[name] = _keys_by_texts(name, dimensions[name], places, now)
        return cls(names, re.compile(_expression(text, places, dimensions)), places, known)

    def keys_of(self, path: str) -> Iterator[tuple[str, ...]]:
        """Yield the keys that the name of a file stands for, one for each of `names`.

        There are several if the name holds only a part of a key, as with `{day:%Y-%m}`.
        """
        match = self._expression.fullmatch(path)
        if match is None:
            return
        at = dict(zip(self._places, match.groups(), strict=True))
        candidates: list[Sequence[str]] = []
        for name in self.names:
            texts = tuple(text for place, text in at.items() if place[0] == name)
            if name in self._texts_to_keys:
                candidates.append(self._texts_to_keys[name].get(texts, ()))
            else:
                candidates.append(() if wrong_key(texts[0]) else texts)
        yield from product(*candidates)

    def impossible_keys(self, path: str) -> Iterator[str]:
        """Yield what the name of a file has in place of a key, and no key can be."""
        if self._texts_to_keys.keys() == {*self.names}:
            return
        if match := self._expression.fullmatch(path):
            for (name, _), text in zip(self._places, match.groups(), strict=True):
                if name not in self._texts_to_keys and wrong_key(text):
                    yield text


def _keys_by_texts(
    name: str, dimension: Dimension, places: Sequence[Place], now: datetime
) -> Mapping[tuple[str, ...], Sequence[str]]:
    forms = [form for place, form in places if place == name]
    known: dict[tuple[str, ...], list[str]] = {}
    for partition in partitions_until({name: dimension}, now, {}):
        texts = tuple(
            partition.begins[name].strftime(form) if form else partition.key for form in forms
        )
        known.setdefault(texts, []).append(partition.key)
    return known


def _expression(text: str, places: Sequence[Place], dimensions: Mapping[str, Dimension]) -> str:
    expression, end, seen = "", 0, set[Place]()
    for match in places_in(text, dimensions):
        place = (match[1], match[2])
        expression += _glob_expression(text[end : match.start()])
        # The same placeholder must match the same text again.
        group = f"(?P=p{places.index(place)})"
        if place not in seen:
            group = (
                f"(?P<p{places.index(place)}>{_place_expression(dimensions[place[0]], place[1])})"
            )
        expression, end = expression + group, match.end()
        seen.add(place)
    return expression + _glob_expression(text[end:])


def _place_expression(dimension: Dimension, form: str | None) -> str:
    """Return an expression for one placeholder, narrow because placeholders may be adjacent."""
    if isinstance(dimension, TimePartitions):
        offset = r"(?:[+-]\d{4})?" if dimension.every == "hour" and not form else ""
        return _time_expression(form or FORMATS[dimension.every]) + offset
    if isinstance(dimension, ListedPartitions):
        return "|".join(re.escape(key) for key in sorted(dimension.values, key=len, reverse=True))
    return "[^/]+?"


def _time_expression(form: str) -> str:
    expression, end = "", 0
    for match in re.finditer("%(.)", form):
        digits = _DIGITS.get(match[1])
        expression += re.escape(form[end : match.start()])
        expression += rf"\d{{{digits}}}" if digits else "[^/]+?"
        end = match.end()
    return expression + re.escape(form[end:])


def _glob_expression(text: str) -> str:
    expression, end = "", 0
    for match in _WILD.finditer(text):
        expression += re.escape(text[end : match.start()])
        match match[0]:
            case "**/":
                expression += "(?:[^/]+/)*"
            case "?":
                expression += "[^/]"
            case wild if wild.startswith("["):
                negated = wild.startswith("[!")
                characters = re.sub(r"[\\\[^]", r"\\\g<0>", wild[2 if negated else 1 : -1])
                expression += f"[{'^' if negated else ''}{characters}]"
            case _:
                expression += "[^/]*"
        end = match.end()
    return expression + re.escape(text[end:])
