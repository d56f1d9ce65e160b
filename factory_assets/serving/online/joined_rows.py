"""Rows of a request to which tables must be joined: they are scored like the rows of a file.

That takes a tenth of a second; rows that have the joined columns already do not need it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from glob import escape
from typing import TYPE_CHECKING, Any

from factory_assets.data.privacy.sensitive_columns import redact_errors_about
from factory_assets.data.transforms.narrowing import needed_columns
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.serving.broken_rules import rules_in
from factory_assets.serving.online.prepared_rows import PreparedRows
from factory_assets.serving.online.refusals import Refusal
from factory_assets.serving.scored_file import needed_joins
from factory_assets.serving.scoring_rows import rows_to_score
from factory_assets.spec import FileSource, Pipeline
from factory_resources.errors import (
    DeclarationError,
    FactoryError,
    JoinedTableError,
    JoinError,
    ModelError,
    SourceError,
)
from factory_resources.home.home import Home

if TYPE_CHECKING:
    import pyarrow as pa


def need_joins(model: OnnxModel, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a declared table must be joined to the rows, or its rule be checked."""
    given = {name for row in rows for name in row}
    needed = [column.source_name for column in needed_columns(model)]
    return bool(needed_joins(model.ingest.joins, given, needed))


def prepare_joined(
    declared: Callable[[], Pipeline],
    model: OnnxModel,
    rows: Sequence[Mapping[str, Any]],
    home: Home,
) -> PreparedRows:
    """Join the declared tables as they are now, validate and clean the rows.

    Args:
        declared: returns today's declaration.

    Raises:
        JoinedTableError: a joined table cannot be read, or not be joined.
        ContractError: a needed column is missing.
        ExpressionError: a rule or a derived column fails on a value.
    """
    # A reader of JSON Lines refuses what a request may hold beside the columns, such as a key "".
    read = [column.source_name for column in needed_columns(model)]
    read += [name for join in model.ingest.joins.values() for name in join.on]
    lines = [json.dumps({name: row[name] for name in read if name in row}) + "\n" for row in rows]
    with home.scratch() as scratch:
        file = scratch / "request.jsonl"
        file.write_text("".join(lines), encoding="utf-8")
        source = FileSource(files=(escape(str(file)),), format="jsonl")
        try:
            pipeline = declared()
            columns = (*model.ingest.contract.columns, *pipeline.spec.ingest.contract.columns)
            with redact_errors_about(column.sensitive for column in columns):
                scoring = rows_to_score(
                    pipeline,
                    model,
                    file,
                    home,
                    source=source,
                    numbers=_numbers(read, rows),
                    may_refuse_all=True,
                )
        except (SourceError, JoinError, ModelError, DeclarationError) as error:
            raise JoinedTableError(
                "the tables that are joined to the rows cannot be read",
                remedy="send the joined columns with the rows; the log of the server says why",
            ) from error
        except FactoryError as error:
            if str(file) in error.where:
                # Who asks has sent no file, and is not told where the home is.
                error.where = "the request"
            raise
    refusals = [
        Refusal(int(number) - 1, rules_in(str(reason)))
        for table in scoring.refused
        for number, reason in zip(
            table["_row"].to_pylist(), table["reason"].to_pylist(), strict=True
        )
    ]
    return PreparedRows(scoring.scorable, tuple(sorted(refusals, key=lambda one: one.row)))


def _numbers(names: Iterable[str], rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the columns that have a number or nothing in every row."""
    for name in names:
        cells = [cell for row in rows if (cell := row.get(name)) is not None]
        if cells and all(isinstance(cell, int | float) for cell in cells):
            yield name


def with_joined(
    model: OnnxModel, rows: Sequence[Mapping[str, Any]], prepared: pa.Table
) -> list[Mapping[str, Any]]:
    """Return the rows with what tables added to them; nothing if they came with all columns.

    What an answer depends on is then known, even if the tables change.

    Args:
        prepared: the rows that were prepared, with their number in `_row`, from 1.
    """
    given = {name for row in rows for name in row}
    added = [column for column in needed_columns(model) if column.source_name not in given]
    found = [{**row} for row in rows if added]
    numbers = prepared["_row"].to_pylist()
    for column in added:
        for number, cell in zip(numbers, prepared[column.name].to_pylist(), strict=True):
            plain = isinstance(cell, int | float | str | None)
            found[number - 1][column.source_name] = cell if plain else str(cell)
    return [*found]


def declared_pipeline(name: str) -> Pipeline:
    """Return a pipeline as it is declared now; its joined tables are found beside it.

    Raises:
        ModelError: it is not declared any more.
        DeclarationError: its declaration does not load.
    """
    from factory_assets.declarations.loader import folders_by_name, load_pipeline

    folders = folders_by_name()
    if name not in folders:
        raise ModelError(
            f"{name!r} is not declared any more, so that its tables cannot be joined",
            remedy="send the joined columns with the rows",
        )
    return load_pipeline(folders[name])
