"""The columns of logged requests: their names and types by the contract, and protected values.

What is compared with them belongs in `answers`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from factory_assets.data.contract.sql_types import typed_sql, value_sql
from factory_assets.execution.declaration_files import last_declared
from factory_assets.ml.artifacts.trained_model import DESCRIPTION, Description
from factory_assets.serving.online.warm_engine import as_cell
from factory_assets.spec import Column, Ingest
from factory_assets.spec.contract import ColumnType
from factory_resources.erasure.manifest import is_gone
from factory_resources.erasure.search_terms import search_terms
from factory_resources.erasure.values import Value
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.prediction_log.logged_rows import logged_rows
from factory_resources.prediction_log.protection import (
    Protection,
    UnreadableCellError,
    has_key,
    is_protected,
    month_of,
)
from factory_resources.prediction_log.record import PredictionRecord
from factory_resources.tracking.registry import Registry

KnownValues = Mapping[str, Collection[Any]]
"""Values of columns, by which commitments to them are recognised."""


@dataclass(frozen=True)
class AnswerInput:
    """A column of the expression in the requests of a version."""

    source: str
    """Its name there."""
    type: ColumnType | None = None
    missing: tuple[str, ...] = ()

    def value(self, cell: str, values: Iterable[Any]) -> str:
        """Return SQL for a value, typed as in the tables.

        Args:
            cell: SQL of its text.
            values: by which the type is told that the contract does not name.
        """
        wanted = self.type or _type_of(values)
        if wanted is None:
            # It fits whatever it is compared with.
            return "NULL"
        return typed_sql(value_sql(cell, "VARCHAR", self.missing, wanted), "VARCHAR", wanted)


_TYPES: Sequence[tuple[set[type], ColumnType]] = (
    ({bool}, "bool"),
    ({int}, "int64"),
    ({int, float}, "float64"),
    ({date}, "date"),
    ({date, datetime}, "timestamp"),
)


def _type_of(values: Iterable[Any]) -> ColumnType | None:
    """Return the type that all values have; None if there is none."""
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return None
    return next((name for types, name in _TYPES if kinds <= types), "string")


class AnswerContracts:
    """What the versions of a pipeline promised of their columns.

    In place of a version that is gone, or whose description an erasure removed, the newest is
    asked; without one, the declaration.
    """

    def __init__(self, home: Home, pipeline: str) -> None:
        self._home, self._registry, self._pipeline = home, Registry(home), pipeline
        self._known: dict[int, Ingest | None] = {}

    @cached_property
    def _versions(self) -> tuple[int, ...]:
        return self._registry.versions().get(self._pipeline, ())

    def _ingest(self, version: int) -> Ingest | None:
        if version not in self._known:
            self._known[version] = self._promised(version)
        return self._known[version]

    def _promised(self, version: int) -> Ingest | None:
        asked = [version] if version in self._versions else []
        for one in (*asked, *reversed(self._versions)):
            file = self._registry.version(self._pipeline, one).files / DESCRIPTION
            if file.exists() or not is_gone(self._home, self._pipeline, one):
                return _read(file, f"{self._pipeline}@{one}")
        declared = last_declared(self._pipeline, self._home)
        return declared.spec.ingest if declared else None

    def inputs(self, version: int, names: Sequence[str]) -> tuple[AnswerInput, ...]:
        """Return how columns of the contract are in the requests of a version."""
        ingest = self._ingest(version)
        columns = {one.name.casefold(): one for one in ingest.contract.columns} if ingest else {}
        return tuple(_input(name, columns.get(name.casefold()), ingest) for name in names)


def _input(name: str, column: Column | None, ingest: Ingest | None) -> AnswerInput:
    if column is None or ingest is None:
        return AnswerInput(name)
    return AnswerInput(column.source_name, column.type, (*ingest.missing, *column.missing))


def _read(file: Path, name: str) -> Ingest:
    try:
        return Description.stored(file.read_bytes()).ingest
    except (OSError, ValueError) as error:
        raise StorageError(
            f"the description of {name} cannot be read",
            where=str(file),
            remedy="factory verify shows what was changed; restore it from a backup",
        ) from error


class LoggedCells:
    """Reads logged values, also those that are protected."""

    def __init__(self, home: Home, pipeline: str, known: KnownValues) -> None:
        self._home, self._pipeline = home, pipeline
        self._protection = Protection(home, pipeline, "encrypted")
        self._known = {name.casefold(): [*_spellings(values)] for name, values in known.items()}
        self._by_commitment: dict[tuple[str, str], dict[str, Any]] = {}
        self.hidden = set[str]()

    def read(self, column: str, cell: Any, record: PredictionRecord) -> Any:
        """Return the value of a cell of a request; None if nobody can read it.

        Args:
            column: its name in the contract.

        Raises:
            StorageError: a key that is there cannot be read.
        """
        if not is_protected(cell):
            return cell
        if not _has_key(self._home, record):
            self.hidden.add(column)
            return None
        if "encrypted" in cell:
            try:
                return self._protection.reveal(cell, record.time)
            except UnreadableCellError:
                self.hidden.add(column)
                return None
        key = column.casefold(), month_of(record.time)
        if key not in self._by_commitment:
            values = self._known.get(key[0], ())
            if not values:
                self.hidden.add(column)
            self._by_commitment[key] = self._protection.commitments(values, record.time)
        return self._by_commitment[key].get(cell["commitment"])


class ProtectedValues:
    """Finds values in the protected cells of logged requests, in whatever columns."""

    def __init__(self, home: Home, pipeline: str, values: Collection[Value]) -> None:
        self._home, self._pipeline = home, pipeline
        self._protection = Protection(home, pipeline, "encrypted")
        self._matcher = search_terms(values).in_cells
        self._spelled = [*_spellings(values)]
        self._by_month: dict[str, Collection[str]] = {}

    def are_in(self, record: PredictionRecord) -> bool:
        """Whether a request has one of them; without its key nobody knows.

        Raises:
            StorageError: the request, or a key that is there, cannot be read.
        """
        if not any(word in record.input for word in (b"commitment", b"encrypted")):
            return False
        if not _has_key(self._home, record):
            return False
        cells = (cell for row in logged_rows(record) for cell in row.values())
        return any(self._is_one(cell, record.time) for cell in cells if is_protected(cell))

    def _is_one(self, cell: Mapping[str, str], time: int) -> bool:
        if "encrypted" in cell:
            try:
                text = as_cell(self._protection.reveal(cell, time)) or ""
            except UnreadableCellError:
                return False
            return any(True for _ in self._matcher.find(text.encode("utf-8", "surrogatepass")))
        month = month_of(time)
        if month not in self._by_month:
            self._by_month[month] = self._protection.commitments(self._spelled, time).keys()
        return cell["commitment"] in self._by_month[month]


def _has_key(home: Home, record: PredictionRecord) -> bool:
    """Whether the key that protected the values of a request is in the home: a pack has its own."""
    return record.protocol != "edge" and has_key(home, record.pipeline, record.time)


def _spellings(values: Collection[Any]) -> Iterator[Any]:
    """Yield each value as a request may have written it, in JSON."""
    for value in values:
        plain = isinstance(value, str | int | float | bool)
        yield as_cell(value) if plain else str(value)
        if isinstance(value, bool):
            yield value
            continue
        with suppress(ValueError, TypeError):
            number = float(value)
            # In JSON, a number that is not finite is null.
            if isfinite(number):
                yield number
        with suppress(ValueError, OverflowError, TypeError):
            whole = int(value)
            if whole == value or str(whole) == value:
                yield from (whole, str(whole))
