"""Group sources into blocks, and find the blocks that are stored already.

A table grows by files: consecutive sources form a block, each block becomes a file of the snapshot,
and a block whose sources did not change is not read again. The block of a source depends only on
the source and those before it, so a table that grew equals, byte for byte, the same table computed
at once. Reading and validating a block belongs in `validated_blocks`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from factory_assets.data.blocks import is_complete
from factory_assets.data.contract.rules import is_separable
from factory_assets.data.sources.base import SourceHandle
from factory_assets.data.sources.discovery import sources_key
from factory_assets.results.base import KeyComponents, digest, result_as
from factory_assets.results.data import Block, IngestResult, SourceFile
from factory_assets.spec import Ingest, Pipeline
from factory_resources.home.home import Home
from factory_resources.sources.files.archives import member_of
from factory_resources.tracking.records import Records

BLOCK_BYTES = 32_000_000
"""Bytes from which a block takes no further source. Reading that many takes about a second."""


@dataclass(frozen=True)
class PlannedBlock:
    """One block of the table to compute, with its stored version if there is one."""

    key: str
    found: tuple[SourceHandle, ...]
    """The sources whose rows the block holds."""
    known: Block | None
    """The stored block; None if it must be computed."""
    sources: tuple[SourceFile, ...] = ()
    """The source files of a stored block, as its record describes them."""

    def named_as_found(self, sources: Sequence[SourceFile]) -> Iterator[SourceFile]:
        """Yield sources that have the content of the block, by the names that they have now.

        They may be of another block: a file can have been renamed, or be a copy of another one.
        """
        for handle, source in zip(self.found, sources, strict=True):
            name = source.name
            if handle.name and not f"{name}/".startswith(f"{handle.name}/"):
                name = "/".join(filter(None, (handle.name, member_of(name))))
            yield source.model_copy(update={"name": name})


def plan_blocks(
    pipeline: Pipeline,
    handles: Sequence[SourceHandle],
    home: Home,
    partition: str | None,
    key: KeyComponents,
) -> list[PlannedBlock]:
    """Return the blocks of the table in order, each with the version that the last run stored.

    Args:
        handles: the sources, in the order of their rows.
        key: the components of a block's key other than its sources.
    """
    record = Records(home).latest(pipeline.name, "ingest", partition)
    stored: dict[str, tuple[Block, tuple[SourceFile, ...]]] = {}
    if record:
        value = result_as(IngestResult, record)
        ends = accumulate(block.sources for block in value.blocks)
        stored = {
            block.key: (block, value.sources[end - block.sources : end])
            for block, end in zip(value.blocks, ends, strict=True)
            if is_complete(block, home)
        }
    planned = []
    for group in _groups(handles, pipeline.spec.ingest):
        block_key = digest({**key, "source": sources_key(group)})
        block, sources = stored.get(block_key, (None, ()))
        planned.append(PlannedBlock(block_key, group, block, sources))
    return planned


def _groups(handles: Sequence[SourceHandle], ingest: Ingest) -> list[tuple[SourceHandle, ...]]:
    if not is_separable(ingest):
        return [tuple(handles)]
    groups: list[list[SourceHandle]] = [[]]
    size = 0
    for source in handles:
        if size >= BLOCK_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(source)
        size += source.bytes
    return [tuple(group) for group in groups]
