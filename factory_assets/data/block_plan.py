"""Which sources are read together, and what was kept of those that were read before.

A table grows by files: consecutive sources make a block of some size, each block becomes a file of
the snapshot, and a block whose sources did not change is not read again. How sources fall into
blocks depends on nothing but themselves and those before them, so that a table that grew is, byte
for byte, the table that is made at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from factory_assets.data.blocks import is_complete
from factory_assets.data.sources.base import SourceHandle
from factory_assets.data.sources.discovery import sources_key
from factory_assets.results.base import KeyComponents, digest
from factory_assets.results.data import Block, IngestResult, SourceFile
from factory_assets.spec import Ingest, Pipeline
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records

FULL = 32_000_000
"""A block takes no further source from this many bytes on: reading one again takes a second."""


@dataclass(frozen=True)
class PlannedBlock:
    """One block to be: what it holds, and what was kept of it."""

    key: str
    found: tuple[SourceHandle, ...]
    known: Block | None
    sources: tuple[SourceFile, ...] = ()
    """Of a known block: what its sources were."""


def plan_blocks(
    pipeline: Pipeline,
    found: Sequence[SourceHandle],
    home: Home,
    partition: str | None,
    key: KeyComponents,
) -> list[PlannedBlock]:
    """The sources block by block, each with what the last run kept of it.

    Args:
        key: what a block's key is made of beside its sources.
    """
    record = Records(home).latest(pipeline.name, "ingest", partition)
    known: dict[str, tuple[Block, tuple[SourceFile, ...]]] = {}
    if record:
        value = IngestResult.model_validate(record.value)
        ends = accumulate(block.sources for block in value.blocks)
        known = {
            block.key: (block, value.sources[end - block.sources : end])
            for block, end in zip(value.blocks, ends, strict=True)
            if is_complete(block, home)
        }
    made = []
    for group in _groups(found, pipeline.spec.ingest):
        of_block = digest({**key, "source": sources_key(group)})
        block, sources = known.get(of_block, (None, ()))
        made.append(PlannedBlock(of_block, group, block, sources))
    return made


def _groups(found: Sequence[SourceHandle], ingest: Ingest) -> list[tuple[SourceHandle, ...]]:
    if not _separable(ingest):
        return [tuple(found)]
    groups: list[list[SourceHandle]] = [[]]
    size = 0
    for source in found:
        if size >= FULL:
            groups.append([])
            size = 0
        groups[-1].append(source)
        size += source.bytes
    return [tuple(group) for group in groups]


def _separable(ingest: Ingest) -> bool:
    """Whether a row's fate depends on its own source alone.

    Types are declared, nothing is unique, nothing is joined.
    """
    columns = ingest.contract.columns
    kept_apart = all(column.type and not column.unique for column in columns)
    return bool(columns) and kept_apart and not ingest.contract.unique and not ingest.joins
