"""Turn files of validated rows into cleaned blocks in scratch.

The queries (rules, duplicates, derived columns, windows) belong in `transforms.cleaning`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.data.blocks import StagedBlock
from factory_assets.data.text_order import OrderingText, require_sortable_texts
from factory_assets.data.transforms.cleaning import CleanQueries
from factory_assets.results.data import Block, most_broken_rule
from factory_resources.errors import DataError, ExpressionError, StorageError
from factory_resources.sources.files.reader import numbered
from factory_resources.sql.engine import engine_errors
from factory_resources.sql.shared_engines import SharedEngines
from factory_resources.tables.writer import StagedTable, prepare

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class RowFiles:
    """Parquet files of validated rows that are cleaned together."""

    key: str
    paths: tuple[Path, ...]
    counts: tuple[int, ...]
    """Number of rows of each file."""

    @property
    def rows(self) -> int:
        return sum(self.counts)


def clean_files(
    queries: CleanQueries,
    groups: Sequence[RowFiles],
    earlier: Sequence[Path],
    scratch: Path,
    engines: SharedEngines,
    ordering: Sequence[OrderingText] = (),
) -> dict[str, StagedBlock]:
    """Clean each group of files into a block; return the blocks by the key of their group.

    Args:
        groups: in the order of their rows; duplicates are searched across all of them.
        earlier: files of clean rows that precede the groups; a row that repeats one of their keys
            is a duplicate.
        scratch: the folder that the blocks are written to.
        ordering: the columns that order rows.

    Raises:
        DataError: the letters of an ordering text do not come in the order of its numbers or times.
        ExpressionError: a declared expression is wrong, fails on a value, or takes too long.
        StorageError: an expression needs too much memory, or the blocks cannot be written.
    """
    if not groups:
        return {}
    groups = [
        replace(group, paths=tuple(engines.visible_path(path, scratch) for path in group.paths))
        for group in groups
    ]
    earlier = [engines.visible_path(path, scratch) for path in earlier]
    paths = [path for group in groups for path in group.paths]
    queries = replace(queries, rows=sum(group.rows for group in groups))
    starts = [0, *accumulate(group.rows for group in groups)]
    with (
        engines.sealed(read=[*paths, *earlier], write=scratch) as connection,
        engine_errors(queries.where),
        queries.bounded(connection),
    ):
        counts = [n for group in groups for n in group.counts]
        _view(connection, queries, numbered(paths, counts))
        queries.bind(connection)
        try:
            if ordering:
                rows = queries.kept_rows
                described = connection.execute(f"DESCRIBE {rows}").fetchall()
                types = {name: kind for name, kind, *_ in described}
                require_sortable_texts(connection, ordering, types, queries.where, rows)
            repeated = queries.mark_duplicates(connection, earlier)
            blocks = [
                _clean_group(connection, queries, group, start, scratch)
                for group, start in zip(groups, starts, strict=False)
            ]
        except (ExpressionError, StorageError):
            queries.blame(connection)
            raise
    if repeated != sum(block.duplicates for block in blocks):
        raise RuntimeError(f"{queries.where}: rows were lost or added between ingest and clean")
    return {block.key: block for block in blocks}


def require_clean_rows(
    blocks: Sequence[Block | StagedBlock], quarantined: Mapping[str, int], where: str
) -> None:
    """Raise a DataError if every row broke a rule."""
    if any(block.good.rows for block in blocks):
        return
    raise DataError(no_row_text(quarantined), where=where, remedy="correct clean.where")


def no_row_text(quarantined: Mapping[str, int]) -> str:
    """Return which rule leaves no row."""
    rule = most_broken_rule(quarantined)
    return f"no row is left: rule {rule!r} sends {quarantined[rule]} to quarantine"


def _clean_group(
    connection: "duckdb.DuckDBPyConnection",
    queries: CleanQueries,
    group: RowFiles,
    start: int,
    scratch: Path,
) -> StagedBlock:
    _view(connection, queries, numbered(group.paths, group.counts, start))
    broken: StagedTable | None = None
    counts: dict[str, int] = {}
    if queries.rules:
        broken = prepare(connection, queries.invalid_rows, table=queries.where, folder=scratch)
        broken = broken if broken.rows else None
        counts = queries.counts(connection, broken) if broken else {}
    good = prepare(connection, queries.valid_rows, table=queries.where, folder=scratch)
    return StagedBlock(group.key, good, broken, group.rows, counts)


def _view(connection: "duckdb.DuckDBPyConnection", queries: CleanQueries, query: str) -> None:
    if queries.spec.unify:
        described = connection.execute(f"DESCRIBE {query}").fetchall()
        query = queries.unified(query, {name: kind for name, kind, *_ in described})
    connection.execute(f"CREATE OR REPLACE TEMP VIEW source AS {query}")
