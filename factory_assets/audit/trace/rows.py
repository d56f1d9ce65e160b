"""Identify one row, find its numbers in snapshots, and trace it back to the record of a source."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from factory_assets.audit.references import (
    SnapshotName,
    SourceName,
    parse,
    snapshot_name,
    step_name,
)
from factory_assets.audit.resolver import ResolvedTable, find_member, find_snapshot, find_source
from factory_assets.audit.trace.report import Hop, RowOrigin
from factory_assets.audit.trace.sources import (
    Folders,
    image_columns,
    source_fact,
    source_lines,
)
from factory_assets.results.data import IngestResult, SourceFile
from factory_assets.results.record_graph import RecordGraph, tables_of, value_in
from factory_assets.spec import IDENTITY
from factory_resources.errors import DataError, StorageError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.sources.files.archives import member_of
from factory_resources.sources.files.reader import numbered
from factory_resources.sql.engine import engine_errors, identifier, sealed
from factory_resources.tables.snapshot import Snapshot, exists, fetched_paths
from factory_resources.tracking.record import Record

if TYPE_CHECKING:
    import duckdb

_DIGITS = 18
"""No table has a row whose number has more."""


class SourceRow(NamedTuple):
    """A record of a source."""

    sha256: str
    record: int
    """Its number, from 1."""
    member: str = ""
    """The member of a zip that it is in, as it was named; empty if none was."""


def parse_row(text: str, history: RecordGraph) -> int | SourceRow:
    """Parse a number, or `SOURCE:N` with any name of a source.

    Raises:
        UnknownNameError: the text is neither.
    """
    source, _, number = text.rpartition(":")
    if not number.isdecimal() or len(number) > _DIGITS or not int(number):
        raise UnknownNameError(
            f"{text!r} is not a row number",
            remedy="write a number from 1, or SOURCE:N, as in data.csv:17",
        )
    if not source:
        return int(number)
    name = parse(source)
    if isinstance(name, SnapshotName):
        return _file_row(find_snapshot(name, history).table, int(number))
    if isinstance(name, SourceName):
        digest = find_source(name, history)
        return SourceRow(digest, int(number), find_member(name, digest, history))
    raise UnknownNameError(f"{source!r} is not a source", remedy="name a file or a snapshot")


def _file_row(table: Snapshot, number: int) -> SourceRow:
    """Identify a row of a snapshot as another pipeline does: by its file and its number in it."""
    before = [0, *accumulate(file.rows for file in table.files)]
    index = _file_index(table, number, before)
    return SourceRow(table.files[index].sha256, number - before[index])


@contextmanager
def open_snapshot(snapshot: Snapshot, home: Home) -> Iterator["duckdb.DuckDBPyConnection"]:
    """Open an engine with the view `stored`: the snapshot's rows, numbered from 1 as `_number`.

    Raises:
        StorageError: a file of the snapshot is gone or damaged.
    """
    where = f"{snapshot.table}@{snapshot.data_version[:12]}"
    if not exists(snapshot, home):
        raise StorageError("its rows are gone", where=where, remedy="materialise it again")
    paths = fetched_paths(snapshot, home)
    query = numbered(paths, [file.rows for file in snapshot.files])
    with (
        tempfile.TemporaryDirectory() as scratch,
        sealed(read=paths, write=Path(scratch)) as connection,
        engine_errors(where, StorageError, "materialise it again"),
    ):
        connection.execute(
            f"CREATE TEMP VIEW stored AS SELECT *, _order + 1 AS _number FROM ({query})"
        )
        yield connection


def identity_at(snapshot: Snapshot, home: Home, number: int) -> SourceRow:
    """Return the identity of a row, given its number.

    Raises:
        DataError: there is no such row.
        StorageError: its file is gone or damaged.
    """
    before = [0, *accumulate(file.rows for file in snapshot.files)]
    index = _file_index(snapshot, number, before)
    # Open only the file that contains the row, so that the engine need not number the others.
    one_file = snapshot.model_copy(update={"files": (snapshot.files[index],)})
    with open_snapshot(one_file, home) as connection:
        row = connection.execute(
            f"SELECT {', '.join(IDENTITY)} FROM stored WHERE _number = ?", [number - before[index]]
        ).fetchone()
    assert row is not None
    return SourceRow(str(row[0]), int(row[1]))


def _file_index(snapshot: Snapshot, number: int, before: list[int]) -> int:
    """Return the index of the file that contains the row.

    Args:
        before: number of rows before each file, and after the last one.
    """
    if not 1 <= number <= before[-1]:
        raise DataError(
            f"there is no row {number}",
            where=f"{snapshot.table}@{snapshot.data_version[:12]}",
            remedy=f"its rows are 1 to {before[-1]}",
        )
    return next(i for i, end in enumerate(before[1:]) if number <= end)


def numbers_of(snapshot: Snapshot, home: Home, row: SourceRow) -> list[int]:
    """Return the numbers of a row in the snapshot; several if a source was read twice."""
    with open_snapshot(snapshot, home) as connection:
        numbers = connection.execute(
            "SELECT _number FROM stored WHERE _file = ? AND _row = ? ORDER BY 1", [*row[:2]]
        ).fetchall()
    return [int(number) for (number,) in numbers]


def numbers_named(resolved: ResolvedTable, row: SourceRow, history: RecordGraph) -> list[int]:
    """Return the numbers of a row in a table; of a member of a zip, if it names one, only its."""
    numbers = numbers_of(resolved.table, history.home, row)
    if not row.member:
        return numbers
    return [n for n in numbers if _member_at(resolved, n, row, history) == row.member]


def trace_row(
    resolved: ResolvedTable,
    requested: int | SourceRow,
    history: RecordGraph,
    folders: Folders,
    verify: bool,
) -> RowOrigin:
    """Trace a row of a table back to the record of its source.

    Raises:
        DataError: the table has no such row.
        StorageError: a table on the way is gone.
    """
    table = resolved.table
    record, part = resolved.records[0], resolved.part
    name = snapshot_name(record.pipeline, record.stage, part, table.data_version)
    if isinstance(requested, int):
        number, row = requested, identity_at(table, history.home, requested)
    else:
        row = requested
        numbers = numbers_named(resolved, row, history)
        if not numbers:
            raise DataError(
                f"row {row[1]} of {row[0][:12]} is not in this table",
                where=name[:80],
                remedy=f"follow it forward: factory trace sha256:{row[0][:12]} --row {row[1]}",
            )
        number = numbers[0]
    hops = [Hop(table=name, row=number)]
    place = table, number
    return _trace_back(list(resolved.records), hops, place, row, history, folders, verify)


def _member_at(resolved: ResolvedTable, number: int, row: SourceRow, history: RecordGraph) -> str:
    """Return the member of a zip that a row with this number in a table is of."""
    place = resolved.table, number
    ingests = _ingests([*resolved.records], history)
    found = (_source(ingest, row.sha256, place, history.home) for ingest in ingests)
    return next((member_of(source.name) for source in found if source), "")


def _trace_back(
    records: list[Record],
    hops: list[Hop],
    place: tuple[Snapshot, int],
    row: SourceRow,
    history: RecordGraph,
    folders: Folders,
    verify: bool,
) -> RowOrigin:
    for ingest in _ingests(records, history):
        source = _source(ingest, row[0], place, history.home)
        if source is None:
            continue
        upstream_file = history.read_from(ingest).get(row[0])
        if upstream_file:
            upstream, number = upstream_file.record, upstream_file.before + row[1]
            snapshot = tables_of(value_in(upstream))["snapshot"]
            hops.append(Hop(table=step_name(upstream), row=number))
            upstream_row = identity_at(snapshot, history.home, number)
            place = snapshot, number
            return _trace_back([upstream], hops, place, upstream_row, history, folders, verify)
        fact = source_fact(source, ingest, None, folders, verify, history.home)
        lines, why = source_lines(fact, source, row[1], ingest, history.home)
        if columns := image_columns(source, ingest, folders):
            why = _image_in_words(ingest, row, columns, history.home) or why
        return RowOrigin(
            hops=tuple(hops),
            sha256=row[0],
            record=row[1],
            source=fact,
            lines=lines,
            lines_unknown=why or None,
            answer=fact.answers[row[1] - 1] if fact.answers else None,
        )
    return RowOrigin(
        hops=tuple(hops),
        sha256=row[0],
        record=row[1],
        source=None,
        lines=None,
        lines_unknown="no record names its source",
    )


def _image_in_words(ingest: Record, row: SourceRow, columns: tuple[str, ...], home: Home) -> str:
    """Name the image that a row is, as it was when it was read; "" if no table has the row.

    Args:
        columns: those of the image's path and digest that may be shown.
    """
    names = ", ".join(map(identifier, columns))
    for table in filter(None, tables_of(value_in(ingest)).values()):
        if not {*columns} <= {*table.columns} or not exists(table, home):
            continue
        with open_snapshot(table, home) as connection:
            found = connection.execute(
                f"SELECT {names} FROM stored WHERE _file = ? AND _row = ?", [*row[:2]]
            ).fetchone()
        if found:
            return f"the record is an image: {', '.join(map(str, found))}"
    return ""


def _ingests(records: list[Record], history: RecordGraph) -> Iterator[Record]:
    """Yield the ingests of the same pipeline that the records depend on."""
    for record in records:
        if record.stage == "ingest":
            yield record
        else:
            before = [r for r in history.inputs(record) if r.pipeline == record.pipeline]
            yield from _ingests(before, history)


def _source(
    ingest: Record, digest: str, place: tuple[Snapshot, int], home: Home
) -> SourceFile | None:
    """Return the source of a row; None if the ingest has not read the file.

    Members of a zip have its digest in common, and files in several partitions of a Delta table may
    have the same bytes. What all rows of a source have in common tells which it is.

    Args:
        place: a table, and the number of the row there.
    """
    value = value_in(ingest)
    assert isinstance(value, IngestResult)
    found = [s for s in value.sources if s.sha256 == digest and not s.join]
    if len(found) < 2:
        return next(iter(found), None)
    table, number = place
    constants = [source.constants(table.columns) for source in found]
    names = sorted({name for one in constants for name in one})
    with open_snapshot(table, home) as connection:
        selected = ", ".join(f"CAST({identifier(name)} AS VARCHAR)" for name in names) or "NULL"
        cells = connection.execute(
            f"SELECT {selected} FROM stored WHERE _number = ?", [number]
        ).fetchone()
    row = dict(zip(names, cells or (), strict=False))
    alike = (s for s, one in zip(found, constants, strict=True) if one.items() <= row.items())
    return next(alike, found[0])
