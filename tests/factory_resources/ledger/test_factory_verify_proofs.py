"""The published vectors of tlog-proof: reproduced, and answered by ours and by another reader."""

from typing import Any

import pytest
from tlog_scales import tlog
from tlog_scales.signing import Vkey

from factory_resources.ledger.factory_verify import (
    InclusionProof,
    InvalidError,
    LogCheckpoint,
    SignedNote,
    TrustPolicy,
    leaf_hash,
    require_signed,
)
from tests.factory_resources.ledger.vectors import FILE, make, text

_VECTORS = {vector["desc"]: vector for vector in make()}


def test_the_published_vectors_are_reproduced() -> None:
    assert FILE.read_text(encoding="utf-8") == text()
    assert len(_VECTORS) == len(make())


def _accepts(vector: dict[str, Any]) -> bool:
    policy = TrustPolicy.parse(vector["policy"].encode())
    try:
        proof = InclusionProof.parse(vector["proof"].encode())
        note = SignedNote.parse(proof.checkpoint)
        checkpoint = LogCheckpoint.parse(note.text)
        require_signed(note, checkpoint, policy.logs[0])
        seen = [name for name, key in policy.witnesses if note.time_of(key) is not None]
    except InvalidError:
        return False
    return policy.is_met(seen) and proof.proves(vector["entry"].encode(), checkpoint)


@pytest.mark.parametrize("desc", _VECTORS)
def test_a_vector_is_answered_as_it_asks(desc: str) -> None:
    assert _accepts(_VECTORS[desc]) == _VECTORS[desc]["valid"]


@pytest.mark.parametrize("desc", [desc for desc, vector in _VECTORS.items() if vector["valid"]])
def test_another_reader_accepts_what_is_valid(desc: str) -> None:
    vector = _VECTORS[desc]
    ours = InclusionProof.parse(vector["proof"].encode())
    checkpoint = tlog.Checkpoint.from_text(ours.checkpoint.decode())
    policy = TrustPolicy.parse(vector["policy"].encode())
    checkpoint.verify(Vkey.from_string(str(policy.logs[0])))
    proof = tlog.InclusionProof(ours.index, checkpoint.size, list(ours.hashes))
    proof.check(leaf_hash(vector["entry"].encode()), checkpoint.root_hash)
    for _, key in policy.witnesses:
        vkey = Vkey.from_string(str(key))
        if any(vkey.match(signature) for signature in checkpoint.signatures):
            checkpoint.verify(vkey)
