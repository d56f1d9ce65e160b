"""Ingest: read the source, hold it to its contract, keep what broke it apart.

Every row of the snapshot carries `_file`, the SHA-256 of its source file, and `_row`, the number of
its record in that file, from 1; rows keep the source's order.
"""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from factory_assets.data.block_plan import Plan, plans
from factory_assets.data.blocks import Made, published
from factory_assets.data.contract.table_checks import require_table
from factory_assets.data.contract.validation import Checked
from factory_assets.data.profiling import profile
from factory_assets.data.profiling.inspection import find_out, sensitive_names
from factory_assets.data.profiling.profile import Written
from factory_assets.data.sources.base import Found
from factory_assets.data.sources.discovery import find, told_where
from factory_assets.data.transforms.joins import with_joins
from factory_assets.results.base import KeyComponents
from factory_assets.results.data import Block, Ingested, SourceFile, most, summed
from factory_assets.spec import Pipeline
from factory_resources.errors import ContractError, SourceError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import Raw, blamed_on_files
from factory_resources.sql.engine import engine_errors, sealed
from factory_resources.tables.writer import Prepared, prepare


def ingest(pipeline: Pipeline, home: Home) -> Ingested:
    """Find the sources and ingest them; raises as `find` and `ingest_found` do."""
    with home.scratch() as scratch:
        return ingest_found(pipeline, find(pipeline, home, scratch), home, scratch)


def ingest_found(
    pipeline: Pipeline,
    found: Sequence[Found],
    home: Home,
    scratch: Path,
    partition: str | None = None,
    *,
    key: KeyComponents | None = None,
) -> Ingested:
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
    with told_where(pipeline):
        planned = plans(pipeline, found, home, partition, key or {})
        made: dict[str, Made] = {}
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
        findings, made_profile = find_out(pipeline, written, home, scratch, partition)
        require_table(pipeline, written.rows, findings)
        kept = {key: block.kept(home, table) for key, block in made.items()}
        blocks = [plan.known or kept[plan.key] for plan in planned]
        snapshot, quarantine = published(blocks, home, partition)
        profile.keep(made_profile, snapshot.data_version, home, hidden)
        return Ingested(
            snapshot=snapshot,
            quarantine=quarantine,
            sources=tuple(sources),
            rows_read=rows_read,
            quarantined=quarantined,
            ignored_columns=tuple(dict.fromkeys(n for block in counted for n in block.ignored)),
            blocks=tuple(blocks),
            findings=findings,
        )


def _written(planned: Sequence[Plan], made: Mapping[str, Made], home: Home) -> Written:
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
    return Written([(path, rows) for path, rows in files if rows], columns)


def _made(pipeline: Pipeline, plan: Plan, table: str, scratch: Path) -> Made:
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
        checked = Checked.of(connection, pipeline.spec.ingest, raws)
        good = prepare(connection, checked.good, table=table, folder=own)
        broken: Prepared | None = None
        counts: dict[str, int] = {}
        example = ""
        if good.rows < rows_in:
            counts = checked.counts(connection)
            example = checked.example(connection, most(counts))
            broken = prepare(connection, checked.broken, table=table, folder=own)
    if good.rows + (broken.rows if broken else 0) != rows_in:
        raise RuntimeError(f"{pipeline.name}: rows were lost between source and snapshot")
    # What was unpacked is not needed any more, and there may be many blocks.
    for unpacked in own.glob("source_*"):
        shutil.rmtree(unpacked)
    return Made(
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


def _read(found: Sequence[Found], scratch: Path) -> tuple[list[Raw], dict[str, list[Raw]]]:
    """The sources of rows, and by name what is joined to them."""
    raws: list[Raw] = []
    others: dict[str, list[Raw]] = {}
    for number, source in enumerate(found):
        own = scratch / f"source_{number}"
        own.mkdir()
        raw = replace(source.read(own), labels=source.labels)
        (raws if source.join is None else others.setdefault(source.join, [])).append(raw)
    return raws, others


def _require_enough(
    pipeline: Pipeline, counted: Sequence[Block | Made], quarantined: dict[str, int]
) -> None:
    read = sum(block.rows_in for block in counted)
    broken = sum(block.broken.rows for block in counted if block.broken)
    if broken < read and broken / read <= pipeline.spec.ingest.max_quarantine:
        return
    rule = most(quarantined)
    examples = (block.example for block in counted if isinstance(block, Made) and block.example)
    raise ContractError(
        f"{broken} of {read} rows break the contract, most of them {rule!r} "
        f"({quarantined[rule]} rows{next(examples, '')})",
        remedy="correct the contract or the source; ingest.max_quarantine sets the allowed share",
    )
