"""The rows of a file that a model scores, cleaned by the declaration that it was trained under.

That declaration comes from the model and is narrowed to what its inputs are derived from; today's
`defs.yaml` may say something else. How the file is read belongs in `scored_file`, the scores in
`batch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.data.clean_rows import clean_rows
from factory_assets.data.sources.discovery import name_pipeline_in_errors
from factory_assets.data.transforms.narrowing import (
    TrainedUnder,
    narrowed_cleaning,
    narrowed_ingest,
)
from factory_assets.ml.features.columns import beyond_float32
from factory_assets.results.data import SourceFile
from factory_assets.serving.logged_keys import Cell, LoggedKey, keys_of_file
from factory_assets.serving.scored_file import (
    as_declared,
    joined_sources,
    needed_joins,
    read_once,
    trained_types,
)
from factory_assets.spec import FileSource, Pipeline
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import pyarrow as pa


OVERFLOW = "overflow"
"""The rule that a number breaks which is infinite, or becomes so in the model."""


@dataclass(frozen=True)
class ScoringRows:
    """The rows of a file, and the tables that were joined to them."""

    scorable: pa.Table
    refused: tuple[pa.Table, ...]
    """Rows without a score, as `_row` and `reason`."""
    joined: tuple[SourceFile, ...]
    """The state in which the joined tables were read."""
    keys: Mapping[LoggedKey, Sequence[Cell]]
    """The keys that the file has, each with its values in all rows of the file."""


def rows_to_score(
    pipeline: Pipeline,
    model: TrainedUnder,
    file: Path,
    home: Home,
    *,
    source: FileSource | None = None,
    numbers: Iterable[str] = (),
    keys: Sequence[LoggedKey] = (),
    may_refuse_all: bool = False,
) -> ScoringRows:
    """Read and clean the rows of a file.

    Only the columns that the model's inputs are derived from need be in the file, or those of the
    source, to which the declared tables are joined again. Refused are rows that break the contract
    or a rule, those of which a derived column cannot be computed, and those with an input that
    float32 cannot hold.

    Args:
        source: how the file is read; by default as the pipeline's source is declared.
        numbers: columns of the file that are numbers, although it is read as text.
        keys: are read apart from the rows, which neither rules nor the model see them with.
        may_refuse_all: whether it is no error if no row can be scored.

    Raises:
        SourceError: the file or a joined table cannot be read.
        ContractError: a needed column is missing, or every row breaks the contract.
        ExpressionError: a rule or a derived column fails on a value, and reads other rows; or it
            fails on every row.
        DataError: every row breaks a rule.
    """
    from pyarrow.parquet import ParquetFile

    read_as = source or as_declared(model.ingest, file)
    ingest, clean = narrowed_ingest(model, read_as), narrowed_cleaning(model)
    with home.scratch() as scratch, name_pipeline_in_errors(pipeline):
        contracts = (*model.ingest.contract.columns, *ingest.contract.columns)
        types = trained_types(model.ingest, contracts) | dict.fromkeys(numbers, "DOUBLE")
        read, columns = read_once(read_as, pipeline.folder, home, scratch, types)
        needed = [column.source_name for column in ingest.contract.columns]
        joins = needed_joins(model.ingest.joins, columns, needed)
        sources = [read, *joined_sources(joins, pipeline.folder, home, scratch)]
        ingest = ingest.model_copy(update={"joins": joins})
        rows = clean_rows(
            pipeline.name,
            ingest,
            clean,
            sources,
            scratch,
            may_refuse_all=may_refuse_all,
            refuse_failing=True,
        )
        refused = [
            ParquetFile(table.path).read(["_row", "_rules"]).rename_columns(["_row", "reason"])
            for table in rows.refused
        ]
        scorable, overflowing = without_overflow(ParquetFile(rows.valid.path).read(), model)
        joined = tuple(source for source in rows.sources if source.join)
        of_file = keys_of_file(keys, read.read(scratch), scratch)
        read.require_unchanged()
        return ScoringRows(scorable, (*refused, *overflowing), joined, of_file)


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
