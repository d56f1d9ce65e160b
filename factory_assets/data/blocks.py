"""The blocks that a table is made of: in scratch at first, then each kept as a file of its own.

Which rows make a block is the business of the stages.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from factory_assets.results.data import Block, SourceFile
from factory_resources.home.home import Home
from factory_resources.tables.delta_log import publish
from factory_resources.tables.snapshot import Snapshot, exists, union, union_or_none
from factory_resources.tables.writer import StagedTable, keep


@dataclass(frozen=True)
class StagedBlock:
    """A block whose rows are in scratch."""

    key: str
    good: StagedTable
    broken: StagedTable | None
    rows_in: int
    quarantined: dict[str, int]
    sources: tuple[SourceFile, ...] = ()
    """Of ingest."""
    ignored: tuple[str, ...] = ()
    example: str = ""
    """Of a value that broke the rule that most rows broke, for the message."""

    @property
    def duplicates(self) -> int:
        return self.rows_in - self.good.rows - (self.broken.rows if self.broken else 0)

    def kept(self, home: Home, table: str) -> Block:
        """Move the rows to where the table's files are; no version names them yet."""
        return Block(
            key=self.key,
            good=keep(self.good, home, table),
            broken=keep(self.broken, home, f"{table}_quarantine") if self.broken else None,
            rows_in=self.rows_in,
            quarantined=self.quarantined,
            duplicates=self.duplicates,
            sources=len(self.sources),
            ignored=self.ignored,
        )


def is_complete(block: Block, home: Home) -> bool:
    """Whether the block's files are there in their full length."""
    return exists(block.good, home) and (block.broken is None or exists(block.broken, home))


def publish_blocks(
    blocks: Sequence[Block], home: Home, partition: str | None
) -> tuple[Snapshot, Snapshot | None]:
    """Make the blocks the newest version of their table: its snapshot and its quarantine."""
    broken = union_or_none([block.broken for block in blocks])
    quarantine = publish(broken, home, partition) if broken else None
    return publish(union([block.good for block in blocks]), home, partition), quarantine
