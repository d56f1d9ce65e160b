"""The rows of a file that a model scores, cleaned by the declaration that it was trained under.

That declaration comes from the model and is narrowed to what its inputs are derived from; today's
`defs.yaml` may say something else. How the file is read belongs in `scored_file`, the scores in
`batch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from factory_assets.data.clean_rows import clean_rows
from factory_assets.data.sources.discovery import name_pipeline_in_errors
from factory_assets.ml.features.columns import beyond_float32
from factory_assets.results.data import SourceFile
from factory_assets.serving.scored_file import (
    as_declared,
    joined_sources,
    needed_joins,
    read_once,
)
from factory_assets.spec import (
    Clean,
    Column,
    Contract,
    FileSource,
    ImageSource,
    Ingest,
    Pipeline,
    Windows,
)
from factory_resources.home.home import Home
from factory_resources.sql.expressions import parse

if TYPE_CHECKING:
    import pyarrow as pa


OVERFLOW = "overflow"
"""The rule that a number breaks which is infinite, or becomes so in the model."""


class TrainedUnder(Protocol):
    """The columns that a model reads, and the declaration that they were made by."""

    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def inputs(self) -> Mapping[str, str]: ...
    @property
    def ingest(self) -> Ingest: ...
    @property
    def clean(self) -> Clean: ...


@dataclass(frozen=True)
class ScoringRows:
    """The rows of a file, and the tables that were joined to them."""

    scorable: pa.Table
    refused: tuple[pa.Table, ...]
    """Rows without a score, as `_row` and `reason`."""
    joined: tuple[SourceFile, ...]
    """The state in which the joined tables were read."""


def rows_to_score(
    pipeline: Pipeline,
    model: TrainedUnder,
    file: Path,
    home: Home,
    *,
    source: FileSource | None = None,
) -> ScoringRows:
    """Read and clean the rows of a file.

    Only the columns that the model's inputs are derived from need be in the file, or those of the
    source, to which the declared tables are joined again. Refused are rows that break the contract
    or a rule, and those with an input that float32 cannot hold.

    Args:
        source: how the file is read; by default as the pipeline's source is declared.

    Raises:
        SourceError: the file or a joined table cannot be read.
        ContractError: a needed column is missing, or every row breaks the contract.
        ExpressionError: a rule or a derived column fails on a value.
        DataError: every row breaks a rule.
    """
    from pyarrow.parquet import ParquetFile

    read_as = source or as_declared(model.ingest, file)
    ingest, clean = narrowed_ingest(model, read_as), narrowed_cleaning(model)
    with home.scratch() as scratch, name_pipeline_in_errors(pipeline):
        read, columns = read_once(read_as, pipeline.folder, home, scratch)
        needed = [column.source_name for column in ingest.contract.columns]
        joins = needed_joins(model.ingest.joins, columns, needed)
        sources = [read, *joined_sources(joins, pipeline.folder, home, scratch)]
        ingest = ingest.model_copy(update={"joins": joins})
        rows = clean_rows(pipeline.name, ingest, clean, sources, scratch)
        refused = [
            ParquetFile(table.path).read(["_row", "_rules"]).rename_columns(["_row", "reason"])
            for table in rows.refused
        ]
        scorable, overflowing = without_overflow(ParquetFile(rows.valid.path).read(), model)
        joined = tuple(source for source in rows.sources if source.join)
        return ScoringRows(scorable, (*refused, *overflowing), joined)


def without_overflow(rows: pa.Table, model: TrainedUnder) -> tuple[pa.Table, list[pa.Table]]:
    """Separate the rows with a number that is infinite in float32, in which models compute."""
    import numpy as np
    import pyarrow as pa

    numbers = [name for name, kind in model.inputs.items() if kind == "tensor(float)"]
    beyond = {name: beyond_float32(rows, name) for name in numbers}
    refused = np.logical_or.reduce([np.zeros(rows.num_rows, bool), *beyond.values()])
    if not refused.any():
        return rows, []
    reasons = [
        ",".join(f"{OVERFLOW}:{name}" for name, where in beyond.items() if where[i])
        for i in np.flatnonzero(refused)
    ]
    overflowing = pa.table({"_row": rows["_row"].filter(refused), "reason": reasons})
    return rows.filter(~refused), [overflowing]


def narrowed_cleaning(model: TrainedUnder) -> Clean:
    """Every row is scored or refused by itself: no duplicates, and only rules on needed columns."""
    clean = model.clean
    needed = _needed(clean, model.columns)
    derived = {name.lower() for name in clean.columns}
    return clean.model_copy(
        update={
            "where": {
                name: sql
                for name, sql in clean.where.items()
                if _columns(sql) <= needed.keys() - derived
            },
            "unify": tuple(n for n in clean.unify if n.lower() in needed),
            "deduplicate": (),
            "derive": {n: sql for n, sql in clean.derive.items() if n.lower() in needed},
            "windows": _needed_windows(clean, needed),
        }
    )


def narrowed_ingest(model: TrainedUnder, source: FileSource | ImageSource) -> Ingest:
    """Read only the needed columns; each keeps its contract, but for uniqueness."""
    return Ingest(
        source=source,
        contract=Contract(columns=needed_columns(model)),
        missing=model.ingest.missing,
        max_quarantine=1.0,
    )


def needed_columns(model: TrainedUnder) -> tuple[Column, ...]:
    """Return the contract of each source column that the model's inputs are derived from."""
    needed = _needed(model.clean, model.columns)
    derived = {name.lower() for name in model.clean.columns}
    declared = {column.name.lower(): column for column in model.ingest.contract.columns}
    return tuple(
        declared.get(key, _as_trained(model, name)).model_copy(update={"unique": False})
        for key, name in needed.items()
        if key not in derived
    )


def _as_trained(model: TrainedUnder, name: str) -> Column:
    """Return the contract of a column that has none: the type that the model was trained on."""
    match model.inputs.get(name):
        case "tensor(float)":
            return Column(name=name, type="float64")
        case "tensor(string)" | "tensor(uint8)":
            return Column(name=name, type="string")
        case _:
            return Column(name=name)


def _needed(clean: Clean, inputs: Iterable[str]) -> dict[str, str]:
    """Return the columns that the inputs are derived from, by lower-case name: SQL ignores case."""
    needed = {name.lower(): name for name in inputs}
    if windows := _needed_windows(clean, needed):
        needed |= {n.lower(): n for n in (windows.by, windows.order, *windows.columns)}
    # A derived column sees only those before it.
    for name, sql in reversed(clean.derive.items()):
        if name.lower() in needed:
            needed |= {n.lower(): n for n in parse(sql, name).columns if n.lower() not in needed}
    return needed


def _needed_windows(clean: Clean, needed: Iterable[str]) -> Windows | None:
    windows = clean.windows
    return windows if windows and {n.lower() for n in windows.added} & set(needed) else None


def _columns(sql: str) -> set[str]:
    return {name.lower() for name in parse(sql, "clean.where").columns}
