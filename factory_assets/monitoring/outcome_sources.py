"""Outcomes that a pipeline declares: each source is read once, and again when it has changed.

Recording them belongs in `serving.feedback`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.data.sources.discovery import discover
from factory_assets.monitoring.looks import Looks
from factory_assets.serving.feedback.file import read_source
from factory_assets.serving.feedback.table import OutcomeColumns, record_from_table
from factory_assets.spec import FileSource, Pipeline, SnapshotSource
from factory_assets.spec.watch import OutcomeSource
from factory_resources.errors import DataError, FactoryError, SourceError
from factory_resources.home.home import Home
from factory_resources.outcomes.outcome import Source


def record_declared(pipeline: Pipeline, declared: OutcomeSource, home: Home) -> list[str]:
    """Record the outcomes of the declared source; return what is wrong with it, a line each.

    Wrong rows do not keep the others from being recorded, nor a wrong file the others. What is
    wrong is told until it is corrected, so that people are told who see no look, or not this one.

    Raises:
        StorageError: a database cannot be written.
    """
    looks, problems = Looks(home, pipeline.name), list[str]()
    known = _known(looks)
    with home.scratch() as scratch:
        context = SourceContext(pipeline.folder, home, scratch / "found")
        try:
            for number, handle in enumerate(discover(declared.source, context)):
                read = _reading(declared, handle)
                if read not in known:
                    folder = scratch / str(number)
                    try:
                        known[read] = [*_record(pipeline, declared, handle, folder, home)]
                    except (DataError, SourceError) as error:
                        problems.append(_told(handle, error))
                        continue
                    home.write_atomic(_file(looks), json.dumps(known, sort_keys=True).encode())
                problems += known[read]
        except FactoryError as error:
            problems.append(f"outcomes: {error}")
    looks.keep_outcome_problems(problems)
    return problems


def _told(handle: SourceHandle, error: FactoryError) -> str:
    if isinstance(error, SourceError):
        return f"outcomes: {error}"
    # It names no file, as nobody named one in the call.
    named = DataError(error.what, where=handle.name or "the source", remedy=error.remedy)
    return f"outcomes: {named}"


def _record(
    pipeline: Pipeline, declared: OutcomeSource, handle: SourceHandle, folder: Path, home: Home
) -> Iterator[str]:
    columns = OutcomeColumns(declared.id, declared.outcome, declared.observed, declared.key)
    counts = record_from_table(
        pipeline.name,
        read_source(handle, folder),
        home,
        source=_kind(declared),
        columns=columns,
        wrong="count",
    )
    if counts.refused:
        shown = "; ".join(counts.reasons)
        yield f"outcomes: {counts.refused:,} rows of {handle.name or 'the source'}: {shown}"


def _kind(declared: OutcomeSource) -> Source:
    if isinstance(declared.source, FileSource):
        return "file"
    return "snapshot" if isinstance(declared.source, SnapshotSource) else "table"


def _reading(declared: OutcomeSource, handle: SourceHandle) -> str:
    """Return what names a source as it is, read as it is declared: by other columns, it is read
    again."""
    columns = [declared.id, declared.outcome, declared.observed, declared.key]
    return f"{handle.version} {json.dumps(columns, ensure_ascii=False)}"


def _known(looks: Looks) -> dict[str, list[str]]:
    """Return what was wrong with each source that was read, a line each."""
    try:
        found = json.loads(_file(looks).read_bytes())
        return {read: [*map(str, told)] for read, told in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        # Then every source is read again, and what is known is not recorded twice.
        return {}


def _file(looks: Looks) -> Path:
    return looks.folder / "outcome_sources.json"
