"""The Merkle tree of the verifier: against RFC 6962's own definitions, and others' vectors."""

import base64
import json
import random
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from factory_resources.ledger.factory_verify import (
    CompactRange,
    InvalidError,
    is_consistent,
    leaf_hash,
    node_hash,
    root_from_inclusion,
)
from tests.factory_resources.ledger import trees

_LEAVES = [leaf_hash(b"%d" % number) for number in range(300)]

_PLACEHOLDER = "sizes-are-equal-one-and-proof-is-empty.json"
"""Its roots have 12 bytes, as they do not matter to a check of sizes alone; ours need 32."""


@cache
def _inner(low: int, high: int) -> bytes:
    """Return the root of the leaves in between, remembered for the exhaustive tests."""
    if high - low <= 1:
        return _LEAVES[low] if high > low else sha256(b"").digest()
    k = 1 << ((high - low - 1).bit_length() - 1)
    return node_hash(_inner(low, low + k), _inner(low + k, high))


def _inclusion(index: int, low: int, high: int) -> list[bytes]:
    if high - low == 1:
        return []
    middle = low + (1 << ((high - low - 1).bit_length() - 1))
    if index < middle:
        return [*_inclusion(index, low, middle), _inner(middle, high)]
    return [*_inclusion(index, middle, high), _inner(low, middle)]


def _consistency(old: int, low: int, high: int, *, whole: bool = True) -> list[bytes]:
    if old == high:
        return [] if whole else [_inner(low, high)]
    middle = low + (1 << ((high - low - 1).bit_length() - 1))
    if old <= middle:
        return [*_consistency(old, low, middle, whole=whole), _inner(middle, high)]
    return [*_consistency(old, middle, high, whole=False), _inner(low, middle)]


def _vectors(real_data: Path, kind: str) -> list[tuple[Path, dict[str, object]]]:
    folder = real_data.parent / "vectors" / "rfc6962" / kind
    if not folder.is_dir():
        pytest.skip(f"no vectors of others: {folder} is missing")
    return [(path, json.loads(path.read_bytes())) for path in sorted(folder.rglob("*.json"))]


def _bytes(text: object) -> bytes:
    return base64.b64decode(str(text or ""))


def _proof(vector: dict[str, object]) -> list[bytes]:
    proof = vector["proof"]
    return [_bytes(item) for item in proof] if isinstance(proof, list) else []


def test_inclusion_vectors_of_others_are_answered_as_they_ask(real_data: Path) -> None:
    vectors = _vectors(real_data, "inclusion")
    assert len(vectors) == 98
    for path, vector in vectors:
        index, size = vector["leafIdx"], vector["treeSize"]
        assert isinstance(index, int)
        assert isinstance(size, int)
        found = root_from_inclusion(_bytes(vector["leafHash"]), index, size, _proof(vector))
        assert (found != _bytes(vector["root"])) == vector["wantErr"], path


def test_consistency_vectors_of_others_are_answered_as_they_ask(real_data: Path) -> None:
    vectors = _vectors(real_data, "consistency")
    assert len(vectors) == 98
    for path, vector in vectors:
        old, size = vector["size1"], vector["size2"]
        assert isinstance(old, int)
        assert isinstance(size, int)
        roots = _bytes(vector["root1"]), _bytes(vector["root2"])
        found = is_consistent(old, roots[0], size, roots[1], _proof(vector))
        if path.name == _PLACEHOLDER:
            assert len(roots[0]) == 12
            assert not found
        else:
            assert found != vector["wantErr"], path


def _check_size(size: int, indices: Sequence[int]) -> None:
    whole = _inner(0, size)
    for index in indices:
        path = _inclusion(index, 0, size)
        assert root_from_inclusion(_LEAVES[index], index, size, path) == whole
        assert root_from_inclusion(_LEAVES[index], (index + 1) % size, size, path) != whole or (
            size == 1
        )
        assert root_from_inclusion(_LEAVES[index], index, size, [*path, whole]) is None
        old = index + 1
        proof = _consistency(old, 0, size)
        assert is_consistent(old, _inner(0, old), size, whole, proof)
        assert not is_consistent(old, _inner(0, old), size, whole, [*proof, whole])
        if old < size:
            assert not is_consistent(old, whole, size, whole, proof)
            assert not is_consistent(old + 1, _inner(0, old), size, whole, proof)


def test_sizes_to_300_have_the_root_and_the_proofs_of_the_rfc() -> None:
    tree = CompactRange()
    for size in range(301):
        assert (tree.size, tree.root) == (size, _inner(0, size))
        assert CompactRange(size, tree.frontier).root == tree.root
        _check_size(size, sorted({0, size // 3, size // 2, size - 1} - {-1}) if size else [])
        if size < 300:
            tree.append(_LEAVES[size])


@pytest.mark.long
def test_sizes_to_300_have_every_proof_of_the_rfc() -> None:
    for size in range(1, 301):
        _check_size(size, range(size))


def test_the_remembered_definitions_are_those_of_the_rfc() -> None:
    for size in (1, 2, 3, 7, 8, 100):
        leaves = _LEAVES[:size]
        assert _inner(0, size) == trees.root(leaves)
        assert _inclusion(size // 2, 0, size) == trees.inclusion(size // 2, leaves)
        old = max(1, size // 3)
        assert _consistency(old, 0, size) == trees.consistency(old, leaves)


@settings(max_examples=15)
@given(st.integers(1, 100_000), st.randoms(use_true_random=False))
def test_large_trees_prove_what_they_contain(size: int, draw: random.Random) -> None:
    leaves = [sha256(b"%d" % number).digest() for number in range(size)]
    tree, old, index = CompactRange(), draw.randint(1, size), draw.randrange(size)
    roots, subtrees = {}, []
    for number, one in enumerate(leaves, 1):
        subtrees += tree.append(one)
        if number in {old, size}:
            roots[number] = tree.root
    path, proof = trees.inclusion(index, leaves), trees.consistency(old, leaves)
    assert root_from_inclusion(leaves[index], index, size, path) == roots[size]
    assert is_consistent(old, roots[old], size, roots[size], proof)
    assert len(subtrees) == size // 256 + size // 65_536
    for level, place, found in subtrees[-1:]:
        assert found == trees.root(leaves[place * 256**level : (place + 1) * 256**level])


@given(
    st.integers(-3, 2**70),
    st.integers(-3, 2**70),
    st.lists(st.binary(max_size=40) | st.binary(min_size=32, max_size=32), max_size=80),
)
def test_no_proof_hangs_or_throws(first: int, second: int, proof: list[bytes]) -> None:
    root = sha256(b"").digest()
    assert root_from_inclusion(root, first, second, proof) != root
    assert not is_consistent(first, root, second, sha256(b"x").digest(), proof)


def test_what_is_not_in_a_tree_has_no_root() -> None:
    leaf, other = _LEAVES[:2]
    assert root_from_inclusion(leaf, 0, 1, []) == leaf
    for index, size in ((1, 1), (-1, 1), (0, 0), (3, 2), (0, -1)):
        assert root_from_inclusion(leaf, index, size, []) is None
    for short_or_long in (leaf[:-1], leaf + b"x", b""):
        assert root_from_inclusion(short_or_long, 0, 1, []) is None
        assert root_from_inclusion(leaf, 0, 2, [short_or_long]) is None
    assert root_from_inclusion(leaf, 0, 2, []) is None
    assert root_from_inclusion(leaf, 0, 2, [other, other]) is None
    # A ledger numbers its entries up to 2^63 - 1.
    assert root_from_inclusion(leaf, 0, 2**62, [other] * 62) is not None
    assert root_from_inclusion(leaf, 0, 2**63, [other] * 63) is None


def test_trees_that_are_none_are_not_consistent() -> None:
    leaf, other = _LEAVES[:2]
    both = node_hash(leaf, other)
    assert is_consistent(1, leaf, 1, leaf, [])
    assert is_consistent(1, leaf, 2, both, [other])
    for old, size in ((0, 0), (0, 1), (-1, 1), (2, 1)):
        assert not is_consistent(old, leaf, size, leaf, [])
    assert not is_consistent(1, leaf, 1, other, [])
    assert not is_consistent(1, leaf, 1, leaf, [leaf])
    assert not is_consistent(1, leaf[:-1], 1, leaf[:-1], [])
    assert not is_consistent(3, leaf, 4, leaf, [])
    assert not is_consistent(1, leaf, 2, both, [])
    for size, holds in ((2**62, True), (2**63, False)):
        assert is_consistent(size // 2, leaf, size, both, [other]) == holds
    assert not is_consistent(1, leaf, 2, node_hash(leaf, b"x"), [b"x"])


def test_a_frontier_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidError, match="not that of a tree of 3 entries"):
        CompactRange(3, b"x" * 32)
