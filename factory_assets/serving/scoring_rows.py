"""The rows of a file that a model scores, cleaned by the declaration that it was trained under.

That declaration comes from the model and is narrowed to what its inputs are derived from; today's
`defs.yaml` may say something else. The scores belong in `batch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from factory_assets.data.clean_rows import clean_rows
from factory_assets.data.sources.base import SourceContext
from factory_assets.data.sources.discovery import discover, name_pipeline_in_errors
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
from factory_assets.spec.ingest import Source
from factory_resources.home.home import Home
from factory_resources.sources.files.images import SUFFIXES
from factory_resources.sql.expressions import parse

if TYPE_CHECKING:
    import pyarrow as pa


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


def rows_to_score(
    pipeline: Pipeline, model: TrainedUnder, file: Path, home: Home
) -> tuple[pa.Table, list[pa.Table]]:
    """Return the clean rows of a file, and the refused ones as `_row` and `reason`.

    Only the columns that the model's inputs are derived from need be in the file.

    Raises:
        SourceError: the file cannot be read.
        ContractError: a needed column is missing, or every row breaks the contract.
        ExpressionError: a rule or a derived column fails on a value.
        DataError: every row breaks a rule.
    """
    from pyarrow.parquet import ParquetFile

    source = _source(model.ingest.source, file)
    ingest, clean = _narrowed_ingest(model, source), _narrowed_cleaning(model)
    with home.scratch() as scratch, name_pipeline_in_errors(pipeline):
        context = SourceContext(pipeline.folder, home, scratch / "file")
        sources = [*discover(source, context)]
        rows = clean_rows(pipeline.name, ingest, clean, sources, scratch)
        refused = [
            ParquetFile(table.path).read(["_row", "_rules"]).rename_columns(["_row", "reason"])
            for table in rows.refused
        ]
        return ParquetFile(rows.valid.path).read(), refused


def _narrowed_cleaning(model: TrainedUnder) -> Clean:
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


def _narrowed_ingest(model: TrainedUnder, source: FileSource | ImageSource) -> Ingest:
    """Read only the needed columns; each keeps its contract, but for uniqueness."""
    needed = _needed(model.clean, model.columns)
    derived = {name.lower() for name in model.clean.columns}
    declared = {column.name.lower(): column for column in model.ingest.contract.columns}
    return Ingest(
        source=source,
        contract=Contract(
            columns=tuple(
                declared.get(key, _as_trained(model, name)).model_copy(update={"unique": False})
                for key, name in needed.items()
                if key not in derived
            )
        ),
        missing=model.ingest.missing,
        max_quarantine=1.0,
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


def _source(declared: Source | None, file: Path) -> FileSource | ImageSource:
    """Return the declared way of reading text or images, at another path."""
    path = (escape(str(file.absolute())),)
    if isinstance(declared, ImageSource) and file.suffix.lower() in SUFFIXES:
        return declared.model_copy(update={"images": path, "label": None})
    source = declared if isinstance(declared, FileSource) else FileSource(files=("",))
    return source.model_copy(update={"files": path, "label": None, "format": None, "member": None})


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
