"""Read the target of a model version from the description among its files."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from factory_resources.errors import ModelError, StorageError
from factory_resources.home.home import Home
from factory_resources.outcomes.target_values import TargetValues, class_name
from factory_resources.tracking.registry import Registry

_DESCRIPTION = "model.json"


class Targets:
    """The targets of the model versions of a home; each is read once."""

    def __init__(self, home: Home) -> None:
        self._registry = Registry(home)
        self._known: dict[tuple[str, int], TargetValues] = {}

    def of(self, pipeline: str, version: int) -> TargetValues:
        """Return the target values of a version, or of the champion if its description is gone.

        Raises:
            ModelError: there is neither.
            StorageError: the description cannot be read.
        """
        key = pipeline, version
        if key not in self._known:
            self._known[key] = self._read(pipeline, self._present(pipeline, version))
        return self._known[key]

    def of_champion(self, pipeline: str) -> TargetValues:
        """Return the target values of the champion; raises as `of` does."""
        return self.of(pipeline, self._champion(pipeline))

    def _present(self, pipeline: str, version: int) -> int:
        is_there = self._registry.has_version(pipeline, version)
        # An erasure removes a description that has a value of the person, such as a class.
        if is_there and self._file(pipeline, version).exists():
            return version
        return self._champion(pipeline)

    def _file(self, pipeline: str, version: int) -> Path:
        return self._registry.version(pipeline, version).files / _DESCRIPTION

    def _champion(self, pipeline: str) -> int:
        champion = self._registry.champion(pipeline)
        if champion is None:
            raise ModelError(
                f"nobody can tell what {pipeline!r} predicts: it has no champion",
                remedy=f"train and deploy one: factory run {pipeline}",
            )
        return champion

    def _read(self, pipeline: str, version: int) -> TargetValues:
        file = self._file(pipeline, version)
        try:
            return _target(json.loads(file.read_bytes()))
        except FileNotFoundError as error:
            raise StorageError(
                f"the description of {pipeline}@{version} is missing",
                where=str(file),
                remedy=f"factory trace {pipeline}@{version} shows whether an erasure removed it: "
                f"then train a new version by factory run {pipeline}, else restore it from a "
                "backup",
            ) from error
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise StorageError(
                f"the description of {pipeline}@{version} cannot be read",
                where=str(file),
                remedy="factory verify shows what was changed; restore it from a backup",
            ) from error


def _target(described: Mapping[str, Any]) -> TargetValues:
    name, classes = described["target"]["column"], described["target"]["classes"]
    columns = {column["name"]: column for column in described["ingest"]["contract"]["columns"]}
    promised = columns.get(name, {})
    if classes:
        # A class that training has not seen may still turn out to be true.
        classes = [*classes, *_names(promised.get("values"))]
    return TargetValues(
        column=name,
        source_name=promised.get("from") or name,
        classes=tuple(dict.fromkeys(classes)),
        sensitive=tuple(
            column.get("from") or column["name"]
            for column in columns.values()
            if column.get("sensitive")
        ),
    )


def _names(values: Any) -> Iterator[str]:
    yield from filter(None, map(class_name, values or ()))
