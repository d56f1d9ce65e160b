"""The sources of one partition: its keys put where the declaration names its dimensions.

`{day}` stands for the key, `{day:%Y/%m}` for the beginning of a period of time in that form. In
file names the rest of a pattern keeps its meaning, but no character of a key does.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from glob import escape
from typing import Any

from factory_assets.spec import Partition, Pipeline, Spec
from factory_assets.spec.partition_places import NEVER_BOUND, PLACE
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
