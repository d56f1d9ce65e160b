"""Verify what a factory did, and witness its ledger, on a machine that has nothing of the factory.

It needs Python 3.9 or later and the package `cryptography`. An auditor reads this file and carries
it to their own machine; the factory imports the same functions from here, so there is one of each.

    python factory_verify.py PATH               verify a home, a copy of one, or an evidence archive
    python factory_verify.py witness new …      make the key of a witness
    python factory_verify.py witness cosign …   check a checkpoint and cosign it

All that is read may come from an enemy. Whatever the input is, the functions here either answer or
raise `InvalidError`, in time that is proportional to its length.

Formats: the Merkle tree of RFC 6962; entries in canonical JSON (RFC 8785); signed-note,
tlog-checkpoint, tlog-cosignature, tlog-policy, tlog-proof and tlog-witness of https://c2sp.org.
"""

from __future__ import annotations

import base64
import json
import re
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

HASH_BYTES = 32

BODY_BYTES = 65_535
"""The longest entry: entry bundles of tlog-tiles have 16-bit lengths."""

_NOTE_BYTES = 512 * 1024
_SIGNATURES = 64
_PROOF_HASHES = 63
_POLICY_LINES = 1000
_LARGEST_SIZE = 2**63 - 1
_LARGEST_INTEGER = 2**53 - 1
"""The largest integer that every reader of JSON represents exactly."""


class InvalidError(ValueError):
    """What was read is not what it must be; the message says how, in one line."""


# ------------------------------------------------------------------------------ The Merkle tree


def leaf_hash(body: bytes) -> bytes:
    """Return the RFC 6962 hash of an entry."""
    return sha256(b"\0" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the RFC 6962 hash of an inner node."""
    return sha256(b"\1" + left + right).digest()


class CompactRange:
    """A Merkle tree that only grows: the hashes of the perfect subtrees that it consists of.

    Args:
        size: the number of leaves.
        frontier: the hashes of its perfect subtrees, largest first, 32 bytes each.

    Raises:
        InvalidError: a tree of this size has another number of perfect subtrees.
    """

    def __init__(self, size: int = 0, frontier: bytes = b"") -> None:
        if size < 0 or len(frontier) != HASH_BYTES * bin(size).count("1"):
            raise InvalidError(f"the frontier is not that of a tree of {size} entries")
        self.size = size
        self._hashes = [
            frontier[start : start + HASH_BYTES] for start in range(0, len(frontier), HASH_BYTES)
        ]

    @property
    def frontier(self) -> bytes:
        """The hashes of the perfect subtrees, largest first."""
        return b"".join(self._hashes)

    @property
    def root(self) -> bytes:
        """The RFC 6962 tree hash."""
        if not self._hashes:
            return sha256(b"").digest()
        root = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            root = node_hash(left, root)
        return root

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add the hash of a leaf.

        Returns:
            Level, number and hash of every complete subtree of 256**level leaves, level 1 and
            above, whose last leaf this is.
        """
        node, height, complete = leaf, 0, []
        while self.size >> height & 1:
            node = node_hash(self._hashes.pop(), node)
            height += 1
            if height % 8 == 0:
                complete.append((height // 8, self.size >> height, node))
        self._hashes.append(node)
        self.size += 1
        return complete


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes | None:
    """Return the root that an inclusion proof leads to (RFC 9162, 2.1.3.2).

    Args:
        leaf: the hash of the entry.
        index: its number.
        size: the number of entries in the tree.
        proof: hashes, from the sibling of the leaf to the child of the root.

    Returns:
        None if a proof of this form cannot be one for this index and size.
    """
    if not 0 <= index < size <= _LARGEST_SIZE or not _are_hashes([leaf, *proof]):
        return None
    node, last, root = index, size - 1, leaf
    for other in proof:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = node_hash(other, root)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            root = node_hash(root, other)
        node, last = node >> 1, last >> 1
    return root if last == 0 else None


def is_consistent(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether the proof shows that one tree is a prefix of another (RFC 9162, 2.1.4.2).

    An empty tree is a prefix of every tree, which needs no proof and proves nothing: False.
    """
    if not 0 < old_size <= size <= _LARGEST_SIZE or not _are_hashes([old_root, root, *proof]):
        return False
    if old_size == size:
        return old_root == root and not proof
    # A tree of 2^n entries is a node of the larger tree, so that its hash is not in the proof.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        return False
    node, last = old_size - 1, size - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for other in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            old, new = node_hash(other, old), node_hash(other, new)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, other)
        node, last = node >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _are_hashes(hashes: Sequence[bytes]) -> bool:
    return len(hashes) <= _PROOF_HASHES + 2 and all(len(item) == HASH_BYTES for item in hashes)


# ---------------------------------------------------------------------------- Text of an enemy


def parse_decimal(text: str) -> int:
    """Return a number of at most 18 digits, without sign or leading zeroes."""
    if not re.fullmatch("0|[1-9][0-9]{0,17}", text):
        raise InvalidError(f"{_short(text)} is not a number")
    return int(text)


def parse_base64(text: str) -> bytes:
    """Return the bytes; exactly one spelling of them is accepted."""
    try:
        content = base64.b64decode(text.encode("ascii"), validate=True)
    except ValueError as error:
        raise InvalidError(f"{_short(text)} is not base64") from error
    if format_base64(content) != text:
        raise InvalidError(f"{_short(text)} is not the base64 that a writer makes")
    return content


def format_base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def parse_hash(text: str) -> bytes:
    """Return a SHA-256 hash written in base64."""
    content = parse_base64(text)
    if len(content) != HASH_BYTES:
        raise InvalidError(f"{_short(text)} is not a hash of {HASH_BYTES} bytes")
    return content


def parse_canonical(body: bytes) -> dict[str, Any]:
    """Return the object whose RFC 8785 form the bytes are.

    Values are strings, integers below 2^53, booleans, null, lists and objects with ASCII keys.

    Raises:
        InvalidError: the bytes are longer than 65,535, are not JSON, or another writer of the same
            values would write other bytes.
    """
    if len(body) > BODY_BYTES:
        raise InvalidError(f"has {len(body)} bytes, more than {BODY_BYTES}")
    try:
        value = _DECODER.decode(body.decode("utf-8"))
        same = canonical(value) == body
        # Only of ASCII is the order of code points that of UTF-16, which RFC 8785 sorts by.
        ascii_keys = body.isascii() or _has_ascii_keys(value)
    except (ValueError, RecursionError) as error:
        raise InvalidError("is not canonical JSON") from error
    if not same or not ascii_keys or not isinstance(value, dict):
        raise InvalidError("is not canonical JSON")
    return value


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 form of a value that `parse_canonical` accepts."""
    return _ENCODER.encode(value).encode("utf-8")


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _LARGEST_INTEGER:
        raise InvalidError(f"{_short(digits)} is too large")
    return int(digits)


def _refuse(text: str) -> None:
    raise InvalidError(f"{_short(text)} is not an integer")


def _has_ascii_keys(value: Any) -> bool:
    if isinstance(value, dict):
        return all(key.isascii() and _has_ascii_keys(item) for key, item in value.items())
    return not isinstance(value, list) or all(map(_has_ascii_keys, value))


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _short(text: str) -> str:
    """Return the text in quotes, cut and escaped, for a message on a terminal."""
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


# -------------------------------------------------------------------------------- Signed notes

ED25519, COSIGNATURE, ML_DSA_COSIGNATURE = 0x01, 0x04, 0x06
"""Signature types of C2SP: of a log; of a witness by Ed25519; of a log or witness by ML-DSA-44."""

_KEY_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA_COSIGNATURE: 1312}

_DASH = "\u2014"


@dataclass(frozen=True)
class VerifierKey:
    """The public key of a log or witness, with the name that signs."""

    name: str
    kind: int
    """The signature type."""
    public: bytes

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read a vkey of signed-note: `<name>+<key id>+<base64 of type and key>`."""
        parts = text.split("+", 2)
        if len(text) > 4096 or len(parts) != 3:
            raise InvalidError(f"{_short(text)} is not a verifier key")
        content = parse_base64(parts[2])
        key = cls(require_key_name(parts[0]), content[0] if content else 0, content[1:])
        if _KEY_BYTES.get(key.kind) != len(key.public):
            raise InvalidError(f"{_short(text)} is a key of an unknown type")
        if parts[1] != key.key_id.hex():
            raise InvalidError(f"{_short(text)} has another key id than its key")
        return key

    def __str__(self) -> str:
        content = format_base64(bytes([self.kind]) + self.public)
        return f"{self.name}+{self.key_id.hex()}+{content}"

    @property
    def key_id(self) -> bytes:
        """The four bytes that, with the name, say which key signed."""
        named = self.name.encode("utf-8") + b"\n" + bytes([self.kind]) + self.public
        return sha256(named).digest()[:4]

    def line(self, signature: bytes) -> str:
        """Return the line of a note with a signature of this key, newline included.

        Args:
            signature: for cosignatures with the 8 bytes of their time before it.
        """
        return f"{_DASH} {self.name} {format_base64(self.key_id + signature)}\n"

    def message(self, text: str, time: int = 0) -> bytes:
        """Return the bytes that this key signs for the text of a note.

        Args:
            time: POSIX seconds, of cosignatures alone.
        """
        if self.kind == ED25519:
            return text.encode("utf-8")
        if self.kind == COSIGNATURE:
            return f"cosignature/v1\ntime {time}\n{text}".encode()
        seen = LogCheckpoint.parse(text)
        name, origin = self.name.encode("utf-8"), seen.origin.encode("utf-8")
        if len(name) > 255 or len(origin) > 255:
            raise InvalidError("the names are too long for an ML-DSA-44 cosignature")
        named = struct.pack(">B", len(name)) + name + struct.pack(">Q", time)
        of_log = struct.pack(">B", len(origin)) + origin + struct.pack(">QQ", 0, seen.size)
        return b"subtree/v1\n\0" + named + of_log + seen.root

    def verify(self, text: str, signature: bytes) -> int:
        """Check a signature of the text of a note, without its key id.

        Returns:
            When it was signed, in POSIX seconds; 0 for a signature that has no time.

        Raises:
            InvalidError: the signature does not verify.
        """
        time = 0
        if self.kind != ED25519:
            time = int.from_bytes(signature[:8], "big")
            signature = signature[8:]
        if time > _LARGEST_SIZE or not self._verifies(signature, self.message(text, time)):
            raise InvalidError(f"the signature of {_short(self.name)} does not verify")
        return time

    def _verifies(self, signature: bytes, message: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        try:
            if self.kind == ML_DSA_COSIGNATURE:
                from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

                MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (ImportError, UnsupportedAlgorithm) as error:
            raise InvalidError(
                f"the installed cryptography cannot check the signature of {_short(self.name)}"
            ) from error
        except (InvalidSignature, ValueError):
            return False
        return True


def require_key_name(name: str) -> str:
    """Return a name that may stand in a note: not empty, without spaces and plus signs."""
    if not name or "+" in name or not name.isprintable() or any(map(str.isspace, name)):
        raise InvalidError(f"{_short(name)} is not a name of a key")
    return name


@dataclass(frozen=True)
class SignedNote:
    """A text and its signatures, not verified yet."""

    text: str
    """With its final newline."""
    signatures: tuple[tuple[str, bytes], ...]
    """Name of the key, and key id with signature."""

    @classmethod
    def parse(cls, content: bytes) -> SignedNote:
        if len(content) > _NOTE_BYTES:
            raise InvalidError(f"the note has more than {_NOTE_BYTES} bytes")
        try:
            whole = content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise InvalidError("the note is not UTF-8") from error
        if any(character < " " and character != "\n" for character in whole):
            raise InvalidError("the note contains control characters")
        text, empty, lines = whole.rpartition("\n\n")
        if not empty or not text or not lines.endswith("\n"):
            raise InvalidError("the note is not a text, an empty line and signatures")
        return cls(text + "\n", tuple(map(_signature, lines[:-1].split("\n", _SIGNATURES))))

    def time_of(self, key: VerifierKey) -> int | None:
        """Return when the key signed, in POSIX seconds (0: unknown); None if it did not sign.

        Raises:
            InvalidError: a signature under the key's name and id does not verify.
        """
        times = [
            key.verify(self.text, content[4:])
            for name, content in self.signatures
            if name == key.name and content[:4] == key.key_id
        ]
        return max(times, default=None)


def _signature(line: str) -> tuple[str, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != _DASH:
        raise InvalidError(f"{_short(line)} is not the line of a signature")
    content = parse_base64(parts[2])
    if len(content) < 5:
        raise InvalidError(f"{_short(line)} has no signature")
    return require_key_name(parts[1]), content


@dataclass(frozen=True)
class LogCheckpoint:
    """What a log signs: how many entries it has, and the hash over all of them."""

    origin: str
    """The name of the log."""
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> LogCheckpoint:
        """Read the text of a note, final newline included."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() or not all(lines):
            raise InvalidError("a checkpoint has three lines or more, none of them empty")
        return cls(lines[0], parse_decimal(lines[1]), parse_hash(lines[2]), tuple(lines[3:]))

    @property
    def text(self) -> str:
        """The text of the note, final newline included."""
        lines = [self.origin, str(self.size), format_base64(self.root), *self.extensions]
        return "".join(f"{line}\n" for line in lines)


# -------------------------------------------------------------- The policy: which witnesses count


@dataclass(frozen=True)
class TrustPolicy:
    """Which logs and witnesses count, and how many of them suffice (tlog-policy)."""

    logs: tuple[VerifierKey, ...]
    witnesses: tuple[tuple[str, VerifierKey], ...]
    """By the name that the policy gives to each."""
    groups: tuple[tuple[str, int, tuple[str, ...]], ...]
    """Name, how many members must have seen a checkpoint, and the members, in order."""
    quorum: str | None
    """The witness or group that must have seen a checkpoint; None if none must."""

    @classmethod
    def parse(cls, content: bytes) -> TrustPolicy:
        if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", content):
            raise InvalidError("the policy contains control characters")
        lines = content.decode("utf-8", "surrogateescape").split("\n")
        if len(lines) > _POLICY_LINES or len(content) > _NOTE_BYTES:
            raise InvalidError("the policy is too long")
        reader = _PolicyReader()
        for number, line in enumerate(lines, 1):
            words = [word for word in re.split("[ \t]+", line) if word]
            if words and not words[0].startswith("#"):
                try:
                    reader.read(words)
                except InvalidError as error:
                    raise InvalidError(f"line {number} of the policy: {error}") from error
        return reader.policy()

    def members(self, cosigners: Iterable[str]) -> frozenset[str]:
        """Return the witnesses and groups that have seen what these witnesses cosigned."""
        seen = set(cosigners)
        for name, threshold, members in self.groups:
            if len(seen.intersection(members)) >= threshold:
                seen.add(name)
        return frozenset(seen)

    def is_met(self, cosigners: Iterable[str]) -> bool:
        """Whether the cosignatures of these witnesses suffice."""
        return self.quorum is None or self.quorum in self.members(cosigners)


class _PolicyReader:
    """Reads a policy line by line: a line may name only what stands above it."""

    def __init__(self) -> None:
        self.logs: list[VerifierKey] = []
        self.witnesses: dict[str, VerifierKey] = {}
        self.groups: dict[str, tuple[int, tuple[str, ...]]] = {}
        self.grouped: list[str] = []
        self.quorum: list[str | None] = []

    def read(self, words: Sequence[str]) -> None:
        kind, arguments = words[0], words[1:]
        if kind == "log" and len(arguments) in (1, 2):
            self._add_log(arguments[0])
        elif kind == "witness" and len(arguments) in (2, 3):
            self._add_witness(arguments[0], arguments[1])
        elif kind == "group" and len(arguments) >= 3:
            self._add_group(arguments[0], arguments[1], arguments[2:])
        elif kind == "quorum" and len(arguments) == 1 and not self.quorum:
            name = arguments[0]
            self.quorum.append(None if name == "none" else self._defined(name))
        else:
            raise InvalidError(f"{_short(' '.join(words))} is not understood")

    def policy(self) -> TrustPolicy:
        if not self.quorum:
            raise InvalidError("the policy has no line `quorum`")
        groups = [(name, count, members) for name, (count, members) in self.groups.items()]
        logs, witnesses = tuple(self.logs), tuple(self.witnesses.items())
        return TrustPolicy(logs, witnesses, tuple(groups), self.quorum[0])

    def _add_log(self, text: str) -> None:
        key = VerifierKey.parse(text)
        if key.kind == COSIGNATURE or key.public in {other.public for other in self.logs}:
            raise InvalidError(f"{_short(text)} is not the key of a log, or stands there twice")
        self.logs.append(key)

    def _add_witness(self, name: str, text: str) -> None:
        key = VerifierKey.parse(text)
        if key.kind == ED25519 or key.public in {k.public for k in self.witnesses.values()}:
            raise InvalidError(f"{_short(text)} is not the key of a witness, or stands there twice")
        self.witnesses[self._new(name)] = key

    def _add_group(self, name: str, count: str, members: Sequence[str]) -> None:
        threshold = {"any": 1, "all": len(members)}.get(count) or parse_decimal(count)
        if not 1 <= threshold <= len(members):
            raise InvalidError(f"{threshold} of {len(members)} members is not possible")
        for member in members:
            if member in self.grouped:
                raise InvalidError(f"{_short(member)} is a member twice")
            self.grouped.append(self._defined(member))
        self.groups[self._new(name)] = (threshold, tuple(members))

    def _new(self, name: str) -> str:
        if name == "none" or name in self.witnesses or name in self.groups:
            raise InvalidError(f"the name {_short(name)} is taken")
        return name

    def _defined(self, name: str) -> str:
        if name not in self.witnesses and name not in self.groups:
            raise InvalidError(f"{_short(name)} is not defined above")
        return name
