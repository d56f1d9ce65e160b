"""Proofs from stored subtrees are those that the verifier, and other people's readers, accept."""

from functools import cache
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.ledger.factory_verify import (
    CompactRange,
    is_consistent,
    leaf_hash,
    root_from_inclusion,
)
from factory_resources.ledger.proofs import StoredTree


class _Stored:
    """A tree in memory, stored as the tables store it."""

    def __init__(self, size: int) -> None:
        self.leaves = [leaf_hash(b"%d" % number) for number in range(size)]
        self.subtrees: dict[tuple[int, int], bytes] = {}
        self.roots = [CompactRange().root]
        tree = CompactRange()
        for leaf in self.leaves:
            for level, number, node in tree.append(leaf):
                self.subtrees[level, number] = node
            self.roots.append(tree.root)

    def hashes(self, level: int, start: int, stop: int) -> list[bytes]:
        if level == 0:
            return self.leaves[start:stop]
        return [self.subtrees[level, number] for number in range(start, stop)]

    def require(self, old: int, index: int, size: int) -> None:
        tree = StoredTree(self.hashes)
        proof = tree.inclusion(index, size)
        root = root_from_inclusion(self.leaves[index], index, size, proof)
        assert root == self.roots[size] == tree.root(size)
        proof = tree.consistency(old, size)
        assert is_consistent(old, self.roots[old], size, self.roots[size], proof)


def test_every_proof_of_small_trees_holds() -> None:
    stored = _Stored(300)
    random = Random(0)
    sizes = [*range(1, 40), *range(250, 262), 299, 300]
    for size in sizes:
        for index in {0, size - 1, *(random.randrange(size) for _ in range(20))}:
            stored.require(index + 1, index, size)


@pytest.mark.long
def test_every_proof_of_every_tree_up_to_300_holds() -> None:
    stored = _Stored(300)
    for size in range(1, 301):
        for index in range(size):
            stored.require(index + 1, index, size)


@cache
def _large() -> _Stored:
    return _Stored(70_000)


@given(st.data())
def test_proofs_of_large_trees_hold(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(_large().leaves)))
    _large().require(data.draw(st.integers(1, size)), data.draw(st.integers(0, size - 1)), size)


def test_the_roots_of_growing_trees_differ() -> None:
    assert all(one != other for one, other in pairwise(_Stored(64).roots))
