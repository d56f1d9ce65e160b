"""Blocks: the records of a sealed segment, as the ledger names them by the root of a Merkle tree.

A leaf of the tree is the id and the SHA-256 of a record, so that a proof can show a neighbouring
leaf without its record. Ids strictly increase within a block. Collecting blocks belongs in
`collector`; proofs, in `proofs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from factory_resources.prediction_log.segments import identity_of, read

TILE = 256
"""Leaves whose hashes are stored together."""


@dataclass(frozen=True)
class PredictionBlock:
    """The records of one segment, at least one."""

    identity: str
    """The UUID of the segment."""
    records: Sequence[tuple[bytes, bytes]]
    """Id and bytes of each, in the order of the ids."""

    @property
    def first(self) -> bytes:
        return self.records[0][0]

    @property
    def last(self) -> bytes:
        return self.records[-1][0]

    @cached_property
    def leaves(self) -> list[bytes]:
        """The hash of each leaf."""
        # Called once for each answer of the factory: spelled out, it takes a third less.
        return [
            sha256(b"\0" + identifier + sha256(payload).digest()).digest()
            for identifier, payload in self.records
        ]

    @cached_property
    def root(self) -> bytes:
        """The tree hash of RFC 6962."""
        from factory_resources.ledger.factory_verify import tree_hash

        return tree_hash(self.leaves)

    @property
    def tiles(self) -> list[bytes]:
        """The hashes of the leaves, 256 in each but the last."""
        leaves = self.leaves
        return [b"".join(leaves[start : start + TILE]) for start in range(0, len(leaves), TILE)]


def read_block(segment: Path) -> PredictionBlock:
    """Return the block of a sealed segment.

    Raises:
        StorageError: it cannot be read, or was changed.
    """
    return PredictionBlock(str(identity_of(segment)), [*read(segment)])
