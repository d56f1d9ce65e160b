"""Make the test vectors of tlog-proof that are published in `docs/ledger-vectors`.

python -m tests.factory_resources.ledger.vectors
"""

import json
from collections.abc import Iterator
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_resources.home.home import PROJECT
from factory_resources.ledger.factory_verify import COSIGNATURE, VerifierKey, leaf_hash
from tests.factory_resources.ledger import trees
from tests.factory_resources.ledger.homes import LogKey, format_proof

FILE = PROJECT / "docs" / "ledger-vectors" / "tlog-proof.json"

_LOG = LogKey(b"l" * 32, "example.com/log")
_TIME = 1_700_000_000


def _entry(number: int) -> bytes:
    return b"entry %d" % number


def _witness(number: int) -> tuple[VerifierKey, Ed25519PrivateKey]:
    private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
    public = private.public_key().public_bytes_raw()
    return VerifierKey(f"example.com/w{number}", COSIGNATURE, public), private


def _cosignature(note: bytes, number: int, time: int = _TIME, said: int = _TIME) -> bytes:
    key, private = _witness(number)
    signature = private.sign(key.message(note.decode().partition("\n\n")[0] + "\n", time))
    return key.line(said.to_bytes(8, "big") + signature).encode()


def _checkpoint(size: int, key: LogKey = _LOG) -> bytes:
    return key.sign(size, trees.root([leaf_hash(_entry(n)) for n in range(size)]))


def _proof(number: int, size: int, note: bytes = b"") -> bytes:
    leaves = [leaf_hash(_entry(n)) for n in range(size)]
    return format_proof(number, trees.inclusion(number, leaves), note or _checkpoint(size))


def _policy(*lines: str) -> str:
    keys = [f"witness w{number} {_witness(number)[0]}" for number in (1, 2, 3)]
    return "\n".join([f"log {_LOG.public}", *keys, *lines, ""])


_NONE = _policy("quorum none")
_ONE = _policy("quorum w1")
_TWO = _policy("group first any w1 w2", "group both all first w3", "quorum both")


def _good() -> Iterator[tuple[str, int, bytes, str]]:
    for size in (1, 2, 3, 7, 8, 300):
        for number in sorted({0, size // 2, size - 1}):
            yield f"entry {number} of {size}", number, _proof(number, size), _NONE
    extra = _proof(3, 7).replace(b"index", b"extra AAECAw==\nindex", 1)
    yield "with extra data", 3, extra, _NONE
    note = _checkpoint(7)
    one = note + _cosignature(note, 1)
    yield "with the witness that must have seen it", 3, _proof(3, 7, one), _ONE
    other = note + LogKey(b"o" * 32, "example.com/other").public.line(bytes(64)).encode()
    yield "with a signature of an unknown key", 3, _proof(3, 7, other), _NONE
    both = note + _cosignature(note, 2) + _cosignature(note, 3)
    yield "with a quorum of two groups", 3, _proof(3, 7, both), _TWO


def _forged() -> Iterator[tuple[str, int, bytes, str]]:
    good, note = _proof(3, 7), _checkpoint(7)
    lines = good.split(b"\n")
    yield "of another entry", 4, good, _NONE
    yield "another index", 3, good.replace(b"index 3", b"index 2"), _NONE
    yield "an index beyond the log", 3, good.replace(b"index 3", b"index 7"), _NONE
    yield "an index with a leading zero", 3, good.replace(b"index 3", b"index 03"), _NONE
    yield "a negative index", 3, good.replace(b"index 3", b"index -3"), _NONE
    yield "an endless index", 3, good.replace(b"index 3", b"index " + b"9" * 400), _NONE
    yield "without index", 3, good.replace(b"index 3\n", b""), _NONE
    yield "a hash missing", 3, b"\n".join(lines[:2] + lines[3:]), _NONE
    yield "a hash twice", 3, b"\n".join([*lines[:3], *lines[2:]]), _NONE
    yield "hashes exchanged", 3, b"\n".join([*lines[:2], lines[3], lines[2], *lines[4:]]), _NONE
    yield "a hash of 31 bytes", 3, good.replace(lines[2], b"A" * 40 + b"AA==", 1), _NONE
    yield "a hash in another spelling", 3, _respelt(good, lines[2]), _NONE
    yield "64 hashes too many", 3, good.replace(lines[2], b"\n".join([lines[2]] * 65), 1), _NONE
    yield "lines that end in CR LF", 3, good.replace(b"\n", b"\r\n"), _NONE
    yield "another first line", 3, good.replace(b"@v1", b"@v2", 1), _NONE
    yield "extra data that is not base64", 3, good.replace(b"index", b"extra ?\nindex", 1), _NONE
    yield "without empty line", 3, good.replace(b"\n\n", b"\n", 1), _NONE
    yield "another size", 3, good.replace(b"\n7\n", b"\n8\n"), _NONE
    yield "another origin", 3, good.replace(b"example.com/log\n", b"example.com/gol\n"), _NONE
    yield "the checkpoint of a longer log", 3, good.replace(note, _checkpoint(8)), _NONE
    stranger = LogKey(b"o" * 32, _LOG.name)
    yield "signed by another key", 3, _proof(3, 7, _checkpoint(7, stranger)), _NONE
    text = note.partition(b"\n\n")[0] + b"\n\n"
    forged = text + _LOG.public.line(bytes(64)).encode()
    yield "a signature of zeroes", 3, _proof(3, 7, forged), _NONE
    yield "without signature", 3, _proof(3, 7, text), _NONE
    yield "without the witness", 3, good, _ONE
    another = note + _cosignature(note, 2)
    yield "with another witness", 3, _proof(3, 7, another), _ONE
    later = note + _cosignature(note, 1, _TIME, _TIME + 1)
    yield "a cosignature with another time", 3, _proof(3, 7, later), _ONE
    elsewhere = note + _cosignature(_checkpoint(8), 1)
    yield "a cosignature of another checkpoint", 3, _proof(3, 7, elsewhere), _ONE
    same = note + _cosignature(note, 1) + _cosignature(note, 2)
    yield "two witnesses of one group", 3, _proof(3, 7, same), _TWO


def _respelt(proof: bytes, line: bytes) -> bytes:
    """Set bits that no byte of the hash has: a lenient reader reads the same hash."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return proof.replace(line, line[:-2] + alphabet[alphabet.index(line[-2]) + 1 :][:1] + b"=", 1)


def make() -> list[dict[str, Any]]:
    """Return the vectors."""
    return [
        {
            "desc": desc,
            "valid": valid,
            "entry": _entry(number).decode(),
            "policy": policy,
            "proof": proof.decode(),
        }
        for valid, vectors in ((True, _good()), (False, _forged()))
        for desc, number, proof, policy in vectors
    ]


def text() -> str:
    return json.dumps(make(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
