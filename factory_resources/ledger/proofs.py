"""Inclusion and consistency proofs, from the stored hashes of complete subtrees (RFC 6962, 2.1)."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from factory_resources.ledger.factory_verify import format_base64, node_hash

Hashes = Callable[[int, int, int], list[bytes]]
"""Level, first number and number after the last: the hashes of these complete subtrees of
256**level leaves; at level 0, of the leaves."""


_TILE = 256
"""Hashes that are read together."""


@dataclass(frozen=True)
class StoredTree:
    """A tree whose hashes are read on demand, a few tiles of them for a proof."""

    hashes: Hashes

    def root(self, size: int) -> bytes:
        """Return the tree hash of the first `size` leaves, at least one."""
        return _Ranges(self.hashes, size).root(0, size)

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that the leaf is in the tree of `size` leaves (2.1.1)."""
        ranges = _Ranges(self.hashes, size)
        start, stop, path = 0, size, list[bytes]()
        while stop - start > 1:
            middle = start + _largest_power_below(stop - start)
            if index < middle:
                path.append(ranges.root(middle, stop))
                stop = middle
            else:
                path.append(ranges.root(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, old: int, size: int) -> list[bytes]:
        """Return the proof that the tree of `old` leaves is a prefix of that of `size` (2.1.2)."""
        ranges = _Ranges(self.hashes, size)
        start, stop, path = 0, size, list[bytes]()
        while old != stop:
            middle = start + _largest_power_below(stop - start)
            if old <= middle:
                path.append(ranges.root(middle, stop))
                stop = middle
            else:
                path.append(ranges.root(start, middle))
                start = middle
        # The verifier knows the old tree's own hash.
        return ([ranges.root(start, stop)] if start else []) + path[::-1]


def inclusion_proof(tree: StoredTree, number: int, size: int, note: str) -> str:
    """Return the proof that an entry is in the log of a checkpoint, as a C2SP tlog-proof.

    Args:
        size: the number of entries of the checkpoint `note`.
    """
    hashes = "".join(f"{format_base64(one)}\n" for one in tree.inclusion(number, size))
    return f"c2sp.org/tlog-proof@v1\nindex {number}\n{hashes}\n{note}"


class _Ranges:
    """The tree hashes of ranges of leaves in a tree of one size; each tile is read once."""

    def __init__(self, hashes: Hashes, size: int) -> None:
        self._hashes, self._size = hashes, size
        self._tile = cache(self._read_tile)

    def root(self, start: int, stop: int) -> bytes:
        """Return the tree hash of the leaves from `start`, which is aligned, up to `stop`."""
        root = None
        pieces = []
        while start < stop:
            height = (stop - start).bit_length() - 1
            pieces.append(self._perfect(start, height))
            start += 1 << height
        for piece in reversed(pieces):
            root = piece if root is None else node_hash(piece, root)
        assert root is not None, "a range has leaves"
        return root

    def _perfect(self, start: int, height: int) -> bytes:
        """Return the hash of the perfect subtree of 2**height leaves from `start`."""
        level, above = divmod(height, 8)
        tile, first = divmod(start >> 8 * level, _TILE)
        nodes = self._tile(level, tile)[first : first + (1 << above)]
        while len(nodes) > 1:
            nodes = [*map(node_hash, nodes[::2], nodes[1::2])]
        return nodes[0]

    def _read_tile(self, level: int, number: int) -> list[bytes]:
        first = number * _TILE
        return self._hashes(level, first, min(first + _TILE, self._size >> 8 * level))


def _largest_power_below(count: int) -> int:
    """Return the largest power of two that is smaller than the count."""
    return 1 << (count - 1).bit_length() - 1
