"""Everything that a home remembers, as one graph: which result was made of which.

Read only, and from the records alone: no declaration is needed, and none is believed.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from factory_assets.results.base import StageResult, digest
from factory_assets.results.data import IngestResult
from factory_assets.results.latest import stage_of
from factory_assets.results.stages import VALUES
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tracking.records import Record, Records

_SNAPSHOT = re.compile(r"([a-z][a-z0-9_]*)/(ingest|clean)@([0-9a-f]{64})")
"""How a source is named that is a snapshot."""

Identity = tuple[str, str, str]
"""Pipeline, stage and key of a record."""


def identity(record: Record) -> Identity:
    return record.pipeline, record.stage, record.key


def value_in(record: Record) -> StageResult:
    """What the record tells, in the stage's own words."""
    return VALUES[stage_of(record)].model_validate(record.value)


def tables_of(value: StageResult) -> dict[str, Snapshot]:
    """Part to snapshot: `snapshot`, `quarantine`, `train`, `validation`, `test`, `predictions`."""
    return {name: part for name, part in value if isinstance(part, Snapshot)}


def damages(record: Record) -> Iterator[str]:
    """What of a record contradicts itself."""
    place = f"record {record.key[:12]} of {record.pipeline}/{record.stage}"
    if digest(record.parts) != record.key:
        yield f"{place}: what it says went in is not what its name was made of"
    if value_in(record).data_version != record.data_version:
        yield f"{place}: its result is not the one of its data version"


@dataclass(frozen=True)
class FileOf:
    """One file of the snapshot that a record tells of, as the source of another pipeline."""

    record: Record
    sha256: str

    @property
    def before(self) -> int:
        """How many rows of the snapshot are in the files before it."""
        rows = 0
        for file in tables_of(value_in(self.record))["snapshot"].files:
            if file.sha256 == self.sha256:
                break
            rows += file.rows
        return rows


@dataclass(frozen=True)
class RecordGraph:
    """The records of one home, oldest first."""

    home: Home
    records: tuple[Record, ...]

    @classmethod
    def of(cls, home: Home) -> "RecordGraph":
        """Read every record.

        Raises:
            StorageError: one of them is damaged.
        """
        found = Records(home).all()
        return cls(home, tuple(sorted(found, key=lambda r: (r.finished, r.key))))

    @property
    def pipelines(self) -> list[str]:
        return sorted({record.pipeline for record in self.records})

    def of_stage(self, pipeline: str, stage: str) -> list[Record]:
        return self._by_stage.get((pipeline, stage), [])

    def latest(self, pipeline: str, stage: str) -> list[Record]:
        """The latest record, of a table in partitions one a partition."""
        records = Records(self.home)
        keys: list[str | None] = [*records.partitions(pipeline, stage)] or [None]
        found = (records.latest(pipeline, stage, key) for key in keys)
        return [record for record in found if record]

    def candidate(self, model: str, version: int) -> Record | None:
        """The record of the training that made a model version."""
        for record in reversed(self.of_stage(model, "train")):
            if record.value["version"] == version:
                return record
        return None

    def about(self, model: str, version: int, stage: str) -> list[Record]:
        """The verdicts on a model version, or its deployments."""
        found = []
        for record in self.of_stage(model, stage):
            value = record.value.get("candidate", record.value)
            if value["version"] == version:
                found.append(record)
        return found

    def inputs(self, record: Record) -> list[Record]:
        """The records whose values went into it, those of other pipelines among them."""
        found = [
            self._by_identity.get((record.pipeline, stage, key))
            for stage, keys in record.inputs.items()
            for key in keys
        ]
        read = {identity(there.record): there.record for there in self.read_from(record).values()}
        return [*filter(None, found), *read.values()]

    def users(self, record: Record) -> list[Record]:
        """The records into which its value went."""
        return self._users.get(identity(record), [])

    def read_from(self, record: Record) -> Mapping[str, "FileOf"]:
        """Of an ingest: the digest of each source that is a file of a snapshot of ours."""
        value = value_in(record) if record.stage == "ingest" else None
        found = {}
        for source in value.sources if isinstance(value, IngestResult) else ():
            if named := _SNAPSHOT.fullmatch(source.name):
                there = [
                    r
                    for r in self.of_stage(named[1], named[2])
                    if r.data_version == named[3] and r.finished <= record.finished
                ]
                if there:
                    found[source.sha256] = FileOf(there[-1], source.sha256)
        return found

    @cached_property
    def _by_identity(self) -> dict[Identity, Record]:
        return {identity(record): record for record in self.records}

    @cached_property
    def _by_stage(self) -> dict[tuple[str, str], list[Record]]:
        found = defaultdict(list)
        for record in self.records:
            found[record.pipeline, record.stage].append(record)
        return found

    @cached_property
    def _users(self) -> dict[Identity, list[Record]]:
        found = defaultdict(list)
        for record in self.records:
            for before in self.inputs(record):
                found[identity(before)].append(record)
        return found
