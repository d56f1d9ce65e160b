"""Turn sources into validated blocks in scratch: read them, join them, apply the contract.

Which sources form a block belongs in `block_plan`; what the contract checks, in `contract`.
"""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from factory_assets.data.blocks import StagedBlock
from factory_assets.data.contract.offsets import offsets_after_reading
from factory_assets.data.contract.rules import is_separable
from factory_assets.data.contract.validation import ContractValidation
from factory_assets.data.sources.base import SourceHandle
from factory_assets.data.transforms.joins import undeclared_columns, with_joins
from factory_assets.results.data import Block, SourceFile, add_counts, most_broken_rule
from factory_assets.spec import Ingest
from factory_resources.erasure.manifest import erased_of
from factory_resources.errors import ContractError, SourceError
from factory_resources.sources.files.reader import SourceTable, blamed_on_files
from factory_resources.sql.engine import WIDE, engine_errors, rows_numbered
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.frames import require_units
from factory_resources.tables.writer import StagedTable, prepare


def validate_sources(
    ingest: Ingest,
    sources: Sequence[SourceHandle],
    *,
    key: str,
    table: str,
    scratch: Path,
    engines: SharedEngines,
) -> StagedBlock:
    """Read sources and write their rows to scratch: valid and invalid rows apart.

    Args:
        sources: in the order of their rows, then the tables that are joined to them.
        key: the key of the block; also the name of the folder that is created in `scratch`.
        table: the name of the table that is written, for messages.

    Raises:
        SourceError: a source cannot be read, or has numbers whose unit nobody knows.
        ContractError: a declared column is missing, or a rule does not fit its column.
        StorageError: the rows cannot be written.
    """
    folder = scratch / key
    folder.mkdir()
    main, joined = _read(sources, folder, once=is_separable(ingest) and len(sources) == 1)
    _require_units(ingest, main, joined)
    hidden = [column.source_name for column in ingest.contract.columns if column.sensitive]
    tables = with_joins(ingest.joins, main, joined, folder, hidden)
    tables = [replace(t, path=engines.visible_path(t.path, folder)) for t in tables]
    with (
        blamed_on_files(tables, folder),
        engines.sealed(
            read=[t.path for t in tables],
            write=folder,
            statistics="ignored",
            wide=len(tables[0].columns) > WIDE,
            profile=True,
        ) as connection,
        engine_errors("contract", ContractError, "correct the contract"),
    ):
        validation = ContractValidation.of(connection, ingest, tables)
        good = prepare(connection, validation.valid_rows, table=table, folder=folder)
        if tables[0].text:
            # The text was read in the same pass.
            main = [replace(tables[0], rows=rows_numbered(connection))]
            tables = main
        rows_in = sum(source.rows_read for source in tables)
        offsets = offsets_after_reading(
            connection, ingest, validation.columns, validation.types, tables, good
        )
        broken: StagedTable | None = None
        counts: dict[str, int] = {}
        example = ""
        if good.rows < rows_in:
            validation.separate_broken(connection, folder)
            for source in sources:
                # A text was now read twice, and may be another one than before.
                source.require_unchanged()
            counts = validation.counts(connection)
            example = validation.example(connection, most_broken_rule(counts))
            broken = prepare(connection, validation.invalid_rows, table=table, folder=folder)
    if good.rows + (broken.rows if broken else 0) != rows_in:
        raise RuntimeError(f"{table}: rows were lost between source and snapshot")
    # Unpacked sources are no longer needed, and there may be many blocks.
    for unpacked in folder.glob("source_*"):
        shutil.rmtree(unpacked)
    return StagedBlock(
        key=key,
        good=good,
        broken=broken,
        rows_in=rows_in,
        quarantined=counts,
        sources=tuple(
            SourceFile(name=t.name, sha256=t.sha256, rows=t.rows_read, labels=t.labels, join=join)
            for join, group in {"": main, **joined}.items()
            for t in group
        ),
        ignored=validation.ignored,
        offsets=offsets,
        matched=add_counts([t.matched for t in tables]),
        added=undeclared_columns(ingest.joins, joined),
        example=example,
    )


def require_valid_rows(
    ingest: Ingest,
    blocks: Sequence[Block | StagedBlock],
    quarantined: Mapping[str, int],
    sources: Iterable[SourceFile],
    instead: str = "",
) -> None:
    """Require that there are rows, and that enough of them satisfy the contract.

    Args:
        quarantined: number of rows by broken rule.
        sources: what was read, for messages.
        instead: what to do if there is no data.

    Raises:
        SourceError: there are no rows at all.
        ContractError: all rows break the contract, or a larger share than `max_quarantine`.
    """
    read = sum(block.rows_in for block in blocks)
    if not read:
        names = (source.name for source in sources if not source.join)
        remedy = f"provide data, or {instead}" if instead else "provide data"
        raise SourceError("has no rows", where=", ".join(names), remedy=remedy)
    broken = sum(block.broken.rows for block in blocks if block.broken)
    if broken < read and broken / read <= ingest.max_quarantine:
        return
    rule = most_broken_rule(quarantined)
    staged = (block for block in blocks if isinstance(block, StagedBlock) and block.example)
    # That of another block may be of another rule.
    examples = (one.example for one in staged if most_broken_rule(one.quarantined) == rule)
    limit = "; ingest.max_quarantine sets the allowed share" if broken < read else ""
    raise ContractError(
        f"{broken} of {read} rows break the contract, most of them {rule!r} "
        f"({quarantined[rule]} row{'s' * (quarantined[rule] != 1)}{next(examples, '')})",
        remedy=f"correct the contract or the source{limit}",
    )


def _read(
    sources: Sequence[SourceHandle], scratch: Path, *, once: bool
) -> tuple[list[SourceTable], dict[str, list[SourceTable]]]:
    """Return the tables of rows, and the tables to join to them by the name of the join."""
    main: list[SourceTable] = []
    joined: dict[str, list[SourceTable]] = {}
    with SharedEngines(scratch) as engines:
        for number, source in enumerate(sources):
            folder = scratch / f"source_{number}"
            folder.mkdir()
            table = source.read(folder, engines=engines, once=once)
            erased = erased_of(source.erased, table.sha256, table.name)
            table = replace(table, labels=source.labels, erased=erased)
            (main if source.join is None else joined.setdefault(source.join, [])).append(table)
    return main, joined


def _require_units(
    ingest: Ingest, main: Sequence[SourceTable], joined: Mapping[str, Sequence[SourceTable]]
) -> None:
    """Require that no column that is read from Parquet is a duration or period; others may be."""
    from pyarrow.parquet import read_schema

    read = [column.source_name for column in ingest.contract.columns] or None
    for name, tables in {"": main, **joined}.items():
        if join := ingest.joins.get(name):
            read = None if join.columns is None else [*join.columns, *(join.key or join.on)]
        for table in tables:
            if table.format == "parquet":
                require_units(read_schema(table.path), table.name, read)
