"""Locate the sources of an ingest as they are now, and the lines of their records."""

import os
import tempfile
from collections.abc import Mapping
from glob import escape
from pathlib import Path
from typing import Any, Literal

from factory_assets.audit.references import step_name
from factory_assets.audit.trace.report import Source, State
from factory_assets.audit.trace.verification import state_of
from factory_assets.data.privacy.sensitive_columns import sensitive_columns
from factory_assets.data.sources.answers import answer_ids
from factory_assets.declarations.loader import load_pipeline
from factory_assets.results.data import SourceFile
from factory_assets.spec.sources import IMAGE_COLUMNS
from factory_resources.erasure.manifest import erased_of, erased_rows
from factory_resources.errors import DeclarationError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.archives import member_of
from factory_resources.sources.files.delimited_text import TextRules
from factory_resources.sources.files.discovery import expand
from factory_resources.sources.files.line_numbers import lines_of
from factory_resources.tracking.record import Record

Folders = Mapping[str, Path]
"""Pipeline to the folder of its declaration, if that still exists."""


def source_fact(
    source: SourceFile,
    record: Record,
    snapshot: str | None,
    folders: Folders | None,
    verify: bool,
    home: Home,
) -> Source:
    """Describe the present state of a source.

    Args:
        record: the record of the ingest that read it.
        snapshot: name of the snapshot that the source is, if it is one.
        folders: None if it was read on another machine: it is not looked for.
        verify: whether to compare the file with its digest.
        home: where the outcomes are that a source of answers consists of.
    """
    declared = declared_source(source, record)
    is_file = "files" in declared
    path = _path(source, record, folders) if is_file and folders is not None else None
    state: State | Literal["not a file"] = "gone" if is_file else "not a file"
    if folders is None:
        state = "not in the archive"
    elif path:
        state = state_of(path, source.sha256, verify)
    elif "://" in source.name:
        state = "unchecked"
    return Source(
        name=source.name,
        sha256=source.sha256,
        rows=source.rows,
        labels=source.labels,
        state=state,
        path=str(path) if path else None,
        snapshot=snapshot,
        read_by=step_name(record),
        join=source.join,
        answers=answer_ids(source.name, source.rows, home) if "answers" in declared else (),
    )


def source_lines(
    source: Source, recorded: SourceFile, record: int, ingest: Record, home: Home
) -> tuple[tuple[int, int] | None, str]:
    """Return the lines of a record of a source, or the reason why they are unknown.

    Args:
        source: present state of the source.
        recorded: the source as it was recorded.
        record: number of the record in the source, from 1.
        ingest: record of the ingest that read the source.
        home: whose erased rows the file still has.
    """
    if source.state == "not a file":
        return None, "the source is not a file"
    if source.path is None or source.state == "gone":
        return None, "the file is gone"
    if state_of(Path(source.path), source.sha256, True) != "whole":
        return None, "the file has changed since"
    declared = declared_source(recorded, ingest)
    with tempfile.TemporaryDirectory() as scratch:
        lines = lines_of(
            Path(source.path),
            record,
            source.rows + len(erased_of(erased_rows(home), source.sha256, source.name)),
            Path(scratch),
            declared=declared.get("format"),
            member=packed_member(source.name, Path(source.path)),
            rules=text_rules(declared),
        )
    return lines, "" if lines else "the file is not text, or its lines do not match its records"


def packed_member(name: str, path: Path) -> str | None:
    """Return the pattern of the member of an archive that a source is; None for other files."""
    # The name of a zipped source ends with the name of its member.
    inner = member_of(name) or Path(name).name
    return None if path.name == inner else escape(inner)


def text_rules(declared: Mapping[str, Any]) -> TextRules:
    """Return how the text files of a declared source are read."""
    return TextRules(
        delimiter=declared.get("delimiter"),
        header=declared.get("header", True),
        columns=tuple(declared.get("columns", ())),
        encoding=declared.get("encoding", "utf-8"),
        skip=declared.get("skip", 0),
        until=declared.get("until", ""),
    )


def declared_source(source: SourceFile, record: Record) -> dict[str, Any]:
    """Return the part of the declaration that locates the source."""
    ingest: dict[str, Any] = record.parts.get("declaration") or {}
    if source.join:
        declared = ingest.get("joins", {}).get(source.join, {}).get("source")
    elif label := ingest.get("label"):
        declared = ingest.get("sources", {}).get(source.labels.get(label, ""))
    else:
        declared = ingest.get("source")
    return declared or {}


def image_columns(source: SourceFile, record: Record, folders: Folders | None) -> tuple[str, ...]:
    """Return the columns with the path and the digest of a row's image; none if it is no image.

    A column is left out if it was not read, if today's declaration calls it sensitive, or if that
    is not known.
    """
    declared: dict[str, Any] = record.parts.get("declaration") or {}
    folder = (folders or {}).get(record.pipeline)
    if folder is None or "images" not in declared_source(source, record):
        return ()
    try:
        sensitive = sensitive_columns(load_pipeline(folder))
    except DeclarationError:
        return ()
    columns = (declared.get("contract") or {}).get("columns") or ()
    names = {column.get("source") or column["name"]: column["name"] for column in columns}
    found = (names.get(name) if columns else name for name in IMAGE_COLUMNS[:2])
    return tuple(name for name in found if name and name not in sensitive)


def _path(source: SourceFile, record: Record, folders: Folders) -> Path | None:
    """Return the local file with the source's name; for a packed source, the archive."""
    if "://" in source.name:
        return None
    try:
        path = Path(os.path.expanduser(expand(source.name)))
    except SourceError:
        return None
    folder = folders.get(record.pipeline)
    path = folder / path if folder else path
    return next((place for place in (path, *path.parents) if place.is_file()), None)
