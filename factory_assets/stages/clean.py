"""Clean: rules, then duplicates, then derived columns, then windows; every row is accounted for.

Rules, keys and derived columns see the ingested columns; derived ones also those before them.
Rules come first, so that a broken row never hides a whole one with the same key.

A table that grew by a file is cleaned by that file, as far as no row's fate rests on later ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from factory_assets.data.blocks import StagedBlock, is_complete, publish_blocks
from factory_assets.data.transforms.cleaning import CleanQueries
from factory_assets.results.base import KeyComponents, digest
from factory_assets.results.data import Block, CleanResult, IngestResult, most, summed
from factory_assets.spec import Pipeline
from factory_resources.errors import DataError, ExpressionError
from factory_resources.home.home import Home
from factory_resources.sources.files.reader import numbered
from factory_resources.sql.engine import engine_errors, sealed
from factory_resources.tables.snapshot import Snapshot, TableFile
from factory_resources.tables.writer import StagedTable, prepare
from factory_resources.tracking.records import Records

if TYPE_CHECKING:
    import duckdb


def clean(
    pipeline: Pipeline,
    ingested: IngestResult,
    home: Home,
    partition: str | None = None,
    *,
    key: KeyComponents | None = None,
) -> CleanResult:
    """Store the trusted rows, in the source's order, and those that broke a rule.

    Args:
        partition: the key of the partition that they are.
        key: what the keys of the blocks are made of beside their rows; None where nothing is used
            again.

    Raises:
        ExpressionError: a declared expression is wrong, or fails on a value.
        DataError: no row is left.
        StorageError: the disk says no.
    """
    where = f"{pipeline.name}/clean"
    plan = CleanQueries.of(pipeline.spec.clean, tuple(ingested.snapshot.columns), where)
    pieces = _pieces(pipeline, plan, ingested.snapshot, home, partition, key or {})
    known = [piece.known for piece in pieces if piece.known]
    todo = list({piece.key: piece for piece in pieces if not piece.known}.values())
    with home.scratch() as scratch:
        made = _made(plan, todo, known, home, scratch)
        counted = [piece.known or made[piece.key] for piece in pieces]
        quarantined = summed([block.quarantined for block in counted])
        if not any(block.good.rows for block in counted):
            raise _nothing_left(quarantined, where)
        kept = {key: block.kept(home, where) for key, block in made.items()}
    blocks = [piece.known or kept[piece.key] for piece in pieces]
    snapshot, quarantine = publish_blocks(blocks, home, partition)
    return CleanResult(
        snapshot=snapshot,
        quarantine=quarantine,
        rows_in=ingested.snapshot.rows,
        quarantined=quarantined,
        duplicates=sum(block.duplicates for block in blocks),
        blocks=tuple(blocks),
    )


@dataclass(frozen=True)
class Piece:
    """Files that are cleaned by themselves, and what was kept of them."""

    key: str
    files: tuple[TableFile, ...]
    paths: tuple[Path, ...]
    known: Block | None

    @property
    def rows(self) -> int:
        return sum(file.rows for file in self.files)

    def numbered(self, start: int) -> str:
        return numbered(self.paths, [file.rows for file in self.files], start)


def _pieces(
    pipeline: Pipeline,
    plan: CleanQueries,
    source: Snapshot,
    home: Home,
    partition: str | None,
    key: KeyComponents,
) -> list[Piece]:
    record = Records(home).latest(pipeline.name, "clean", partition)
    blocks = CleanResult.model_validate(record.value).blocks if record else ()
    known = {block.key: block for block in blocks if is_complete(block, home)}
    files = [*zip(source.files, source.paths(home), strict=True)]
    pieces: list[Piece] = []
    before = ""
    for group in [[one] for one in files] if plan.separable else [files]:
        of = digest({"before": before, "files": [file.sha256 for file, _ in group]})
        of_piece = digest({**key, "inputs": of})
        if plan.spec.deduplicate:
            # Its duplicates are those of all rows before it. A piece after a gap stays known: no
            # key of its clean rows is one of the rows before them.
            before = of
        pieces.append(
            Piece(
                of_piece,
                tuple(f for f, _ in group),
                tuple(p for _, p in group),
                known.get(of_piece),
            )
        )
    return pieces


def _made(
    plan: CleanQueries, todo: Sequence[Piece], known: Sequence[Block], home: Home, scratch: Path
) -> dict[str, StagedBlock]:
    """The pieces cleaned, by key; duplicates are looked for in all of them at once."""
    if not todo:
        return {}
    earlier = [path for block in known for path in block.good.paths(home)]
    source = [path for piece in todo for path in piece.paths]
    plan = replace(plan, rows=sum(piece.rows for piece in todo))
    starts = [0, *accumulate(piece.rows for piece in todo)]
    with (
        sealed(read=[*source, *earlier], write=scratch) as connection,
        engine_errors(plan.where),
    ):
        files = [file for piece in todo for file in piece.files]
        _view(connection, numbered(source, [file.rows for file in files]))
        plan.bind(connection)
        try:
            repeated = plan.mark_duplicates(connection, earlier)
            made = [
                _piece(connection, plan, piece, start, scratch)
                for piece, start in zip(todo, starts, strict=False)
            ]
        except ExpressionError:
            plan.blame(connection)
            raise
    if repeated != sum(block.duplicates for block in made):
        raise RuntimeError(f"{plan.where}: rows were lost or made between ingest and clean")
    return {block.key: block for block in made}


def _piece(
    connection: "duckdb.DuckDBPyConnection",
    plan: CleanQueries,
    piece: Piece,
    start: int,
    scratch: Path,
) -> StagedBlock:
    _view(connection, piece.numbered(start))
    broken: StagedTable | None = None
    counts: dict[str, int] = {}
    if plan.rules:
        broken = prepare(connection, plan.invalid_rows, table=plan.where, folder=scratch)
        broken = broken if broken.rows else None
        counts = plan.counts(connection, broken) if broken else {}
    good = prepare(connection, plan.valid_rows, table=plan.where, folder=scratch)
    return StagedBlock(piece.key, good, broken, piece.rows, counts)


def _view(connection: "duckdb.DuckDBPyConnection", query: str) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP VIEW source AS {query}")


def _nothing_left(counts: dict[str, int], where: str) -> DataError:
    rule = most(counts)
    return DataError(
        f"no row is left: rule {rule!r} sends {counts[rule]} to quarantine",
        where=where,
        remedy="correct clean.where",
    )
