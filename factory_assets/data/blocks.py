"""The blocks of a table: written to scratch first, then each stored as a file of the table.

Which rows form a block is decided in `block_plan` and in the stages.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from factory_assets.results.data import Block, SourceFile
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, exists, union, union_or_none
from factory_resources.tables.writer import StagedTable, keep


@dataclass(frozen=True)
class StagedBlock:
    """A block whose rows are in scratch, split by its contract or its rules."""

    key: str
    good: StagedTable
    """The valid rows."""
    broken: StagedTable | None
    """The rows for the quarantine; None if there are none."""
    rows_in: int
    quarantined: dict[str, int]
    """Rule to the number of rows that broke it."""
    sources: tuple[SourceFile, ...] = ()
    """The sources of the rows; only `ingest` sets them."""
    ignored: tuple[str, ...] = ()
    """Source columns that are not in the table."""
    offsets: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Times with and without an offset; see `contract.offsets`."""
    matched: dict[str, int] = field(default_factory=dict)
    """Number of rows with a match in the table of each join."""
    added: dict[str, dict[str, str]] = field(default_factory=dict)
    """By join that declares no columns: those that it adds, each with its name in its own table."""
    example: str = ""
    """A value that broke the most frequently broken rule, worded for the message."""

    @property
    def duplicates(self) -> int:
        return self.rows_in - self.good.rows - (self.broken.rows if self.broken else 0)

    def kept(self, home: Home, table: str) -> Block:
        """Move the rows to the files of the table, without adding them to a version of it yet."""
        return Block(
            key=self.key,
            good=keep(self.good, home, table),
            broken=keep(self.broken, home, f"{table}_quarantine") if self.broken else None,
            rows_in=self.rows_in,
            quarantined=self.quarantined,
            duplicates=self.duplicates,
            sources=len(self.sources),
            ignored=self.ignored,
            offsets=dict(self.offsets),
            matched=dict(self.matched),
            added=dict(self.added),
        )


def is_complete(block: Block, home: Home) -> bool:
    """Whether the files of the block exist in their full length."""
    return exists(block.good, home) and (block.broken is None or exists(block.broken, home))


def unite_blocks(blocks: Sequence[Block]) -> tuple[Snapshot, Snapshot | None]:
    """Return the snapshot of the blocks and its quarantine, which no log of a table names yet."""
    return union([block.good for block in blocks]), union_or_none([b.broken for b in blocks])
