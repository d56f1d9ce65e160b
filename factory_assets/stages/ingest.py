"""Ingest: read the source, hold it to its contract, keep what broke it apart.

Every row of the snapshot carries `_file`, the SHA-256 of its source file, and `_row`, the number of
its record in that file, from 1; rows keep the source's order.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.spec import Pipeline
from factory_assets.stages.checked import Checked
from factory_assets.stages.fetch import Found, find, told_where
from factory_assets.stages.values import Ingested, SourceFile
from factory_resources.engine import engine_errors, sealed
from factory_resources.errors import ContractError, SourceError
from factory_resources.home import Home
from factory_resources.sources_read import Raw
from factory_resources.tables import Prepared, commit, prepare

if TYPE_CHECKING:
    import duckdb


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
) -> Ingested:
    """Read every source and store the rows that keep the contract, and those that do not.

    Args:
        found: the sources, in the order of their rows.
        scratch: a folder on the home's own file system.
        partition: the key of the partition that they are.

    Raises:
        SourceError: the source cannot be read.
        ContractError: a promised column is missing, or more rows broke a rule than
            `max_quarantine` allows.
        StorageError: the disk says no.
    """
    with told_where(pipeline):
        raws = _read(found, scratch)
        rows_read = sum(raw.rows for raw in raws)
        if not rows_read:
            raise SourceError(
                "has no rows", where=", ".join(raw.name for raw in raws), remedy="give some data"
            )
        with (
            sealed(read=[raw.path for raw in raws], write=scratch) as connection,
            engine_errors("contract", ContractError, "correct the contract"),
        ):
            checked = Checked.of(connection, pipeline.spec.ingest, raws)
            table = f"{pipeline.name}/ingest"
            good = prepare(connection, checked.good, table=table, folder=scratch)
            broken: Prepared | None = None
            counts: dict[str, int] = {}
            if good.rows < rows_read:
                counts = checked.counts(connection)
                _require_enough(pipeline, checked, connection, counts, good.rows, rows_read)
                broken = prepare(connection, checked.broken, table=table, folder=scratch)
        if good.rows + (broken.rows if broken else 0) != rows_read:
            raise RuntimeError(f"{pipeline.name}: rows were lost between source and snapshot")
        keep = partial(commit, home=home, partition=partition)
        quarantine = keep(broken, table=f"{table}_quarantine") if broken else None
        snapshot = keep(good, table=table)
    return Ingested(
        snapshot=snapshot,
        quarantine=quarantine,
        sources=tuple(
            SourceFile(name=raw.name, sha256=raw.sha256, rows=raw.rows, labels=raw.labels)
            for raw in raws
        ),
        rows_read=rows_read,
        quarantined=counts,
        ignored_columns=checked.ignored,
    )


def _read(found: Sequence[Found], scratch: Path) -> list[Raw]:
    raws = []
    for number, source in enumerate(found):
        own = scratch / f"source_{number}"
        own.mkdir()
        raws.append(replace(source.read(own), labels=source.labels))
    return raws


def _require_enough(
    pipeline: Pipeline,
    checked: Checked,
    connection: "duckdb.DuckDBPyConnection",
    counts: dict[str, int],
    good: int,
    read: int,
) -> None:
    share = 1 - good / read
    if good and share <= pipeline.spec.ingest.max_quarantine:
        return
    rule = max(counts, key=lambda name: counts[name])
    raise ContractError(
        f"{read - good} of {read} rows break the contract, most of them {rule!r} "
        f"({counts[rule]} rows{checked.example(connection, rule)})",
        remedy="correct the contract or the source; ingest.max_quarantine sets the allowed share",
    )
