"""A source file around one line or row, if its bytes are still those that were read.

A text is shown as it is. Other files, those with sensitive columns and those with erased rows are
shown as a table, without the values of these columns and without these rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from factory_assets.audit.trace.sources import (
    Folders,
    declared_source,
    packed_member,
    source_fact,
    text_rules,
)
from factory_assets.results.base import result_as
from factory_assets.results.data import IngestResult, SourceFile
from factory_assets.web.auditor.index import AuditIndex, IndexedSource
from factory_assets.web.auditor.packed_sources import plain_stream, write_plain
from factory_assets.web.auditor.records import CountedRecord, CountedRecords
from factory_assets.web.auditor.sensitive_sources import SensitiveSources
from factory_assets.web.auditor.source_text import text_lines
from factory_resources.erasure.listed_manifests import require_manifests
from factory_resources.erasure.manifest import erased_of, erased_rows
from factory_resources.errors import FactoryError, SourceError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.log import Log
from factory_resources.sources.digest_cache import DigestCache
from factory_resources.sources.files.archives import member_of
from factory_resources.sources.files.discovery import File, format_of
from factory_resources.sources.files.line_numbers import record_at
from factory_resources.sources.files.reader import SourceTable, read_file
from factory_resources.sql.bytes_as_text import text_sql
from factory_resources.sql.engine import engine_errors, identifier, sealed

AROUND = 20
"""Lines before and after the one that is asked for."""

_COLUMNS = 60
"""Columns of a table that are shown."""

_DIGEST = re.compile(r"[0-9a-f]{64}")

_LONGEST = 200
"""Characters of a value that are shown."""

HIDDEN = "hidden"
"""In place of the values of sensitive columns."""


@dataclass(frozen=True)
class ShownLine:
    """A line, or a row of a table."""

    number: int
    cells: tuple[str | None, ...]
    """The text of the line alone, or the values."""
    is_asked: bool


@dataclass(frozen=True)
class SourceView:
    """What the page shows."""

    sha256: str
    names: tuple[IndexedSource, ...]
    rows: int
    """Records when it was read."""
    unit: Literal["line", "row"]
    columns: tuple[str, ...]
    """Of a table; none for lines."""
    lines: tuple[ShownLine, ...]
    hidden: tuple[str, ...]
    """The sensitive columns."""
    why_none: str
    """Why no line is shown; empty if lines are."""
    erased: int = 0
    """How many rows of the file were erased: they are never shown."""

    @property
    def is_end(self) -> bool:
        """Whether the file ends before as many follow the asked one as would be shown."""
        asked = next((one.number for one in self.lines if one.is_asked), None)
        return asked is not None and self.lines[-1].number < asked + AROUND


@dataclass(frozen=True)
class _Named:
    """The file of a source, with what is known of it."""

    source: SourceFile
    ingest: CountedRecord
    path: Path
    declared: Mapping[str, Any]

    @property
    def file(self) -> File:
        return File(self.path, self.source.name)

    @property
    def options(self) -> dict[str, Any]:
        """How it is read."""
        return {
            "declared": self.declared.get("format"),
            "member": packed_member(self.source.name, self.path),
            "rules": text_rules(self.declared),
        }


@dataclass(frozen=True)
class _Part:
    """The lines or rows around the one that is asked for."""

    unit: Literal["line", "row"]
    columns: tuple[str, ...]
    lines: list[ShownLine]


@dataclass(frozen=True)
class SourceReader:
    """Reads the sources of one home."""

    home: Home
    index: AuditIndex
    sensitive: SensitiveSources

    def read(
        self,
        log: Log,
        digest: str,
        line: int | None,
        row: int | None,
        folders: Folders,
        member: str = "",
    ) -> SourceView:
        """Return what is shown of a source.

        Args:
            member: which member of a zip; the one that was read last if it is not said.
            line: the line that is asked for, from 1; for a table of rows, `row` comes first.
            row: the record that is asked for, from 1.

        Raises:
            UnknownNameError: no record names it.
            StorageError: a record of it is damaged.
        """
        every = self.index.sources(digest) if _DIGEST.fullmatch(digest) else []
        member = member or (member_of(every[0].name) if every else "")
        names = [one for one in every if member_of(one.name) == member]
        if not names:
            raise UnknownNameError(
                "no record names a source with this digest",
                remedy="give the whole SHA-256 of a source, as the page of a version shows it",
            )
        counted = CountedRecords(self.home, log)
        try:
            named = self._find(names, counted, folders)
            hidden = self.sensitive.of((one.pipeline for one in every), folders)
            require_manifests(self.home)
            erased = frozenset(erased_of(erased_rows(self.home), digest, named.source.name))
            # Which lines an erased row has is not known before its table is read.
            if not hidden and not erased and _kind(named) in {"csv", "jsonl", "arff"}:
                part = _Part("line", (), self._text(named, line or row or 1))
            else:
                columns, found = self._table(named, line, row, hidden)
                part = _Part("row", columns, [one for one in found if one.number not in erased])
        except FactoryError as error:
            return SourceView(digest, tuple(names), 0, "line", (), (), (), str(error))
        except ModuleNotFoundError:
            # What reads it is Arrow, which this process does without.
            why = "These pages cannot show a file of this kind: `factory trace` shows its lines."
            return SourceView(digest, tuple(names), 0, "line", (), (), (), why)
        none = "It has no such row" + (", or its rows were erased." if erased else ".")
        why = "" if part.lines else none
        rows, lines = named.source.rows, tuple(part.lines)
        shown = part.unit, part.columns, lines, hidden, why, len(erased)
        return SourceView(digest, tuple(names), rows, *shown)

    def _find(
        self, names: Sequence[IndexedSource], counted: CountedRecords, folders: Folders
    ) -> _Named:
        """Return the first file that still has the bytes.

        Raises:
            FactoryError: there is none.
        """
        problem: FactoryError | None = None
        for one in names:
            try:
                return self._unchanged(one, counted, folders)
            except FactoryError as error:
                problem = problem or error
        assert problem is not None
        raise problem

    def _unchanged(self, one: IndexedSource, counted: CountedRecords, folders: Folders) -> _Named:
        found = counted.find(one.record)
        value = result_as(IngestResult, found.record) if found else None
        sources = value.sources if value else ()
        source = next((s for s in sources if (s.sha256, s.name) == (one.sha256, one.name)), None)
        if found is None or source is None:
            raise UnknownNameError(
                f"the record that names {one.name} is gone", remedy="look at another name of it"
            )
        fact = source_fact(source, found.record, None, folders, False, self.home)
        if fact.state == "not a file" or fact.path is None:
            what = "is not a file" if fact.state == "not a file" else "is not there any more"
            raise SourceError(what, where=one.name, remedy="its rows are in the ingested table")
        [digested] = DigestCache(self.home).of_files((File(Path(fact.path), one.name),))
        if digested.sha256 != one.sha256:
            raise SourceError(
                f"was changed since: it has sha256:{digested.sha256} now",
                where=one.name,
                remedy="restore the file that was read, to see it here",
            )
        return _Named(source, found, Path(fact.path), declared_source(source, found.record))

    def _text(self, named: _Named, asked: int) -> list[ShownLine]:
        encoding = str(named.declared.get("encoding", "utf-8"))
        first, last = max(1, asked - AROUND), asked + AROUND
        with plain_stream(named.path, named.source.name, _packing(named)) as file:
            found = text_lines(file, first, last, encoding)
        return [ShownLine(n, (text,), n == asked) for n, text in enumerate(found, first)]

    def _table(
        self, named: _Named, line: int | None, row: int | None, hidden: tuple[str, ...]
    ) -> tuple[tuple[str, ...], list[ShownLine]]:
        with self.home.scratch() as scratch:
            (numbers := scratch / "numbers").mkdir()
            (cells := scratch / "cells").mkdir()
            named = _plain(named, scratch)
            if row is None and line is not None:
                row = record_at(named.path, line, numbers, **named.options) or line
            table = read_file(
                named.file, cells, digest=named.source.sha256, once=True, **named.options
            )
            return _rows(table, row or 1, hidden, cells)


def _packing(named: _Named) -> str:
    return format_of(named.path.name, named.declared.get("format"))[1]


def _plain(named: _Named, scratch: Path) -> _Named:
    """Return the file unpacked, if it is a gz or zst file; what reads a zip unpacks it itself."""
    kind, packing = format_of(named.path.name, named.declared.get("format"))
    if packing not in {"gz", "zst"}:
        return named
    plain = scratch / f"plain.{kind}"
    write_plain(named.path, named.source.name, packing, plain)
    return replace(named, path=plain)


def _kind(named: _Named) -> str | None:
    """Return the format of the file; None if its lines are in a member of an archive."""
    kind, packing = format_of(named.path.name, named.declared.get("format"))
    return None if packing == "zip" else kind


def _rows(
    table: SourceTable, asked: int, hidden: tuple[str, ...], scratch: Path
) -> tuple[tuple[str, ...], list[ShownLine]]:
    columns = [*table.columns][:_COLUMNS]
    never = {name.lower() for name in hidden}
    texts = {
        name: text_sql(identifier(place), kind) for name, (place, kind) in table.columns.items()
    }
    values = [
        f"'{HIDDEN}'" if name.lower() in never else f"left({texts[name]}, {_LONGEST})"
        for name in columns
    ]
    query = (
        f"SELECT file_row_number + 1, {', '.join(values)} FROM {table.relation} "
        "WHERE file_row_number BETWEEN ? AND ? ORDER BY 1"
    )
    with (
        sealed(read=[table.path], write=scratch) as connection,
        engine_errors(table.name, SourceError, "its rows are in the ingested table"),
    ):
        around = [max(0, asked - 1 - AROUND), asked - 1 + AROUND]
        found = connection.execute(query, around).fetchall()
    lines = [ShownLine(int(number), tuple(rest), number == asked) for number, *rest in found]
    return tuple(columns), lines
