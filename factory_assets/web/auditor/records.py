"""Read records that count through a ledger that is open, and the records behind a version."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256

from pydantic import ValidationError

from factory_assets.results.data import IngestResult
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_assets.results.stages import STAGES
from factory_assets.web.auditor.index import AuditIndex
from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    ModelExported,
    ModelTrained,
    StageComputed,
    VerdictGiven,
)
from factory_resources.ledger.ledger import entry_in, latest_in
from factory_resources.ledger.log import Log
from factory_resources.tracking.record import Record, damaged_record

_NAME = re.compile(rf"records/[a-z][a-z0-9_]*/(?:{'|'.join(STAGES)})/[0-9a-f]{{64}}\.json")

_SNAPSHOT = re.compile(r"([a-z][a-z0-9_]*)/(ingest|clean)@([0-9a-f]{64})")
"""The name of a source that is a snapshot of another pipeline."""

_MOST = 60
"""Records that a drawing follows: one of each stage, also of the pipelines before."""


@dataclass(frozen=True)
class CountedRecord:
    """A record with its entry."""

    record: Record
    number: int


@dataclass(frozen=True)
class CountedRecords:
    """The records of a home that count, read with one connection to the ledger."""

    home: Home
    log: Log

    def find(self, name: str) -> CountedRecord | None:
        """Return the record at a path in the home; None if it is gone or not as its entry says.

        Raises:
            StorageError: it is damaged.
        """
        if not _NAME.fullmatch(name):
            return None
        try:
            content = (self.home.path / name).read_bytes()
        except OSError:
            return None
        found = latest_in(self.log, StageComputed, name)
        if found is None or found[1].sha256 != sha256(content).hexdigest():
            return None
        try:
            return CountedRecord(Record.model_validate_json(content), found[0])
        except ValidationError as error:
            raise damaged_record(name) from error

    def roots(self, index: AuditIndex, pipeline: str, version: int) -> Iterator[CountedRecord]:
        """Yield the last deployment, the last evaluation and the training of a version."""
        for kind in ("export", "verdict", "model_version"):
            for act in index.acts(pipeline, kind, version)[-1:]:
                entry = entry_in(self.log, act.number)
                assert isinstance(entry, ModelExported | VerdictGiven | ModelTrained)
                if one := self.find(entry.record):
                    yield one

    def inputs(self, record: Record) -> dict[str, CountedRecord]:
        """Return the records that one was made from, by stage; of partitions the first."""
        found = {}
        for stage, keys in record.inputs.items():
            name = f"records/{record.pipeline}/{stage}/{next(iter(keys), '')}.json"
            if one := self.find(name):
                found[stage] = one
        return found

    def latest(self, index: AuditIndex, pipeline: str, stage: str) -> list[CountedRecord]:
        """Return the last record of a stage, or of each of its partitions, the last one first."""
        found: dict[str | None, CountedRecord] = {}
        for name in index.records_of(pipeline, stage):
            one = self.find(name)
            if one is None:
                continue
            if one.record.partition is None:
                # What is older than a partition is of a time when there were none.
                return [*found.values()] or [one]
            found.setdefault(one.record.partition, one)
        return [*found.values()]

    def every(self, roots: Iterable[CountedRecord]) -> list[Record]:
        """Return records and all that they were made from, every partition included."""
        found = {one.record.name: one.record for one in roots}
        waiting = [*found.values()]
        while waiting:
            record = waiting.pop()
            for stage, keys in record.inputs.items():
                for key in keys:
                    name = f"records/{record.pipeline}/{stage}/{key}.json"
                    if name not in found and (one := self.find(name)):
                        found[name] = one.record
                        waiting.append(one.record)
        return [*found.values()]

    def behind(self, roots: Iterable[CountedRecord]) -> dict[str, CountedRecord]:
        """Return records and those that they were made from, by stage; of partitions the first."""
        found: dict[str, CountedRecord] = {}
        waiting = [*roots]
        while waiting:
            one = waiting.pop(0)
            if one.record.stage not in found:
                found[one.record.stage] = one
                waiting += self.inputs(one.record).values()
        return {stage: found[stage] for stage in STAGES if stage in found}


def history_of(log: Log, pipeline: str, version: int, home: Home, index: AuditIndex) -> RecordGraph:
    """Return the records behind a version, also of other pipelines; none without a version."""
    counted = CountedRecords(home, log)
    return graph_of(counted.every(counted.roots(index, pipeline, version)), counted, index)[0]


def graph_of(
    records: Iterable[Record], counted: CountedRecords, index: AuditIndex
) -> tuple[RecordGraph, list[Record]]:
    """Return a graph of records and of those of other pipelines that they read, and the latter."""
    found = [*records]
    own = len(found)
    names = {record.name for record in found}
    for record in found:
        for name in _upstream(record, index):
            if name not in names and len(found) < _MOST and (one := counted.find(name)):
                names.add(name)
                # The list grows while it is walked: what was read may have read others.
                found += [one.record, *(c.record for c in counted.inputs(one.record).values())]
    ordered = sorted({one.name: one for one in found}.values(), key=lambda r: (r.finished, r.key))
    return RecordGraph(counted.home, tuple(ordered)), found[own:]


def _upstream(record: Record, index: AuditIndex) -> Iterator[str]:
    value = value_in(record) if record.stage == "ingest" else None
    for source in value.sources if isinstance(value, IngestResult) else ():
        named = _SNAPSHOT.fullmatch(source.name)
        if named and (name := index.record_named(*named.groups())):
            yield name
