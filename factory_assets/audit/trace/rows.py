"""One row: its identity, its numbers in snapshots, and its way back to the record of a source."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.audit.references import SnapshotName, SourceName, parse, snapshot_name
from factory_assets.audit.resolver import ResolvedTable, find_snapshot, find_source
from factory_assets.audit.trace.report import Hop, RowOrigin
from factory_assets.audit.trace.sources import Folders, source_fact, source_lines
from factory_assets.results.data import IngestResult, SourceFile
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_assets.spec import IDENTITY
from factory_resources.errors import DataError, StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import numbered
from factory_resources.sql.engine import engine_errors, sealed
from factory_resources.tables.snapshot import Snapshot, exists
from factory_resources.tracking.records import Record

if TYPE_CHECKING:
    import duckdb


Row = tuple[str, int]
"""The digest of a source, and which of its records."""


def parse_row(text: str, history: RecordGraph) -> int | Row:
    """A number, or `SOURCE:N` with a source by any of its names.

    Raises:
        UnknownNameError: neither.
    """
    source, _, number = text.rpartition(":")
    if not number.isdecimal() or not int(number):
        raise UnknownNameError(
            f"{text!r} is no row", remedy="write its number, from 1, or SOURCE:N, as in data.csv:17"
        )
    if not source:
        return int(number)
    name = parse(source)
    if isinstance(name, SnapshotName):
        return _in_file(find_snapshot(name, history).table, int(number))
    if isinstance(name, SourceName):
        return find_source(name, history), int(number)
    raise UnknownNameError(f"{source!r} is no source", remedy="name a file or a snapshot")


def _in_file(table: Snapshot, number: int) -> Row:
    """A row of a snapshot as another pipeline knows it: by its file, and its number there."""
    before = [0, *accumulate(file.rows for file in table.files)]
    at = _place(table, number, before)
    return table.files[at].sha256, number - before[at]


@contextmanager
def opened(snapshot: Snapshot, home: Home) -> Iterator["duckdb.DuckDBPyConnection"]:
    """An engine with the view `kept`: the snapshot's rows, and their number from 1 as `_number`.

    Raises:
        StorageError: a file of the snapshot is gone or damaged.
    """
    where = f"{snapshot.table}@{snapshot.data_version[:12]}"
    if not exists(snapshot, home):
        raise StorageError("its rows are gone", where=where, remedy="materialise it again")
    paths = snapshot.paths(home)
    query = numbered(paths, [file.rows for file in snapshot.files])
    with (
        tempfile.TemporaryDirectory() as scratch,
        sealed(read=paths, write=Path(scratch)) as connection,
        engine_errors(where, StorageError, "materialise it again"),
    ):
        connection.execute(
            f"CREATE TEMP VIEW kept AS SELECT *, _order + 1 AS _number FROM ({query})"
        )
        yield connection


def identity_at(snapshot: Snapshot, home: Home, number: int) -> Row:
    """The identity of a row by its number.

    Raises:
        DataError: there is no such row.
        StorageError: its file is gone or damaged.
    """
    before = [0, *accumulate(file.rows for file in snapshot.files)]
    at = _place(snapshot, number, before)
    # Of one file, so that the engine need not number the others.
    alone = snapshot.model_copy(update={"files": (snapshot.files[at],)})
    with opened(alone, home) as connection:
        row = connection.execute(
            f"SELECT {', '.join(IDENTITY)} FROM kept WHERE _number = ?", [number - before[at]]
        ).fetchone()
    assert row is not None
    return str(row[0]), int(row[1])


def _place(snapshot: Snapshot, number: int, before: list[int]) -> int:
    """Which file has the row."""
    if not 1 <= number <= before[-1]:
        raise DataError(
            f"there is no row {number}",
            where=f"{snapshot.table}@{snapshot.data_version[:12]}",
            remedy=f"its rows are 1 to {before[-1]}",
        )
    return next(i for i, end in enumerate(before[1:]) if number <= end)


def numbers_of(snapshot: Snapshot, home: Home, row: Row) -> list[int]:
    """Under which numbers the snapshot has the row; several where a source was read twice."""
    with opened(snapshot, home) as connection:
        found = connection.execute(
            "SELECT _number FROM kept WHERE _file = ? AND _row = ? ORDER BY 1", list(row)
        ).fetchall()
    return [int(number) for (number,) in found]


def origin(
    held: ResolvedTable, asked: int | Row, history: RecordGraph, folders: Folders, verify: bool
) -> RowOrigin:
    """The way of a row of a table back to the record of a source.

    Raises:
        DataError: the table has no such row.
        StorageError: a table on the way is gone.
    """
    table = held.table
    record, part = held.records[0], held.part
    name = snapshot_name(record.pipeline, record.stage, part, table.data_version)
    if isinstance(asked, int):
        number, row = asked, identity_at(table, history.home, asked)
    else:
        row = asked
        numbers = numbers_of(table, history.home, row)
        if not numbers:
            raise DataError(
                f"row {row[1]} of {row[0][:12]} is not in it",
                where=name[:80],
                remedy=f"follow it forward: factory trace sha256:{row[0][:12]} --row {row[1]}",
            )
        number = numbers[0]
    return _followed(
        list(held.records), [Hop(table=name, row=number)], row, history, folders, verify
    )


def _followed(
    records: list[Record],
    hops: list[Hop],
    row: Row,
    history: RecordGraph,
    folders: Folders,
    verify: bool,
) -> RowOrigin:
    for ingest in _ingests(records, history):
        source = _source(ingest, row[0])
        if source is None:
            continue
        there = history.read_from(ingest).get(row[0])
        if there:
            made, number = there.record, there.before + row[1]
            snapshot = tables_of(value_in(made))["snapshot"]
            name = snapshot_name(made.pipeline, made.stage, None, made.data_version)
            hops.append(Hop(table=name, row=number))
            before = identity_at(snapshot, history.home, number)
            return _followed([made], hops, before, history, folders, verify)
        step = snapshot_name(ingest.pipeline, "ingest", None, ingest.data_version)
        fact = source_fact(source, ingest, step, None, folders, verify)
        lines, why = source_lines(fact, source, row[1], ingest)
        return RowOrigin(
            hops=tuple(hops),
            sha256=row[0],
            record=row[1],
            source=fact,
            lines=lines,
            lines_unknown=why or None,
        )
    return RowOrigin(
        hops=tuple(hops),
        sha256=row[0],
        record=row[1],
        source=None,
        lines=None,
        lines_unknown="no record tells of its source",
    )


def _ingests(records: list[Record], history: RecordGraph) -> Iterator[Record]:
    """The ingests of the same pipeline that the records rest on."""
    for record in records:
        if record.stage == "ingest":
            yield record
        else:
            before = [r for r in history.inputs(record) if r.pipeline == record.pipeline]
            yield from _ingests(before, history)


def _source(ingest: Record, digest: str) -> SourceFile | None:
    value = value_in(ingest)
    assert isinstance(value, IngestResult)
    return next((s for s in value.sources if s.sha256 == digest and not s.join), None)
