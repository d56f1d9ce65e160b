"""Ingest: read the sources, validate the rows against the contract, quarantine the others.

Every row of the snapshot carries `_file`, the SHA-256 of its source file, and `_row`, the number of
its record in that file, from 1. Rows keep the source's order. How a source is read belongs in
`data.sources`, what the contract checks in `data.contract`.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from factory_assets.data.block_plan import PlannedBlock, plan_blocks
from factory_assets.data.blocks import StagedBlock, unite_blocks
from factory_assets.data.contract.offsets import mixed
from factory_assets.data.contract.table_checks import copies, require_table
from factory_assets.data.profiling.inspection import inspect_table, sensitive_names
from factory_assets.data.profiling.profile import StagedRows, store_profile
from factory_assets.data.sources.base import SourceHandle
from factory_assets.data.sources.discovery import discover_sources, name_pipeline_in_errors
from factory_assets.data.validated_blocks import require_valid_rows, validate_sources
from factory_assets.results.base import KeyComponents
from factory_assets.results.data import IngestResult, add_counts
from factory_assets.spec import Pipeline
from factory_assets.spec.partitions import withdrawing
from factory_resources.home.home import Home
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.snapshot import fetched_paths


def ingest(pipeline: Pipeline, home: Home) -> IngestResult:
    """Discover the sources and ingest them; raises what `ingest_sources` raises."""
    with home.scratch() as scratch:
        return ingest_sources(pipeline, discover_sources(pipeline, home, scratch), home, scratch)


def ingest_sources(
    pipeline: Pipeline,
    sources: Sequence[SourceHandle],
    home: Home,
    scratch: Path,
    partition: str | None = None,
    *,
    key: KeyComponents | None = None,
    engines: SharedEngines | None = None,
    turn: Callable[[], None] | None = None,
) -> IngestResult:
    """Read every source; store the rows that keep the contract, and those that break it.

    Args:
        sources: in the order of their rows.
        scratch: a folder on the home's own file system.
        partition: the key of the partition that the sources belong to.
        key: the components of the blocks' keys apart from their sources; None to reuse no block.
        engines: those of the partitions of a run.
        turn: returns when the period before, with which the rows are compared, is stored.

    Raises:
        SourceError: a source cannot be read.
        ContractError: a promised column is missing, more rows broke a rule than `max_quarantine`
            allows, or the table breaks its contract as a whole.
        StorageError: the disk refuses to write.
    """
    table, engines = f"{pipeline.name}/ingest", engines or SharedEngines()
    with name_pipeline_in_errors(pipeline):
        planned = plan_blocks(pipeline, sources, home, partition, key or {})
        staged: dict[str, StagedBlock] = {}
        for plan in planned:
            if plan.known is None and plan.key not in staged:
                staged[plan.key] = validate_sources(
                    pipeline.spec.ingest,
                    plan.found,
                    key=plan.key,
                    table=table,
                    scratch=scratch,
                    engines=engines,
                )
        for source in sources:
            source.require_unchanged()
        counted = [plan.known or staged[plan.key] for plan in planned]
        files = [
            file
            for plan in planned
            for file in plan.named_as_found(plan.sources or staged[plan.key].sources)
        ]
        quarantined = add_counts([block.quarantined for block in counted])
        instead = withdrawing(pipeline.spec.partitions, partition) if partition else ""
        require_valid_rows(pipeline.spec.ingest, counted, quarantined, files, instead)
        hidden = sensitive_names(pipeline)
        rows = _staged_rows(planned, staged, home)
        if turn:
            turn()
        findings, profile = inspect_table(pipeline, rows, home, scratch, partition, engines)
        offsets = mixed(block.offsets for block in counted)
        matched = add_counts([block.matched for block in counted])
        update = {"offsets": offsets, "copies": copies(files, rows.columns), "matched": matched}
        findings = findings.model_copy(update=update)
        require_table(pipeline, rows.rows, findings)
        stored = {key: block.kept(home, table) for key, block in staged.items()}
        blocks = [plan.known or stored[plan.key] for plan in planned]
        snapshot, quarantine = unite_blocks(blocks)
        store_profile(profile, snapshot.data_version, home, hidden)
        return IngestResult(
            snapshot=snapshot,
            quarantine=quarantine,
            sources=tuple(files),
            rows_read=sum(block.rows_in for block in counted),
            quarantined=quarantined,
            ignored_columns=tuple(dict.fromkeys(n for block in counted for n in block.ignored)),
            blocks=tuple(blocks),
            findings=findings,
        )


def _staged_rows(
    planned: Sequence[PlannedBlock], staged: Mapping[str, StagedBlock], home: Home
) -> StagedRows:
    """Locate the rows of the snapshot before it is stored: in the home or in scratch."""
    files: list[tuple[Path, int]] = []
    columns: dict[str, str] = {}
    for plan in planned:
        if plan.known:
            good = plan.known.good
            files += zip(fetched_paths(good, home), [file.rows for file in good.files], strict=True)
            columns = good.columns
        else:
            files.append((staged[plan.key].good.path, staged[plan.key].good.rows))
            columns = staged[plan.key].good.columns
    return StagedRows([(path, rows) for path, rows in files if rows], columns)
