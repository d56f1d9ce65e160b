"""Score a file with the champion.

The file looks like the source: contract, rules and derived columns apply to it as to training data,
and a row that breaks one gets the reason instead of a score.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from factory_assets.ml.artifacts.onnx_model import OnnxModel, load_champion
from factory_assets.spec import Clean, Column, Contract, FileSource, ImageSource, Ingest, Pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from factory_resources.sources.files.images import SUFFIXES
from factory_resources.sql.expressions import parse
from factory_resources.tables.snapshot import Snapshot, read_arrow

if TYPE_CHECKING:
    import pyarrow as pa


def predict(pipeline: Pipeline, file: Path, home: Home) -> pa.Table:
    """Score every row of a text, Parquet or JSON Lines file; only the model's inputs need be in it.

    Returns:
        In the file's order: `_row` (from 1), `model`, `version`, `prediction` (the class, or the
        number), `p_<class>` for each class, and `reason`: the rules that a row without score broke.

    Raises:
        ModelError: when there is no champion, or its graph was changed.
        SourceError: when the file cannot be read.
        ContractError: when a needed column is missing, or every row breaks the contract.
    """
    version, served = load_champion(pipeline.name, home)
    rows, refused = rows_to_score(pipeline, served, file, home)
    return _result(pipeline.name, version, _scores(served, rows), refused)


class Learned(Protocol):
    """What a model was trained under."""

    @property
    def columns(self) -> Sequence[str]: ...
    @property
    def inputs(self) -> Mapping[str, str]: ...
    @property
    def ingest(self) -> Ingest: ...
    @property
    def clean(self) -> Clean: ...


def rows_to_score(
    pipeline: Pipeline, learned: Learned, file: Path, home: Home
) -> tuple[pa.Table, list[pa.Table]]:
    """The rows of a file, clean as those were that the model learned from; and those that broke a
    rule: `_row` and `reason`.

    Raises:
        SourceError, ContractError: as `predict`.
    """
    with home.scratch() as scratch:
        inside = Home(scratch)
        whole = _for_scoring(pipeline, learned, file)
        ingested = ingest(whole, inside)
        cleaned = clean(whole, ingested, inside)
        broken = [part for part in (ingested.quarantine, cleaned.quarantine) if part is not None]
        refused = [_reasons(part, inside) for part in broken]
        return read_arrow(cleaned.snapshot, inside), refused


def _for_scoring(pipeline: Pipeline, served: Learned, file: Path) -> Pipeline:
    """The declaration that the model was trained under, which may have been edited since: read from
    `file` and cut down to what the inputs are made of."""
    learned = {"ingest": served.ingest, "clean": served.clean}
    spec = pipeline.spec.model_copy(update=learned)
    needed = _needed(spec.clean, served.columns)
    made = {name.lower() for name in spec.clean.columns}
    declared = {column.name.lower(): column for column in spec.ingest.contract.columns}
    contract = tuple(
        declared.get(key, _as_learned(served, name)).model_copy(update={"unique": False})
        for key, name in needed.items()
        if key not in made
    )
    # Every row is scored or refused by itself: no duplicates, no limit to the share refused.
    cleaning = spec.clean.model_copy(
        update={
            "where": {
                name: sql
                for name, sql in spec.clean.where.items()
                if _columns(sql) <= {column.name.lower() for column in contract}
            },
            "deduplicate": (),
            "derive": {n: sql for n, sql in spec.clean.derive.items() if n.lower() in needed},
            "windows": spec.clean.windows if _windows_needed(spec.clean, needed) else None,
        }
    )
    reading = Ingest(
        source=_source(spec.ingest.source, file),
        contract=Contract(columns=contract),
        missing=spec.ingest.missing,
        max_quarantine=1.0,
    )
    return replace(pipeline, spec=spec.model_copy(update={"ingest": reading, "clean": cleaning}))


def _as_learned(served: Learned, name: str) -> Column:
    """A column without a contract: held to the kind of value that the model learned from."""
    match served.inputs.get(name):
        case "tensor(float)":
            return Column(name=name, type="float64")
        case "tensor(string)" | "tensor(uint8)":
            return Column(name=name, type="string")
        case _:
            return Column(name=name)


def _source(declared: Any, file: Path) -> FileSource | ImageSource:
    """The declared way of reading text or images, at another path."""
    if isinstance(declared, ImageSource) and file.suffix.lower() in SUFFIXES:
        images = (escape(str(file.absolute())),)
        return declared.model_copy(update={"images": images, "label": None})
    source = declared if isinstance(declared, FileSource) else FileSource(files=("",))
    path = (escape(str(file.absolute())),)
    return source.model_copy(update={"files": path, "label": None, "format": None, "member": None})


def _needed(cleaning: Clean, inputs: Iterable[str]) -> dict[str, str]:
    """The columns that the inputs are made of, by lower-case name, as SQL knows no case."""
    needed = {name.lower(): name for name in inputs}
    if windows := _windows_needed(cleaning, needed):
        needed |= {n.lower(): n for n in (windows.by, windows.order, *windows.columns)}
    # A derived column sees only those before it.
    for name, sql in reversed(cleaning.derive.items()):
        if name.lower() in needed:
            needed |= {n.lower(): n for n in parse(sql, name).columns if n.lower() not in needed}
    return needed


def _windows_needed(cleaning: Clean, needed: Iterable[str]) -> Any:
    windows = cleaning.windows
    return windows if windows and {n.lower() for n in windows.added} & set(needed) else None


def _columns(sql: str) -> set[str]:
    return {name.lower() for name in parse(sql, "clean.where").columns}


def _scores(served: OnnxModel, rows: pa.Table) -> pa.Table:
    import numpy as np
    import pyarrow as pa

    outputs = served.outputs(rows)
    if not served.classes:
        return pa.table({"_row": rows["_row"], "prediction": outputs})
    codes = outputs.argmax(axis=1)
    if served.threshold is not None:
        codes = (outputs[:, 1] >= served.threshold).astype(int)
    columns = {f"p_{name}": outputs[:, i] for i, name in enumerate(served.classes)}
    chosen = np.array(served.classes, dtype=object)[codes]
    return pa.table({"_row": rows["_row"], "prediction": pa.array(chosen, pa.string()), **columns})


def _reasons(quarantine: Snapshot, home: Home) -> pa.Table:
    rows = read_arrow(quarantine, home, ["_row", "_rules"])
    return rows.rename_columns(["_row", "reason"])


def _result(model: str, version: int, scored: pa.Table, refused: list[pa.Table]) -> pa.Table:
    import pyarrow as pa

    table = pa.concat_tables([scored, *refused], promote_options="default").sort_by("_row")
    if "reason" not in table.column_names:
        table = table.append_column("reason", pa.nulls(table.num_rows, pa.string()))
    known = {
        "model": pa.array([model] * table.num_rows, pa.string()),
        "version": pa.array([version] * table.num_rows, pa.int64()),
    }
    for place, (name, values) in enumerate(known.items(), start=1):
        table = table.add_column(place, name, values)
    names = [name for name in table.column_names if name != "reason"]
    return table.select([*names, "reason"])
