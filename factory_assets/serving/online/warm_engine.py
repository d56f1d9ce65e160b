"""Turn requested rows into the rows that a model scores, in the sealed SQL engine.

The engine stays open between requests, and its queries are those by which files are scored. What
can be decided without it is decided in `compiled_rows`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from factory_assets.data.contract.validation import ContractValidation
from factory_assets.data.failing_rows import FAILING, take_failing
from factory_assets.data.transforms.cleaning import CleanQueries
from factory_assets.data.transforms.narrowing import narrowed_cleaning, narrowed_ingest
from factory_assets.ml.artifacts.onnx_model import OnnxModel
from factory_assets.serving.broken_rules import rules_in
from factory_assets.serving.edge.score import json_text
from factory_assets.serving.online.prepared_rows import PreparedRows
from factory_assets.serving.online.refusals import Refusal
from factory_assets.serving.online.row_schema import EXACT
from factory_assets.serving.scoring_rows import without_overflow
from factory_assets.spec import Column, FileSource
from factory_resources.errors import ContractError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import SourceTable
from factory_resources.sql.engine import engine_errors, open_sealed

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


_REQUEST, _VALID = "request", "valid"

_MEMORY = "512MB"


@dataclass(frozen=True)
class _RequestTable(SourceTable):
    """Requested rows as a source, all of whose cells are text."""

    @property
    def relation(self) -> str:
        return _REQUEST


class WarmEngine:
    """An open engine for the requests of one model; one thread at a time may use it.

    Args:
        name: of the pipeline, for messages.
    """

    def __init__(self, name: str, model: OnnxModel, home: Home) -> None:
        self._name, self._model = name, model
        self._ingest = narrowed_ingest(model, FileSource(files=(_REQUEST,)))
        self._clean = narrowed_cleaning(model)
        self._resources = ExitStack()
        folder = self._resources.enter_context(home.scratch())
        self._connection = self._open(folder)

    def _open(self, folder: Path) -> duckdb.DuckDBPyConnection:
        engine = open_sealed(
            read=[],
            write=folder,
            memory=_MEMORY,
            threads=1,
            statistics="ignored",
            # Comparing expressions takes longer than it saves on the rows of a request.
            wide=True,
            profile=False,
        )
        self._resources.callback(engine.close)
        return engine

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the engine and remove its scratch folder."""
        self._resources.close()

    def prepare(self, rows: Sequence[Mapping[str, Any]]) -> PreparedRows:
        """Validate and clean rows as those of a file.

        Args:
            rows: JSON objects with the column names of the source.

        Raises:
            ContractError: a needed column is missing in every row.
            ExpressionError: a rule or a derived column fails on a value, and reads other rows.
        """
        raw = self._raw(rows)
        cursor = self._connection.cursor()
        with cursor, engine_errors(self._name, ContractError, "correct the values of the request"):
            cursor.register(_REQUEST, self._register(rows, raw))
            validation = ContractValidation.of(cursor, self._ingest, [raw])
            [(valid,)] = cursor.execute(
                f"CREATE TEMP TABLE {_VALID} AS SELECT *, row_number() OVER () - 1 AS _order "
                f"FROM ({validation.valid_rows})"
            ).fetchall()
            refusals: list[Refusal] = []
            # Planning takes most of the time: ask what is wrong only if something is.
            if valid < len(rows):
                refusals = _refused_by_contract(cursor, validation)
            return self._cleaned(
                cursor, tuple(c.name for c in validation.columns), refusals, len(rows)
            )

    def _register(self, rows: Sequence[Mapping[str, Any]], raw: _RequestTable) -> pa.Table:
        """Return the given cells, as numbers or text, with the number of each row from 0."""
        import pyarrow as pa

        cells: dict[str, Any] = {}
        for source, (name, kind) in raw.columns.items():
            values = [row.get(source) for row in rows]
            if kind == "DOUBLE":
                cells[name] = pa.array(values, pa.float64())
            else:
                cells[name] = pa.array([as_cell(value) for value in values], pa.string())
        return pa.table({**cells, "file_row_number": pa.array(range(len(rows)), pa.int64())})

    def _raw(self, rows: Sequence[Mapping[str, Any]]) -> _RequestTable:
        given = {name for row in rows for name in row}
        columns = {
            column.source_name: (f"c{i}", "DOUBLE" if _has_fractions(column, rows) else "VARCHAR")
            for i, column in enumerate(self._ingest.contract.columns)
            if column.source_name in given
        }
        if not columns:
            names = [column.source_name for column in self._ingest.contract.columns]
            row = ", ".join(f"{json.dumps(name, ensure_ascii=False)}: …" for name in names[:3])
            row = f"{{{row}{', …' * (len(names) > 3)}}}"
            raise ContractError(
                "no name in it is a column of the source",
                where="the request",
                remedy=f"send one row, or a list of rows, such as {row}",
            )
        return _RequestTable(
            path=Path(_REQUEST),
            name="the request",
            sha256="0" * 64,
            labels={},
            rows=len(rows),
            columns=columns,
            format="jsonl",
        )

    def _cleaned(
        self,
        cursor: duckdb.DuckDBPyConnection,
        columns: tuple[str, ...],
        refusals: list[Refusal],
        rows: int,
    ) -> PreparedRows:
        queries = CleanQueries.of(self._clean, columns, self._name)
        source = f"SELECT * FROM {_VALID}"
        if self._clean.unify:
            described = cursor.execute(f"DESCRIBE {source}").fetchall()
            source = queries.unified(source, {name: kind for name, kind, *_ in described})
        cursor.execute(f"CREATE TEMP VIEW source AS {source}")
        with queries.bounded(cursor):
            cursor.complete()
            table, broken = _valid_and_refused(cursor, queries, rows - len(refusals))
            refusals += broken
        scorable, overflowing = without_overflow(table, self._model)
        for one in overflowing:
            pairs = zip(one["_row"].to_pylist(), one["reason"].to_pylist(), strict=True)
            refusals += [Refusal(row - 1, rules_in(reason)) for row, reason in pairs]
        return PreparedRows(scorable, tuple(sorted(refusals, key=lambda refusal: refusal.row)))


def _valid_and_refused(
    cursor: duckdb.DuckDBPyConnection, queries: CleanQueries, rows: int
) -> tuple[pa.Table, list[Refusal]]:
    """Return the rows with derived columns, and which others break a rule, or cannot have them.

    Args:
        rows: how many satisfy the contract.
    """
    import duckdb

    failing: list[Refusal] = []
    try:
        table = cursor.sql(queries.valid_rows).to_arrow_table()
    except (duckdb.DataError, duckdb.InvalidInputException):
        # What reads other rows cannot be computed for one of them.
        if not queries.spec.windows and not queries.looks_around:
            failing = _failing(cursor, queries)
        if not failing:
            queries.blame(cursor)
            raise
        table = cursor.sql(queries.valid_rows).to_arrow_table()
    if queries.rules and table.num_rows + len(failing) < rows:
        failing += _refusals(cursor, queries.invalid_rows)
    return table, failing


def _failing(cursor: duckdb.DuckDBPyConnection, queries: CleanQueries) -> list[Refusal]:
    if not take_failing(cursor, queries, _VALID):
        return []
    found = cursor.execute(f"SELECT _row, _rules FROM {FAILING}").fetchall()
    return [Refusal(int(row) - 1, (rule,)) for row, rule in found]


def _refused_by_contract(
    cursor: duckdb.DuckDBPyConnection, validation: ContractValidation
) -> list[Refusal]:
    broken = f"FROM checked WHERE {validation.any_rule_broken}"
    cursor.execute(f"CREATE TEMP VIEW broken AS {broken}")
    return _refusals(cursor, validation.invalid_rows)


def _refusals(cursor: duckdb.DuckDBPyConnection, query: str) -> list[Refusal]:
    found = cursor.execute(f"SELECT _row, _rules FROM ({query})").fetchall()
    return [Refusal(int(row) - 1, rules_in(rules)) for row, rules in found]


def _has_fractions(column: Column, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a column whose texts have a pattern comes as numbers, so that none matches it."""
    if not column.pattern:
        return False
    values = [row.get(column.source_name) for row in rows]
    types = {type(value) for value in values}
    # Arrow's doubles take only whole numbers that they hold exactly.
    exact = all(abs(value) <= EXACT for value in values if type(value) is int)
    return float in types and types <= {float, int, type(None)} and exact


def as_cell(value: Any) -> str | None:
    """Return the text of a JSON value as it would be read from a file."""
    return None if value is None else json_text(value)
