"""Prepare an erasure, and enter it in the ledger: from then on it cannot be taken back.

Before that, files without the rows are written where nothing names them, and the records are worked
out as they will be. What the entry says is then done in `steps`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Literal
from uuid import uuid4

from factory_assets.erasure.emptied_partitions import is_of
from factory_assets.erasure.intents import (
    ErasureIntent,
    remove_unentered,
    store_intent,
    store_manifest,
    stored,
    stored_matches,
)
from factory_assets.erasure.plan import ErasurePlan
from factory_assets.erasure.rewriting import RewrittenFile, TableRewriter
from factory_assets.erasure.signing import ErasureDecision, begun_entry, require_signer
from factory_assets.erasure.stored_results import Blotter, TableChanges, rewritten
from factory_assets.erasure.table_rows import StoredTableFile
from factory_assets.execution.ledger_entries import begin_ledger, entries_of
from factory_assets.execution.removals import removed_files
from factory_assets.results.record_graph import RecordGraph
from factory_resources.durability import sync_path
from factory_resources.erasure.manifest import (
    ErasedFile,
    ErasedFrom,
    ErasureManifest,
    RewrittenRecord,
)
from factory_resources.erasure.search_terms import search_terms
from factory_resources.errors import StorageError
from factory_resources.file_digest import file_sha256
from factory_resources.home.home import Home, storage_errors
from factory_resources.ledger.entries import Kind, StageComputed
from factory_resources.ledger.erasure_entries import ErasureListed
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.log import Log
from factory_resources.tables.snapshot import TableFile
from factory_resources.tracking.record import Record

WHY = "they have values of an erased person"
"""The reason in the entry of files that are removed."""

Champions = Mapping[str, Literal["kept", "stopped"]]
"""Pipeline to what becomes of its champion."""


@dataclass(frozen=True)
class StagedErasure:
    """Everything that is written before the erasure is entered."""

    intent: ErasureIntent
    rows: int
    """Rows of sources."""
    entries: tuple[Kind, ...]
    """Of the records as they will be."""


def stage(plan: ErasurePlan, champions: Champions, home: Home) -> StagedErasure:
    """Write the files without the rows, and work out the records; nothing names them yet.

    Raises:
        StorageError: a file was changed or cannot be written, or a record is damaged.
    """
    graph = RecordGraph.of(home)
    for record in graph.records:
        if record.pipeline in plan.pipelines:
            _require_entered(record, home)
    files = _rewritten_files(plan, home)
    changed = dict(_changed_records(plan, graph, files))
    contents = {name: record.model_dump_json(indent=1) for name, record in changed.items()}
    now = {name: sha256(content.encode()).hexdigest() for name, content in contents.items()}
    gone = [record.name for record in graph.records if is_of(record, plan.partitions)]
    manifest = ErasureManifest(
        id=str(uuid4()),
        sources={source: tuple(sorted(rows)) for source, rows in plan.rows.sources.items()},
        emptied=plan.emptied,
        pipelines={name: _erased_from(plan, name, champions) for name in plan.pipelines},
        files={
            str(one.path.relative_to(home.path)): ErasedFile(
                rows=len(plan.rows.positions.get(one, ())),
                now=new.sha256,
            )
            for one, new in files.items()
        },
        records={
            name: RewrittenRecord(was=file_sha256(home.path / name), now=digest)
            for name, digest in now.items()
        },
        removed=tuple(sorted([*plan.held, *gone])),
    )
    intent = ErasureIntent(
        manifest=manifest,
        records=contents,
        partitions=plan.partitions,
        where=plan.where,
        values=tuple(map(stored, sorted(plan.searched, key=repr))),
        not_searched=plan.not_searched,
        matched=stored_matches(plan.matched),
    )
    entries = (entries_of(record, now[name]) for name, record in changed.items())
    return StagedErasure(intent, plan.rows.count, tuple(chain.from_iterable(entries)))


def _changed_records(
    plan: ErasurePlan, graph: RecordGraph, files: Mapping[StoredTableFile, TableFile]
) -> Iterator[tuple[str, Record]]:
    """Yield the records as they will be, by their names; others stay, or go with a partition."""
    by_table = {(one.table, one.sha256): new for one, new in files.items()}
    erased = {source: len(rows) for source, rows in plan.rows.sources.items()}
    changes = TableChanges(by_table, plan.rules, erased).with_snapshots(graph.records)
    blotters = {
        name: Blotter(search_terms(plan.values.get(name, frozenset()))) for name in plan.pipelines
    }
    # Other pipelines have read the same sources, and keep what they read.
    affected = {*plan.pipelines, *(file.pipeline for file in files)}
    for record in graph.records:
        if record.pipeline in affected and not is_of(record, plan.partitions):
            new = rewritten(record, changes, blotters.get(record.pipeline, lambda value: value))
            if new is not record:
                yield record.name, new


def _require_entered(record: Record, home: Home) -> None:
    """Require that a record is as it was entered: its next entry would hide what was changed."""
    digest = file_sha256(home.path / record.name)
    entered = Ledger(home).latest(StageComputed, StageComputed.subject_of(record=record.name))
    if entered and entered[1].sha256 != digest:
        raise StorageError(
            "the record was changed since it was entered in the ledger",
            where=str(home.path / record.name),
            remedy="restore it from a backup, or remove it and run the pipeline again",
        )


def enter(staged: StagedErasure, decision: ErasureDecision, home: Home) -> int:
    """Enter the erasure in the ledger, and return the number of its entry.

    Raises:
        RefusedError: who decides may not.
        StorageError: the ledger cannot be written; nothing was erased.
    """
    begin_ledger(home)
    manifest = staged.intent.manifest

    def decide(log: Log) -> list[Kind]:
        require_signer(decision, home, log)
        begun = begun_entry(manifest, staged.rows, decision, home)
        # Whoever finds the intent without an entry removes both.
        store_intent(staged.intent, home)
        store_manifest(manifest, home)
        listed = ErasureListed(
            subject=ErasureListed.subject_of(), erasure=manifest.id, manifest=begun.manifest
        )
        others = [listed, *staged.entries, *removed_files(manifest.removed, WHY)]
        return [begun, *(one.model_copy(update={"time": begun.time}) for one in others)]

    try:
        with home.acting():
            return Ledger(home).append_decided(decide)[0]
    except BaseException:
        # What was not entered may not keep rows out of later runs.
        remove_unentered(home)
        raise


def _rewritten_files(plan: ErasurePlan, home: Home) -> dict[StoredTableFile, TableFile]:
    positions = plan.rows.positions
    new: dict[StoredTableFile, TableFile] = {}
    rewritten: dict[str, RewrittenFile] = {}
    files = plan.rows.files
    with home.scratch() as scratch, TableRewriter(files, home, scratch) as rewriter:
        for file in files:
            places = positions.get(file, ())
            before = {one: rewritten[one] for one in plan.rows.renumbered.get(file, ())}
            new[file] = rewriter.rewrite(file, places, before)
            gone = tuple(place + 1 for place in places)
            rewritten[file.sha256] = RewrittenFile(new[file].sha256, gone)
    for folder in {file.path.parent for file in files}:
        with storage_errors(folder):
            sync_path(folder)
    return new


def _erased_from(plan: ErasurePlan, pipeline: str, champions: Champions) -> ErasedFrom:
    return ErasedFrom(
        rows={
            table: rows
            for table, (_, rows) in plan.tables.items()
            if table.partition("/")[0] == pipeline
        },
        versions=tuple(
            one.version for one in plan.versions if one.pipeline == pipeline and one.learned
        ),
        gone=tuple(
            one.version for one in plan.versions if one.pipeline == pipeline and one.remembers
        ),
        champion=champions.get(pipeline),
        answers=plan.answers.get(pipeline, ()),
        partitions=len(plan.partitions.get(pipeline, ())),
    )
