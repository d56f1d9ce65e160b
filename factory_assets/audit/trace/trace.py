"""Trace: back from a model version, a snapshot or a row to its sources; forward from a source.

All answers come from the records, the snapshots and MLflow's tables; what they say of each other is
checked, and so is every byte that they name.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from factory_assets.audit.references import (
    PARTS,
    SHORT,
    ModelName,
    SnapshotName,
    SourceName,
    parse,
    snapshot_name,
)
from factory_assets.audit.resolver import ResolvedTable, find_model, find_snapshot, find_source
from factory_assets.audit.trace.backward import (
    back,
    column_facts,
    model_fact,
    model_records,
    source_facts,
    step_fact,
)
from factory_assets.audit.trace.forward import Followed, ForwardTracer
from factory_assets.audit.trace.report import ColumnOrigin, ModelFact, RowOrigin, Source, Trace
from factory_assets.audit.trace.rows import Row, origin, parse_row
from factory_assets.audit.trace.sources import Folders
from factory_assets.audit.trace.verification import Checker
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_resources.errors import DataError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.tracking.records import Record
from factory_resources.tracking.registry import Registry


def trace(
    text: str, home: Home, *, row: str | None = None, folders: Folders, verify: bool = True
) -> Trace:
    """What is known of a name, and of one row of it.

    Args:
        text: a name, as in `names`.
        row: a number, or `SOURCE:N`.
        folders: where pipelines are declared, to find sources with relative paths.
        verify: read every file and compare its digest.

    Raises:
        UnknownNameError: the name means nothing here.
        DataError: there is no such row.
        StorageError: a record is damaged, or the table of the row is gone.
    """
    name = parse(text)
    history = RecordGraph.of(home)
    tracer = Tracer(history, Registry(home), Checker(home, verify), folders)
    asked = parse_row(row, history) if row else None
    match name:
        case ModelName():
            return tracer.model(name, asked)
        case SnapshotName():
            return tracer.snapshot(name, asked)
        case SourceName():
            return tracer.source(name, asked)


@dataclass(frozen=True)
class Tracer:
    """What every trace needs."""

    history: RecordGraph
    registry: Registry
    checker: Checker
    folders: Folders

    def model(self, name: ModelName, asked: int | Row | None) -> Trace:
        """Back from a model version; a row of a source is looked for in the parts of its split."""
        version = find_model(name, self.registry)
        title = f"{version.model}@{version.version}"
        if isinstance(asked, int):
            raise UnknownNameError(
                f"{title} learned from several tables; row {asked} of which?",
                remedy=f"name one, as in {name.pipeline}/split.train, or a row of a source, FILE:N",
            )
        records = back(model_records(version, self.history), self.history)
        split = next((r for r in records if r.stage == "split"), None)
        trained = self.history.candidate(version.model, version.version)
        candidate = value_in(trained) if trained else None
        columns: tuple[ColumnOrigin, ...] = ()
        if split and isinstance(candidate, Candidate):
            columns = column_facts(split, self.history, candidate)
        return self._told(
            title,
            "model",
            records,
            model=model_fact(version, self.history, self.registry, self.checker),
            columns=columns,
            row=self._in_parts(split, asked) if split and asked else None,
        )

    def snapshot(self, name: SnapshotName, asked: int | Row | None) -> Trace:
        """Back from what a stage stored."""
        held = find_snapshot(name, self.history)
        version = held.table.data_version if held.part else held.records[0].data_version
        return self._told(
            snapshot_name(name.pipeline, name.stage, held.part, version),
            "snapshot",
            back(held.records, self.history),
            columns=column_facts(held.records[0], self.history),
            row=None if asked is None else self._origin(held, asked),
        )

    def source(self, name: SourceName, asked: int | Row | None) -> Trace:
        """Forward from a source."""
        digest = find_source(name, self.history)
        facts = [*self._sources(self.history.records, digest)]
        most = max(fact.rows for fact in facts)
        if isinstance(asked, tuple):
            raise UnknownNameError(
                f"{asked[0][:SHORT]}:{asked[1]} is no row of a source", remedy="write its number"
            )
        if asked is not None and asked > most:
            raise DataError(
                f"there is no row {asked}",
                where=f"sha256:{digest[:SHORT]}",
                remedy=f"its rows are 1 to {most}",
            )
        rows = Followed(frozenset({digest})) if asked is None else Followed.one(digest, asked)
        fates = ForwardTracer(self.history, self.registry, self.checker).fates(rows)
        return Trace(
            name=f"sha256:{digest}",
            kind="source",
            verified=self.checker.verify,
            # The same file may have been read many times: each of its names once.
            sources=tuple({fact.name: fact for fact in facts}.values()),
            fates=fates,
            problems=tuple(self.checker.problems),
        )

    def _told(
        self,
        title: str,
        kind: Literal["model", "snapshot"],
        records: Sequence[Record],
        *,
        columns: tuple[ColumnOrigin, ...],
        row: RowOrigin | None,
        model: ModelFact | None = None,
    ) -> Trace:
        steps = tuple(step_fact(record, self.history, self.checker) for record in records)
        return Trace(
            name=title,
            kind=kind,
            verified=self.checker.verify,
            model=model,
            steps=steps,
            sources=tuple(self._sources(records)),
            columns=columns,
            row=row,
            problems=tuple(self.checker.problems),
        )

    def _sources(self, records: Sequence[Record], only: str | None = None) -> Iterator[Source]:
        for record in records:
            yield from source_facts(record, self.history, self.folders, self.checker, only)

    def _origin(self, held: ResolvedTable, asked: int | Row) -> RowOrigin:
        return origin(held, asked, self.history, self.folders, self.checker.verify)

    def _in_parts(self, split: Record, row: int | Row) -> RowOrigin:
        """The way back from the part of the split that has the row."""
        missing: DataError | None = None
        for part in PARTS["split"]:
            try:
                return self._origin(ResolvedTable((split,), part), row)
            except DataError as error:
                missing = error
        assert missing is not None
        raise missing
