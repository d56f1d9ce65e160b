"""The records of a home as a graph: which result was computed from which.

It only reads records; it needs no declaration and trusts none.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from factory_assets.results.base import StageResult, digest
from factory_assets.results.data import IngestResult
from factory_assets.results.latest import value_of
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import ModelExported, VerdictGiven
from factory_resources.ledger.ledger import Ledger, entries_in
from factory_resources.tables.snapshot import Snapshot
from factory_resources.tracking.record import Record, damaged_record
from factory_resources.tracking.records import Records

_SNAPSHOT = re.compile(r"([a-z][a-z0-9_]*)/(ingest|clean)@([0-9a-f]{64})")
"""The name of a source that is a snapshot of another pipeline."""

Identity = tuple[str, str, str]
"""Pipeline, stage and key of a record."""


def identity(record: Record) -> Identity:
    return record.pipeline, record.stage, record.key


def value_in(record: Record) -> StageResult:
    """Return the result in a record, as the type of its stage."""
    return value_of([record])


def tables_of(value: StageResult) -> dict[str, Snapshot]:
    """Return the snapshots of a result by field.

    Fields are `snapshot`, `quarantine`, `train`, `validation`, `test` and `predictions`.
    """
    return {name: part for name, part in value if isinstance(part, Snapshot)}


def snapshots_in(value: Any) -> Iterator[Snapshot]:
    """Yield every snapshot in a stored value, also in its blocks."""
    if isinstance(value, dict):
        if {"table", "files", "columns"} == value.keys():
            yield Snapshot.model_validate(value)
            return
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from snapshots_in(part)


def model_of(record: Record) -> tuple[str, int] | None:
    """Return the model version that a record is about; None if it is about data."""
    subject = record.value.get("candidate", record.value)
    named = (subject.get("model"), subject.get("version")) if isinstance(subject, dict) else ()
    match named:
        case (str() as model, int() as version):
            return model, version
    return None


def contradictions(record: Record) -> Iterator[str]:
    """Yield each contradiction within a record."""
    place = f"record {record.key[:12]} of {record.pipeline}/{record.stage}"
    if digest(record.parts) != record.key:
        yield f"{place}: its components do not have the digest that is its key"
    if value_in(record).data_version != record.data_version:
        yield f"{place}: its result does not have its data version"


@dataclass(frozen=True)
class StoredFile:
    """A file of the snapshot in a record, which is a source of another pipeline."""

    record: Record
    sha256: str

    @property
    def before(self) -> int:
        """Number of rows in the files of the snapshot before this one."""
        rows = 0
        for file in tables_of(value_in(self.record))["snapshot"].files:
            if file.sha256 == self.sha256:
                break
            rows += file.rows
        return rows


@dataclass(frozen=True)
class RecordGraph:
    """All records of one home, oldest first."""

    home: Home
    records: tuple[Record, ...]

    @classmethod
    def of(cls, home: Home) -> "RecordGraph":
        """Read every record, also those that the ledger does not know.

        Raises:
            StorageError: one of them is damaged.
        """
        records = Records(home, counted=False).all()
        return cls(home, tuple(sorted(records, key=lambda r: (r.finished, r.key))))

    @property
    def pipelines(self) -> list[str]:
        return sorted({record.pipeline for record in self.records})

    def record(self, pipeline: str, stage: str, key: str) -> Record | None:
        """Return the record with a key; None if there is none."""
        return self._by_identity.get((pipeline, stage, key))

    def of_stage(self, pipeline: str, stage: str) -> list[Record]:
        return self._by_stage.get((pipeline, stage), [])

    def latest(self, pipeline: str, stage: str) -> list[Record]:
        """Return the latest record of a stage; if it has partitions, one per partition."""
        records = Records(self.home)
        keys: list[str | None] = [*records.partitions(pipeline, stage)] or [None]
        newest = (records.latest(pipeline, stage, key) for key in keys)
        return [record for record in newest if record]

    def candidate(self, model: str, version: int) -> Record | None:
        """Return the record of the training that produced a model version, or None."""
        for record in reversed(self.of_stage(model, "train")):
            if model_of(record) == (model, version):
                return record
        return None

    def about(self, model: str, version: int, stage: str) -> list[Record]:
        """Return the records of `evaluate` or `deploy` about a version, the one that holds last.

        An older one holds again if its evaluation was reused, such as with the gates of before.
        """
        records = [r for r in self.of_stage(model, stage) if model_of(r) == (model, version)]
        if len(records) < 2 or not Ledger(self.home).exists:
            return records
        kind = VerdictGiven if stage == "evaluate" else ModelExported
        with Ledger(self.home).reading() as log:
            subject = kind.subject_of(pipeline=model, version=version)
            entries = [*entries_in(log, kind, subject)]
        entered = {entry.record: number for number, entry in reversed(entries)}
        return sorted(records, key=lambda record: entered.get(record.name, -1))

    def inputs(self, record: Record) -> list[Record]:
        """Return the records that a record was computed from, in other pipelines too."""
        direct = [
            self.record(record.pipeline, stage, key)
            for stage, keys in record.inputs.items()
            for key in keys
        ]
        read = {identity(file.record): file.record for file in self.read_from(record).values()}
        return [*filter(None, direct), *read.values()]

    def users(self, record: Record) -> list[Record]:
        """Return the records that were computed from a record."""
        return self._users.get(identity(record), [])

    def read_from(self, record: Record) -> Mapping[str, "StoredFile"]:
        """Map the digest of each source of an `ingest` to the file of another pipeline that it is.

        Other sources, and other stages, have no entry.
        """
        value = value_in(record) if record.stage == "ingest" else None
        files = {}
        for source in value.sources if isinstance(value, IngestResult) else ():
            if named := _SNAPSHOT.fullmatch(source.name):
                same = [r for r in self.of_stage(named[1], named[2]) if r.data_version == named[3]]
                before = [r for r in same if r.finished <= record.finished]
                # If the clock was set back since, that which was read seems to be a later one.
                if records := before[-1:] or same[:1]:
                    files[source.sha256] = StoredFile(records[0], source.sha256)
        return files

    @contextmanager
    def damage_told(self) -> Iterator[None]:
        """If reading the records fails on what is in them, name the one that was changed.

        Raises:
            StorageError: in place of an exception, if a record contradicts itself.
        """
        try:
            yield
        except FactoryError:
            raise
        except Exception as error:
            for record in self.records:
                if any(contradictions(record)):
                    raise damaged_record(record.name) from error
            raise

    @cached_property
    def _by_identity(self) -> dict[Identity, Record]:
        return {identity(record): record for record in self.records}

    @cached_property
    def _by_stage(self) -> dict[tuple[str, str], list[Record]]:
        records = defaultdict(list)
        for record in self.records:
            records[record.pipeline, record.stage].append(record)
        return records

    @cached_property
    def _users(self) -> dict[Identity, list[Record]]:
        users = defaultdict(list)
        for record in self.records:
            for source in self.inputs(record):
                users[identity(source)].append(record)
        return users
