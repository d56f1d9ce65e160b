"""The sources of one partition: its keys put where the declaration names its dimensions.

`{day}` stands for the key, `{day:%Y/%m}` for the beginning of a period of time in that form. In
file names the rest of a pattern keeps its meaning, but no character of a key does.

A pattern of files that names partitions, read backwards: from a file's name to the keys.
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
from factory_assets.spec.partitions import (
    NEVER_BOUND,
    PLACE,
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
    """The pipeline with the sources of the partition.

    Raises:
        SourceError: a key that no file's name can hold.
    """
    if partition is None:
        return pipeline
    ingest = _bound(pipeline.spec.ingest, partition, in_file=False)
    return replace(pipeline, spec=pipeline.spec.model_copy(update={"ingest": ingest}))


def _bound(value: Any, partition: Partition, in_file: bool) -> Any:
    match value:
        case str():
            return PLACE.sub(_putting(partition, in_file), value)
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


def _putting(partition: Partition, in_file: bool) -> Callable[[re.Match[str]], str]:
    def put(match: re.Match[str]) -> str:
        name, form = match[1], match[2]
        if name not in partition.keys:
            return match[0]
        key = partition.keys[name]
        if form and name in partition.begins:
            key = partition.begins[name].strftime(form)
        elif in_file and _UNSAFE.search(key):
            raise SourceError(
                f"partition key {key!r} cannot stand in a file's name",
                where=name,
                remedy="name the partition without slashes",
            )
        return escape(key) if in_file else key

    return put


Place = tuple[str, str | None]
"""A dimension, and the form in which it is named."""

_DIGITS = {"Y": 4, "j": 3, **dict.fromkeys("mdHMSyUWV", 2)}

_WILD = re.compile(r"\*\*/|\*+|\?|\[!?[^]]+\]")


@dataclass(frozen=True)
class Pattern:
    """A glob with places, such as `/data/{day:%Y}/{day}-{site}.csv`."""

    names: tuple[str, ...]
    """The dimensions that it names, in order of name."""
    _expression: re.Pattern[str]
    """One group a place."""
    _places: tuple[Place, ...]
    _known: Mapping[str, Mapping[tuple[str, ...], Sequence[str]]]
    """Of a dimension that is not dynamic, the texts at its places to its keys."""

    @classmethod
    def of(cls, text: str, dimensions: Mapping[str, Dimension], now: datetime) -> "Pattern":
        """Read the pattern; keys of time are those of periods that are over by `now`."""
        places = tuple(dict.fromkeys((place[1], place[2]) for place in PLACE.finditer(text)))
        names = tuple(sorted({name for name, _ in places}))
        known = {}
        for name in names:
            if isinstance(dimensions[name], TimePartitions | ListedPartitions):
                known[name] = _known(name, dimensions[name], places, now)
        return cls(names, re.compile(_expression(text, places, dimensions)), places, known)

    def keys_of(self, path: str) -> Iterator[tuple[str, ...]]:
        """The keys that the name of a file has, one for each of `names`.

        Several where the name tells less than a key, as `{day:%Y-%m}` does.
        """
        match = self._expression.fullmatch(path)
        if match is None:
            return
        at = dict(zip(self._places, match.groups(), strict=True))
        candidates: list[Sequence[str]] = []
        for name in self.names:
            texts = tuple(text for place, text in at.items() if place[0] == name)
            if name in self._known:
                candidates.append(self._known[name].get(texts, ()))
            else:
                candidates.append(() if wrong_key(texts[0]) else texts)
        yield from product(*candidates)


def _known(
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
    made, end, seen = "", 0, set[Place]()
    for match in PLACE.finditer(text):
        place = (match[1], match[2])
        made += _glob(text[end : match.start()])
        # The same place says the same again.
        own = f"(?P=p{places.index(place)})"
        if place not in seen:
            own = f"(?P<p{places.index(place)}>{_text(dimensions[place[0]], place[1])})"
        made, end = made + own, match.end()
        seen.add(place)
    return made + _glob(text[end:])


def _text(dimension: Dimension, form: str | None) -> str:
    """What may stand at a place, as narrow as can be: two places may stand side by side."""
    if isinstance(dimension, TimePartitions):
        offset = r"(?:[+-]\d{4})?" if dimension.every == "hour" and not form else ""
        return _form(form or FORMATS[dimension.every]) + offset
    if isinstance(dimension, ListedPartitions):
        return "|".join(re.escape(key) for key in sorted(dimension.values, key=len, reverse=True))
    return "[^/]+?"


def _form(form: str) -> str:
    made, end = "", 0
    for match in re.finditer("%(.)", form):
        digits = _DIGITS.get(match[1])
        made += re.escape(form[end : match.start()])
        made += rf"\d{{{digits}}}" if digits else "[^/]+?"
        end = match.end()
    return made + re.escape(form[end:])


def _glob(text: str) -> str:
    made, end = "", 0
    for match in _WILD.finditer(text):
        made += re.escape(text[end : match.start()])
        match match[0]:
            case "**/":
                made += "(?:[^/]+/)*"
            case "?":
                made += "[^/]"
            case wild if wild.startswith("["):
                made += wild.replace("[!", "[^", 1).replace("\\", "\\\\")
            case _:
                made += "[^/]*"
        end = match.end()
    return made + re.escape(text[end:])
