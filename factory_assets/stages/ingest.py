"""Ingest: read the source, hold it to its contract, keep what broke it apart.

Every row of the snapshot carries `_file`, the SHA-256 of its source file, and `_row`, the number of
its record in that file, from 1; rows keep the source's order.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from factory_assets.data.block_plan import PlannedBlock, plan_blocks
from factory_assets.data.blocks import StagedBlock, publish_blocks
from factory_assets.data.contract.table_checks import require_table
from factory_assets.data.contract.validation import ContractValidation
from factory_assets.data.profiling import profile
from factory_assets.data.profiling.inspection import inspect_table, sensitive_names
from factory_assets.data.profiling.profile import StagedRows
from factory_assets.data.sources.base import SourceHandle
from factory_assets.data.sources.discovery import discover_sources, name_pipeline_in_errors
from factory_assets.data.transforms.joins import with_joins
from factory_assets.results.base import KeyComponents
from factory_assets.results.data import Block, IngestResult, SourceFile, most, summed
from factory_assets.spec import Pipeline
from factory_resources.errors import ContractError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import SourceTable, blamed_on_files
from factory_resources.sql.engine import engine_errors, sealed
from factory_resources.tables.writer import StagedTable, prepare


def ingest(pipeline: Pipeline, home: Home) -> IngestResult:
    """Find the sources and ingest them; raises as `discover_sources` and `ingest_found` do."""
    with home.scratch() as scratch:
        return ingest_found(pipeline, discover_sources(pipeline, home, scratch), home, scratch)


def ingest_found(
    pipeline: Pipeline,
    found: Sequence[SourceHandle],
    home: Home,
    scratch: Path,
    partition: str | None = None,
    *,
    key: KeyComponents | None = None,
) -> IngestResult:
    """Read every source and store the rows that keep the contract, and those that do not.

    Args:
        found: the sources, in the order of their rows.
        scratch: a folder on the home's own file system.
        partition: the key of the partition that they are.
        key: what the keys of the blocks are made of beside their sources; None where nothing is
            used again.

    Raises:
        SourceError: the source cannot be read.
        ContractError: a promised column is missing, or more rows broke a rule than
            `max_quarantine` allows, or the table breaks its contract as a whole.
        StorageError: the disk says no.
    """
    table = f"{pipeline.name}/ingest"
    with name_pipeline_in_errors(pipeline):
        planned = plan_blocks(pipeline, found, home, partition, key or {})
        made: dict[str, StagedBlock] = {}
        for plan in planned:
            if plan.known is None and plan.key not in made:
                made[plan.key] = _made(pipeline, plan, table, scratch)
        for source in found:
            source.require_unchanged()
        counted = [plan.known or made[plan.key] for plan in planned]
        sources = [source for plan in planned for source in plan.sources or made[plan.key].sources]
        rows_read = sum(block.rows_in for block in counted)
        if not rows_read:
            names = ", ".join(source.name for source in sources)
            raise SourceError("has no rows", where=names, remedy="give some data")
        quarantined = summed([block.quarantined for block in counted])
        _require_enough(pipeline, counted, quarantined)
        hidden = sensitive_names(pipeline)
        written = _written(planned, made, home)
        findings, made_profile = inspect_table(pipeline, written, home, scratch, partition)
        require_table(pipeline, written.rows, findings)
        kept = {key: block.kept(home, table) for key, block in made.items()}
        blocks = [plan.known or kept[plan.key] for plan in planned]
        snapshot, quarantine = publish_blocks(blocks, home, partition)
        profile.store_profile(made_profile, snapshot.data_version, home, hidden)
        return IngestResult(
            snapshot=snapshot,
            quarantine=quarantine,
            sources=tuple(sources),
            rows_read=rows_read,
            quarantined=quarantined,
            ignored_columns=tuple(dict.fromkeys(n for block in counted for n in block.ignored)),
            blocks=tuple(blocks),
            findings=findings,
        )


def _written(
    planned: Sequence[PlannedBlock], made: Mapping[str, StagedBlock], home: Home
) -> StagedRows:
    """The rows of the snapshot to be, where they are now."""
    files: list[tuple[Path, int]] = []
    columns: dict[str, str] = {}
    for plan in planned:
        if plan.known:
            good = plan.known.good
            files += zip(good.paths(home), [file.rows for file in good.files], strict=True)
            columns = good.columns
        else:
            files.append((made[plan.key].good.path, made[plan.key].good.rows))
            columns = made[plan.key].good.columns
    return StagedRows([(path, rows) for path, rows in files if rows], columns)


def _made(pipeline: Pipeline, plan: PlannedBlock, table: str, scratch: Path) -> StagedBlock:
    own = scratch / plan.key
    own.mkdir()
    alone, others = _read(plan.found, own)
    raws = with_joins(pipeline.spec.ingest.joins, alone, others, own)
    rows_in = sum(raw.rows for raw in raws)
    with (
        blamed_on_files(raws, own),
        sealed(read=[raw.path for raw in raws], write=own, statistics="ignored") as connection,
        engine_errors("contract", ContractError, "correct the contract"),
    ):
        checked = ContractValidation.of(connection, pipeline.spec.ingest, raws)
        good = prepare(connection, checked.valid_rows, table=table, folder=own)
        broken: StagedTable | None = None
        counts: dict[str, int] = {}
        example = ""
        if good.rows < rows_in:
            counts = checked.counts(connection)
            example = checked.example(connection, most(counts))
            broken = prepare(connection, checked.invalid_rows, table=table, folder=own)
    if good.rows + (broken.rows if broken else 0) != rows_in:
        raise RuntimeError(f"{pipeline.name}: rows were lost between source and snapshot")
    # What was unpacked is not needed any more, and there may be many blocks.
    for unpacked in own.glob("source_*"):
        shutil.rmtree(unpacked)
    return StagedBlock(
        key=plan.key,
        good=good,
        broken=broken,
        rows_in=rows_in,
        quarantined=counts,
        sources=tuple(
            SourceFile(
                name=raw.name, sha256=raw.sha256, rows=raw.rows, labels=raw.labels, join=join
            )
            for join, tables in {"": alone, **others}.items()
            for raw in tables
        ),
        ignored=checked.ignored,
        example=example,
    )


def _read(
    found: Sequence[SourceHandle], scratch: Path
) -> tuple[list[SourceTable], dict[str, list[SourceTable]]]:
    """The sources of rows, and by name what is joined to them."""
    raws: list[SourceTable] = []
    others: dict[str, list[SourceTable]] = {}
    for number, source in enumerate(found):
        own = scratch / f"source_{number}"
        own.mkdir()
        raw = replace(source.read(own), labels=source.labels)
        (raws if source.join is None else others.setdefault(source.join, [])).append(raw)
    return raws, others


def _require_enough(
    pipeline: Pipeline, counted: Sequence[Block | StagedBlock], quarantined: dict[str, int]
) -> None:
    read = sum(block.rows_in for block in counted)
    broken = sum(block.broken.rows for block in counted if block.broken)
    if broken < read and broken / read <= pipeline.spec.ingest.max_quarantine:
        return
    rule = most(quarantined)
    examples = (
        block.example for block in counted if isinstance(block, StagedBlock) and block.example
    )
    raise ContractError(
        f"{broken} of {read} rows break the contract, most of them {rule!r} "
        f"({quarantined[rule]} rows{next(examples, '')})",
        remedy="correct the contract or the source; ingest.max_quarantine sets the allowed share",
    )
