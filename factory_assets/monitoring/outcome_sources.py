"""Outcomes that a pipeline declares: each source is read once, and again when it has changed, or
when answers came for which it may have outcomes, such as those of a pack.

Recording them belongs in `serving.feedback`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from factory_assets.data.sources.base import SourceContext, SourceHandle
from factory_assets.data.sources.discovery import discover
from factory_assets.monitoring.looks import Looks
from factory_assets.serving.feedback.file import read_source
from factory_assets.serving.feedback.table import OutcomeColumns, record_from_table
from factory_assets.spec import FileSource, Pipeline, SnapshotSource
from factory_assets.spec.watch import OutcomeSource
from factory_resources.errors import DataError, FactoryError, SourceError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import amount
from factory_resources.outcomes.outcome import Source
from factory_resources.prediction_log.prediction_log import PredictionLog


@dataclass(frozen=True)
class _Reading:
    """What came of reading a source."""

    told: list[str]
    """What was wrong with it, a line each."""
    until: int | None = None
    """The last block of answers in the log then, if some rows were about none of them."""

    def is_over(self, block: int) -> bool:
        """Whether answers came since about which those rows may be."""
        return self.until is not None and block > self.until


def record_declared(pipeline: Pipeline, declared: OutcomeSource, home: Home) -> list[str]:
    """Record the outcomes of the declared source; return what is wrong with it, a line each.

    Wrong rows do not keep the others from being recorded, nor a wrong file the others. What is
    wrong is told until it is corrected, so that people are told who see no look, or not this one.

    Raises:
        StorageError: a database cannot be written.
    """
    looks, problems = Looks(home, pipeline.name), list[str]()
    stored, found = _known(looks), set[str]()
    known = {**stored}
    with PredictionLog(home) as log:
        block = log.database.last_block()
    with home.scratch() as scratch:
        context = SourceContext(pipeline.folder, home, scratch / "found")
        try:
            for number, handle in enumerate(discover(declared.source, context)):
                read = _reading(declared, handle)
                found.add(read)
                if read not in known or known[read].is_over(block):
                    folder = scratch / str(number)
                    try:
                        known[read] = _record(pipeline, declared, handle, folder, home, block)
                    except (DataError, SourceError) as error:
                        problems.append(_told(handle, error))
                        continue
                problems += known[read].told
            known = {read: one for read, one in known.items() if read in found}
        except FactoryError as error:
            problems.append(f"outcomes: {error}")
        finally:
            # Once for all: what a killed look has read is read again, and not recorded twice.
            if known != stored:
                content = {name: asdict(one) for name, one in known.items()}
                home.write_atomic(_file(looks), json.dumps(content, sort_keys=True).encode())
    looks.keep_outcome_problems(problems)
    return problems


def _told(handle: SourceHandle, error: FactoryError) -> str:
    if isinstance(error, SourceError):
        return f"outcomes: {error}"
    # It names no file, as nobody named one in the call.
    named = DataError(error.what, where=handle.name or "the source", remedy=error.remedy)
    return f"outcomes: {named}"


def _record(
    pipeline: Pipeline,
    declared: OutcomeSource,
    handle: SourceHandle,
    folder: Path,
    home: Home,
    block: int,
) -> _Reading:
    columns = OutcomeColumns(declared.id, declared.outcome, declared.observed, declared.key)
    counts = record_from_table(
        pipeline.name,
        read_source(handle, folder),
        home,
        source=_kind(declared),
        columns=columns,
        wrong="count",
    )
    told = []
    if counts.refused:
        rows, shown = amount(counts.refused, "rows"), "; ".join(counts.reasons)
        told.append(f"outcomes: {rows} of {handle.name or 'the source'}: {shown}")
    return _Reading(told, block if counts.unanswered else None)


def _kind(declared: OutcomeSource) -> Source:
    if isinstance(declared.source, FileSource):
        return "file"
    return "snapshot" if isinstance(declared.source, SnapshotSource) else "table"


def _reading(declared: OutcomeSource, handle: SourceHandle) -> str:
    """Return what names a source as it is, read as it is declared: by other columns, it is read
    again."""
    columns = [declared.id, declared.outcome, declared.observed, declared.key]
    return f"{handle.version} {json.dumps(columns, ensure_ascii=False)}"


def _known(looks: Looks) -> dict[str, _Reading]:
    """Return what came of each source that was read."""
    try:
        found = json.loads(_file(looks).read_bytes())
        return {read: _stored(one) for read, one in found.items()}
    except (OSError, ValueError, AttributeError, LookupError, TypeError):
        # Then every source is read again, and what is known is not recorded twice.
        return {}


def _stored(found: Any) -> _Reading:
    if isinstance(found, list):
        # Only what was wrong was stored at first.
        return _Reading([*map(str, found)], 0 if found else None)
    told, until = found["told"], found["until"]
    return _Reading([*map(str, told)], None if until is None else int(until))


def _file(looks: Looks) -> Path:
    return looks.folder / "outcome_sources.json"
