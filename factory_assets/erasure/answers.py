"""Find the logged answers with rows for which an SQL expression is true.

Requests are compared in the sealed engine, some thousands of rows at a time, however many there
are. How answers are erased belongs in `factory_resources.prediction_log`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from factory_assets.data.privacy.sensitive_columns import redact_errors
from factory_assets.erasure.answer_columns import (
    AnswerContracts,
    AnswerInput,
    KnownValues,
    LoggedCells,
    ProtectedValues,
)
from factory_assets.erasure.table_rows import PersonalRows
from factory_assets.serving.online.warm_engine import as_cell
from factory_assets.spec import Pipeline
from factory_resources.erasure.search_terms import search_terms
from factory_resources.erasure.values import Value
from factory_resources.errors import ExpressionError
from factory_resources.home.home import Home
from factory_resources.prediction_log.collector import journal_folder
from factory_resources.prediction_log.engines import has_store
from factory_resources.prediction_log.logged_rows import logged_rows
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.sql.engine import engine_errors, identifier, sealed
from factory_resources.sql.expressions import compared_constants, parse

if TYPE_CHECKING:
    import duckdb

    from factory_resources.erasure.matcher import Matcher
    from factory_resources.prediction_log.record import PredictionRecord

_ROWS = 10_000
"""Rows that are compared together, and those of one request more."""

_SEARCHED = 1 << 20
"""Bytes of requests and their answers that are searched together: a search of a short one alone
takes much longer than its comparison."""

_ASKED = "asked"

_PLACE = "_place"
"""The number of a row in a batch: no column of a contract begins with an underscore."""


@dataclass(frozen=True)
class MatchingRequests:
    """The ids of the requests with rows for which an expression is true."""

    requests: tuple[str, ...] = ()
    """32 hexadecimal digits each, in their order."""
    missing: tuple[str, ...] = ()
    """Columns of the expression that no request has."""
    hidden: tuple[str, ...] = ()
    """Columns of the expression with values that nobody can compare."""
    compared: bool = False
    """Whether there was a request."""


def answers_of_person(
    pipeline: Pipeline,
    where: str,
    rows: PersonalRows,
    values: Mapping[str, Collection[Value]],
    known: KnownValues,
    home: Home,
) -> MatchingRequests:
    """Return the requests of a pipeline that match the expression, or have values of the person.

    They miss columns only where the person may have asked: in pipelines that have their rows, or
    in all with answers if no table has any.

    Args:
        values: those that no row of anybody else has, by pipeline.
        known: see `matching_requests`, also for errors.
    """
    name, had = pipeline.name, {file.pipeline for file in rows.positions}
    with redact_errors(pipeline):
        found = matching_requests(home, name, where, known)
    requests = {*found.requests, *requests_with(home, name, values.get(name, ()))}
    # Without a model there are no answers that could lack a column.
    may_miss = pipeline.spec.train and (name in had or (found.compared and not had))
    missing = found.missing if may_miss else ()
    return replace(found, requests=tuple(sorted(requests)), missing=missing)


def matching_requests(
    home: Home, pipeline: str, where: str, known: KnownValues
) -> MatchingRequests:
    """Return the requests of a pipeline with rows for which an expression is true.

    If it is true of missing values, as `name IS NULL` is, rows are left out in which a column of it
    is not logged or cannot be read.

    Args:
        where: an SQL expression over the columns of the contract, without windows.
        known: values of columns of which the log may have commitments only. Those to which the
            expression compares a column are known, too.

    Raises:
        ExpressionError: it is not such an expression, or fails on a value.
        StorageError: the log or a key cannot be read.
    """
    expression = parse(where, _where(pipeline))
    if expression.windowed:
        raise ExpressionError(
            "an expression with OVER is not true of one row alone",
            where=_where(pipeline),
            remedy="name the rows by their own values",
        )
    columns = {name.casefold(): name for name in expression.columns}
    matches = _Matches(home, pipeline, where, (*columns.values(),), known)
    requests = sorted({request.hex() for request in matches})
    hidden = tuple(sorted(matches.hidden))
    return MatchingRequests(tuple(requests), matches.missing, hidden, matches.compared)


def _where(pipeline: str) -> str:
    return f"the answers of {pipeline}"


class _Matches:
    """The ids of the matching requests, in no order; one that is moved meanwhile may come twice."""

    def __init__(
        self, home: Home, pipeline: str, where: str, columns: Sequence[str], known: KnownValues
    ) -> None:
        self._home, self._pipeline, self._where = home, pipeline, where
        self._columns = tuple(columns)
        self._contracts = AnswerContracts(home, pipeline)
        self._known = {name.casefold(): values for name, values in known.items()}
        asked = compared_constants(where, _where(pipeline))
        recognised = {
            name: [*self._known.get(name, ()), *asked.get(name, ())]
            for name in {*self._known, *asked}
        }
        self._cells = LoggedCells(home, pipeline, recognised)
        self._seen = set[str]()
        self.compared = False
        """Whether there was a request."""

    @property
    def missing(self) -> tuple[str, ...]:
        """The columns of the expression that no request has, once all were compared."""
        return tuple(name for name in self._columns if name not in self._seen)

    @property
    def hidden(self) -> set[str]:
        """The columns of the expression with values that nobody can compare, once all were
        compared: their key is destroyed, or no value is known to compare commitments with."""
        return self._cells.hidden.intersection(self._columns)

    def __iter__(self) -> Iterator[bytes]:
        if not has_store(self._home) and not journal_folder(self._home).is_dir():
            return
        with (
            self._home.scratch() as scratch,
            sealed(read=[], write=scratch) as engine,
            PredictionLog(self._home) as log,
        ):
            for requests in self._batches(log):
                yield from self._compared(engine, requests)

    def _batches(self, log: PredictionLog) -> Iterator[list[_Request]]:
        batch, rows = list[_Request](), 0
        for request, record in log.every(self._pipeline, bytes(16)):
            self.compared = True
            asked = logged_rows(record)
            batch.append(_Request(request, record, asked))
            rows += len(asked)
            if rows >= _ROWS:
                yield batch
                batch, rows = [], 0
        if batch:
            yield batch

    def _compared(
        self, engine: duckdb.DuckDBPyConnection, requests: Sequence[_Request]
    ) -> Iterator[bytes]:
        """Yield the matching requests of a batch; versions may have other types."""
        kinds: dict[tuple[AnswerInput, ...], list[_Request]] = {}
        for request in requests:
            inputs = self._contracts.inputs(request.record.version, self._columns)
            kinds.setdefault(inputs, []).append(request)
        for inputs, alike in kinds.items():
            yield from self._matching(engine, inputs, alike)

    def _matching(
        self,
        engine: duckdb.DuckDBPyConnection,
        inputs: Sequence[AnswerInput],
        requests: Sequence[_Request],
    ) -> set[bytes]:
        import pyarrow as pa

        places = [(request, number) for request in requests for number in range(len(request.rows))]
        cells: list[list[Any]] = [[] for _ in inputs]
        incomplete = set[int]()
        for place, (request, number) in enumerate(places):
            row = request.rows[number]
            for column, one, values in zip(self._columns, inputs, cells, strict=True):
                if one.source in row:
                    self._seen.add(column)
                value = self._cells.read(column, row.get(one.source), request.record)
                values.append(value)
                is_missing = one.source in row and row[one.source] is None
                if value is None and not is_missing:
                    incomplete.add(place)
        # One row more, without any value.
        asked = {
            f"c{n}": pa.array(map(as_cell, (*values, None)), pa.string())
            for n, values in enumerate(cells)
        }
        asked[_PLACE] = pa.array(range(len(places) + 1), pa.int64())
        engine.register(_ASKED, pa.table(asked))
        with engine_errors(_where(self._pipeline)):
            matched = {place for (place,) in engine.execute(self._query(inputs, cells)).fetchall()}
        engine.unregister(_ASKED)
        if len(places) in matched:
            # What is true of no value at all, says nothing of a row of which some are not known.
            matched -= {*incomplete, len(places)}
        return {places[place][0].id for place in matched}

    def _query(self, inputs: Sequence[AnswerInput], cells: Sequence[Sequence[Any]]) -> str:
        typed = (
            f"{one.value(f'c{n}', self._typing(name, values))} AS {identifier(name)}"
            for n, (name, one, values) in enumerate(zip(self._columns, inputs, cells, strict=True))
        )
        columns = ", ".join((_PLACE, *typed))
        return f"SELECT {_PLACE} FROM (SELECT {columns} FROM {_ASKED}) WHERE (\n{self._where}\n)"

    def _typing(self, name: str, values: Collection[Any]) -> Collection[Any]:
        """Return the values that tell the type of a column: without one here, those of tables."""
        is_here = any(value is not None for value in values)
        return values if is_here else self._known.get(name.casefold(), ())


@dataclass(frozen=True)
class _Request:
    id: bytes
    record: PredictionRecord
    rows: Sequence[Mapping[str, Any]]


def requests_with(home: Home, pipeline: str, values: Collection[Value]) -> list[str]:
    """Return the ids of the requests of a pipeline that have one of the values, in their order,
    also protected ones, unless their key is destroyed.

    Args:
        values: those that no row of anybody else has.
    """
    if not values or not (has_store(home) or journal_folder(home).is_dir()):
        return []
    matcher, protected = search_terms(values).in_cells, ProtectedValues(home, pipeline, values)
    found = set[bytes]()
    with PredictionLog(home) as log:
        for part in _in_parts(log.every(pipeline, bytes(16))):
            found |= _plainly_with(matcher, part)
            found |= {
                request
                for request, record in part
                if request not in found and protected.are_in(record)
            }
    return sorted(request.hex() for request in found)


def _in_parts(
    records: Iterable[tuple[bytes, PredictionRecord]],
) -> Iterator[list[tuple[bytes, PredictionRecord]]]:
    """Yield the records, so many at a time as are searched together."""
    part: list[tuple[bytes, PredictionRecord]] = []
    size = 0
    for request, record in records:
        part.append((request, record))
        size += len(record.input) + len(record.output)
        if size >= _SEARCHED:
            yield part
            part, size = [], 0
    if part:
        yield part


def _plainly_with(
    matcher: Matcher, records: Sequence[tuple[bytes, PredictionRecord]]
) -> set[bytes]:
    """Return the requests that have one of the values as it is, in what was asked or answered."""
    contents = [one for _, record in records for one in (record.input, record.output)]
    ends = [end - 1 for end in accumulate(len(one) + 1 for one in contents)]
    cells = b"".join(one + b"\0" for one in contents)
    return {records[number // 2][0] for number in matcher.find_cells(cells, ends)}
