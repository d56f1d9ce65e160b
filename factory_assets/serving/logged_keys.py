"""The keys of answers: columns that rows may bring beside the inputs, for the log alone.

A key has the same value in the log whether its row came in a file or in a request: what the text of
the cell says by the contract, without its rules, since no row is refused because of its key.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factory_assets.data.contract.type_inference import missing_tokens
from factory_assets.serving.edge.score import json_text
from factory_assets.spec import Column, PipelineSpec
from factory_assets.spec.contract import NUMBERS
from factory_resources.errors import SourceError
from factory_resources.sources.files.reader import SourceTable
from factory_resources.sql.bytes_as_text import text_sql
from factory_resources.sql.engine import engine_errors, identifier, sealed

Cell = str | int | None

_WHOLE = re.compile(r"([+-]?[0-9]{1,18})(\.0*)?")


@dataclass(frozen=True)
class LoggedKey:
    """A declared key."""

    column: Column
    missing: frozenset[str]
    """Texts that mean a missing value."""

    @property
    def source_name(self) -> str:
        """The name of the column in the source, in requests and in the log."""
        return self.column.source_name

    def cell(self, value: Any) -> Cell:
        """Return a value of JSON as it is logged; None if it is missing."""
        if value is None:
            return None
        text = json_text(value).strip(" \t\r\n")
        if text in self.missing:
            return None
        whole = _WHOLE.fullmatch(text) if self.column.type in NUMBERS else None
        return int(whole[1]) if whole else text


def declared_keys(spec: PipelineSpec) -> tuple[LoggedKey, ...]:
    """Return the keys that a pipeline declares."""
    declared = {column.name: column for column in spec.ingest.contract.columns}
    columns = (declared.get(name) or Column(name=name) for name in spec.deploy.log.keys)
    return tuple(
        LoggedKey(column, frozenset(map(str.strip, missing_tokens(spec.ingest, column))))
        for column in columns
    )


def keys_beside(keys: Sequence[LoggedKey], inputs: Collection[Column]) -> tuple[LoggedKey, ...]:
    """Return the keys that are not logged as inputs already."""
    read = {column.source_name for column in inputs}
    return tuple(key for key in keys if key.source_name not in read)


def keys_of_row(keys: Sequence[LoggedKey], row: Mapping[str, Any]) -> dict[str, Cell]:
    """Return the keys that a row of a request brings."""
    found = {key.source_name: key.cell(row.get(key.source_name)) for key in keys}
    return {name: cell for name, cell in found.items() if cell is not None}


def keys_of_file(
    keys: Sequence[LoggedKey], table: SourceTable, scratch: Path
) -> dict[LoggedKey, list[Cell]]:
    """Return the values of those keys that a file has, in the order of its rows.

    Args:
        scratch: a folder.

    Raises:
        SourceError: the file cannot be read.
    """
    present = [key for key in keys if key.source_name in table.columns]
    if not present:
        return {}
    places = (table.columns[key.source_name] for key in present)
    cells = (
        f"{text_sql(identifier(place), kind)} AS k{n}" for n, (place, kind) in enumerate(places)
    )
    query = f"SELECT {', '.join(cells)} FROM {table.relation} ORDER BY file_row_number"
    with (
        sealed(read=[table.path], write=scratch) as engine,
        engine_errors(table.name, SourceError, "fetch the file again"),
    ):
        read = engine.sql(query).to_arrow_table()
    return {
        key: [*map(key.cell, column.to_pylist())]
        for key, column in zip(present, read.columns, strict=True)
    }
