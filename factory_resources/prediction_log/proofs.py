"""Proofs that a request was answered as logged, or that no block in the ledger has its id.

`factory_verify` checks them against the blocks in the ledger.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

from factory_resources.errors import UnknownNameError
from factory_resources.ledger.factory_verify import amount
from factory_resources.prediction_log.record import decode
from factory_resources.prediction_log.store import PredictionStore, StoredBlock, StoredPrediction

if TYPE_CHECKING:
    from factory_resources.home.home import Home
    from factory_resources.ledger.factory_verify import PredictionProof, ProvenLeaf

Neighbours = Callable[[StoredBlock, bytes], tuple[StoredPrediction | None, StoredPrediction | None]]
"""The records of a block before and after an id, wherever they are."""


def prove_answer(store: PredictionStore, found: StoredPrediction) -> "PredictionProof":
    """Return the proof that a record is the one that was logged."""
    from factory_resources.ledger.factory_verify import PredictionProof

    return PredictionProof(found.id, found.record, (_leaf(store, found),))


def with_entry(proof: "PredictionProof", home: "Home") -> "PredictionProof":
    """Return the proof of an answer with the entry of its block, so that it holds elsewhere.

    A proof that there is no answer needs every block, and stays as it is.
    """
    from factory_resources.ledger.factory_verify import EnteredBlock
    from factory_resources.ledger.ledger import Ledger, latest_in
    from factory_resources.ledger.prediction_entries import PredictionsLogged
    from factory_resources.ledger.proofs import inclusion_proof

    if proof.record is None:
        return proof
    subject = PredictionsLogged.subject_of(block=proof.leaves[0].block)
    with Ledger(home).reading() as log:
        found = latest_in(log, PredictionsLogged, subject)
        if found is None:
            return proof
        size, note = log.signed
        inclusion = inclusion_proof(log.tree, found[0], size, note).encode()
        return replace(proof, entered=EnteredBlock(log.body(found[0]), inclusion))


def require_row(record: bytes, row: int) -> None:
    """Require that a request has a row; a refused one counts as having its first row.

    Args:
        record: the logged bytes of the request.

    Raises:
        UnknownNameError: the request has fewer rows.
    """
    rows = decode(record).rows
    if row >= max(1, rows):
        raise UnknownNameError(
            f"there is no row {row + 1:,}: its request has {amount(rows, 'rows')}",
            remedy="give the id that came with the answer",
        )


def prove_absence(
    store: PredictionStore, request: bytes, neighbours: Neighbours
) -> "PredictionProof":
    """Return the proof that no block has a request: its neighbours in each block around it.

    Raises:
        UnknownNameError: the records around it in a block were removed, or there are none of later.
    """
    from factory_resources.ledger.factory_verify import PredictionProof, ProvenLeaf

    if all(block.last < request for block in store.blocks()):
        raise UnknownNameError(
            "no answer from after this id is in the ledger, so that nobody can tell yet whether it "
            "was given out",
            remedy="try again when a later one is",
        )
    leaves = list[ProvenLeaf]()
    for block in store.blocks_around(request):
        left, right = neighbours(block, request)
        if left is None or right is None or right.leaf != left.leaf + 1:
            raise UnknownNameError(
                f"records of block {block.identity} that may have this id were removed, so that "
                "nobody can tell whether it was given out",
                remedy="the ledger says which days were removed, and which answers were erased",
            )
        leaves += [_leaf(store, left), _leaf(store, right)]
    return PredictionProof(request, None, tuple(leaves))


def _leaf(store: PredictionStore, found: StoredPrediction) -> "ProvenLeaf":
    from factory_resources.ledger.factory_verify import ProvenLeaf
    from factory_resources.ledger.proofs import StoredTree

    block = store.block(found.block)
    leaves = store.leaves(block, 0, block.count)

    def hashes(level: int, start: int, stop: int) -> list[bytes]:
        return _subtrees(leaves, 256**level, start, stop)

    path = StoredTree(hashes).inclusion(found.leaf, block.count)
    digest = sha256(found.record).digest()
    return ProvenLeaf(found.block, found.leaf, found.id, digest, tuple(path))


def _subtrees(leaves: Sequence[bytes], width: int, start: int, stop: int) -> list[bytes]:
    """Return the hashes of complete subtrees with `width` leaves each."""
    from factory_resources.ledger.factory_verify import tree_hash

    if width == 1:
        return list(leaves[start:stop])
    return [tree_hash(leaves[width * n : width * (n + 1)]) for n in range(start, stop)]
