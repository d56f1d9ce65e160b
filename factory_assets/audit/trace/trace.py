"""Trace a model version, a snapshot or a row back to its sources, or a source forward.

The records, the snapshots and MLflow's tables are read and compared with each other, and every file
that they name is compared with its digest. How a trace is printed belongs in the command line.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from factory_assets.audit.references import (
    PARTS,
    SHOWN_DIGITS,
    ModelName,
    SnapshotName,
    SourceName,
    parse,
    snapshot_name,
)
from factory_assets.audit.resolver import (
    ResolvedTable,
    find_member,
    find_model,
    find_snapshot,
    find_source,
)
from factory_assets.audit.trace.answers_given import GivenAnswers
from factory_assets.audit.trace.backward import (
    describe_columns,
    describe_model,
    describe_sources,
    describe_step,
)
from factory_assets.audit.trace.forward import FollowedRows, ForwardTracer
from factory_assets.audit.trace.report import ColumnOrigin, ModelFact, RowOrigin, Source, Trace
from factory_assets.audit.trace.rows import SourceRow, parse_row, trace_row
from factory_assets.audit.trace.sources import Folders
from factory_assets.audit.trace.verification import Checker
from factory_assets.audit.upstream import model_records, walk_upstream
from factory_assets.results.model import Candidate
from factory_assets.results.record_graph import RecordGraph, value_in
from factory_resources.erasure.manifest import erased_of, erased_rows
from factory_resources.errors import DataError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.sources.files.archives import member_of
from factory_resources.tracking.record import Record
from factory_resources.tracking.registry import Registry


def trace(
    text: str,
    home: Home,
    *,
    row: str | None = None,
    folders: Folders,
    verify: bool = True,
    answer_ids: int | None = 0,
) -> Trace:
    """Trace a name, and optionally one row of it.

    Args:
        text: a name, as described in `references`.
        row: a number, or `SOURCE:N`.
        folders: pipeline to the folder of its declaration, to find sources with relative paths.
        verify: whether to read every file and compare its digest.
        answer_ids: of a source, how many ids of the answers of each model version to list at most,
            the last ones; None for all.

    Raises:
        UnknownNameError: the name refers to nothing in this home.
        DataError: there is no such row.
        StorageError: a record is damaged, or the table of the row is gone.
    """
    name = parse(text)
    history = RecordGraph.of(home)
    tracer = Tracer(history, Registry(home), Checker(home, verify), folders, answer_ids)
    with history.damage_told():
        parsed_row = parse_row(row, history) if row else None
        match name:
            case ModelName():
                return tracer.model(name, parsed_row)
            case SnapshotName():
                return tracer.snapshot(name, parsed_row)
            case SourceName():
                return tracer.source(name, parsed_row)


@dataclass(frozen=True)
class Tracer:
    """Traces names in one home."""

    history: RecordGraph
    registry: Registry
    checker: Checker
    folders: Folders | None
    """None if the sources are on another machine."""
    answer_ids: int | None = 0
    """As `trace` takes it."""

    def model(self, name: ModelName, row: int | SourceRow | None) -> Trace:
        """Trace a model version back; look for a row of a source in the parts of its split."""
        version = find_model(name, self.registry)
        title = f"{version.model}@{version.version}"
        if isinstance(row, int):
            raise UnknownNameError(
                f"row {row} is ambiguous: {title} learned from several tables",
                remedy=f"name one, as in {name.pipeline}/split.train, or a row of a source, FILE:N",
            )
        records = walk_upstream(model_records(version, self.history), self.history)
        split = next((r for r in records if r.stage == "split"), None)
        trained = self.history.candidate(version.model, version.version)
        candidate = value_in(trained) if trained else None
        columns: tuple[ColumnOrigin, ...] = ()
        if split and isinstance(candidate, Candidate):
            columns = describe_columns(split, self.history, candidate)
        return self._backward_trace(
            title,
            "model",
            records,
            model=describe_model(version, records, self.history, self.registry, self.checker),
            columns=columns,
            row=self._in_parts(split, row) if split and row else None,
        )

    def snapshot(self, name: SnapshotName, row: int | SourceRow | None) -> Trace:
        """Trace back what a stage stored."""
        resolved = find_snapshot(name, self.history)
        first = resolved.records[0]
        version = resolved.table.data_version if resolved.part else first.data_version
        return self._backward_trace(
            snapshot_name(name.pipeline, name.stage, resolved.part, version),
            "snapshot",
            walk_upstream(resolved.records, self.history),
            columns=describe_columns(first, self.history),
            row=None if row is None else self._origin(resolved, row),
        )

    def source(self, name: SourceName, row: int | SourceRow | None) -> Trace:
        """Trace a source forward."""
        digest = find_source(name, self.history)
        facts = [*self._sources(self.history.records, digest)]
        member = find_member(name, digest, self.history)
        facts = [fact for fact in facts if not member or member_of(fact.name) == member]
        erased = erased_rows(self.history.home)
        last = max(fact.rows + len(erased_of(erased, digest, fact.name)) for fact in facts)
        if isinstance(row, tuple):
            raise UnknownNameError(
                f"{row[0][:SHOWN_DIGITS]}:{row[1]} is not a row number of a source",
                remedy="write only the number of the row in the source",
            )
        if row is not None and row > last:
            raise DataError(
                f"there is no row {row}",
                where=f"sha256:{digest[:SHOWN_DIGITS]}",
                remedy=f"its rows are 1 to {last}",
            )
        rows = FollowedRows.of(digest, row, member)
        answers = GivenAnswers(self.history.home, self.answer_ids, self.checker.problems)
        tracer = ForwardTracer(self.history, self.registry, self.checker, answers)
        return Trace(
            name=f"sha256:{digest}",
            kind="source",
            verified=self.checker.verify,
            # A file may have been read many times; list each of its names once.
            sources=tuple({fact.name: fact for fact in facts}.values()),
            fates=tracer.fates(rows),
            problems=tuple(self.checker.problems),
        )

    def _backward_trace(
        self,
        title: str,
        kind: Literal["model", "snapshot"],
        records: Sequence[Record],
        *,
        columns: tuple[ColumnOrigin, ...],
        row: RowOrigin | None,
        model: ModelFact | None = None,
    ) -> Trace:
        steps = tuple(describe_step(record, self.history, self.checker) for record in records)
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
            yield from describe_sources(record, self.history, self.folders, self.checker, only)

    def _origin(self, resolved: ResolvedTable, row: int | SourceRow) -> RowOrigin:
        return trace_row(resolved, row, self.history, self.folders or {}, self.checker.verify)

    def _in_parts(self, split: Record, row: int | SourceRow) -> RowOrigin:
        """Trace the row back from the part of the split that contains it."""
        missing: DataError | None = None
        for part in PARTS["split"]:
            try:
                return self._origin(ResolvedTable((split,), part), row)
            except DataError as error:
                missing = error
        assert missing is not None
        raise missing
