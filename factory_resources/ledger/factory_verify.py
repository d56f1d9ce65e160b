"""Verify what a factory did, and witness its ledger, on a machine that has nothing of the factory.

It needs Python 3.9 or later and the package `cryptography`. An auditor reads this file and carries
it to their own machine; the factory imports the same functions from here, so there is one of each.

    python factory_verify.py PATH               verify a home, a copy of one, or an evidence archive
    python factory_verify.py PATH --dossier F   compare a dossier with it as well, value by value
    python factory_verify.py proof N.tlog-proof N.json --key VKEY     verify that an entry was made
    python factory_verify.py witness new …      make the key of a witness
    python factory_verify.py witness cosign …   check a checkpoint and cosign it

All input is untrusted. Whatever it is, the functions here either answer or raise `InvalidError`, in
time that is proportional to its length.

Formats: the Merkle tree of RFC 6962; entries in canonical JSON (RFC 8785); signed-note,
tlog-checkpoint, tlog-cosignature, tlog-policy, tlog-proof and tlog-witness of https://c2sp.org;
statements of in-toto in envelopes of DSSE, signed by keys of OpenSSH or by passkeys (WebAuthn).
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import re
import secrets
import sqlite3
import stat
import struct
import sys
import tempfile
import zipfile
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from functools import lru_cache
from hashlib import sha256
from heapq import heappop, heappush, merge
from itertools import repeat
from typing import Any, NoReturn, Union
from urllib.parse import quote
from zlib import crc32

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


class UncheckedError(InvalidError):
    """Nobody can tell here whether it is: the installed cryptography lacks a kind of signature."""


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


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the RFC 6962 tree hash over the hashes of at least one leaf."""
    level = list(leaves)
    while len(level) > 1:
        pairs = len(level) // 2 * 2
        above = [
            sha256(b"\1" + left + right).digest()
            for left, right in zip(level[:pairs:2], level[1:pairs:2])
        ]
        # A last one without a sibling is also the root of what it stands for, one level up.
        level = above + level[pairs:]
    return level[0]


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


# ------------------------------------------------------------------------------- Untrusted text


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

    Values are strings, integers below 2^53, booleans, null, lists and objects.

    Raises:
        InvalidError: the bytes are longer than 65,535, are not JSON, or another writer of the same
            values would write other bytes.
    """
    if len(body) > BODY_BYTES:
        raise InvalidError(f"has {len(body)} bytes, more than {BODY_BYTES}")
    values = _canonical_objects([body])
    if values is None:
        raise InvalidError("is not canonical JSON")
    return values[0]


def _canonical_objects(bodies: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Return the objects of which each is written in its RFC 8785 form, or None.

    Many are written again at once, which takes half the time of one after the other. As each is one
    whole object, their sequence is the same only if each of them is.
    """
    values = []
    try:
        for body in bodies:
            text = body.decode("utf-8")
            value, end = _DECODER.raw_decode(text)
            if end != len(text) or not isinstance(value, dict):
                return None
            values.append(value)
        return values if canonical(values) == b"[%b]" % b",".join(bodies) else None
    except (ValueError, RecursionError):
        return None


def canonical(value: Any) -> bytes:
    """Return the RFC 8785 form of a value that `parse_canonical` accepts."""
    text = _ENCODER.encode(value)
    if not text.isascii() and max(text) > "\uffff":
        # Only up to there is the order of code points that of UTF-16, which RFC 8785 sorts by.
        text = _UNSORTED.encode(_in_utf16_order(value))
    return text.encode("utf-8")


def _in_utf16_order(value: Any) -> Any:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be", "surrogatepass"))
        return {name: _in_utf16_order(value[name]) for name in names}
    return [*map(_in_utf16_order, value)] if isinstance(value, (list, tuple)) else value


def _integer(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > _LARGEST_INTEGER:
        raise InvalidError(f"{_short(digits)} is too large")
    return int(digits)


def _refuse(text: str) -> None:
    raise InvalidError(f"{_short(text)} is not an integer")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_UNSORTED = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def _short(text: str) -> str:
    """Return the text in quotes, cut and escaped, for a message on a terminal."""
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")


def text_bytes(text: str, errors: str = "strict") -> bytes:
    """Return a text in UTF-8, which cannot encode the lone surrogates that JSON may contain.

    Raises:
        InvalidError: the text contains one.
    """
    try:
        return text.encode("utf-8", errors)
    except UnicodeEncodeError as error:
        raise InvalidError(f"{_short(text)} contains half a character") from error


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
        return signature_line(self.name, self.key_id + signature)

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
        if time > _LARGEST_SIZE or not self.verifies(signature, self.message(text, time)):
            raise InvalidError(f"the signature of {_short(self.name)} does not verify")
        return time

    def has_signed(self, payload: bytes, signature: dict[str, Any]) -> bool:
        """Whether a signature of a DSSE envelope is one of this key.

        Raises:
            InvalidError: it is not a signature.
        """
        message = pre_authentication_encoding(STATEMENT_PAYLOAD, payload)
        return self.verifies(parse_base64(take(signature, "sig")), message)

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Whether this key made the signature of the message."""
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

        try:
            if self.kind == ML_DSA_COSIGNATURE:
                from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

                MLDSA44PublicKey.from_public_bytes(self.public).verify(signature, message)
            else:
                from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

                Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (ImportError, UnsupportedAlgorithm) as error:
            raise UncheckedError(
                f"the installed cryptography cannot check the signature of {_short(self.name)}"
            ) from error
        except (InvalidSignature, ValueError):
            return False
        return True


def signature_line(name: str, signature: bytes) -> str:
    """Return the line of a note with a signature, key id included; newline included."""
    return f"{_DASH} {name} {format_base64(signature)}\n"


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
        return cls(text + "\n", tuple(map(_signature, lines[:-1].split("\n", _SIGNATURES - 1))))

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


# ------------------------------------------------------------------------------------ The report


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold, or that should be known."""

    what: str
    entry: int | None = None
    """The number of the entry that it is about."""
    file: str = ""
    """The file in the home or archive that it is about."""

    def __str__(self) -> str:
        entry = "" if self.entry is None else f"entry {self.entry}"
        where = ", ".join(filter(None, (entry, self.file)))
        return printable(f"{where}: {self.what}" if where else self.what)


@dataclass
class VerificationReport:
    """What a verification found; it holds if there are no problems."""

    problems: list[Finding] = field(default_factory=list)
    notes: list[Finding] = field(default_factory=list)
    checked: dict[str, int] = field(default_factory=dict)
    """How many entries, records, files and so on were checked."""
    unlisted: int = 0
    """Problems that are not listed any more."""
    cannot_prove: list[str] = field(default_factory=lambda: [*_CANNOT_PROVE])
    _listed: set[tuple[str, str]] = field(default_factory=set)

    @property
    def holds(self) -> bool:
        return not self.problems

    def problem(self, what: object, entry: int | None = None, file: str = "") -> None:
        if file and (str(what), file) in self._listed:
            return
        if len(self.problems) >= _FINDINGS:
            self.unlisted += 1
            return
        self._listed.add((str(what), file))
        self.problems.append(Finding(str(what), entry, file))

    @contextmanager
    def reported(self, entry: int | None = None, file: str = "") -> Iterator[None]:
        """Report what does not hold in the block, and go on after it."""
        try:
            yield
        except InvalidError as error:
            self.problem(error, entry, file)

    def note(self, what: str, entry: int | None = None, file: str = "") -> None:
        self.notes.append(Finding(what, entry, file))

    def count(self, what: str, number: int = 1) -> None:
        self.checked[what] = self.checked.get(what, 0) + number

    def lines(self) -> Iterator[str]:
        """Yield what a person reads."""
        counts = ", ".join(amount(n, what) for what, n in self.checked.items())
        yield f"checked: {counts or 'nothing'}"
        yield from (f"problem: {finding}" for finding in self.problems)
        if self.unlisted:
            yield f"problem: and {self.unlisted:,} more"
        yield from (f"note: {finding}" for finding in self.notes)
        yield from (f"cannot prove: {line}" for line in self.cannot_prove)
        yield "all holds" if self.holds else "does not hold"

    def json(self) -> str:
        value = {
            "holds": self.holds,
            "checked": self.checked,
            "problems": [vars(finding) for finding in self.problems],
            "unlisted_problems": self.unlisted,
            "notes": [vars(finding) for finding in self.notes],
            "cannot_prove": self.cannot_prove,
        }
        return json.dumps(value, indent=1)


_FINDINGS = 1000

_CANNOT_PROVE: tuple[str, ...] = (
    "that what an entry says is true: only that it was said, and not changed since",
    "that nothing happened of which the ledger has no entry",
    "that history is as it was before the first witness, or the first auditor, saw it",
)


def amount(number: int, what: str) -> str:
    """Return a number with what is counted, which is given in the plural, such as `log entries`."""
    if number != 1:
        return f"{number:,} {what}"
    one = re.sub(r"(ies|(?<=ch)es|s)\b", lambda end: "y" * (end[1] == "ies"), what, count=1)
    return f"1 {one}"


def printable(text: str) -> str:
    """Escape what could control a terminal or reverse the text."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


# ------------------------------------------------------------------------- Files of a home or zip

_CHUNK = 1 << 20
_RECORD_COST = 128 * 1024 * 1024
"""Bytes of memory that a parsed record may take."""
LARGEST_DIRECTORY = 32 * 1024 * 1024
"""Bytes that are read of an archive at once; only its directory, some 150 bytes for each of its
files, is longer than a few."""


class MissingFileError(InvalidError):
    """A file is not there."""


class HomeFolder:
    """The files of a home. Links and what is not a regular file are never opened."""

    def __init__(self, path: str) -> None:
        self.root = os.path.realpath(path)
        self.links: set[str] = set()

    def path(self, name: str) -> str:
        """Return where a regular file is.

        Args:
            name: its path in the home, with slashes.
        """
        path = os.path.join(self.root, *require_relative(name).split("/"))
        if os.path.realpath(path) != path:
            raise InvalidError("is reached through a symbolic link, which is not followed")
        try:
            mode = os.lstat(path).st_mode
        except (FileNotFoundError, NotADirectoryError) as error:
            raise MissingFileError("is missing") from error
        except OSError as error:
            raise InvalidError(f"cannot be read ({error.strerror})") from error
        if not stat.S_ISREG(mode):
            raise InvalidError("is not a regular file")
        return path

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content."""
        path = self.path(name)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
        try:
            with open(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb") as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except OSError as error:
            raise InvalidError(f"cannot be read ({error.strerror})") from error

    def names(self, pattern: str) -> Iterator[str]:
        """Yield the paths in the home that match; a star stands for anything within one name.

        Symbolic links are not followed, but remembered in `links`.
        """
        yield from self._below("", pattern.split("/"))

    def _below(self, folder: str, pattern: Sequence[str]) -> Iterator[str]:
        wanted, rest = re.escape(pattern[0]).replace(r"\*", ".*"), pattern[1:]
        try:
            with os.scandir(os.path.join(self.root, folder)) as found:
                for item in found:
                    if not re.fullmatch(wanted, item.name):
                        continue
                    if item.is_symlink():
                        self.links.add(folder + item.name)
                    elif not rest:
                        yield folder + item.name
                    elif item.is_dir():
                        yield from self._below(f"{folder}{item.name}/", rest)
        except FileNotFoundError:
            return
        except OSError as error:
            raise InvalidError(f"{folder} cannot be read ({error.strerror})") from error


class _ArchiveBytes(io.FileIO):
    """The bytes of an archive, whose directory is read at once, and takes five times the memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LARGEST_DIRECTORY:
            raise ValueError("too many files")
        return super().read(size)


def _are_in_a_row(items: Sequence[zipfile.ZipInfo], directory: int, file: io.FileIO) -> bool:
    """Whether the archive is its files, its directory and its end, and nothing else.

    Otherwise a program that unpacks it from its front, and reads no directory, may find others.

    Args:
        directory: where it begins.
    """
    at = 0
    try:
        for item in sorted(items, key=lambda item: item.header_offset):
            header = _member_header(item, at, file)
            if header is None or item.header_offset != at:
                return False
            at += header + item.file_size
        file.seek(-_ZIP_END, os.SEEK_END)
        end = file.read(_ZIP_END)
    except _ZIP_ERRORS:
        return False
    # The last two bytes say how long a comment is that follows.
    return at == directory and end[:4] == b"PK\5\6" and end[-2:] == b"\0\0"


_ZIP_END, _ZIP_HEADER, _WIDE = 22, 30, 0xFFFFFFFF


def _member_header(item: zipfile.ZipInfo, at: int, file: io.FileIO) -> int | None:
    """Return how long the header there is, if it says of the file what the directory says."""
    extra, size, wide = item.extra, item.file_size, b""
    # Some programs take the name from there.
    if extra and extra[:4] != struct.pack("<HH", 1, len(extra) - 4):
        return None
    file.seek(at)
    front = file.read(_ZIP_HEADER)
    if front[28:30] != b"\0\0":
        size, wide = _WIDE, struct.pack("<HHQQ", 1, 16, size, size)
    name = item.orig_filename.encode("utf-8" if item.flag_bits & 0x800 else "cp437")
    found = front + file.read(len(name) + len(wide))
    kind = b"PK\3\4" + struct.pack("<HH", item.flag_bits, item.compress_type)
    sizes = struct.pack("<LLLHH", item.CRC, size, size, len(name), len(wide))
    # What is left out is the version of the format, and when the file was changed.
    is_same = found[:4] + found[6:10] + found[14:] == kind + sizes + name + wide
    return len(found) if is_same and item.filename == item.orig_filename else None


class ArchiveFile:
    """The files of an evidence archive, or those below a folder of it.

    Only files without compression are read, so that no archive unpacks to more than its size.

    Args:
        prefix: what their names begin with in the archive.
    """

    def __init__(self, archive: zipfile.ZipFile, prefix: str) -> None:
        self._zip, self.prefix = archive, prefix
        self._members = {item.filename: item for item in archive.infolist()}

    @classmethod
    @contextmanager
    def open(cls, path: str) -> Iterator[ArchiveFile]:
        """Open an archive, with the names that it has itself.

        Raises:
            InvalidError: it is not an archive of this form.
        """
        with ExitStack() as stack:
            try:
                file = stack.enter_context(_ArchiveBytes(path))
                archive = zipfile.ZipFile(file)
            except _ZIP_ERRORS as error:
                raise InvalidError("is not a zip archive that can be read") from error
            items = archive.infolist()
            if len(items) != len({item.filename for item in items}):
                raise InvalidError("the archive has two files of the same name")
            for item in items:
                require_relative(item.filename)
                if item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size:
                    raise InvalidError(
                        f"{_short(item.filename)} is compressed, which is not allowed"
                    )
            if not _are_in_a_row(items, archive.start_dir, file):
                raise InvalidError(
                    "the archive is not its files one after the other, and nothing else"
                )
            yield cls(archive, "")

    def below(self, prefix: str) -> ArchiveFile:
        """Return the files whose names begin so, named without that."""
        return ArchiveFile(self._zip, prefix)

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the content."""
        item = self._members.get(self.prefix + name)
        if item is None:
            raise MissingFileError("is not in the archive")
        try:
            with self._zip.open(item) as file:
                while chunk := file.read(_CHUNK):
                    yield chunk
        except _ZIP_ERRORS as error:
            raise InvalidError("cannot be read from the archive") from error

    def names(self, pattern: str) -> Iterator[str]:
        """Yield the paths below the prefix that match; a star stands for anything in one name."""
        wanted = re.escape(self.prefix + pattern).replace(r"\*", "[^/]*")
        for name in self._members:
            if re.fullmatch(wanted, name):
                yield name[len(self.prefix) :]

    def all(self) -> Iterator[str]:
        """Yield every path in the archive."""
        yield from self._members


_ZIP_ERRORS = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    OverflowError,
)


def require_relative(name: str) -> str:
    """Return a path that leads nowhere but down."""
    parts = name.split("/")
    bad = any(part in {"", ".", ".."} for part in parts) or len(name) > 1000
    if bad or re.search(r"[\x00-\x1f\x7f\\:]", name):
        raise InvalidError(f"{_short(name)} is not a path in a home")
    path_bytes(name)
    return name


def read_all(files: HomeFolder | ArchiveFile, name: str, limit: int) -> bytes:
    """Return the content of a file of at most `limit` bytes."""
    content = bytearray()
    for chunk in files.chunks(name):
        content += chunk
        if len(content) > limit:
            raise InvalidError(f"has more than {limit:,} bytes")
    return bytes(content)


@contextmanager
def _named(what: str) -> Iterator[None]:
    """Say of what does not hold in the block which file it is about."""
    try:
        yield
    except InvalidError as error:
        raise type(error)(f"{what}: {error}") from error


def parse_object(content: bytes) -> dict[str, Any]:
    """Return a JSON object, however written, if it takes little memory."""
    braces, brackets, commas = content.count(b"{"), content.count(b"["), content.count(b",")
    if 2 * len(content) + 250 * braces + 100 * brackets + 80 * commas > _RECORD_COST:
        raise InvalidError("is too large")
    try:
        value = json.loads(content, parse_int=_bounded, object_pairs_hook=_distinct_names)
    except InvalidError:
        raise
    except (ValueError, RecursionError) as error:
        raise InvalidError("is not JSON that can be read") from error
    if not isinstance(value, dict):
        raise InvalidError("is not a JSON object")
    return value


def _bounded(digits: str) -> int:
    if len(digits) > 100:
        raise InvalidError("a number is too long")
    return int(digits)


def _distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object, of which every reader takes the same values."""
    value = dict(pairs)
    if len(value) != len(pairs):
        [(name, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise InvalidError(f"has the name {_short(name)} twice in one object")
    return value


def take(value: Any, *names: str, kind: type = str) -> Any:
    """Return a value of nested objects.

    Raises:
        InvalidError: it is not there, or of another type.
    """
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise InvalidError(f"has no valid {'.'.join(names)!r}")
    return value


def take_texts(value: Any, name: str) -> list[str]:
    """Return a list of texts in an object; raises as `take` does."""
    texts: list[str] = take(value, name, kind=list)
    if not all(isinstance(text, str) for text in texts):
        raise InvalidError(f"has no valid {name!r}")
    return texts


def digest_of(value: Any) -> str:
    """Return the digest of a part of a record, as the factory writes it."""
    return sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


# ----------------------------------------------------------------------------------- The database

# A message about a damaged schema may quote bytes that are not text.
_DATABASE_ERRORS = (sqlite3.Error, MemoryError, OverflowError, UnicodeDecodeError)

_BATCH = 32
"""Rows that are in memory at once, each of at most 65,535 bytes."""

_PLAIN = re.compile(b"CREATE (TABLE|INDEX|UNIQUE INDEX|TRIGGER) ")

_INDEXED = frozenset({"block", "outcome", "outcome_batch", "registered_model_aliases"})
"""Tables with indexes; what is found by one is compared with an entry, or read without it."""

_STEPS = 20_000
"""Calls of the guard, one a thousand steps of SQLite, that all queries of a database may take."""

_BYTES_PER_STEP = 100
"""For each so many bytes of a database, its queries may take one more."""


class GuardedDatabase:
    """An untrusted SQLite file, opened to be read.

    Views, endless queries and values of any size are refused, and so are indexes: some queries
    would read one in place of its table, whose rows may be others. Texts are returned as bytes.

    Raises:
        InvalidError: it cannot be opened, or lacks one of the tables.
    """

    def __init__(self, path: str, tables: Sequence[str]) -> None:
        for beside in ("-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                if not stat.S_ISREG(os.lstat(path + beside).st_mode):
                    raise InvalidError(f"its {beside} is not a regular file")
        self._steps = _STEPS + sum(_size(path + part) for part in ("", "-wal")) // _BYTES_PER_STEP
        self._connection = self._connect(path)
        try:
            self._require(tables)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let others write to the file again."""
        self._connection.close()

    def _require(self, tables: Sequence[str]) -> None:
        try:
            for table in tables:
                rows = self.rows("SELECT type FROM sqlite_master WHERE name = ?", table)
                if [kind for (kind,) in rows] != [b"table"]:
                    raise InvalidError(f"has no table {table!r}")
            for (sql,) in self.rows("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"):
                if not isinstance(sql, bytes) or not _PLAIN.match(sql):
                    raise InvalidError("has a view or a virtual table")
            for table in tables:
                self._require_plain(table)
        except _DATABASE_ERRORS as error:
            raise InvalidError(f"cannot be opened ({error})") from error

    def _require_plain(self, table: str) -> None:
        """Require that every query reads the same rows of a table, as they are stored."""
        computed = self.rows("SELECT 1 FROM pragma_table_xinfo(?) WHERE hidden", table)
        # The primary key of a table without row ids is the table itself, and has no row there.
        indexes = self.rows(
            "SELECT 1 FROM pragma_index_list(?) "
            "WHERE origin != 'pk' OR name IN (SELECT name FROM sqlite_master)",
            table,
        )
        if any(computed) or (table not in _INDEXED and any(indexes)):
            raise InvalidError(f"has columns or an index that no table {table!r} has")

    def _connect(self, path: str) -> sqlite3.Connection:
        """Return a connection that reads the file as it is now.

        Raises:
            InvalidError: it cannot be opened.
        """
        # Without its write-ahead log, a copy on a medium that cannot be written is complete. With a
        # journal, half of what is undone by it may be in the file.
        complete = not any(_size(path + beside) for beside in ("-wal", "-journal"))
        modes = ["mode=ro", "mode=ro&immutable=1"] if complete else ["mode=ro"]
        for mode in modes:
            address = f"file:{quote(os.path.abspath(path))}?{mode}"
            try:
                connection = sqlite3.connect(address, uri=True, isolation_level=None)
            except _DATABASE_ERRORS as error:
                raise InvalidError(f"cannot be opened ({error})") from error
            connection.text_factory = bytes
            connection.set_progress_handler(self._guard, 1000)
            try:
                for setting in (
                    "trusted_schema = OFF",
                    "query_only = ON",
                    "cell_size_check = ON",
                    "cache_size = -16000",
                ):
                    connection.execute(f"PRAGMA {setting}")
                # Everything is read as it was at this moment, although the factory may go on.
                connection.execute("BEGIN")
                connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
                return connection
            except sqlite3.OperationalError:
                connection.close()
            except _DATABASE_ERRORS as error:
                connection.close()
                raise InvalidError(f"cannot be opened ({error})") from error
        if _size(path + "-journal"):
            # Rolled back here, a hostile journal could delete the files that it names.
            raise InvalidError(
                "was being written when it was copied, or its writer was killed: run any command "
                "of the factory where the original is, which repairs it, and copy it again"
            )
        raise InvalidError(
            "cannot be opened to be read; if it is a copy, copy the file ending in -wal too, "
            "to a folder that you may write to"
        )

    def _guard(self) -> int:
        self._steps -= 1
        return self._steps < 0

    def rows(self, statement: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query.

        Raises:
            InvalidError: the file is damaged, or the query would take too long.
        """
        for batch in self.batches(statement, *values):
            yield from batch

    def batches(self, statement: str, *values: object) -> Iterator[list[tuple[Any, ...]]]:
        """Yield the rows of a query, some at a time; raises as `rows` does."""
        try:
            cursor = self._connection.execute(statement, values)
            while batch := cursor.fetchmany(_BATCH):
                yield batch
        except _DATABASE_ERRORS as error:
            raise InvalidError(f"the database cannot be read ({error})") from error


def _size(path: str) -> int:
    # Asked once: whoever writes to the database removes its journal at any moment.
    with suppress(OSError):
        return os.path.getsize(path)
    return 0


class Scratch:
    """What a verification must remember, on disk where it is much.

    Raises:
        OSError: that disk cannot be written; nothing can be said of what is verified.
    """

    def __init__(self) -> None:
        self._connection = sqlite3.connect("", isolation_level=None)
        self._connection.executescript(
            "PRAGMA cache_size = -16000; PRAGMA journal_mode = OFF; BEGIN;"
            "CREATE TABLE act(number INTEGER PRIMARY KEY, kind TEXT);"
            "CREATE TABLE removed(path BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID;"
            "CREATE TABLE facts(path BLOB PRIMARY KEY, text TEXT) WITHOUT ROWID;"
            "CREATE TABLE listed(path BLOB PRIMARY KEY) WITHOUT ROWID;"
            "CREATE TABLE gone(path BLOB PRIMARY KEY) WITHOUT ROWID;"
            "CREATE TABLE digest(path BLOB PRIMARY KEY, sha256 TEXT) WITHOUT ROWID;"
            "CREATE TABLE person(person TEXT, number INTEGER, roles TEXT, keys TEXT, account TEXT,"
            " PRIMARY KEY(person, number)) WITHOUT ROWID;"
            "CREATE TABLE rule(subject TEXT PRIMARY KEY, rule TEXT) WITHOUT ROWID;"
            "CREATE TABLE declared(sha256 TEXT PRIMARY KEY, rule TEXT) WITHOUT ROWID;"
            "CREATE TABLE ran(sha256 TEXT, pipeline TEXT, number INTEGER,"
            " PRIMARY KEY(sha256, pipeline)) WITHOUT ROWID;"
            "CREATE TABLE changed_rule(number INTEGER PRIMARY KEY, pipeline TEXT);"
            "CREATE TABLE served(which TEXT PRIMARY KEY) WITHOUT ROWID;"
            "CREATE TABLE refused(which TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;"
            "CREATE TABLE statement(sha256 TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;"
            "CREATE TABLE manifest(model TEXT, version TEXT, path BLOB,"
            " PRIMARY KEY(model, version, path)) WITHOUT ROWID;"
            "CREATE TABLE logged(number INTEGER PRIMARY KEY, kind TEXT);"
            "CREATE TABLE elsewhere(block BLOB, number INTEGER, ranges BLOB,"
            " PRIMARY KEY(block, number)) WITHOUT ROWID;"
            "CREATE TABLE placed(block INTEGER, id BLOB, PRIMARY KEY(block, id)) WITHOUT ROWID;"
            "CREATE TABLE erased(block TEXT, leaf INTEGER, id BLOB, number INTEGER,"
            " PRIMARY KEY(block, leaf)) WITHOUT ROWID;"
            "CREATE TABLE dropped(subject TEXT, sha256 TEXT, number INTEGER,"
            " PRIMARY KEY(subject, sha256)) WITHOUT ROWID;"
            "CREATE TABLE rewritten(sha256 TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;"
            "CREATE TABLE erased_outcome(outcome INTEGER PRIMARY KEY, number INTEGER);"
        )

    def close(self) -> None:
        """Forget everything."""
        self._connection.close()

    def remember(self, number: int, entry: dict[str, Any]) -> None:
        """Note an entry that is to be followed, what it says is removed, or what a person may."""
        if entry["kind"] == "person":
            self._remember_person(number, entry)
        elif entry["kind"] == "declaration":
            self._remember_rule(number, entry)
        elif entry["kind"] == "run":
            if isinstance(digest := entry.get("declaration"), str):
                row = digest, take(entry, "pipeline"), number
                self.run("INSERT OR IGNORE INTO ran VALUES(?, ?, ?)", *row)
        elif entry["kind"] in _LOGGED:
            self.run("INSERT INTO logged VALUES(?, ?)", number, entry["kind"])
        elif entry["kind"] != "removed":
            self.run("INSERT INTO act VALUES(?, ?)", number, entry["kind"])
        else:
            for path in take(entry, "paths", kind=list):
                self.run("INSERT OR REPLACE INTO removed VALUES(?, ?)", path_bytes(path), number)

    def _remember_person(self, number: int, entry: dict[str, Any]) -> None:
        # The factory finds people by this subject alone.
        if entry.get("subject") != "people":
            raise InvalidError("is about a person, but has another subject")
        texts = [json.dumps(take_texts(entry, name)) for name in ("roles", "keys")]
        account = None if entry.get("account") is None else take(entry, "account")
        row = take(entry, "person"), number, *texts, account
        self.run("INSERT INTO person VALUES(?, ?, ?, ?, ?)", *row)

    def _remember_rule(self, number: int, entry: dict[str, Any]) -> None:
        """Note where the rule of a pipeline changes; one declaration has one rule."""
        subject, rule = take(entry, "subject"), json.dumps(approval_rule(entry), sort_keys=True)
        digest = take(entry, "sha256")
        same = self.one("SELECT rule FROM declared WHERE sha256 = ?", digest)
        if same not in (None, rule):
            raise InvalidError("has another 'approval' than an entry of the same declaration")
        self.run("INSERT OR IGNORE INTO declared VALUES(?, ?)", digest, rule)
        before = self.one("SELECT rule FROM rule WHERE subject = ?", subject)
        if before not in (None, "null", rule):
            pipeline = subject.partition("/")[2]
            self.run("INSERT OR IGNORE INTO changed_rule VALUES(?, ?)", number, pipeline)
        self.run("INSERT OR REPLACE INTO rule VALUES(?, ?)", subject, rule)

    def run(self, statement: str, *values: object) -> Iterator[tuple[Any, ...]]:
        try:
            return iter(self._connection.execute(statement, values))
        except sqlite3.OperationalError as error:
            what = f"the temporary folder cannot be written ({error})"
            raise OSError(f"{what}; name another one in SQLITE_TMPDIR") from error

    def one(self, statement: str, *values: object) -> Any:
        """Return the first value of the first row, or None."""
        return next(self.run(statement, *values), (None,))[0]


def path_bytes(path: object) -> bytes:
    """Return a path as it is compared, also one that is not UTF-8.

    Raises:
        InvalidError: no file can have this name.
    """
    return text_bytes(str(path), "surrogateescape")


# ---------------------------------------------------------------------------------------- The log

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")

_LEDGER_TABLES = ("entry", "subtree", "subject", "head", "checkpoint")

_ENTRIES = (
    "SELECT number, CASE WHEN typeof(body) = 'blob' AND length(body) <= 65535 THEN body END "
    "FROM entry WHERE number >= ? ORDER BY number"
)

_FOLLOWED = frozenset(
    {
        "stage",
        "model_version",
        "verdict",
        "export",
        "champion",
        "approval",
        "rollout",
        "rollout_ended",
        "serving",
        "edge_pack",
        "edge_log",
        "boundary",
        "governance",
        "supply_chain",
        "erasure",
        "erasure_listed",
        "prediction_keys_destroyed",
    }
)
"""The kinds of entries that name something else that is checked."""

_LOGGED = frozenset(
    {
        "predictions",
        "predictions_archived",
        "predictions_removed",
        "predictions_erased",
        "outcomes",
        "outcomes_erased",
    }
)
"""The kinds of entries about answers, and about what came of them."""

_NOTED = frozenset({"removed", "person", "declaration", "run"}) | _LOGGED
"""The kinds of entries whose content is noted."""

_KINDS = frozenset(
    {
        "ledger",
        "run",
        "setting",
        "alarms",
        "accepted",
        "login",
        "logout",
        "action",
        "refused",
        "backup",
        "erasure_done",
    }
)
"""The other kinds of entries that this verifier knows."""

_UNPINNED = (
    "the key {} is the one that the log itself names; give the key that you know to be the "
    "factory's with --key"
)

_PRIME = 2**127 - 1

_WITNESSES = 1000

_CACHED = 16
"""Entries that are kept, as several others may name one."""

EPOCH = 131_072
"""Entries that the index of subjects has together; it is ordered by epoch."""

_MISSES = 10_000
"""Entries that may be read in vain, because another kind of entry has their subject."""


@dataclass(frozen=True)
class Expectation:
    """Whom the auditor trusts, and what they saw before."""

    key: VerifierKey | None = None
    """The key of the log; None takes the one that the log itself names."""
    policy: TrustPolicy | None = None
    since: bytes | None = None
    """An older checkpoint that the auditor kept: a note."""
    prediction: bytes | None = None
    """A proof that an answer was given, or was not."""
    dossier: bytes | None = None
    """A dossier in the format `factory.dossier`."""

    def dossier_size(self) -> int | None:
        """Return how many entries the log of the dossier has; None if it does not say."""
        if self.dossier is None:
            return None
        try:
            size: int = take(parse_object(self.dossier), "size", kind=int)
        except InvalidError:
            return None
        return size

    def require_log(
        self, key: VerifierKey, report: VerificationReport, entry: int | None = None, file: str = ""
    ) -> None:
        """Report a key that a log names itself, and that is not one of the policy's logs."""
        logs = self.policy.logs if self.policy else ()
        if not logs:
            report.note(_UNPINNED.format(key), entry, file)
        elif key not in logs:
            report.problem(f"the key {key} is that of no log in your policy", entry, file)


def envelope(body: bytes | None) -> dict[str, Any]:
    """Return an entry, if it is one.

    Raises:
        InvalidError: it is not canonical JSON, or lacks what every entry has.
    """
    if body is None:
        raise InvalidError("is not a string of bytes of an allowed length")
    return _with_envelope(parse_canonical(body))


def _is_time(text: str) -> bool:
    try:
        return bool(_TIME.fullmatch(text) and datetime.fromisoformat(text[:19]))
    except ValueError:
        return False


def _with_envelope(entry: dict[str, Any]) -> dict[str, Any]:
    kind, time, subject = entry.get("kind"), entry.get("time"), entry.get("subject", "")
    if not isinstance(time, str) or not _is_time(time):
        raise InvalidError("has no valid 'time'")
    if not isinstance(kind, str) or not isinstance(subject, str):
        raise InvalidError("has no valid 'kind' or 'subject'")
    return entry


def subject_key(subject: str, epoch: int) -> int:
    """Return what the index of the ledger has for a subject of an entry of an epoch."""
    digest = int.from_bytes(sha256(path_bytes(subject)).digest()[:8], "big", signed=True)
    return epoch << 47 | digest % 2**47 if epoch else digest


class Witnessed:
    """Which checkpoints the witnesses that count have cosigned.

    Without a policy of the auditor, one of the witnesses that the ledger itself names suffices.
    """

    def __init__(self, policy: TrustPolicy | None) -> None:
        self._policy = policy
        self._named: dict[str, VerifierKey] = {}
        self._unchecked: dict[str, None] = {}
        self.first: int | None = None
        """The size of the first checkpoint that enough witnesses saw."""
        self.size = 0
        """The size of the last one."""
        self.time = 0
        """When it was cosigned, POSIX seconds."""

    def note_witness(self, entry: dict[str, Any]) -> None:
        """Take note of an entry that adds or withdraws a witness."""
        if entry["kind"] == "key" and entry.get("role") == "witness":
            text = take(entry, "key")
            if take(entry, "action") == "withdrawn":
                self._named.pop(text, None)
            elif len(self._named) < _WITNESSES:
                self._named[text] = VerifierKey.parse(text)
            else:
                raise InvalidError(f"is one of more than {_WITNESSES} witnesses")

    def see(self, note: SignedNote, size: int) -> None:
        """Check the cosignatures of a checkpoint of the log.

        Raises:
            InvalidError: one of them does not verify.
        """
        known = self._policy.witnesses if self._policy else tuple(self._named.items())
        times = {name: self._time_of(key, note) for name, key in known}
        seen = {name: time for name, time in times.items() if time is not None}
        enough = self._policy.is_met(seen) if self._policy else bool(seen)
        if seen and enough and size >= self.size:
            self.first = size if self.first is None else min(self.first, size)
            self.size, self.time = size, max(seen.values())

    def _time_of(self, key: VerifierKey, note: SignedNote) -> int | None:
        try:
            return note.time_of(key)
        except UncheckedError as error:
            self._unchecked[str(error)] = None
            return None

    def report(self, report: VerificationReport, size: int) -> None:
        """Say how much of a log of this size they have seen."""
        for unchecked in self._unchecked:
            report.note(f"{unchecked}: it counts as none; a newer one can")
        whose = "of the policy" if self._policy else "that the ledger names"
        if self.first is None:
            if self._policy and self._policy.quorum is not None:
                report.problem("no checkpoint has the cosignatures that the policy requires")
            report.note("no witness has seen this log: who has its key can have rewritten it all")
            return
        moment = datetime.fromtimestamp(min(self.time, 253_402_300_799), timezone.utc)
        newer = size - self.size
        unseen = f"no witness has seen the last {newer:,}; " if newer else ""
        report.note(
            f"the witnesses {whose} saw the first {self.size:,} of {size:,} entries, last at "
            f"{moment:%Y-%m-%d %H:%M:%S} UTC; {unseen}"
            f"the first {self.first:,} were written before any witness looked"
        )
        if not self._policy:
            report.note("name with --policy the witnesses that you trust: the factory chose these")


class LedgerDatabase:
    """The ledger of a home: verifies the log itself, and then answers what it says.

    Raises:
        InvalidError: it is not a ledger.
    """

    def __init__(self, path: str) -> None:
        self._database = GuardedDatabase(path, _LEDGER_TABLES)
        self._misses = 0
        self._size = 0
        self.roots: dict[int, bytes] = {}
        """The hashes over its first entries, as far as they were asked for, by their number."""
        self.entry = lru_cache(_CACHED)(self._entry)

    def close(self) -> None:
        """Let the factory write to the ledger again."""
        self._database.close()

    def last(
        self, kind: str, subject: str, before: int | None = None
    ) -> tuple[int, dict[str, Any]] | None:
        """Return number and content of the last entry of a kind about a subject, or None."""
        for number in self._numbers(subject, self._size if before is None else before):
            entry = self.entry(number)
            if entry["kind"] == kind and entry.get("subject") == subject:
                return number, entry
            self._misses += 1
            if self._misses > _MISSES:
                raise InvalidError("too many entries of other kinds have the same subject")
        return None

    def _numbers(self, subject: str, before: int) -> Iterator[int]:
        for epoch in range(before // EPOCH, -1, -1):
            numbers = self._database.rows(
                "SELECT entry FROM subject WHERE digest = ? AND entry < ? ORDER BY entry DESC",
                subject_key(subject, epoch),
                before,
            )
            for (number,) in numbers:
                yield number

    def _entry(self, number: int) -> dict[str, Any]:
        for found, body in self._database.rows(f"{_ENTRIES} LIMIT 1", number):
            if found == number:
                return envelope(body)
        raise InvalidError(f"the ledger has no entry {number}")

    def verify(
        self, expected: Expectation, report: VerificationReport, scratch: Scratch
    ) -> bytes | None:
        """Verify the log, and note in `scratch` which entries are to be followed.

        Returns:
            The checkpoint of the head, if the whole log agrees with it.
        """
        before = len(report.problems)
        check = _LogCheck(self._database, expected, report, scratch)
        head = check.run()
        self._size, self.roots = check.size, check.roots
        return head if len(report.problems) == before else None


@dataclass(frozen=True)
class _Signed:
    """A checkpoint that the log signed."""

    what: str
    note: SignedNote
    checkpoint: LogCheckpoint


class _LogCheck:
    """One pass over all entries of a ledger."""

    def __init__(
        self,
        database: GuardedDatabase,
        expected: Expectation,
        report: VerificationReport,
        scratch: Scratch,
    ) -> None:
        self._database, self._report, self._scratch = database, report, scratch
        self._expected = expected
        self._key = expected.key
        self._tree = CompactRange()
        self._witnessed = Witnessed(expected.policy)
        self._subtrees = 0
        self._unknown = 0
        self._found = 0
        self._latest = ""
        self._earlier = 0
        self._asked = expected.dossier_size()
        self.roots: dict[int, bytes] = {}
        """Those over all entries, and over as many as the log of the dossier has."""
        # The subjects of the entries and the index, which has another order, are equal if the
        # polynomials that have them as roots are equal at a point that nobody could foresee.
        self._point = secrets.randbelow(_PRIME)
        self._subjects = 1

    @property
    def size(self) -> int:
        """The number of entries that were read."""
        return self._tree.size

    def run(self) -> bytes | None:
        """Report what does not hold; return the checkpoint of the head if there is one."""
        try:
            self._begin()
        except InvalidError as error:
            self._report.problem(error, 0)
            return None
        signed = merge(self._stored(), self._kept(), key=lambda one: one.checkpoint.size)
        due = next(signed, None)
        for number, body, entry in self._entries():
            while due and due.checkpoint.size <= number:
                self._compare(due)
                due = next(signed, None)
            self._take(number, body, entry)
        head, content = self._head()
        for one in (due, *signed, head):
            if one:
                self._compare(one)
        self._compare_index()
        self._note_totals()
        self.roots[self._tree.size] = self._tree.root
        return content

    def _begin(self) -> None:
        """Read entry 0, which names the log and its key."""
        body = next((b for n, b in self._database.rows(f"{_ENTRIES} LIMIT 1", 0) if n == 0), None)
        entry = envelope(body)
        key = VerifierKey.parse(take(entry, "key"))
        if (entry["kind"], key.kind, key.name) != ("ledger", ED25519, take(entry, "origin")):
            raise InvalidError("does not begin a ledger")
        if take(entry, "format", kind=int) != 1:
            raise InvalidError("begins a ledger of a newer format; use a newer verifier")
        if self._key is None:
            self._key = key
            self._expected.require_log(key, self._report, 0)
        elif self._key != key:
            self._report.problem(f"names the key {key}, not the one that you trust", 0)

    def _entries(self) -> Iterator[tuple[int, bytes | None, dict[str, Any] | None]]:
        """Yield number, body, and the object if it is canonical; a gap ends the log."""
        try:
            for rows in self._database.batches(_ENTRIES, -_LARGEST_SIZE):
                bodies = [body for _, body in rows if body is not None]
                objects = _canonical_objects(bodies) if len(bodies) == len(rows) else None
                for (number, body), entry in zip(rows, objects or repeat(None)):
                    if not isinstance(number, int) or number != self._tree.size:
                        self._report.problem(f"is missing: entry {number} is next", self._tree.size)
                        return
                    yield number, body, entry
        except InvalidError as error:
            self._report.problem(error, self._tree.size)

    def _take(self, number: int, body: bytes | None, entry: dict[str, Any] | None) -> None:
        for level, place, node in self._tree.append(leaf_hash(body or b"")):
            self._compare_subtree(level, place, node)
        if self._tree.size == self._asked:
            self.roots[self._asked] = self._tree.root
        try:
            entry = _with_envelope(entry) if entry else envelope(body)
            self._remember(number, entry)
        except InvalidError as error:
            self._report.problem(error, number)
            return
        subject = entry.get("subject")
        if subject is not None:
            key = subject_key(subject, number // EPOCH)
            self._subjects = self._with(self._subjects, key, number)

    def _with(self, product: int, digest: int, number: int) -> int:
        return product * (self._point - ((digest % 2**64) << 63 | number)) % _PRIME

    def _remember(self, number: int, entry: dict[str, Any]) -> None:
        kind = entry["kind"]
        if entry.get("found") is True:
            self._found += 1
        time = entry["time"][:19]
        if time < self._latest:
            self._earlier += 1
        else:
            self._latest = time
        if kind in _FOLLOWED or kind in _NOTED:
            self._scratch.remember(number, entry)
        elif kind == "key":
            self._witnessed.note_witness(entry)
        elif kind == "ledger" and number:
            raise InvalidError("begins another ledger")
        elif kind not in _KINDS:
            self._unknown += 1

    def _compare_subtree(self, level: int, place: int, node: bytes) -> None:
        self._subtrees += 1
        query = "SELECT hash FROM subtree WHERE level = ? AND number = ?"
        if [*self._guarded(query, level, place)] != [(node,)]:
            first, last = place * 256**level, (place + 1) * 256**level - 1
            self._report.problem(f"entries {first} to {last} do not have the stored hash")

    def _compare_index(self) -> None:
        """Compare the stored subtrees and subjects with those that the entries have."""
        limit = self._subtrees + 1
        if len([*self._guarded("SELECT 1 FROM subtree LIMIT ?", limit)]) != self._subtrees:
            self._report.problem("there are stored hashes of entries that are not there")
        product, last = 1, (-(2**63), -1)
        for pair in self._guarded("SELECT digest, entry FROM subject ORDER BY digest, entry"):
            if not all(isinstance(value, int) for value in pair) or pair <= last:
                product = 0
                break
            product, last = self._with(product, *pair), pair
        if product != self._subjects:
            self._report.problem("the index of subjects is not that of these entries")

    def _guarded(self, query: str, *values: object) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, and report if it cannot be answered."""
        try:
            yield from self._database.rows(query, *values)
        except InvalidError as error:
            self._report.problem(error)

    def _stored(self) -> Iterator[_Signed]:
        """Yield the stored checkpoints that the log signed, the oldest first."""
        last = -1
        for size, content in self._guarded("SELECT size, note FROM checkpoint ORDER BY size"):
            if not isinstance(size, int) or size <= last:
                self._report.problem("the stored checkpoints are damaged")
                return
            last = size
            signed = self._signed(f"the stored checkpoint of {size} entries", content)
            if signed and signed.checkpoint.size == size:
                yield signed
            elif signed:
                self._report.problem(f"{signed.what} is of {signed.checkpoint.size} entries")

    def _kept(self) -> Iterator[_Signed]:
        if self._expected.since is not None:
            signed = self._signed("the checkpoint of --since", self._expected.since)
            if signed:
                yield signed

    def _head(self) -> tuple[_Signed | None, bytes | None]:
        """Check the row of the head against the tree; return its checkpoint."""
        rows = [*self._guarded("SELECT size, frontier, checkpoint FROM head LIMIT 2")]
        if len(rows) != 1:
            self._report.problem("there is not exactly one head")
            return None, None
        size, frontier, content = rows[0]
        if (size, frontier) != (self._tree.size, self._tree.frontier):
            self._report.problem(f"the head is not that of the {self._tree.size} entries")
        return self._signed("the checkpoint of the head", content), content

    def _signed(self, what: str, content: object) -> _Signed | None:
        """Return a checkpoint if the log signed it, else report that."""
        try:
            if not isinstance(content, bytes) or self._key is None:
                raise InvalidError("it is not a text")
            note = SignedNote.parse(content)
            checkpoint = LogCheckpoint.parse(note.text)
            require_signed(note, checkpoint, self._key)
        except InvalidError as error:
            self._report.problem(f"{what}: {error}")
            return None
        return _Signed(what, note, checkpoint)

    def _compare(self, signed: _Signed) -> None:
        """Compare a checkpoint with the tree, which should have its size now."""
        size = signed.checkpoint.size
        if size != self._tree.size:
            there = f"the ledger has {self._tree.size}"
            self._report.problem(f"{signed.what} is over {size} entries, and {there}")
        elif signed.checkpoint.root != self._tree.root:
            self._report.problem(
                f"{signed.what} is of another history: these are not the first {size} entries "
                "that it was made over"
            )
        else:
            try:
                self._witnessed.see(signed.note, size)
            except InvalidError as error:
                self._report.problem(f"{signed.what}: {error}")

    def _note_totals(self) -> None:
        report = self._report
        report.count("entries", self._tree.size)
        self._witnessed.report(report, self._tree.size)
        if self._found:
            report.note(
                f"{amount(self._found, 'entries')} of what was found when the ledger began: nobody "
                "witnessed when that happened"
            )
        if self._earlier:
            report.note(f"{amount(self._earlier, 'entries')} dated earlier than one before them")
        if self._unknown:
            report.note(f"{amount(self._unknown, 'entries')} of kinds unknown to this verifier")


def require_signed(note: SignedNote, checkpoint: LogCheckpoint, key: VerifierKey) -> None:
    """Require that the log with this key signed its own checkpoint."""
    if checkpoint.origin != key.name:
        raise InvalidError(f"it is of another log, {_short(checkpoint.origin)}")
    if note.time_of(key) is None:
        raise InvalidError("the log did not sign it with this key")


# ------------------------------------------------------------ What the entries say, and the files

_SHA256 = re.compile("[0-9a-f]{64}")
_SUBJECTS = {
    "model_version": "model/{}@{}",
    "verdict": "verdict/{}@{}",
    "export": "export/{}@{}",
    "champion": "champion/{}",
    "approval": "approval/{}@{}",
    "serving": "serving/{}",
    "rollout": "rollout/{}",
    "rollout_ended": "rollout_ended/{}",
    "supply_chain": "supply/{}@{}",
}
"""Of pipeline and version."""

_INFLUENCE = "artifacts/[^/]+/[^/]+/artifacts/influence/"
"""The files of the models by which the influence of rows is estimated."""

_SMALL_FILE = 4 * 1024 * 1024
_ERASURE_BYTES = 64 * 1024 * 1024
_PIPELINES = 100_000
_LISTED = 20


class ContentCheck:
    """Compares entries with records, tables, models and exports, and with one another.

    Every entry of a stage must name a record whose inputs have earlier entries, and only `ingest`
    has none: so each chain from a champion leads back to its sources.

    Args:
        ledger: the verified entries.
        optional: a pattern of files that may be missing, as an archive may not include them.
        about: pipeline and version that an archive is about; other champions are not checked.
    """

    def __init__(
        self,
        files: HomeFolder | ArchiveFile,
        ledger: LedgerDatabase | ArchivedEntries,
        report: VerificationReport,
        scratch: Scratch,
        *,
        optional: str = "(?!)",
        about: tuple[str, int] | None = None,
    ) -> None:
        self._files, self._ledger, self._report = files, ledger, report
        self._scratch, self._optional = scratch, re.compile(optional)
        self._about = about
        self._decisions = DecisionCheck(files, ledger, report, scratch)

    def run(self) -> None:
        """Check every entry that names something."""
        for name in self._files.names("artifacts/*/models/*/artifacts/manifest.json"):
            with self._report.reported(file=name):
                model = f"{name.split('/')[1]}/{self._digest(name)}"
                self._scratch.run("INSERT INTO manifest VALUES(?, '', ?)", model, path_bytes(name))
        checks = {
            "stage": self._stage,
            "model_version": self._model_version,
            "verdict": self._verdict,
            "export": self._export,
            "champion": self._champion,
            "approval": self._decisions.approval,
            "serving": self._decisions.serving,
            "rollout": self._rollout,
            "rollout_ended": self._decisions.rollout_ended,
            "edge_pack": self._edge_pack,
            "edge_log": self._edge_log,
            "boundary": self._boundary,
            "governance": self._decisions.governance,
            "supply_chain": self._supply_chain,
            "erasure": self._erasure,
            "erasure_listed": self._erasure_listed,
            "prediction_keys_destroyed": self._keys_destroyed,
        }
        for number, kind in self._scratch.run("SELECT number, kind FROM act ORDER BY number"):
            with self._report.reported(number):
                entry = self._ledger.entry(number)
                name = take(entry, "record" if "record" in entry else "subject")
                if kind in _SUBJECTS:
                    claimed = take(entry, "pipeline"), take(entry, "version", kind=int)
                    _require_same(
                        "the subject", entry.get("subject"), _SUBJECTS[kind].format(*claimed)
                    )
                    # Others are in an archive because something about its version names them.
                    named = kind in ("champion", "model_version")
                    if named and self._about not in (None, claimed):
                        continue
                with self._report.reported(number, name):
                    checks[kind](number, entry)
        self._decisions.notes()
        self._note_changed_evidence()

    def _note_changed_evidence(self) -> None:
        """Note the signed answers whose evidence is another one by now."""
        last: dict[tuple[str, int], int] = {}
        for (number,) in self._scratch.run("SELECT number FROM act WHERE kind = 'governance'"):
            with suppress(InvalidError):
                entry = self._ledger.entry(number)
                last[take(entry, "subject"), take(entry, "version", kind=int)] = number
        comparison = EvidenceComparison(self._files, self._ledger)
        for (subject, version), number in sorted(last.items(), key=lambda one: one[1]):
            with self._report.reported(number, subject):
                if changed := comparison.changed(number, self._ledger.entry(number), version):
                    what = f"changed since it was signed, so that it is stale: {', '.join(changed)}"
                    self._report.note(what, number, subject)

    def _stage(self, number: int, entry: dict[str, Any]) -> None:
        name = take(entry, "subject")
        last = self._ledger.last("stage", name)
        if last is None or last[0] != number:
            self._report.count("records computed again later")
            return
        record = self._record(name, number, entry)
        if record is None:
            return
        self._report.count("records")
        _require_agreement(name, entry, record)
        inputs = take(record, "inputs", kind=dict)
        if not inputs and record["stage"] != "ingest":
            raise InvalidError("was computed from nothing")
        for stage, keys in inputs.items():
            for key in keys:
                used = f"records/{record['pipeline']}/{stage}/{key}.json"
                if not self._ledger.last("stage", used, number):
                    raise InvalidError(f"was computed from {used}, which has no earlier entry")
        for snapshot in _snapshots(take(record, "value", kind=dict)):
            for file in snapshot["files"]:
                self._compare(number, _table_file(snapshot["table"], file), take(file, "sha256"))
        for name, digest in take({"commits": {}, **record}, "commits", kind=dict).items():
            # Delta Lake removes old commits, which a checkpoint replaces.
            self._compare(number, f"tables/{name}", digest, optional=True)

    def _model_version(self, number: int, entry: dict[str, Any]) -> None:
        subject = take(entry, "subject")
        digest = take(entry, "digest")
        earlier = self._ledger.last("model_version", subject, number)
        if earlier and earlier[1].get("digest") != digest:
            raise InvalidError(f"contradicts entry {earlier[0]} about {subject}")
        facts = self._facts(number, entry)
        if facts is not None:
            _require_same("the digest of the model", digest, facts["digest"])
            _require_same("how it was trained", entry.get("provenance"), facts["provenance"])
            if facts["provenance"] is not None:
                name = f"{_run_folder(entry, facts)}/origin/manifest.json"
                self._manifest(number, name, take(facts, "provenance"))
        pipeline = take(entry, "pipeline")
        path = self._model_manifest(f"{pipeline}/{digest}", subject, is_own=facts is not None)
        if path is None and facts is None:
            return
        self._report.count("model versions")
        if path is None:
            raise InvalidError(
                f"its files are missing or changed: below artifacts/{pipeline}/models is no "
                f"manifest.json with the SHA-256 {digest}, or only that of another version"
            )
        self._manifest(number, path.decode("utf-8", "surrogateescape"), digest)

    def _model_manifest(self, model: str, version: str, *, is_own: bool) -> bytes | None:
        """Return the path of the manifest of a version, or None.

        Args:
            model: pipeline and digest; the models of several versions may be the same.
            is_own: whether it must not be that of another version.
        """
        query = "SELECT path FROM manifest WHERE model = ? AND version IN (?, '') ORDER BY version"
        path: bytes | None = self._scratch.one(f"{query} DESC", model, version)
        if is_own and path is not None:
            move = "UPDATE OR IGNORE manifest SET version = ? WHERE model = ? AND path = ?"
            self._scratch.run(move, version, model, path)
        return path

    def _verdict(self, number: int, entry: dict[str, Any]) -> None:
        facts = self._facts(number, entry)
        if facts is None:
            return
        self._report.count("verdicts")
        claimed = take(entry, "passed", kind=bool)
        _require_same("whether all gates passed", claimed, facts["passed"])
        _require_same("the gates", digest_of(take(entry, "gates", kind=dict)), facts["gates"])
        digest = facts["influence"]
        if digest is not None:
            folder = f"{_run_folder(entry, facts)}/influence/{digest[:12]}"
            self._manifest(number, f"{folder}/manifest.json", digest)

    def _export(self, number: int, entry: dict[str, Any]) -> None:
        facts = self._facts(number, entry)
        if facts is None:
            return
        self._report.count("exports")
        graph = take(entry, "graph")
        _require_same("the SHA-256 of the graph", graph, facts["graph"])
        self._compare(number, f"{_run_folder(entry, facts)}/onnx/model.onnx", graph)

    def _champion(self, number: int, entry: dict[str, Any]) -> None:
        self._report.count("champions")
        self._decisions.champion(number, entry)
        self._deployed(number, entry)

    def _rollout(self, number: int, entry: dict[str, Any]) -> None:
        self._report.count("roll-outs")
        self._decisions.rollout(number, entry)
        self._deployed(number, entry)

    def _deployed(self, number: int, entry: dict[str, Any]) -> None:
        """Check that what serves, or rolls out, is what was trained and exported."""
        pipeline, version = take(entry, "pipeline"), take(entry, "version", kind=int)
        facts = self._facts(number, entry)
        if facts is not None:
            _require_same("the SHA-256 of the graph", entry.get("graph"), facts["graph"])
        found = self._chain(pipeline, version, number)
        if found and found.get("graph") != entry.get("graph"):
            raise InvalidError("serves another graph than the one that was exported")

    def _edge_pack(self, number: int, entry: dict[str, Any]) -> None:
        """Check that what was packed for another machine is what was exported."""
        self._report.count("packs")
        _require_same("the subject", entry.get("subject"), f"edge/{take(entry, 'pack')}")
        which = f"{take(entry, 'pipeline')}@{take(entry, 'version', kind=int)}"
        export = self._ledger.last("export", f"export/{which}", number)
        if not export:
            raise InvalidError(f"{which} was packed, and has no entry of an export")
        _require_same("the SHA-256 of the graph", entry.get("graph"), export[1].get("graph"))

    def _edge_log(self, number: int, entry: dict[str, Any]) -> None:
        """Check that a log came from a pack of this factory."""
        self._report.count("logs of packs")
        _require_same("the subject", entry.get("subject"), f"edge_log/{take(entry, 'pack')}")
        pack = self._ledger.last("edge_pack", f"edge/{take(entry, 'pack')}", number)
        if not pack:
            raise InvalidError("is the log of a pack that has no entry")
        for name in ("pipeline", "version"):
            _require_same(f"the {name}", entry.get(name), pack[1].get(name))
        findings = take_texts({"findings": [], **entry}, "findings")
        last = self._ledger.last("edge_log", take(entry, "subject"))
        if findings and last and last[0] == number:
            more = len(findings) - 1 + take({"more": 0, **entry}, "more", kind=int)
            others = f", and {more:,} more" if more > 0 else ""
            self._report.note(f"came home damaged, as it says: {findings[0]}{others}", number)

    def _supply_chain(self, number: int, entry: dict[str, Any]) -> None:
        """Check the bills of materials of a version, and the statement that was entered."""
        self._report.count("supply chains")
        pipeline = take(entry, "pipeline")
        which = f"{pipeline}@{take(entry, 'version', kind=int)}"
        if not self._ledger.last("model_version", f"model/{which}", number):
            raise InvalidError(f"is about {which}, which has no entry of a model version")
        for what in ("sbom", "ml_bom", "statement"):
            digest = take(entry, what)
            self._compare(number, require_relative(f"supply/{pipeline}/{digest}.json"), digest)

    def _erasure(self, number: int, entry: dict[str, Any]) -> None:
        """Check that what was erased is gone, and that who decided it signed exactly that."""
        kind, _, erasure = take(entry, "subject").partition("/")
        if kind != "erasure" or not re.fullmatch(r"[0-9a-z-]{1,64}", erasure):
            raise InvalidError("is about an erasure, but names none")
        self._report.count("erasures")
        self._decisions.erasure(number, entry, erasure)
        name, digest = f"erasures/{erasure}.json", take(entry, "manifest")
        if not self._compare(number, name, digest):
            return
        manifest = parse_object(read_all(self._files, name, _ERASURE_BYTES))
        _require_counted(entry, manifest)
        self._require_entered(number, take(manifest, "records", kind=dict))
        done = self._ledger.last("erasure_done", f"erasure_done/{erasure}")
        if done is None:
            self._report.problem("is not finished: factory forget --resume", number)
            return
        if take(done[1], "found", kind=int):
            self._report.note("left values of the person in the home, as it says", done[0])
        if isinstance(self._files, HomeFolder):
            gone = [*take(manifest, "files", kind=dict), *take_texts(manifest, "removed")]
            for path in gone:
                # Later looks at answers are stored under the names of those that were erased.
                if is_here(self._files, require_relative(path)) and not path.startswith("watch/"):
                    self._report.problem("was erased, and is there", number, path)

    def _erasure_listed(self, number: int, entry: dict[str, Any]) -> None:
        """Check that the manifest that runs require is that of an erasure."""
        # Runs find them by this subject alone.
        _require_same("the subject", take(entry, "subject"), "erasures")
        erasure = take(entry, "erasure")
        begun = self._ledger.last("erasure", f"erasure/{erasure}", number)
        if begun is None:
            raise InvalidError(f"lists an erasure {_short(erasure)} that has no entry")
        _require_same("the manifest", take(entry, "manifest"), take(begun[1], "manifest"))

    def _keys_destroyed(self, number: int, entry: dict[str, Any]) -> None:
        """Check that keys that were destroyed are gone."""
        pipeline = take(entry, "pipeline")
        for month in take_texts(entry, "months"):
            path = require_relative(f"secrets/predictions/{pipeline}/{month}.key")
            if isinstance(self._files, HomeFolder) and is_here(self._files, path):
                self._report.problem("was destroyed, and is there", number, path)

    def _require_entered(self, number: int, records: dict[str, Any]) -> None:
        """Report records that had been changed before an erasure replaced them."""
        for record, digests in sorted(records.items()):
            before = self._ledger.last("stage", record, number)
            if before and before[1].get("sha256") != _at(digests, "was"):
                what = "was not as it had been entered when an erasure replaced it"
                self._report.problem(what, number, record)

    def _boundary(self, number: int, entry: dict[str, Any]) -> None:
        """Check that the report of a boundary is the one that was entered."""
        kind, _, report = take(entry, "subject").partition("/")
        if kind != "boundary" or not re.fullmatch(r"[A-Za-z0-9-]{1,64}", report):
            raise InvalidError("is about a boundary, but names no report")
        self._report.count("boundaries")
        digest = take(entry, "report")
        # It is moved only after its entry was made.
        if not self._compare(number, f"boundary/new/{report}.json", digest, optional=True):
            included = isinstance(self._files, HomeFolder)
            self._compare(number, f"boundary/{report}.json", digest, optional=not included)

    def _chain(self, pipeline: str, version: int, number: int) -> dict[str, Any] | None:
        """Check that a version was trained, passed its gates and was exported.

        Args:
            number: the entry that says that the version serves.

        Returns:
            The entry of the export.
        """
        which = f"{pipeline}@{version}"
        model = self._ledger.last("model_version", f"model/{which}")
        verdict = self._ledger.last("verdict", f"verdict/{which}", number)
        export = self._ledger.last("export", f"export/{which}")
        if not model or not verdict or not export:
            missing = "model version" if not model else "verdict" if not verdict else "export"
            self._report.problem(f"{which} serves, and has no entry of a {missing}", number)
            return None
        if verdict[1].get("passed") is not True:
            self._report.problem(f"{which} serves, although it failed (entry {verdict[0]})", number)
        return export[1]

    def _facts(self, number: int, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Return what the record says that an entry names; None if it was removed or replaced.

        Raises:
            InvalidError: the record is missing or changed, or of another version.
        """
        name = take(entry, "record")
        stage = self._ledger.last("stage", name)
        if stage is None:
            raise InvalidError("this record has no entry")
        if stage[0] > number:
            # The same computation was repeated, and its record now is about the later result.
            self._report.count("results whose record was computed again")
            return None
        text = self._scratch.one("SELECT text FROM facts WHERE path = ?", path_bytes(name))
        if text is None:
            # However many entries name a record, it is read once for them.
            try:
                record = self._record(name, max(number, stage[0]), stage[1])
                facts = record and _facts_of(take(record, "value", kind=dict))
            except InvalidError as error:
                facts = {"error": str(error)}
            text = json.dumps(facts)
            self._scratch.run("INSERT INTO facts VALUES(?, ?)", path_bytes(name), text)
        known: dict[str, Any] | None = json.loads(text)
        if known is None:
            return None
        if "error" in known:
            raise InvalidError(known["error"])
        claimed = take(entry, "pipeline"), take(entry, "version", kind=int)
        _require_same("the version", claimed, (known["model"], known["version"]))
        _require_same(
            "the subject", take(entry, "subject"), _SUBJECTS[entry["kind"]].format(*claimed)
        )
        return known

    def _record(self, name: str, number: int, entry: dict[str, Any]) -> dict[str, Any] | None:
        """Return the record of an entry of a stage; None if it was removed after `number`."""
        if (self._removed(name) or 0) > number:
            self._report.count("records removed")
            return None
        content = read_all(self._files, name, _RECORD_COST // 2)
        found = sha256(content).hexdigest()
        self._scratch.run("INSERT OR IGNORE INTO digest VALUES(?, ?)", path_bytes(name), found)
        if found != take(entry, "sha256"):
            raise InvalidError(f"was changed: its SHA-256 is {found}")
        return parse_object(content)

    def compare(
        self, name: str, expected: str, *, optional: bool = False, number: int | None = None
    ) -> None:
        """Compare a file whose name is not in the entry, or that something else names."""
        self._compare(number, name, expected, optional=optional)

    def _removed(self, name: str) -> int | None:
        number: int | None = self._scratch.one(
            "SELECT number FROM removed WHERE path = ?", path_bytes(name)
        )
        return number

    def _manifest(self, number: int, name: str, digest: str) -> None:
        """Check the files of a model by the manifest that lists them."""
        if not self._compare(number, name, digest) or self._scratch.one(
            "SELECT 1 FROM listed WHERE path = ?", path_bytes(name)
        ):
            return
        self._scratch.run("INSERT INTO listed VALUES(?)", path_bytes(name))
        with self._report.reported(number, name):
            for file, expected in parse_object(read_all(self._files, name, _SMALL_FILE)).items():
                if "/" in file or not isinstance(expected, str):
                    raise InvalidError("is not a list of files and their SHA-256")
                self._compare(number, name.rpartition("/")[0] + "/" + file, expected)

    def _compare(
        self, number: int | None, name: str, expected: object, *, optional: bool = False
    ) -> bool:
        """Compare a file with its SHA-256; False if it is not there, or another."""
        with self._report.reported(number, name):
            try:
                found = self._digest(name)
            except MissingFileError:
                if (self._removed(name) or 0) > (number or 0):
                    self._count_gone(name)
                elif not optional:
                    if not self._optional.match(name):
                        raise
                    self._report.count("files not included")
                return False
            if found == expected:
                return True
            raise InvalidError(f"was changed: its SHA-256 is {found}")
        return False

    def _count_gone(self, name: str) -> None:
        """Count a file that is removed, once, however many entries name it."""
        path = path_bytes(name)
        if not self._scratch.one("SELECT 1 FROM gone WHERE path = ?", path):
            self._scratch.run("INSERT INTO gone VALUES(?)", path)
            self._report.count("files removed")

    def _digest(self, name: str) -> str:
        """Return the SHA-256 of a file, which is read once."""
        known = self._scratch.one("SELECT sha256 FROM digest WHERE path = ?", path_bytes(name))
        if known is None:
            digest = sha256()
            for chunk in self._files.chunks(name):
                digest.update(chunk)
            known = digest.hexdigest()
            self._scratch.run("INSERT INTO digest VALUES(?, ?)", path_bytes(name), known)
            self._report.count("files")
        return str(known)

    def home(self, stored: HomeFolder | None) -> None:
        """Check what a home has beside the entries: pointers to records, and MLflow's alias.

        Args:
            stored: where MLflow's database is; None if a server has it.
        """
        for name in self._files.names("records/*/latest/*.json"):
            with self._report.reported(file=name):
                key = take(parse_object(read_all(self._files, name, _SMALL_FILE)), "key")
                folder, _, slot = name.rpartition("/latest/")
                record = f"{folder}/{re.split('[.@]', slot)[0]}/{key}.json"
                if not self._ledger.last("stage", record):
                    raise InvalidError(f"points to {record}, which has no entry")
                self._report.count("pointers")
        self.ignored(
            name
            for name in self._files.names("records/*/*/*.json")
            if name.split("/")[2] != "latest" and not self._ledger.last("stage", name)
        )
        self.ignored(
            name
            for name in self._files.names("statements/*/*.json")
            if not self._scratch.one("SELECT 1 FROM digest WHERE path = ?", path_bytes(name))
        )
        self.ignored(
            name
            for name in self._files.names("supply/*/*.json")
            if not self._scratch.one("SELECT 1 FROM digest WHERE path = ?", path_bytes(name))
        )
        for name in self._files.names("erasures/*.json"):
            with self._report.reported(file=name):
                subject = f"erasure/{name.rpartition('/')[2][: -len('.json')]}"
                if not self._ledger.last("erasure", subject):
                    raise InvalidError("has no entry, yet runs leave out the rows that it lists")
        for name in self._files.names("declarations/*/*.json"):
            # Entries of runs and of changed declarations have the digest, which is its name.
            self._compare(None, name, name.rpartition("/")[2][: -len(".json")])
        self._declarations()
        with self._report.reported(file="mlflow.db"):
            self._aliases(stored)
        for link in sorted(getattr(self._files, "links", ())):
            self._report.problem("is a symbolic link, which is not followed", file=link)

    def _declarations(self) -> None:
        """Require the declarations that runs name, from the first one that is there.

        Homes did not always store them.
        """
        absent: int | None = 0
        query = "SELECT number, pipeline, sha256 FROM ran ORDER BY number"
        for number, pipeline, digest in self._scratch.run(query):
            name = f"declarations/{pipeline}/{digest}.json"
            with self._report.reported(number, name):
                try:
                    self._digest(name)
                except MissingFileError:
                    if (self._removed(name) or 0) > number:
                        self._count_gone(name)
                    elif absent is None:
                        raise
                    else:
                        absent += 1
                    continue
                if absent:
                    self._no_declarations(absent)
                absent = None
        if absent:
            self._no_declarations(absent)

    def _no_declarations(self, count: int) -> None:
        what = f"{count} of the oldest are not here, so nobody can read what was declared then"
        self._report.note(what, file="declarations")

    def ignored(self, names: Iterable[str]) -> None:
        """Say which files are there although no entry names them."""
        count = 0
        for count, name in enumerate(names, 1):
            if count <= _LISTED:
                self._report.note("is not in the ledger, so nothing here proves it", file=name)
        if count > _LISTED:
            self._report.note(f"{count - _LISTED} more files are not in the ledger")

    def _aliases(self, stored: HomeFolder | None) -> None:
        """Compare MLflow's alias of each champion with the ledger."""
        try:
            path = stored.path("mlflow.db") if stored else None
        except MissingFileError:
            path = None
        if path is None:
            where = "is not here" if stored else "is on a server"
            self._report.note(f"{where}: MLflow's aliases are not compared", file="mlflow.db")
            return
        aliases = {}
        query = (
            "SELECT name, version FROM registered_model_aliases NOT INDEXED "
            "WHERE alias = 'champion' LIMIT ?"
        )
        with closing(GuardedDatabase(path, ["registered_model_aliases"])) as database:
            for name, version in database.rows(query, _PIPELINES):
                aliases[_text(name)] = _text(version)
        champions = self._champions()
        for pipeline in sorted(aliases.keys() | champions.keys()):
            number, champion = champions.get(pipeline, (None, "none"))
            named = aliases.get(pipeline, "none")
            if named != champion:
                what = f"MLflow's alias {pipeline}@champion names version {named}"
                self._report.problem(f"{what}, the ledger says {champion}", number, "mlflow.db")

    def _champions(self) -> dict[str, tuple[int | None, str]]:
        """Return the entry and the version that serves, by pipeline."""
        champions: dict[str, tuple[int | None, str]] = {}
        for (number,) in self._scratch.run("SELECT number FROM act WHERE kind = 'champion'"):
            with suppress(InvalidError):
                entry = self._ledger.entry(number)
                version = str(take(entry, "version", kind=int))
                pipeline = take(entry, "pipeline")
                changed = self._ledger.last("serving", f"serving/{pipeline}")
                stopped = changed is not None and changed[1].get("action") == "stopped"
                champions[pipeline] = number, "none" if stopped else version
            if len(champions) >= _PIPELINES:
                raise InvalidError("the ledger has too many pipelines")
        return champions


def _require_counted(entry: dict[str, Any], manifest: dict[str, Any]) -> None:
    """Require that the entry of an erasure counts what its manifest lists."""
    sources, pipelines = (take(manifest, name, kind=dict) for name in ("sources", "pipelines"))
    _require_same("the pipelines", take(entry, "pipelines", kind=list), sorted(pipelines))
    answers = sum(len(take_texts(erased, "answers")) for erased in pipelines.values())
    _require_same("the number of answers", take(entry, "answers", kind=int), answers)
    # The rows of a table that another pipeline read are those of a source already.
    files = take(manifest, "files", kind=dict).items()
    tables = {path.rpartition("/")[2][:64] for path, file in files if take(file, "rows", kind=int)}
    rows = sum(len(take(sources, one, kind=list)) for one in sources.keys() - tables)
    _require_same("the number of rows", take(entry, "rows", kind=int), rows)


def _require_agreement(name: str, entry: dict[str, Any], record: dict[str, Any]) -> None:
    """Require that a record is what its entry and its own name say."""
    parts, inputs = take(record, "parts", kind=dict), take(record, "inputs", kind=dict)
    place = [take(record, field) for field in ("pipeline", "stage", "key")]
    _require_same("the path", name, "records/{}/{}/{}.json".format(*place))
    _require_same("the digest of its parts", digest_of(parts), place[2])
    claimed = [take(entry, field) for field in ("pipeline", "stage", "key", "run")]
    _require_same("pipeline, stage, key and run", claimed, [*place, take(record, "run_id")])
    named = take(entry, "components", kind=dict)
    components = {name: digest_of(part) for name, part in parts.items()}
    if "partition" not in named:
        # Its digest would tell whom a key names; the key of the record has it too.
        components.pop("partition", None)
    _require_same("its components", named, components)
    for keys in inputs.values():
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise InvalidError("has no valid 'inputs'")
    digests = {
        stage: sha256(path_bytes("\n".join(keys))).hexdigest() for stage, keys in inputs.items()
    }
    _require_same("its inputs", take(entry, "inputs", kind=dict), digests)
    versions = {(table["table"], _data_version(table)) for table in _snapshots(record.get("value"))}
    if not versions.issuperset(take(entry, "tables", kind=dict).items()):
        raise InvalidError("does not have the tables that the entry names")


def _facts_of(value: dict[str, Any]) -> dict[str, Any]:
    """Return what the result in a record says about a version of a model."""
    about = value.get("candidate", value)
    gates = take(value, "gates", kind=list) if "gates" in value else None
    influence = value.get("influence")
    facts = {
        "model": take(about, "model"),
        "version": take(about, "version", kind=int),
        "run_id": take(about, "run_id"),
        "digest": about.get("digest"),
        "provenance": value.get("provenance"),
        "graph": value.get("onnx_sha256"),
        "passed": None if gates is None else all(take(gate, "passed", kind=bool) for gate in gates),
        "gates": digest_of({take(gate, "name"): gate["passed"] for gate in gates or ()}),
        "influence": take(influence, "digest") if _has_digest(influence) else None,
    }
    if len(json.dumps(facts)) > 4096:
        raise InvalidError("has names that are too long")
    return facts


def _has_digest(influence: object) -> bool:
    return isinstance(influence, dict) and influence.get("digest") is not None


def _run_folder(entry: dict[str, Any], facts: dict[str, Any]) -> str:
    return f"artifacts/{take(entry, 'pipeline')}/{facts['run_id']}/artifacts"


def _require_same(what: str, claimed: object, found: object) -> None:
    if claimed != found:
        raise InvalidError(f"{what} is not what the entry says")


def _snapshots(value: object) -> Iterator[dict[str, Any]]:
    """Yield the snapshots of tables that stand anywhere in the result of a record."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if one.keys() == {"table", "files", "columns"}:
                take(one, "table")
                for file in take(one, "files", kind=list):
                    if not _SHA256.fullmatch(take(file, "sha256")):
                        raise InvalidError("names a table file by something else than its SHA-256")
                yield one
            else:
                waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _data_version(snapshot: dict[str, Any]) -> str:
    digests = [file["sha256"] for file in snapshot["files"]]
    return digests[0] if len(digests) == 1 else sha256("\n".join(digests).encode()).hexdigest()


def _table_file(table: str, file: dict[str, Any]) -> str:
    copy = take({"copy_number": 0, **file}, "copy_number", kind=int)
    return f"tables/{table}/{file['sha256']}{f'-{copy}' if copy else ''}.parquet"


def _text(value: object) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


_TOO_DEEP = "an entry or a file has values within values too deep to be compared"


def verify_home(
    path: str,
    expected: Expectation,
    report: VerificationReport,
    ledger: str | None = None,
    databases: str | None = None,
) -> bytes | None:
    """Verify a home, or a copy of one.

    Args:
        ledger: the ledger's SQLite file; the default is the one in the home.
        databases: the folder of the SQLite files of answers, outcomes and MLflow; the default is
            the home.

    Returns:
        The checkpoint of the whole log, if it agrees with the log; a note.
    """
    files = HomeFolder(path)
    try:
        with (
            closing(LedgerDatabase(ledger or files.path("ledger.db"))) as database,
            closing(Scratch()) as scratch,
        ):
            head = database.verify(expected, report, scratch)
            content = ContentCheck(files, database, report, scratch)
            content.run()
            # The ledger of the home itself is as old as what is beside it.
            on_server = ledger is not None and is_on_server(files)
            stored = HomeFolder(databases) if databases else None if on_server else files
            content.home(stored)
            PredictionCheck(files, database, report, scratch, content, stored).run()
            OutcomeCheck(stored, database, report, scratch).run()
            if expected.prediction is not None:
                _verify_prediction(expected.prediction, database, scratch, report)
            if expected.dossier is not None:
                verify_dossier(expected.dossier, files, database, report)
    except InvalidError as error:
        report.problem(error, file=ledger or "ledger.db")
        return None
    except RecursionError:
        report.problem(_TOO_DEEP)
        return None
    return head


# ------------------------------------------------------------------------ People, and their acts

_DECISION = "urn:sovereign-ai-factory:decision:v1"

_ERASURE = "urn:sovereign-ai-factory:erasure:v1"

_GOVERNANCE = "urn:sovereign-ai-factory:governance:v1"

STATEMENT_BYTES = 262_144

_APPROVALS = 32
"""Decisions about one version that are looked at, the newest first."""

_CLOCKS = 300
"""Seconds by which two clocks may differ."""

_ENTERED = 3600
"""An act that takes effect at once must be entered within so many seconds of its signature."""


class DecisionCheck:
    """Checks what people decided: their signatures, what they signed, and whether they might do it.

    The entries before a decision say who was allowed to do what, so entries are checked in order.
    """

    def __init__(
        self,
        files: HomeFolder | ArchiveFile,
        ledger: LedgerDatabase | ArchivedEntries,
        report: VerificationReport,
        scratch: Scratch,
    ) -> None:
        self._files, self._ledger = files, ledger
        self._report, self._scratch = report, scratch

    def approval(self, number: int, entry: dict[str, Any]) -> None:
        """Check that a person approved or refused a version.

        Raises:
            InvalidError: they did not, or were not allowed to.
        """
        which = _which(entry)
        if take(entry, "decision") == "refused":
            self._scratch.run("INSERT OR IGNORE INTO refused VALUES(?, ?)", which, number)
        rule = self._rule(take(entry, "pipeline"), number)
        if rule is None:
            raise InvalidError("was decided, and no approval was declared")
        predicate = self._statement(number, entry, entry["decision"], rule["seconds"])
        verdict = self._verdict(which, number)
        _require_same("the verdict", entry.get("verdict"), verdict)
        _require_same("the verdict", take(predicate, "verdict", "sha256"), verdict)
        export = self._ledger.last("export", f"export/{which}", number)
        graph = export[1].get("graph") if export else None
        _require_same("the SHA-256 of the graph", entry.get("graph"), graph)
        _require_same("the version that serves", entry.get("replaces"), predicate.get("replaces"))
        _require_same("the time of the signature", entry.get("signed"), predicate.get("time"))
        self._require_allowed(number, entry, rule)
        if rule["four_eyes"] and not self._is_other(entry, number):
            raise InvalidError("was signed by the person who trained the version")
        self._report.count("decisions")
        if entry["key"].startswith(f"{PASSKEY} "):
            self._report.count("decisions signed by passkey")

    def erasure(self, number: int, entry: dict[str, Any], erasure: str) -> None:
        """Check that a person decided an erasure, and signed it if the factory has people.

        Raises:
            InvalidError: they did not, or were not allowed to.
        """
        statement = self._signed(number, {**entry, "pipeline": "_erasures"})
        predicate: dict[str, Any] = take(statement, "predicate", kind=dict)
        if take(statement, "predicateType") != _ERASURE:
            raise InvalidError("has a statement of another type")
        origin = take(self._ledger.entry(0), "origin")
        claimed = [predicate.get(one) for one in ("log", "erasure", "manifest")]
        about = [origin, erasure, take(entry, "manifest")]
        _require_same("what the statement is about", claimed, about)
        age = _seconds(take(entry, "time")) - _seconds(take(predicate, "time"))
        if not -_CLOCKS <= age <= _ENTERED:
            raise InvalidError("was signed at another time than when it was entered")
        if entry.get("person") is None and entry.get("key") is None:
            rows = self._scratch.run("SELECT DISTINCT person FROM person WHERE number < ?", number)
            known = [self._person(person, number) for (person,) in rows]
            if any(person and person[0] for person in known):
                raise InvalidError("was signed by nobody, and the factory has people")
            return
        _require_name(predicate, entry)
        if not any(self._may(entry, role, number) for role in ("engineer", "approver")):
            raise InvalidError("was signed by a person who was not allowed to")

    def serving(self, number: int, entry: dict[str, Any]) -> None:
        """Check that a person stopped a pipeline, or let it serve again.

        Raises:
            InvalidError: they did not, or were not allowed to.
        """
        serving = self._champion(entry, number)
        _require_same("the version that serves", entry.get("version"), serving and serving[1])
        self._act(number, entry, take(entry, "action"))

    def champion(self, number: int, entry: dict[str, Any]) -> None:
        """Check that enough people approved a version before it served, if that was required.

        Raises:
            InvalidError: they did not, or the version was refused.
        """
        which, before = _which(entry), self._champion(entry, number)
        self._require_not_refused(which, number)
        ongoing = self._ongoing(entry["pipeline"], number)
        if before and before[1] != entry["version"] and ongoing is not None:
            raise InvalidError(f"serves while a version rolls out (entry {ongoing})")
        if entry.get("rollback") is True:
            self._act(number, entry, "rolled back")
            _require_same("the version that served", entry.get("replaced"), before and before[1])
            if not self._scratch.one("SELECT 1 FROM served WHERE which = ?", which):
                raise InvalidError(f"rolls back to {which}, which never served before")
            return
        self._scratch.run("INSERT OR IGNORE INTO served VALUES(?)", which)
        if self._is_promoted(number, entry):
            # Who had to approve it had to do so when the roll-out began.
            _require_same("the version that served", entry.get("replaced"), before and before[1])
            return
        if before and before[1] != entry["version"]:
            self._require_no_rollout(number, entry)
        if self._rule(entry["pipeline"], number) is not None:
            _require_same("the version that served", entry.get("replaced"), before and before[1])
        self._require_approved(number, entry, before)

    def rollout(self, number: int, entry: dict[str, Any]) -> None:
        """Check that a version was allowed to roll out beside the champion, with no other roll-out.

        Raises:
            InvalidError: it was refused or not approved, or another one rolls out, or serves.
        """
        before = self._champion(entry, number)
        serves = take(entry, "champion", kind=int)
        _require_same("the version that serves", serves, before and before[1])
        if before and before[1] == take(entry, "version", kind=int):
            raise InvalidError(f"{_which(entry)} rolls out, and serves already")
        if (ongoing := self._ongoing(entry["pipeline"], number)) is not None:
            raise InvalidError(f"begins while another version rolls out (entry {ongoing})")
        share = take(entry, "share", kind=int)
        is_valid = {"canary": 0 < share < 10_000, "shadow": share == 0}
        if not is_valid.get(take(entry, "mode"), False):
            raise InvalidError("has no valid 'mode' and 'share'")
        self._require_not_refused(_which(entry), number)
        self._require_approved(number, entry, before)

    def rollout_ended(self, number: int, entry: dict[str, Any]) -> None:
        """Check that a roll-out was going on when it ended, and that it was allowed to end so.

        Raises:
            InvalidError: it did not.
        """
        pipeline, outcome = take(entry, "pipeline"), take(entry, "outcome")
        started = self._ledger.last("rollout", f"rollout/{pipeline}", number)
        ongoing = self._ongoing(pipeline, number)
        if started is None or ongoing is None or ongoing != take(entry, "started", kind=int):
            raise InvalidError("ends a roll-out that does not go on")
        for name in ("version", "record"):
            _require_same(f"the {name}", entry.get(name), started[1].get(name))
        if outcome == "promoted":
            self._require_promotable(number, entry, started[1])
        elif outcome == "ended by a person":
            self._act(number, entry, "roll-out ended")
        elif outcome not in ("rolled back", "replaced"):
            raise InvalidError("has no valid 'outcome'")

    def governance(self, number: int, entry: dict[str, Any]) -> None:
        """Check that a person signed the answer to a requirement, by a key that was theirs then.

        Raises:
            InvalidError: they did not, or it says something else than the entry.
        """
        pipeline, requirement = take(entry, "pipeline"), take(entry, "requirement")
        subject = f"governance/{pipeline}/{requirement}"
        _require_same("the subject", entry.get("subject"), subject)
        person, key = take(entry, "person"), take(entry, "key")
        statement = self._signed(number, entry)
        if take(statement, "predicateType") != _GOVERNANCE:
            raise InvalidError("has a statement of another type")
        predicate = take(statement, "predicate", kind=dict)
        claimed = [predicate.get(name) for name in ("log", "pipeline", "version", "requirement")]
        origin, version = take(self._ledger.entry(0), "origin"), take(entry, "version", kind=int)
        expected = [origin, pipeline, version, requirement]
        _require_same("what the statement is about", claimed, expected)
        evidence = take(entry, "evidence", kind=dict)
        _require_same("what it rests on", predicate.get("evidence"), evidence)
        _require_same("the time of the signature", entry.get("signed"), predicate.get("time"))
        if _seconds(take(entry, "time")) - _seconds(take(predicate, "time")) < -_CLOCKS:
            raise InvalidError("was signed after it was entered")
        model = self._ledger.last("model_version", f"model/{_which(entry)}", number)
        text = sha256(take(predicate, "text").encode("utf-8", "surrogatepass")).hexdigest()
        about: dict[str, Any] = {f"governance.yaml#{requirement}": text}
        about[f"{_which(entry)}/manifest.json"] = model[1].get("digest") if model else None
        _require_same("the digests of the statement", _digests(statement), about)
        _require_name(predicate, entry)
        known = self._person(person, number)
        if known is None or key not in known[1]:
            raise InvalidError("was signed by a key that was not the person's then")
        self._report.count("signed answers to requirements")

    def _require_promotable(
        self, number: int, entry: dict[str, Any], started: dict[str, Any]
    ) -> None:
        """Require that a version rolled out for as long, and gave as many answers, as it had to."""
        took = _seconds(take(entry, "time")) - _seconds(take(started, "time"))
        if took < take(started, "seconds", kind=int):
            raise InvalidError(f"promotes a version after {took} s, before its time")
        if take(entry, "counts", "answers", kind=int) < take(started, "answers", kind=int):
            raise InvalidError("promotes a version after too few answers")
        changed = self._ledger.last("serving", f"serving/{entry['pipeline']}", number)
        if changed and changed[1].get("action") == "stopped":
            raise InvalidError(
                f"promotes a version although the pipeline was stopped (entry {changed[0]})"
            )
        following = self._ledger.entry(number + 1)
        if not self._is_promoted(number + 1, following):
            raise InvalidError("promotes a version that does not serve by the next entry")

    def _is_promoted(self, number: int, entry: dict[str, Any]) -> bool:
        """Whether the entry before ends a roll-out of this version so that it serves."""
        pipeline = entry.get("pipeline")
        ended = self._ledger.last("rollout_ended", f"rollout_ended/{pipeline}", number)
        started = self._ledger.last("rollout", f"rollout/{pipeline}", number)
        if not started or not ended or ended[0] != number - 1:
            return False
        began, end = started[1], ended[1]
        claimed = [entry.get(name) for name in ("kind", "version", "graph", "replaced")]
        expected = ["champion", began.get("version"), began.get("graph"), began.get("champion")]
        return end.get("outcome") == "promoted" and claimed == expected

    def _ongoing(self, pipeline: str, number: int) -> int | None:
        """Return the entry of the roll-out that goes on at a moment."""
        started = self._ledger.last("rollout", f"rollout/{pipeline}", number)
        ended = self._ledger.last("rollout_ended", f"rollout_ended/{pipeline}", number)
        return None if not started or (ended and ended[0] > started[0]) else started[0]

    def _require_no_rollout(self, number: int, entry: dict[str, Any]) -> None:
        """Require that no roll-out was declared when a version serves at once."""
        subject = f"declaration/{entry['pipeline']}"
        declared = self._ledger.last("declaration", subject, number)
        if declared and declared[1].get("rollout") is not None:
            raise InvalidError(f"{_which(entry)} serves at once, and a roll-out was declared")

    def _require_not_refused(self, which: str, number: int) -> None:
        refused = self._scratch.one("SELECT min(number) FROM refused WHERE which = ?", which)
        if refused is not None and refused < number:
            raise InvalidError(f"{which} serves, although it was refused (entry {refused})")

    def _require_approved(
        self, number: int, entry: dict[str, Any], before: tuple[int, int] | None
    ) -> None:
        """Require that enough people approved a version before it began, if that was required."""
        which, rule = _which(entry), self._rule(entry["pipeline"], number)
        if rule is None:
            return
        about = self._verdict(which, number), take(entry, "graph")
        approved: set[str] = set()
        for decided, decision in self._decisions(which, number):
            claimed = decision.get("verdict"), decision.get("graph")
            if decided <= (before[0] if before else 0) or claimed != about:
                continue
            replaces = decision.get("replaces") == (before and before[1])
            if replaces and self._counts(decision, entry, rule, number):
                approved.add(take(decision, "person"))
            if len(approved) >= rule["signatures"]:
                return
        people = f"{len(approved)} of {rule['signatures']} people"
        raise InvalidError(f"{which} serves, and {people} approved it")

    def notes(self) -> None:
        """Say where the approval that a pipeline asks for was changed."""
        query = "SELECT number, pipeline FROM changed_rule ORDER BY number LIMIT ?"
        for number, pipeline in self._scratch.run(query, _LISTED):
            self._report.note(f"changes the approval that {pipeline} asks for", number)
        more = self._scratch.run(f"{query} OFFSET ?", -1, _LISTED)
        by_pipeline = Counter(pipeline for _, pipeline in more)
        for pipeline, count in sorted(by_pipeline.items()):
            entries = f"{amount(count, 'entries')} more change{'s' * (count == 1)}"
            self._report.note(f"{entries} the approval that {pipeline} asks for")

    def _act(self, number: int, entry: dict[str, Any], act: str) -> None:
        """Check the statement of an act that needs no waiting candidate."""
        predicate = self._statement(number, entry, act, _ENTERED)
        serving = self._champion(entry, number)
        _require_same("the version that serves", predicate.get("replaces"), serving and serving[1])
        rule = self._rule(take(entry, "pipeline"), number)
        if rule is not None:
            self._require_allowed(number, entry, rule)
        self._report.count("decisions")

    def _rule(self, pipeline: str, number: int) -> dict[str, Any] | None:
        """Return who had to approve at this moment; None if nobody."""
        declared = self._ledger.last("declaration", f"declaration/{pipeline}", number)
        return approval_rule(declared[1]) if declared else None

    def _statement(
        self, number: int, entry: dict[str, Any], act: str, seconds: int
    ) -> dict[str, Any]:
        """Return the predicate of the statement that an entry names, after comparing the two.

        Args:
            seconds: how old the signature may be when it is entered.

        Raises:
            InvalidError: it is missing, was changed or used before, or says something else.
        """
        statement = self._signed(number, entry)
        predicate: dict[str, Any] = take(statement, "predicate", kind=dict)
        if take(statement, "predicateType") != _DECISION:
            raise InvalidError("has a statement of another type")
        origin = take(self._ledger.entry(0), "origin")
        claimed = [predicate.get(one) for one in ("decision", "log", "pipeline", "version")]
        expected = [act, origin, entry["pipeline"], take(entry, "version", kind=int)]
        _require_same("what the statement is about", claimed, expected)
        age = _seconds(take(entry, "time")) - _seconds(take(predicate, "time"))
        if not -_CLOCKS <= age <= seconds:
            raise InvalidError("was signed at another time than when it was entered")
        self._require_subject(statement, entry, number)
        _require_name(predicate, entry)
        return predicate

    def _signed(self, number: int, entry: dict[str, Any]) -> dict[str, Any]:
        """Return the statement that an entry names, signed by its key if it has one.

        Raises:
            InvalidError: it is missing, was changed or used before.
        """
        content = self._read(take(entry, "pipeline"), take(entry, "statement"))
        key = None if entry.get("key") is None else person_key(take(entry, "key"))
        statement = parse_statement(content, key)
        # The envelope may be written in other ways; only its payload is signed.
        signed = sha256(statement_payload(content)).hexdigest()
        used = self._scratch.one("SELECT number FROM statement WHERE sha256 = ?", signed)
        if used is not None and used != number:
            raise InvalidError(f"has the statement that entry {used} has already")
        self._scratch.run("INSERT OR IGNORE INTO statement VALUES(?, ?)", signed, number)
        return statement

    def _read(self, pipeline: str, digest: str) -> bytes:
        name = f"statements/{pipeline}/{digest}.json"
        try:
            content = read_all(self._files, name, STATEMENT_BYTES)
        except InvalidError as error:
            raise type(error)(f"{name} {error}") from error
        found = sha256(content).hexdigest()
        self._scratch.run("INSERT OR IGNORE INTO digest VALUES(?, ?)", path_bytes(name), found)
        if found != digest:
            raise InvalidError(f"{name} was changed: its SHA-256 is {found}")
        return content

    def _require_subject(
        self, statement: dict[str, Any], entry: dict[str, Any], number: int
    ) -> None:
        """Require that the statement is about the files that the ledger has of the version."""
        which = _which(entry)
        model = self._ledger.last("model_version", f"model/{which}", number)
        export = self._ledger.last("export", f"export/{which}", number)
        expected = {
            f"{which}/manifest.json": model[1].get("digest") if model else None,
            f"{which}/model.onnx": export[1].get("graph") if export else None,
        }
        _require_same("the files of the statement", _digests(statement), expected)

    def _require_allowed(self, number: int, entry: dict[str, Any], rule: dict[str, Any]) -> None:
        """Require that the person of an entry had the role and the key then."""
        if not self._may(entry, rule["by"], number):
            raise InvalidError(f"was signed by somebody without the role {rule['by']} then")

    def _may(self, entry: dict[str, Any], role: str, moment: int) -> bool:
        known = self._person(take(entry, "person"), moment)
        return known is not None and take(entry, "key") in known[1] and role in known[0]

    def _person(self, person: str, moment: int) -> tuple[list[str], list[str], Any] | None:
        """Return roles, keys and account of a person at a moment."""
        rows = self._scratch.run(
            "SELECT roles, keys, account FROM person WHERE person = ? AND number < ? "
            "ORDER BY number DESC LIMIT 1",
            person,
            moment,
        )
        for roles, keys, account in rows:
            return json.loads(roles), json.loads(keys), account
        return None

    def _is_other(self, entry: dict[str, Any], number: int) -> bool:
        """Whether another account than that of the person trained the version."""
        known = self._person(take(entry, "person"), number)
        model = self._ledger.last("model_version", f"model/{_which(entry)}", number)
        # The entry of the training is before that of the version; later ones are of other versions.
        stage = self._ledger.last("stage", take(model[1], "record"), model[0]) if model else None
        run = self._ledger.last("run", f"run/{take(stage[1], 'run')}", number) if stage else None
        account = run[1].get("account") if run else None
        return known is not None and None not in (known[2], account) and known[2] != account

    def _decisions(self, which: str, number: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield the decisions about a version before a moment, the newest first."""
        moment = number
        for _ in range(_APPROVALS):
            found = self._ledger.last("approval", f"approval/{which}", moment)
            if found is None:
                return
            yield found
            moment = found[0]

    def _counts(
        self, decision: dict[str, Any], begun: dict[str, Any], rule: dict[str, Any], number: int
    ) -> bool:
        """Whether an approval still counted when the version began to serve, or to roll out."""
        age = _seconds(take(begun, "time")) - _seconds(take(decision, "signed"))
        return (
            decision.get("decision") == "approved"
            and -_CLOCKS <= age <= rule["seconds"]
            and self._may(decision, rule["by"], number)
            and (not rule["four_eyes"] or self._is_other(decision, number))
        )

    def _verdict(self, which: str, number: int) -> str | None:
        """Return the digest of the record of the last evaluation before a moment."""
        verdict = self._ledger.last("verdict", f"verdict/{which}", number)
        stage = self._ledger.last("stage", take(verdict[1], "record"), number) if verdict else None
        return take(stage[1], "sha256") if stage else None

    def _champion(self, entry: dict[str, Any], number: int) -> tuple[int, int] | None:
        """Return entry and version of the champion before a moment."""
        champion = self._ledger.last("champion", f"champion/{entry['pipeline']}", number)
        return (champion[0], take(champion[1], "version", kind=int)) if champion else None


def approval_rule(entry: dict[str, Any]) -> dict[str, Any] | None:
    """Return the rule in an entry of a declaration; None if nobody has to approve.

    Raises:
        InvalidError: it is not a rule.
    """
    rule = entry.get("approval")
    if rule is None:
        return None
    take(rule, "by")
    take(rule, "four_eyes", kind=bool)
    if take(rule, "signatures", kind=int) < 1 or take(rule, "seconds", kind=int) < 1:
        raise InvalidError("has no valid 'approval'")
    valid: dict[str, Any] = rule
    return valid


def _require_name(predicate: dict[str, Any], entry: dict[str, Any]) -> None:
    """Require that the name in the statement is the one that the ledger has a commitment to."""
    person = entry.get("person")
    if person is None:
        return
    salt, name = take(predicate, "person", "salt"), take(predicate, "person", "name")
    try:
        committed = sha256(bytes.fromhex(salt) + name.encode()).hexdigest()
    except ValueError as error:
        raise InvalidError("has a statement with a damaged salt") from error
    _require_same("the person", person, committed)


def _digests(statement: dict[str, Any]) -> dict[str, Any]:
    """Return the names that a statement is about, each with its SHA-256."""
    subject = take(statement, "subject", kind=list)
    found = {take(one, "name"): take(one, "digest", "sha256") for one in subject}
    if len(found) != len(subject):
        raise InvalidError("has a statement that is about one name twice")
    return found


def _which(entry: dict[str, Any]) -> str:
    return f"{take(entry, 'pipeline')}@{take(entry, 'version', kind=int)}"


def _seconds(text: str) -> int:
    """Return the seconds of a time of an entry or a statement since 1970."""
    try:
        if not _TIME.fullmatch(text):
            raise ValueError("no time")
        time = datetime.strptime(text[:19], "%Y-%m-%dT%H:%M:%S")
        return int(time.replace(tzinfo=timezone.utc).timestamp())
    except ValueError as error:
        raise InvalidError(f"{_short(text)} is not a time") from error


# --------------------------------------------------------------------------- The prediction log

_IN_FILES = frozenset(sha256(name).hexdigest() for name in (b"sqlite", b""))
"""What `prepared.json` of a home has in place of the digest of an address."""

_PREDICTION_TABLES = ("block", "leaf_tile", "prediction")

_TILE = 256
"""Leaves whose hashes are in one row of the table `leaf_tile`."""

_BLOCK_RECORDS = 1_000_000
"""Records of a block that are compared in memory."""

_OVERLAPPING = 64
"""Blocks of answers that may overlap, and each is still read with the records of the others."""

_SMALL_RECORD, LARGEST_RECORD = 65_535, 32 * 1024 * 1024
"""Bytes of records that are read together, and of those that are read at all."""

_SEGMENT_BYTES = 256 * 1024 * 1024

_RANGES_BYTES = 16 * 1024 * 1024
"""The leaves of one block in a list of leaves."""

_SEGMENT, _SEGMENT_RECORD = struct.Struct("<8sI16sI"), struct.Struct("<II16s")

_PREDICTIONS = (
    "SELECT CASE WHEN typeof(id) = 'blob' AND length(id) = 16 THEN id END, leaf, "
    f"CASE WHEN typeof(record) = 'blob' AND length(record) <= {_SMALL_RECORD} THEN record END, "
    "CASE WHEN length(CAST(pipeline AS BLOB)) <= 255 THEN CAST(pipeline AS BLOB) END, "
    "CASE WHEN typeof(version) = 'integer' AND version >= 0 THEN version END, "
    "CASE WHEN typeof(rows) = 'integer' AND rows >= 0 THEN rows END "
    "FROM prediction WHERE id >= ? AND id <= ? AND block = ? ORDER BY id"
)

_PLACES = (
    "SELECT block, id FROM prediction "
    "WHERE typeof(block) = 'integer' AND typeof(id) = 'blob' AND length(id) = 16"
)

_BLOCK_ENDS = (
    "SELECT first, last FROM block NOT INDEXED "
    "WHERE typeof(first) = 'blob' AND typeof(last) = 'blob' ORDER BY first"
)


def prediction_leaf(identifier: bytes, digest: bytes) -> bytes:
    """Return the hash of an answer in the tree of its block.

    Args:
        identifier: the id of the request, 16 bytes.
        digest: the SHA-256 of its record.
    """
    return leaf_hash(identifier + digest)


def is_here(files: HomeFolder, *names: str) -> bool:
    """Whether a home has one of these files."""
    for name in names:
        with suppress(MissingFileError):
            files.path(name)
            return True
    return False


_ELSEWHERE = (
    "is not here: {0} are not compared; if a server has them, its operator can: factory verify"
)


_ARCHIVED = (
    "the {:,} answers in its files are compared by the digests of the files, not one by one with "
    "their blocks: the proof of an answer does that (--prediction)"
)


def is_on_server(files: HomeFolder) -> bool:
    """Whether a home says that its databases are on a server.

    Files from before they were carried over may still be there, and are out of date.
    """
    with suppress(InvalidError):
        prepared = parse_object(next(files.chunks("prepared.json"), b""))
        return take(prepared, "database") not in _IN_FILES
    return False


@dataclass(frozen=True)
class _ErasedLeaves:
    """The answers of a block that entries erase, in the order of their leaves."""

    rows: Sequence[tuple[int, bytes, int]]
    """Leaf, id, and number of the entry."""
    leaves: Sequence[int]
    ids: Sequence[bytes]

    @classmethod
    def of(cls, block: str, scratch: Scratch, entry: dict[str, Any]) -> _ErasedLeaves:
        """Return those of a block, whose ids must be in the order of its leaves.

        Args:
            entry: that of the block.
        """
        query = "SELECT leaf, id, number FROM erased WHERE block = ? ORDER BY leaf"
        rows = [*scratch.run(query, block)]
        leaves, ids = [leaf for leaf, _, _ in rows], [identifier for _, identifier, _ in rows]
        last = take(entry, "count", kind=int) - 1
        if leaves and leaves[-1] > last:
            raise InvalidError("more is erased of its block than it has")
        ends = (0, take(entry, "first")), (last, take(entry, "last"))
        at_ends = all(
            (leaf == place) == (identifier.hex() == end)
            for leaf, identifier, _ in rows
            for place, end in ends
        )
        if not at_ends or any(left >= right for left, right in zip(ids, ids[1:])):
            raise InvalidError("what is erased of its block is not in the order of the ids")
        return cls(rows, leaves, ids)

    def require_order(self, identifier: bytes, leaf: int) -> None:
        """Require that a record is where its id belongs among those that are erased."""
        place = bisect_left(self.leaves, leaf)
        if bisect_left(self.ids, identifier) != place:
            raise InvalidError("what is erased of its block is not in the order of the ids")


class PredictionCheck:
    """Compares the blocks of answers in the ledger with the records that are stored.

    A record is in the database, in a file of the archive, removed, or erased. Of files and what was
    removed, a list says which leaves of which blocks they are, and an entry has the digest of the
    list. Of what was erased, an entry has id, block and leaf of each.
    """

    def __init__(
        self,
        files: HomeFolder,
        ledger: LedgerDatabase,
        report: VerificationReport,
        scratch: Scratch,
        content: ContentCheck,
        stored: HomeFolder | None,
    ) -> None:
        self._files, self._ledger, self._report = files, ledger, report
        self._scratch, self._content = scratch, content
        self._stored = stored
        self._seen = 0
        self._is_placed = False

    def run(self) -> None:
        """Check every entry about answers.

        Where a server has the ledger, it has the answers too: without copies, none is compared.
        """
        for number in self._numbers("predictions_erased"):
            with self._report.reported(number):
                self._erased(number, self._ledger.entry(number))
        for number in self._numbers("predictions_removed"):
            with self._report.reported(number):
                self._removed(number, self._ledger.entry(number))
        for number in self._numbers("predictions_archived"):
            with self._report.reported(number):
                self._archived(number, self._ledger.entry(number))
        if archived := self._report.checked.get("answers in the archive"):
            self._report.note(_ARCHIVED.format(archived), file="predictions/archive")
        blocks = self._numbers("predictions")
        if self._stored is None or not is_here(self._stored, "ledger.db", "predictions.db"):
            if blocks:
                self._report.note(_ELSEWHERE.format("answers"), file="predictions.db")
            return
        # A block may leave the journal when the database was already opened.
        for number in self._blocks(self._blocks(blocks)):
            self._report.problem(
                "its block is missing: it is neither in the database nor in the journal", number
            )

    def _is_here(self, name: str) -> bool:
        return is_here(self._files, name)

    def _numbers(self, *kinds: str) -> list[int]:
        """Return the numbers of the entries of some kinds."""
        query = f"SELECT number FROM logged WHERE kind IN ({', '.join('?' * len(kinds))})"
        return [number for (number,) in self._scratch.run(f"{query} ORDER BY number", *kinds)]

    def _blocks(self, numbers: Sequence[int]) -> list[int]:
        """Compare blocks; return those that are neither in the database nor in the journal."""
        absent = []
        with ExitStack() as stack, self._report.reported(file="predictions.db"):
            database = None
            if numbers and self._stored and is_here(self._stored, "predictions.db"):
                path = self._stored.path("predictions.db")
                database = stack.enter_context(closing(GuardedDatabase(path, _PREDICTION_TABLES)))
                self._place(database)
            for number in numbers:
                with self._report.reported(number):
                    if not self._block(number, self._ledger.entry(number), database):
                        absent.append(number)
            if database:
                self._strange(database)
        return absent

    def _place(self, database: GuardedDatabase) -> None:
        """Note which records each block has if many overlap, as those of many devices do.

        They lie in the order of their ids, so that between those of one block are those of all
        others of the same time.
        """
        self._is_placed = _is_crowded(database.rows(_BLOCK_ENDS))
        for row in database.rows(_PLACES) if self._is_placed else ():
            self._scratch.run("INSERT OR IGNORE INTO placed VALUES(?, ?)", *row)

    def _rows(
        self, database: GuardedDatabase, first: bytes, last: bytes, block: object
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the records of a block from one id to another, in the order of their ids."""
        if not self._is_placed:
            yield from database.rows(_PREDICTIONS, first, last, block)
            return
        query = "SELECT id FROM placed WHERE block = ? AND id >= ? AND id <= ? ORDER BY id"
        for (identifier,) in self._scratch.run(query, block, first, last):
            yield from database.rows(_PREDICTIONS, identifier, identifier, block)

    def _erased(self, number: int, entry: dict[str, Any]) -> None:
        """Note which answers are erased, and which file of the archive is replaced."""
        pipeline, day = take(entry, "pipeline"), take(entry, "day")
        _require_same("the subject", take(entry, "subject"), f"predictions/{pipeline}/{day}")
        _report_undecided(self._ledger, self._report, number, entry)
        count = 0
        for block, leaves in take(entry, "blocks", kind=dict).items():
            logged = self._ledger.last("predictions", f"predictions/{block}", number)
            if logged is None or not isinstance(leaves, dict):
                raise InvalidError(f"erases answers of a block {_short(block)} that is not logged")
            last = take(logged[1], "count", kind=int) - 1
            ends = take(logged[1], "first"), take(logged[1], "last")
            for text, leaf in leaves.items():
                identifier = _identifier(text)
                if type(leaf) is not int or not (ends[0] <= text <= ends[1] and 0 <= leaf <= last):
                    raise InvalidError(f"block {_short(block)} cannot have had {text} there")
                self._remember_erased(block, leaf, identifier, number)
                count += 1
        _require_same("the number of answers", take(entry, "count", kind=int), count)
        if entry.get("file") is not None:
            row = take(entry, "file"), number
            self._scratch.run("INSERT OR IGNORE INTO rewritten VALUES(?, ?)", *row)

    def _remember_erased(self, block: str, leaf: int, identifier: bytes, number: int) -> None:
        known = self._scratch.one("SELECT id FROM erased WHERE block = ? AND leaf = ?", block, leaf)
        if known not in (None, identifier):
            raise InvalidError(f"erases {identifier.hex()}, and an earlier entry another in place")
        row = block, leaf, identifier, number
        self._scratch.run("INSERT OR IGNORE INTO erased VALUES(?, ?, ?, ?)", *row)

    def _removed(self, number: int, entry: dict[str, Any]) -> None:
        """Note which files of the archive are removed."""
        subject = f"predictions/{take(entry, 'pipeline')}/{take(entry, 'day')}"
        _require_same("the subject", take(entry, "subject"), subject)
        for digest in take_texts(entry, "files"):
            row = subject, digest, number
            self._scratch.run("INSERT OR REPLACE INTO dropped VALUES(?, ?, ?)", *row)

    def _archived(self, number: int, entry: dict[str, Any]) -> None:
        """Note which leaves are in the archive, and compare the files."""
        pipeline, day = take(entry, "pipeline"), take(entry, "day")
        subject = f"predictions/{pipeline}/{day}"
        _require_same("the subject", take(entry, "subject"), subject)
        digest, listed = take(entry, "sha256"), take(entry, "leaves")
        ends = [_identifier(take(entry, name)).hex() for name in ("first", "last")]
        file = f"predictions/archive/{pipeline}/{day}/{'-'.join(ends)}-{digest[:8]}"
        query = "SELECT number FROM rewritten WHERE sha256 = ? AND number > ?"
        replaced = self._scratch.one(query, digest, number)
        if replaced is not None:
            if self._is_here(f"{file}.parquet"):
                what = "was replaced by one without erased answers, yet it is there"
                self._report.problem(what, replaced, f"{file}.parquet")
            self._report.count("files of the archive replaced")
            return
        count = self._list(f"{file}.leaves", listed, number)
        _require_same("the number of records", take(entry, "count", kind=int), count)
        query = "SELECT 1 FROM dropped WHERE subject = ? AND sha256 = ? AND number > ?"
        if self._scratch.one(query, subject, digest, number):
            self._report.count("answers removed", count)
            return
        self._report.count("answers in the archive", count)
        self._content.compare(f"{file}.parquet", digest, number=number)

    def _list(self, name: str, expected: str, number: int) -> int:
        """Note the leaves in a list; return how many they are."""
        digest, rest, count = sha256(), b"", 0
        with _named(name):
            for chunk in self._files.chunks(name):
                digest.update(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _RANGES_BYTES:
                    raise InvalidError("has a line that is too long")
                for line in lines:
                    block, _, ranges = line.partition(b" ")
                    count += sum(stop - start for start, stop in _ranges(ranges))
                    row = block, number, ranges
                    self._scratch.run("INSERT OR REPLACE INTO elsewhere VALUES(?, ?, ?)", *row)
            if digest.hexdigest() != expected or rest:
                raise InvalidError(f"was changed: its SHA-256 is {digest.hexdigest()}")
        return count

    def _block(self, number: int, entry: dict[str, Any], database: GuardedDatabase | None) -> bool:
        """Compare a block; False if it is neither in the database nor in the journal."""
        identity, count = take(entry, "block"), take(entry, "count", kind=int)
        _require_same("the subject", take(entry, "subject"), f"predictions/{identity}")
        last = self._ledger.last("predictions", f"predictions/{identity}")
        if last is None or last[0] != number:
            raise InvalidError("has another entry of the same block after it")
        if not 0 < count <= _BLOCK_RECORDS:
            raise InvalidError("is of too many records, or none")
        ends = (_identifier(take(entry, name)) for name in ("first", "last"))
        query = (
            "SELECT number, first = ? AND last = ? AND count = ? FROM block "
            "WHERE identity = ? LIMIT 1"
        )
        found = [*database.rows(query, *ends, count, identity)] if database else []
        erased = _ErasedLeaves.of(identity, self._scratch, entry)
        if not database or not found:
            return self._waiting(entry, erased)
        if found[0][1] != 1:
            # By these its records are looked for.
            what = f"block {identity} is stored with other ids or another number of records"
            self._report.problem(what, number)
        leaves = self._leaves(database, found[0][0], count)
        if tree_hash(leaves).hex() != take(entry, "root"):
            raise InvalidError(f"the stored hashes of block {identity} are not those of the entry")
        here = bytearray(count)
        self._records(entry, database, found[0][0], leaves, here, erased)
        query = "SELECT ranges FROM elsewhere WHERE block = ?"
        for (ranges,) in self._scratch.run(query, identity.encode()):
            for start, stop in _ranges(ranges):
                here[start:stop] = b"\1" * (min(stop, count) - min(start, count))
        self._report.count("blocks of answers")
        self._require_gone(erased, here)
        missing = here.count(0)
        if missing:
            raise InvalidError(
                f"{missing:,} of the {count:,} records of block {identity} are missing, the first "
                f"is number {here.index(0)}"
            )
        return True

    def _require_gone(self, erased: _ErasedLeaves, here: bytearray) -> None:
        """Report what is erased and among the records that are here; it is not missing."""
        for leaf, identifier, entered in erased.rows:
            if here[leaf]:
                what = f"the answer {identifier.hex()} was erased, yet it is there"
                self._report.problem(what, entered)
            here[leaf] = 1
        if erased.rows:
            self._report.count("answers erased", len(erased.rows))

    def _leaves(self, database: GuardedDatabase, block: object, count: int) -> list[bytes]:
        return stored_leaves(database, "leaf_tile", "block", block, count)

    def _records(
        self,
        entry: dict[str, Any],
        database: GuardedDatabase,
        block: object,
        leaves: Sequence[bytes],
        here: bytearray,
        erased: _ErasedLeaves,
    ) -> None:
        """Compare the records of a block in the database, and mark those that are unchanged."""
        first, last = (_identifier(take(entry, name)) for name in ("first", "last"))
        before = -1
        for identifier, leaf, record, *about in self._rows(database, first, last, block):
            self._seen += 1
            if identifier is None or not isinstance(leaf, int) or not before < leaf < len(leaves):
                raise InvalidError("the records of its block are not in the order of their ids")
            if erased.rows:
                erased.require_order(identifier, leaf)
            before = leaf
            if record is None:
                record = self._large(database, identifier)
            here[leaf] = 1
            if prediction_leaf(identifier, sha256(record).digest()) != leaves[leaf]:
                self._report.problem(f"the record of {identifier.hex()} was changed")
            elif None in about or not is_record_of(record, *about):
                # By these it is listed and counted.
                what = f"the record of {identifier.hex()} is stored as that of another"
                self._report.problem(f"{what} pipeline or version, or of other rows")
            if (leaf == 0) != (identifier == first) or (leaf == len(here) - 1) != (
                identifier == last
            ):
                raise InvalidError("its first or last id is not that of the records")
        self._report.count("answers in the database", sum(here))

    def _large(self, database: GuardedDatabase, identifier: bytes) -> bytes:
        query = (
            f"SELECT CASE WHEN typeof(record) = 'blob' AND length(record) <= {LARGEST_RECORD} "
            "THEN record END FROM prediction WHERE id = ?"
        )
        record = next(database.rows(query, identifier), (None,))[0]
        if not isinstance(record, bytes):
            raise InvalidError("a record of its block is too large to be compared")
        return record

    def _waiting(self, entry: dict[str, Any], erased: _ErasedLeaves) -> bool:
        """Compare a block that is still in the journal; False if it is not."""
        identity = take(entry, "block")
        name = f"predictions/journal/{identity}.sealed"
        with _named(name):
            try:
                content = read_all(self._files, name, _SEGMENT_BYTES)
            except MissingFileError:
                return False
            ids, leaves, holds = _segment_leaves(content, identity)
            if not leaves or tree_hash(leaves).hex() != take(entry, "root"):
                raise InvalidError("was changed: it has other records than the entry says")
            claimed = [entry[name] for name in ("count", "first", "last")]
            if claimed != [len(ids), ids[0].hex(), ids[-1].hex()]:
                raise InvalidError("has another number of records, or other ids, than the entry")
            if any(left >= right for left, right in zip(ids, ids[1:])):
                raise InvalidError("has records that are not in the order of their ids")
            if not holds:
                raise InvalidError("was changed: a checksum in it is not that of the records")
        self._require_gone(erased, bytearray(b"\1" * len(leaves)))
        self._report.count("blocks of answers in the journal")
        return True

    def _strange(self, database: GuardedDatabase) -> None:
        for (count,) in database.rows("SELECT count(*) FROM prediction"):
            if count > self._seen:
                what = f"{count - self._seen:,} records are of no block in the ledger"
                self._report.note(f"{what}: {_UNPROVEN}", file="predictions.db")
            self._seen = count


_UNPROVEN = "nothing proves them, unless the ledger has them at the next look"


def _is_crowded(ends: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether more than some blocks overlap; they are given in the order of their first ids."""
    going_on = list[bytes]()
    for first, last in ends:
        while going_on and going_on[0] < first:
            heappop(going_on)
        heappush(going_on, last)
        if len(going_on) > _OVERLAPPING:
            return True
    return False


def is_record_of(record: bytes, pipeline: bytes, version: int, rows: int) -> bool:
    """Whether a record, an array of MessagePack, is of a version and has so many rows.

    The version follows two numbers; between it and the rows are three texts and a number.
    """
    place = 1
    for _ in range(2):
        place += _NUMBER_BYTES.get(record[place : place + 1], 1)
    name = _packed_name(pipeline, version)
    if not record.startswith(name, place):
        return False
    place += len(name)
    for _ in range(3):
        kind = record[place] if place < len(record) else 0
        place += kind - 0x9F if 0xA0 <= kind < 0xC0 else _long_text_bytes(record, place)
    place += _NUMBER_BYTES.get(record[place : place + 1], 1)
    return record.startswith(_packed_number(rows), place)


def _long_text_bytes(record: bytes, place: int) -> int:
    """Return how many bytes a text of MessagePack takes, of 32 to 65,535."""
    size = {b"\xd9": 1, b"\xda": 2}.get(record[place : place + 1], 0)
    return 1 + size + int.from_bytes(record[place + 1 : place + 1 + size], "big")


_NUMBER_BYTES = {b"\xcc": 2, b"\xcd": 3, b"\xce": 5, b"\xcf": 9}
"""How many bytes a number of MessagePack takes, by the first of them; else it is that byte."""


@lru_cache(1000)
def _packed_name(pipeline: bytes, version: int) -> bytes:
    """Return a text of at most 255 bytes and a number in MessagePack."""
    size = len(pipeline)
    text = (bytes([0xA0 | size]) if size < 32 else bytes([0xD9, size])) + pipeline
    return text + _packed_number(version)


def _packed_number(number: int) -> bytes:
    """Return a number from 0 in MessagePack."""
    for least, kind, form in ((2**32, 0xCF, ">BQ"), (2**16, 0xCE, ">BI"), (256, 0xCD, ">BH")):
        if number >= least:
            return struct.pack(form, kind, number)
    return bytes([number] if number < 128 else [0xCC, number])


def stored_leaves(
    database: GuardedDatabase, table: str, column: str, number: object, count: int
) -> list[bytes]:
    """Return the hashes of a block or batch, which are stored some hundreds in a row of a table."""
    query = (
        f"SELECT CASE WHEN typeof(hashes) = 'blob' AND length(hashes) <= {_TILE * HASH_BYTES} "
        f"THEN hashes END FROM {table} WHERE {column} = ? ORDER BY tile LIMIT ?"
    )
    tiles = [tile or b"" for (tile,) in database.rows(query, number, -(-count // _TILE))]
    content = b"".join(tiles)
    if len(content) != count * HASH_BYTES:
        raise InvalidError(f"the stored hashes of its {column} are not complete")
    return [content[n : n + HASH_BYTES] for n in range(0, len(content), HASH_BYTES)]


def _ranges(text: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and stop of ranges written as `0-3,7-7`, last numbers included, in order."""
    last = -1
    for part in text.split(b","):
        match = re.fullmatch(rb"(0|[1-9][0-9]{0,6})-(0|[1-9][0-9]{0,6})", part)
        if not match or not last < int(match[1]) <= int(match[2]):
            raise InvalidError("is not a list of leaves")
        last = int(match[2])
        yield int(match[1]), last + 1


def _request_of(identifier: bytes) -> bytes:
    """Return the id of the request of a row: the last 20 bits are the number of the row."""
    return (int.from_bytes(identifier, "big") >> 20 << 20).to_bytes(16, "big")


def _identifier(text: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{32}", text):
        raise InvalidError(f"{_short(text)} is not an id")
    return bytes.fromhex(text)


def _segment_leaves(content: bytes, identity: str) -> tuple[list[bytes], list[bytes], bool]:
    """Return the ids of the records in a segment of the journal, and the hashes of its leaves.

    The last value is whether its checksums hold: without them, the factory cannot read it.
    """
    ids, leaves, place = list[bytes](), list[bytes](), _SEGMENT.size
    if len(content) < place:
        raise InvalidError("is another segment")
    _, _, segment, check = _SEGMENT.unpack_from(content)
    if segment.hex() != identity.replace("-", ""):
        raise InvalidError("is another segment")
    holds = crc32(content[: place - 4]) == check
    while place + _SEGMENT_RECORD.size <= len(content):
        length, check, identifier = _SEGMENT_RECORD.unpack_from(content, place)
        place += _SEGMENT_RECORD.size + length
        record = content[place - length : place]
        holds = holds and crc32(record, crc32(identifier)) == check
        ids.append(identifier)
        leaves.append(prediction_leaf(identifier, sha256(record).digest()))
    return (ids, leaves, holds) if place == len(content) else ([], [], holds)


# -------------------------------------------------------------------------------- The outcomes

_OUTCOME_TABLES = ("outcome", "outcome_batch", "outcome_tile")

_OUTCOME = struct.Struct(">3q4I")
"""Number, times, and the length of each text that follows."""

_BATCH_OUTCOMES = 1_000_000
"""Outcomes of a batch that are compared in memory."""

_OUTCOMES = (
    "SELECT number, "
    + ", ".join(
        f"CASE WHEN typeof({name}) = '{kind}' AND length({name}) <= 65535 THEN {name} END"
        for name, kind in (
            ("id", "blob"),
            ("pipeline", "text"),
            ("value", "text"),
            ("observed", "integer"),
            ("recorded", "integer"),
            ("source", "text"),
            ("caller", "text"),
        )
    )
    + " FROM outcome NOT INDEXED WHERE number >= ? AND number < ? ORDER BY number"
)


def outcome_leaf(
    number: int,
    identifier: bytes,
    pipeline: str,
    value: str,
    observed: int,
    recorded: int,
    source: str,
    caller: str,
) -> bytes:
    """Return the hash of an outcome in the tree of its batch.

    Args:
        number: its place among all outcomes, by which a later one corrects it.
        identifier: the id of the answered row, 16 bytes.
        value: what turned out to be true, as JSON.
        observed: when it did, in microseconds since 1970.
        recorded: when it was recorded.
        source: how it came.
        caller: the name of the caller's token.
    """
    texts = [text.encode() for text in (pipeline, value, source, caller)]
    lengths = [len(text) for text in texts]
    head = _OUTCOME.pack(number, observed, recorded, *lengths)
    return leaf_hash(identifier + sha256(head + b"".join(texts)).digest())


def _report_undecided(
    ledger: LedgerDatabase, report: VerificationReport, number: int, entry: dict[str, Any]
) -> None:
    """Report answers or outcomes that are erased as part of an erasure that nobody decided."""
    erasure = take(entry, "erasure")
    if not ledger.last("erasure", f"erasure/{erasure}"):
        report.problem(f"is part of an erasure {_short(erasure)} that has no entry", number)


class OutcomeCheck:
    """Compares the batches of outcomes in the ledger with the outcomes that are stored."""

    def __init__(
        self,
        stored: HomeFolder | None,
        ledger: LedgerDatabase,
        report: VerificationReport,
        scratch: Scratch,
    ) -> None:
        self._stored, self._ledger = stored, ledger
        self._report, self._scratch = report, scratch
        self._seen = 0

    def run(self) -> None:
        """Check every entry of a batch.

        Where a server has the ledger, it has the outcomes too: without copies, none is compared.
        """
        query = "SELECT number, kind FROM logged WHERE kind IN ('outcomes', 'outcomes_erased')"
        entries = [*self._scratch.run(f"{query} ORDER BY number")]
        batches = [number for number, kind in entries if kind == "outcomes"]
        for number, kind in entries:
            if kind == "outcomes_erased":
                with self._report.reported(number):
                    self._erased(number, self._ledger.entry(number))
        if self._stored is None or not is_here(self._stored, "ledger.db", "outcomes.db"):
            if batches:
                self._report.note(_ELSEWHERE.format("outcomes"), file="outcomes.db")
            return
        with ExitStack() as stack, self._report.reported(file="outcomes.db"):
            database = None
            if is_here(self._stored, "outcomes.db"):
                path = self._stored.path("outcomes.db")
                database = stack.enter_context(closing(GuardedDatabase(path, _OUTCOME_TABLES)))
            for number in batches:
                with self._report.reported(number):
                    self._batch(number, self._ledger.entry(number), database)
            if database:
                self._strange(database)

    def _erased(self, number: int, entry: dict[str, Any]) -> None:
        """Note which outcomes are erased."""
        subject = f"outcomes_erased/{take(entry, 'pipeline')}"
        _require_same("the subject", take(entry, "subject"), subject)
        _report_undecided(self._ledger, self._report, number, entry)
        for outcome in take(entry, "outcomes", kind=list):
            if type(outcome) is not int or outcome < 1:
                raise InvalidError("erases what is not the number of an outcome")
            self._scratch.run("INSERT OR IGNORE INTO erased_outcome VALUES(?, ?)", outcome, number)

    def _batch(self, number: int, entry: dict[str, Any], database: GuardedDatabase | None) -> None:
        identity, count = take(entry, "batch"), take(entry, "count", kind=int)
        _require_same("the subject", take(entry, "subject"), f"outcomes/{identity}")
        last = self._ledger.last("outcomes", f"outcomes/{identity}")
        if last is None or last[0] != number:
            raise InvalidError("has another entry of the same batch after it")
        if not 0 < count <= _BATCH_OUTCOMES:
            raise InvalidError("is of too many outcomes, or none")
        query = "SELECT number, first, count FROM outcome_batch WHERE identity = ? LIMIT 1"
        found = [*database.rows(query, identity)] if database else []
        if not database or not found or not isinstance(found[0][1], int):
            raise InvalidError("its batch of outcomes is missing")
        _require_same("the number of outcomes", found[0][2], count)
        leaves = stored_leaves(database, "outcome_tile", "batch", found[0][0], count)
        if tree_hash(leaves).hex() != take(entry, "root"):
            raise InvalidError(f"the stored hashes of batch {identity} are not those of the entry")
        missing = self._outcomes(database, found[0][1], leaves)
        self._report.count("batches of outcomes")
        if missing:
            raise InvalidError(
                f"{len(missing):,} of the {count:,} outcomes of batch {identity} are missing, the "
                f"first is number {missing[0]}"
            )

    def _outcomes(
        self, database: GuardedDatabase, first: int, leaves: Sequence[bytes]
    ) -> list[int]:
        """Compare the outcomes of a batch; return the numbers of those that are missing."""
        here = bytearray(len(leaves))
        for number, *values in database.rows(_OUTCOMES, first, first + len(leaves)):
            if not isinstance(number, int):
                raise InvalidError(f"{_short(str(number))} is not the number of an outcome")
            here[number - first] = 1
            if _stored_outcome_leaf(number, values) != leaves[number - first]:
                self._report.problem(f"outcome {number} was changed", file="outcomes.db")
        self._seen += sum(here)
        self._report.count("outcomes", sum(here))
        query = "SELECT outcome, number FROM erased_outcome WHERE outcome >= ? AND outcome < ?"
        for outcome, entered in self._scratch.run(query, first, first + len(leaves)):
            if here[outcome - first]:
                self._report.problem(f"outcome {outcome} was erased, yet it is there", entered)
            here[outcome - first] = 1
            self._report.count("outcomes erased")
        return [first + place for place, known in enumerate(here) if not known]

    def _strange(self, database: GuardedDatabase) -> None:
        for (count,) in database.rows("SELECT count(*) FROM outcome"):
            if count > self._seen:
                what = f"{count - self._seen:,} outcomes are of no batch in the ledger"
                self._report.note(f"{what}: {_UNPROVEN}", file="outcomes.db")


def _stored_outcome_leaf(number: int, values: Sequence[Any]) -> bytes | None:
    """Return the hash of an outcome as it is stored; None if its values cannot be those of one."""
    if any(value is None for value in values):
        return None
    try:
        claimed: list[Any] = [
            value.decode() if isinstance(value, bytes) else value for value in values[1:]
        ]
        return outcome_leaf(number, values[0], *claimed)
    except (UnicodeDecodeError, struct.error):
        return None


# ------------------------------------------------------------------- What signed answers rest on

_RESTS_ON: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "verdict": (
        "verdict",
        {
            "metrics": ("metrics", "intervals", "baselines", "champion", "folds", "at_half"),
            "slices": ("slices",),
            "fairness": ("groups",),
            "robustness": ("robustness",),
            "calibration": ("metrics/brier", "metrics/ece", "metrics/log_loss"),
            "gates": ("gates",),
            "influence": ("influence", "importances"),
        },
    ),
    "model_version": (
        "model",
        {
            "search": ("tuned",),
            "interface": ("task", "target", "classes", "numeric", "categorical"),
        },
    ),
}
"""By the kind of the entry that names an evaluation or a training: what its subject begins with,
and the kinds of evidence with where the record has what they show."""

_CACHED_RECORDS, _CACHED_PAIRS = 4, 10_000


class EvidenceComparison:
    """Compares what records show now with what they showed when an answer was signed.

    However many answers rest on a record, it is read once for those that follow each other.
    """

    def __init__(
        self, files: HomeFolder | ArchiveFile, ledger: LedgerDatabase | ArchivedEntries
    ) -> None:
        self._files, self._ledger = files, ledger
        self._value = lru_cache(_CACHED_RECORDS)(self._read_value)
        self._different = lru_cache(_CACHED_PAIRS)(self._compare)

    def changed(
        self, number: int, entry: dict[str, Any], version: int, before: int | None = None
    ) -> list[str]:
        """Return the kinds of evidence that records show otherwise than when it was signed.

        Kinds that do not rest on the evaluation or the training alone, and records that are not
        here, are left out: what is returned has changed, and more may have.

        Args:
            number: that of the entry of the signature.
            version: the one for which the answer is to hold.
            before: the number of entries that count now; None for all.
        """
        pipeline, evidence = take(entry, "pipeline"), take(entry, "evidence", kind=dict)
        then = f"{pipeline}@{take(entry, 'version', kind=int)}"
        changed = list[str]()
        for kind, (act, _) in _RESTS_ON.items():
            old = self._record(kind, f"{act}/{then}", number)
            new = self._record(kind, f"{act}/{pipeline}@{version}", before)
            changed += [name for name in self._different(kind, old, new) if name in evidence]
        return changed

    def _record(self, kind: str, subject: str, before: int | None) -> str | None:
        """Return the record that the last act of a kind names; empty if there was none yet.

        None if nobody can tell: an archive has no evaluations of other versions than its own.
        """
        if act := self._ledger.last(kind, subject, before):
            return require_relative(take(act[1], "record"))
        has_all = not isinstance(self._ledger, ArchivedEntries)
        return "" if has_all or self._ledger.last(kind, subject) else None

    def _compare(self, kind: str, old: str | None, new: str | None) -> list[str]:
        """Return the kinds of evidence that two records show otherwise."""
        if old is None or new is None:
            return []
        before, now = (self._value(name) if name else {} for name in (old, new))
        if before is None or now is None:
            return []
        return [
            name
            for name, places in _RESTS_ON[kind][1].items()
            if any(_differs(_at(before, place), _at(now, place)) for place in places)
        ]

    def _read_value(self, name: str) -> dict[str, Any] | None:
        """Return the result in a record; None if it is not here, or not as its entry says."""
        record = entered_record(name, self._files, self._ledger)
        value = record.get("value") if record else None
        return value if isinstance(value, dict) else None


def entered_record(
    name: str, files: HomeFolder | ArchiveFile, ledger: LedgerDatabase | ArchivedEntries
) -> dict[str, Any] | None:
    """Return the record at a path; None if it is not here, or not as its entry says."""
    computed = ledger.last("stage", name)
    try:
        content = read_all(files, name, _RECORD_COST // 2)
        if computed is None or sha256(content).hexdigest() != computed[1].get("sha256"):
            return None
        return parse_object(content)
    except InvalidError:
        return None


def _at(value: Any, place: str) -> Any:
    for name in place.split("/"):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _differs(old: Any, new: Any) -> bool:
    """Whether two values differ in what both have: a newer factory records more of the same."""
    if isinstance(old, dict) and isinstance(new, dict) and old and new:
        shared = (old.keys() & new.keys()) - {"explanation"}
        return any(_differs(old[name], new[name]) for name in shared)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) != len(new) or any(map(_differs, old, new))
    return bool(old or new) and (type(old) is not type(new) or old != new)


@dataclass(frozen=True)
class ProvenLeaf:
    """An answer in the tree of its block."""

    block: str
    index: int
    identifier: bytes
    digest: bytes
    """The SHA-256 of its record."""
    hashes: tuple[bytes, ...]
    """The inclusion proof."""

    def require(self, entry: dict[str, Any]) -> None:
        """Require that the entry of its block has it."""
        leaf = prediction_leaf(self.identifier, self.digest)
        root = root_from_inclusion(leaf, self.index, take(entry, "count", kind=int), self.hashes)
        if root is None or root.hex() != take(entry, "root"):
            raise InvalidError(f"the proof does not lead to the root of block {self.block}")


@dataclass(frozen=True)
class EnteredBlock:
    """The entry of a block of answers, with the proof that it is in the log."""

    body: bytes
    proof: bytes
    """A tlog-proof, with a checkpoint."""

    def entry(self, key: VerifierKey) -> dict[str, Any]:
        """Return the entry, if it is in a log that this key signed."""
        proof = InclusionProof.parse(self.proof)
        note = SignedNote.parse(proof.checkpoint)
        checkpoint = LogCheckpoint.parse(note.text)
        require_signed(note, checkpoint, key)
        if not proof.proves(self.body, checkpoint):
            raise InvalidError("the entry of the block is not in the log")
        entry = envelope(self.body)
        _require_same("the kind of the entry", entry["kind"], "predictions")
        return entry

    @property
    def checkpoint(self) -> LogCheckpoint:
        """The checkpoint in the proof, not verified."""
        note = SignedNote.parse(InclusionProof.parse(self.proof).checkpoint)
        return LogCheckpoint.parse(note.text)


@dataclass(frozen=True)
class PredictionProof:
    """A proof that a request was answered as it says, or that no block in the ledger has its id.

    For the latter, it has two neighbouring leaves of each block whose ids begin before that id and
    end after it. What these two answered stays unknown.
    """

    identifier: bytes
    record: bytes | None
    """What was logged; None if nothing was."""
    leaves: tuple[ProvenLeaf, ...]
    entered: EnteredBlock | None = None
    """The block of an answer, by which the proof holds without the home; None in older proofs."""

    @classmethod
    def parse(cls, content: bytes) -> PredictionProof:
        value = parse_object(content)
        if take(value, "format", kind=int) != 1:
            raise InvalidError("is a proof of a newer format; use a newer verifier")
        record = None if value.get("record") is None else parse_base64(take(value, "record"))
        leaves = [
            ProvenLeaf(
                take(leaf, "block"),
                take(leaf, "index", kind=int),
                _identifier(take(leaf, "id")),
                parse_hash(take(leaf, "digest")),
                tuple(map(parse_hash, take_texts(leaf, "hashes"))),
            )
            for leaf in take(value, "leaves", kind=list)
        ]
        entered = None
        if "entry" in value:
            entry = take(value, "entry", kind=dict)
            entered = EnteredBlock(
                text_bytes(take(entry, "body")), text_bytes(take(entry, "proof"))
            )
        return cls(_identifier(take(value, "id")), record, tuple(leaves), entered)

    def format(self) -> bytes:
        """Return it as JSON."""
        leaves = [
            {
                "block": leaf.block,
                "index": leaf.index,
                "id": leaf.identifier.hex(),
                "digest": format_base64(leaf.digest),
                "hashes": [*map(format_base64, leaf.hashes)],
            }
            for leaf in self.leaves
        ]
        record = None if self.record is None else format_base64(self.record)
        value: dict[str, Any] = {"format": 1, "id": self.identifier.hex(), "record": record}
        value["leaves"] = leaves
        if self.entered:
            body, proof = self.entered.body.decode(), self.entered.proof.decode()
            value["entry"] = {"body": body, "proof": proof}
        return json.dumps(value, indent=1).encode()

    def verify(self, blocks: Iterable[dict[str, Any]]) -> bool:
        """Check it against the entries of all blocks; return whether the request was answered.

        Raises:
            InvalidError: it proves nothing.
        """
        if self.record is None:
            self._require_absent(blocks)
            return False
        if len(self.leaves) != 1:
            raise InvalidError("the proof of an answer has one leaf")
        leaf = self.leaves[0]
        if (leaf.identifier, leaf.digest) != (self.identifier, sha256(self.record).digest()):
            raise InvalidError("the proof is of another answer")
        for entry in blocks:
            if take(entry, "block") == leaf.block:
                leaf.require(entry)
                return True
        raise InvalidError(f"the ledger has no block {_short(leaf.block)}")

    def _require_absent(self, blocks: Iterable[dict[str, Any]]) -> None:
        """Require that no block has the request; one that is not entered yet may have newer ids."""
        request = _request_of(self.identifier)
        newest = ""
        for entry in blocks:
            newest = max(newest, take(entry, "last"))
            if take(entry, "first") <= request.hex() <= take(entry, "last"):
                self._require_absent_from(entry, request)
        if newest < request.hex():
            raise InvalidError(
                "the ledger has no answer from after this id, so that nobody can tell yet whether "
                "it was given out"
            )

    def _require_absent_from(self, entry: dict[str, Any], request: bytes) -> None:
        block = take(entry, "block")
        leaves = [leaf for leaf in self.leaves if leaf.block == block]
        if len(leaves) != 2:
            raise InvalidError(f"the proof has no two neighbours in block {_short(block)}")
        for leaf in leaves:
            leaf.require(entry)
        left, right = leaves
        if right.index != left.index + 1:
            raise InvalidError(f"the leaves of block {_short(block)} are no neighbours")
        if not left.identifier < request < right.identifier:
            raise InvalidError(f"the id is not between the leaves of block {_short(block)}")


def _verify_prediction(
    content: bytes, ledger: LedgerDatabase, scratch: Scratch, report: VerificationReport
) -> None:
    """Report what a proof about one answer shows."""
    numbers = scratch.run("SELECT number FROM logged WHERE kind = 'predictions'")
    try:
        proof = PredictionProof.parse(content)
        answered = proof.verify(ledger.entry(number) for (number,) in numbers)
        if proof.entered:
            _require_entered(proof, proof.entered, ledger)
    except InvalidError as error:
        report.problem(error, file="--prediction")
        return
    report.count("proofs about answers")
    what = "was answered as the proof says" if answered else "is the id of no answer in the ledger"
    number = scratch.one("SELECT number FROM erased WHERE id = ?", proof.identifier)
    what += f", and erased since (entry {number})" if number is not None else ""
    report.note(f"{proof.identifier.hex()} {what}", file="--prediction")


def _require_entered(proof: PredictionProof, entered: EnteredBlock, ledger: LedgerDatabase) -> None:
    """Require that the entry in a proof is that of its block, as the ledger has it."""
    entry = entered.entry(VerifierKey.parse(take(ledger.entry(0), "key")))
    block = take(entry, "block")
    if [leaf.block for leaf in proof.leaves] != [block]:
        raise InvalidError("the proof has the entry of another block")
    logged = ledger.last("predictions", f"predictions/{block}")
    if logged is None or logged[1] != entry:
        raise InvalidError("the entry of the block is another one in the ledger")


def _verify_archived_prediction(
    content: bytes, key: VerifierKey, checkpoint: LogCheckpoint, report: VerificationReport
) -> None:
    """Report what a proof about one answer shows where there is an archive, and no home.

    Args:
        checkpoint: that of the archive.
    """
    try:
        proof = PredictionProof.parse(content)
        if proof.record is None:
            raise InvalidError("only a home shows that an id is that of no answer")
        if proof.entered is None:
            raise InvalidError("has no entry of its block; ask for one of a newer factory")
        proof.verify([proof.entered.entry(key)])
        its = proof.entered.checkpoint
        if its.size == checkpoint.size:
            _require_same("the root of its log", its.root, checkpoint.root)
    except InvalidError as error:
        report.problem(error, file="--prediction")
        return
    report.count("proofs about answers")
    identifier = proof.identifier.hex()
    report.note(f"{identifier} was answered as the proof says", file="--prediction")
    if its.size != checkpoint.size:
        report.note(
            f"its log has {its.size} entries and that of the archive {checkpoint.size}: that one "
            "continues the other is not shown",
            file="--prediction",
        )


# ---------------------------------------------------------------------------- Evidence archives


@dataclass(frozen=True)
class InclusionProof:
    """A tlog-proof: that an entry is in the log of a checkpoint."""

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The note, not verified yet."""

    @classmethod
    def parse(cls, content: bytes) -> InclusionProof:
        lines, note = _head_and_note(content)
        if lines.pop(0) != "c2sp.org/tlog-proof@v1":
            raise InvalidError("is not a tlog-proof")
        if lines and lines[0].startswith("extra "):
            parse_base64(lines.pop(0)[6:])
        if not lines or not lines[0].startswith("index "):
            raise InvalidError("has no line `index`")
        index = parse_decimal(lines.pop(0)[6:])
        return cls(index, tuple(map(parse_hash, lines)), note)

    def proves(self, body: bytes, checkpoint: LogCheckpoint) -> bool:
        """Whether it shows that the entry is in the log of the checkpoint."""
        found = root_from_inclusion(leaf_hash(body), self.index, checkpoint.size, self.hashes)
        return found == checkpoint.root


@dataclass(frozen=True)
class CheckpointRequest:
    """A request to a witness to cosign a newer checkpoint (tlog-witness, add-checkpoint)."""

    old_size: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    """The note, not verified yet."""

    @classmethod
    def parse(cls, content: bytes) -> CheckpointRequest:
        lines, note = _head_and_note(content)
        if not lines[0].startswith("old "):
            raise InvalidError("has no line `old`")
        return cls(parse_decimal(lines[0][4:]), tuple(map(parse_hash, lines[1:])), note)

    def extends(self, old: LogCheckpoint, new: LogCheckpoint) -> bool:
        """Whether it shows that the new checkpoint is of the same history as the old one."""
        return self.old_size == old.size and is_consistent(
            old.size, old.root, new.size, new.root, self.hashes
        )


def _head_and_note(content: bytes) -> tuple[list[str], bytes]:
    """Split lines of a proof from the checkpoint that follows an empty line."""
    head, empty, note = content.partition(b"\n\n")
    if not empty or len(head) > 8192 or len(note) > _NOTE_BYTES:
        raise InvalidError("is not a proof, an empty line and a checkpoint")
    try:
        lines = head.decode("ascii").split("\n")
    except UnicodeDecodeError as error:
        raise InvalidError("the proof is not ASCII") from error
    if len(lines) > _PROOF_HASHES + 3:
        raise InvalidError("the proof is too long")
    return lines, note


def verify_proof(proof: bytes, body: bytes, expected: Expectation) -> VerificationReport:
    """Verify that one entry is in the log, by a proof of its own.

    Args:
        proof: a tlog-proof.
        body: the entry.
        expected: names the key of the log, or a policy that does.
    """
    report = VerificationReport()
    keys = [expected.key] if expected.key else expected.policy.logs if expected.policy else ()
    try:
        found = InclusionProof.parse(proof)
        note = SignedNote.parse(found.checkpoint)
        checkpoint = LogCheckpoint.parse(note.text)
        key = next((one for one in keys if one.name == checkpoint.origin), None)
        if key is None:
            raise InvalidError(f"it is of another log, {_short(checkpoint.origin)}")
        require_signed(note, checkpoint, key)
        if not found.proves(body, checkpoint):
            raise InvalidError("the proof is not that this entry is in the log")
        entry = envelope(body)
        witnessed = Witnessed(expected.policy)
        witnessed.see(note, checkpoint.size)
    except InvalidError as error:
        report.problem(error)
        return report
    report.count("entries")
    report.note(f"it is of the kind {entry['kind']} and of {entry['time']}", found.index)
    witnessed.report(report, checkpoint.size)
    return report


STATEMENT_PAYLOAD = "application/vnd.in-toto+json"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"

_STATEMENT_SIGNATURES = 4
"""Each is checked over the whole statement, which may be long."""


def pre_authentication_encoding(kind: str, payload: bytes) -> bytes:
    """Return the bytes that a signature of a DSSE envelope covers (DSSE 1.0, PAE)."""
    of = kind.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(of), of, len(payload), payload)


_SSH_PREFIX = b"\0\0\0\x0bssh-ed25519\0\0\0\x20"


def ssh_key(text: str) -> VerifierKey:
    """Return a person's public key, written as in OpenSSH without a comment."""
    kind, _, content = text.partition(" ")
    raw = parse_base64(content)
    if kind != "ssh-ed25519" or not raw.startswith(_SSH_PREFIX) or len(raw) != 51:
        raise InvalidError("is not a key of type ssh-ed25519")
    return VerifierKey("a person", ED25519, raw[len(_SSH_PREFIX) :])


PASSKEY = "passkey"
"""The first word of a public line of a passkey."""

_HOST = re.compile("[a-z0-9._-]{1,253}")

_IS_PRESENT, _IS_VERIFIED = 0x01, 0x04
"""Flags of a device (WebAuthn, 6.1): a person was there; it verified who."""

_DEVICE_BYTES = 37
"""Of what a device says: the hash of the host name, the flags and the counter."""


@dataclass(frozen=True)
class WebAuthnKey:
    """A person's public key, whose private one is in a device that a browser lets sign.

    What the device signs contains the SHA-256 of the statement in place of a random challenge.
    """

    host: str
    """The host on whose pages alone the key signs: WebAuthn's RP ID."""
    public: bytes
    """A SubjectPublicKeyInfo in DER."""
    name: str = "a person"

    @classmethod
    def parse(cls, text: str) -> WebAuthnKey:
        """Read a public line: `passkey`, the host and the key in base64."""
        words = text.split(" ")
        if len(words) != 3 or words[0] != PASSKEY or not _HOST.fullmatch(words[1]):
            raise InvalidError("is not a passkey")
        return cls(words[1], parse_base64(words[2]))

    def has_signed(self, payload: bytes, signature: dict[str, Any]) -> bool:
        """Whether a signature of a DSSE envelope is one of this key, made on a page of its host.

        Raises:
            InvalidError: it is not a signature of a passkey, or of another statement, or of another
                page, or the device did not verify who holds it.
        """
        seen = parse_base64(take(signature, "clientDataJSON"))
        self._require_page(parse_object(seen), payload)
        device = parse_base64(take(signature, "authenticatorData"))
        if len(device) < _DEVICE_BYTES or device[:32] != sha256(self.host.encode()).digest():
            raise InvalidError("was signed by a passkey of another host")
        if not device[32] & _IS_PRESENT or not device[32] & _IS_VERIFIED:
            raise InvalidError("was signed by a device that did not verify who holds it")
        return self._verifies(parse_base64(take(signature, "sig")), device + sha256(seen).digest())

    def _require_page(self, seen: dict[str, Any], payload: bytes) -> None:
        """Require that a browser asked for the signature of this on a page of the host."""
        if take(seen, "type") != "webauthn.get":
            raise InvalidError("was not signed by a passkey")
        asked = base64.urlsafe_b64encode(sha256(payload).digest()).rstrip(b"=").decode()
        if take(seen, "challenge") != asked:
            raise InvalidError("has the signature of another statement")
        schemes = "https?" if self.host == "localhost" else "https"
        page = f"{schemes}://{re.escape(self.host)}(:[0-9]{{1,5}})?"
        is_framed = seen.get("crossOrigin") not in (None, False) or "topOrigin" in seen
        if is_framed or not re.fullmatch(page, take(seen, "origin")):
            raise InvalidError("was signed on a page of another host")

    def _verifies(self, signature: bytes, message: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
        from cryptography.hazmat.primitives.hashes import SHA256
        from cryptography.hazmat.primitives.serialization import load_der_public_key

        try:
            key = load_der_public_key(self.public)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InvalidError("is not the public key of a passkey") from error
        try:
            if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
                key.verify(signature, message, ec.ECDSA(SHA256()))
            elif isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            elif isinstance(key, rsa.RSAPublicKey) and key.key_size == _RSA_BITS:
                key.verify(signature, message, padding.PKCS1v15(), SHA256())
            else:
                return False
        except InvalidSignature:
            return False
        return True


_RSA_BITS = 2048

PersonKey = Union[VerifierKey, WebAuthnKey]


def person_key(text: str) -> PersonKey:
    """Return a person's public key, of either kind, as it is in `people.yaml`."""
    return WebAuthnKey.parse(text) if text.startswith(f"{PASSKEY} ") else ssh_key(text)


def parse_statement(content: bytes, key: PersonKey | None) -> dict[str, Any]:
    """Return the in-toto statement in a DSSE envelope.

    Args:
        key: by which it must be signed; None if nobody had to sign it.

    Raises:
        InvalidError: it is none, or the key did not sign it.
    """
    envelope, payload = parse_object(content), statement_payload(content)
    if take(envelope, "payloadType") != STATEMENT_PAYLOAD:
        raise InvalidError("is not a statement of in-toto")
    signatures = take(envelope, "signatures", kind=list)
    if len(signatures) > _STATEMENT_SIGNATURES:
        raise InvalidError("has too many signatures")
    if key and not any(key.has_signed(payload, one) for one in signatures):
        raise InvalidError(f"was not signed by the key of {key.name}")
    statement = parse_object(payload)
    if take(statement, "_type") != STATEMENT_TYPE:
        raise InvalidError("is not a statement of in-toto")
    return statement


def statement_payload(content: bytes) -> bytes:
    """Return the bytes in a DSSE envelope that are signed.

    Raises:
        InvalidError: it is none.
    """
    return parse_base64(take(parse_object(content), "payload"))


class ArchivedEntries:
    """The entries in an archive, each with the proof that it is in the log."""

    def __init__(self) -> None:
        self._entries: dict[int, dict[str, Any]] = {}
        self._numbers: dict[tuple[str, str], list[int]] = {}
        self.roots: dict[int, bytes] = {}
        """The hash of the checkpoint, by the number of its entries."""

    def add(self, number: int, entry: dict[str, Any]) -> None:
        """Add an entry, in the order of their numbers."""
        self._entries[number] = entry
        about = entry["kind"], entry.get("subject", "")
        self._numbers.setdefault(about, []).append(number)

    def last(
        self, kind: str, subject: str, before: int | None = None
    ) -> tuple[int, dict[str, Any]] | None:
        """Return number and content of the last entry of a kind about a subject, or None."""
        numbers = self._numbers.get((kind, subject), [])
        at = len(numbers) if before is None else bisect_left(numbers, before)
        return (numbers[at - 1], self._entries[numbers[at - 1]]) if at else None

    def entry(self, number: int) -> dict[str, Any]:
        """Return an entry."""
        if number not in self._entries:
            raise InvalidError(f"the archive has no entry {number}")
        return self._entries[number]


def last_about(
    ledger: LedgerDatabase | ArchivedEntries,
    kind: str,
    subject: str,
    version: int,
    before: int | None = None,
) -> tuple[int, dict[str, Any]] | None:
    """Return the last of the entries of a kind about a subject that name this version, or None."""
    found = ledger.last(kind, subject, before)
    while found and found[1].get("version") != version:
        found = ledger.last(kind, subject, found[0])
    return found


_ARCHIVE_CANNOT_PROVE = (
    "that the archive has every entry about the version: one that refuses it, or withdraws a "
    "right, may be left out; a copy of the home has all"
)


def verify_archive(path: str, expected: Expectation, report: VerificationReport) -> bytes | None:
    """Verify the evidence about a version of a model.

    Returns:
        The checkpoint of the log, if the entries are in it; a note.
    """
    report.cannot_prove.append(_ARCHIVE_CANNOT_PROVE)
    try:
        with ArchiveFile.open(path) as archive, closing(Scratch()) as scratch:
            return _ArchiveCheck(archive, expected, report, scratch).run()
    except InvalidError as error:
        report.problem(error)
        return None
    except RecursionError:
        report.problem(_TOO_DEEP)
        return None


_STATEMENT = "statement.json"


class _ArchiveCheck:
    def __init__(
        self,
        archive: ArchiveFile,
        expected: Expectation,
        report: VerificationReport,
        scratch: Scratch,
    ) -> None:
        self._archive, self._expected, self._report = archive, expected, report
        self._scratch, self._entries = scratch, ArchivedEntries()

    def run(self) -> bytes | None:
        report, archive = self._report, self._archive
        with _named("evidence.json"):
            evidence = parse_object(self._read("evidence.json"))
        if take(evidence, "format", kind=int) != 1:
            raise InvalidError("is evidence of a newer format; use a newer verifier")
        pipeline, version = take(evidence, "pipeline"), take(evidence, "version", kind=int)
        checkpoint, content = self._checkpoint(take(evidence, "origin"))
        self._since(checkpoint)
        self._entries.roots[checkpoint.size] = checkpoint.root
        numbers = take(evidence, "entries", kind=list)
        self._require_numbers(numbers)
        for number in numbers:
            self._add(number, checkpoint, content)
        head = None if report.problems else content
        report.count("entries", len(numbers))
        rows = take(evidence, "with_rows", kind=bool)
        files = archive.below("home/")
        optional = _INFLUENCE if rows else f"{_INFLUENCE}|tables/"
        check = ContentCheck(
            files,
            self._entries,
            report,
            self._scratch,
            optional=optional,
            about=(pipeline, version),
        )
        check.run()
        which = f"{pipeline}@{version}"
        if not self._entries.last("model_version", f"model/{which}"):
            report.problem(f"the archive has no entry of kind 'model_version' of {which}")
        if not self._entries.last("verdict", f"verdict/{which}"):
            self._without_verdict(pipeline, version)
        if next(archive.names(_STATEMENT), None):
            try:
                self._statement(check, which)
            except InvalidError as error:
                report.problem(error, file=_STATEMENT)
        else:
            what = "is not here: no statement about the version was compared"
            report.note(what, file=_STATEMENT)
        check.ignored(self._strange(numbers))
        if self._expected.prediction is not None:
            prediction = self._expected.prediction
            _verify_archived_prediction(prediction, self._key, checkpoint, report)
        if self._expected.dossier is not None:
            verify_dossier(self._expected.dossier, files, self._entries, report)
        return head

    def _without_verdict(self, pipeline: str, version: int) -> None:
        """Note that the version was never evaluated, unless it served."""
        which = f"{pipeline}@{version}"
        if last_about(self._entries, "champion", f"champion/{pipeline}", version):
            self._report.problem(f"the archive has no entry of kind 'verdict' of {which}")
        else:
            self._report.note(f"{which} was never evaluated, as far as the archive tells")

    def _statement(self, check: ContentCheck, which: str) -> None:
        """Compare the signed statement about the version with the files."""
        # It names every record, of which a pipeline with partitions has many.
        content = self._read(_STATEMENT, _RECORD_COST // 2)
        statement = parse_statement(content, self._key)
        build = take(statement, "predicate", "buildDefinition", kind=dict)
        about = take(build, "externalParameters", kind=dict)
        version = take(about, "version", kind=int)
        _require_same("the version", f"{take(about, 'pipeline')}@{version}", which)
        for optional, files in (
            (False, take(statement, "subject", kind=list)),
            (True, take(build, "resolvedDependencies", kind=list)),
        ):
            for one in files:
                check.compare(take(one, "name"), take(one, "digest", "sha256"), optional=optional)
        self._report.count("statements")

    def _read(self, name: str, limit: int = _SMALL_FILE) -> bytes:
        return read_all(self._archive, name, limit)

    def _checkpoint(self, origin: str) -> tuple[LogCheckpoint, bytes]:
        """Return the checkpoint, signed by the log, after looking at its cosignatures."""
        key, policy = self._expected.key, self._expected.policy
        if key is None:
            with _named("key"):
                key = VerifierKey.parse(self._read("key").decode("utf-8", "replace").strip())
            self._expected.require_log(key, self._report, file="key")
        if policy is None and next(self._archive.names("policy"), None):
            with _named("policy"):
                policy = TrustPolicy.parse(self._read("policy"))
            self._report.note("is the factory's own; give yours with --policy", file="policy")
        with _named("checkpoint"):
            content = self._read("checkpoint")
            note = SignedNote.parse(content)
            checkpoint = LogCheckpoint.parse(note.text)
            require_signed(note, checkpoint, key)
            _require_same("the origin", origin, checkpoint.origin)
            witnessed = Witnessed(policy)
            witnessed.see(note, checkpoint.size)
        witnessed.report(self._report, checkpoint.size)
        self._key = key
        return checkpoint, content

    def _since(self, checkpoint: LogCheckpoint) -> None:
        """Compare with the checkpoint that the auditor kept, by the proof in the archive."""
        if self._expected.since is None:
            return
        with _named("the checkpoint of --since"):
            note = SignedNote.parse(self._expected.since)
            kept = LogCheckpoint.parse(note.text)
            require_signed(note, kept, self._key)
        if kept == checkpoint:
            return
        try:
            with _named("consistency"):
                request = CheckpointRequest.parse(self._read("consistency"))
        except MissingFileError:
            request = CheckpointRequest(kept.size, (), b"")
        # The archive has the last checkpoint that a witness saw, which may be the older of the two.
        older, newer = sorted((kept, checkpoint), key=lambda one: one.size)
        if not request.extends(older, newer):
            raise InvalidError(
                f"nothing here shows that the log extends the checkpoint of --since, of "
                f"{kept.size} entries; ask for evidence with a proof since then"
            )

    def _require_numbers(self, numbers: Sequence[object]) -> None:
        last = -1
        for number in numbers:
            if type(number) is not int or number <= last:
                raise InvalidError("evidence.json has no valid 'entries'")
            last = number
        if len(numbers) > sum(1 for _ in self._archive.names("entries/*")):
            raise InvalidError("evidence.json names entries that are not in the archive")

    def _add(self, number: int, checkpoint: LogCheckpoint, content: bytes) -> None:
        """Take an entry of the archive, if its proof holds."""
        name = f"proofs/{number}.tlog-proof"
        try:
            with _named(f"entries/{number}.json"):
                body = self._read(f"entries/{number}.json")
            proof = InclusionProof.parse(self._read(name))
            if proof.checkpoint != content or proof.index != number:
                raise InvalidError("the proof is of another checkpoint or entry")
            if not proof.proves(body, checkpoint):
                raise InvalidError("the entry is not in the log")
            entry = envelope(body)
            self._entries.add(number, entry)
            if entry["kind"] in _FOLLOWED or entry["kind"] in _NOTED:
                self._scratch.remember(number, entry)
        except InvalidError as error:
            self._report.problem(error, number, name)

    def _strange(self, numbers: Sequence[int]) -> Iterator[str]:
        """Yield the files that nothing in the archive speaks of."""
        expected = {"evidence.json", "checkpoint", "key", "policy", "consistency", _STATEMENT}
        expected.update(f"entries/{number}.json" for number in numbers)
        expected.update(f"proofs/{number}.tlog-proof" for number in numbers)
        for name in self._archive.all():
            home = name.startswith("home/") and self._scratch.one(
                "SELECT 1 FROM digest WHERE path = ?", path_bytes(name[5:])
            )
            if name not in expected and not home:
                yield name


# --------------------------------------------------------------------------------- The dossier

_DOSSIER_BYTES = _PROOF_BYTES = 64 * 1024 * 1024
"""Bytes of a dossier, and of a proof of an answer, in which the record is base64."""

_OWN = "ledger/"
"""The beginning of the path by which a dossier cites an entry itself."""

_DOSSIER_CANNOT_PROVE = (
    "that a title or a label in the dossier fits what stands beside it",
    "that nothing was left out of the dossier",
    "that what a signed answer rests on beside evaluation and training is as when it was signed",
)

_REQUIREMENTS = 1000

_NOT_EVALUATED = "not evaluated"

_RESULTS = {
    "train": ("model_version", "model"),
    "evaluate": ("verdict", "verdict"),
    "deploy": ("export", "export"),
}
"""By stage: the kind of the entries that name its records for a version, and what their subjects
begin with. Other stages have records that a version was made from."""

_OF_VERSION = frozenset({"approval", "serving", "rollout_ended", "alarms"})
"""The kinds of entries that are in a dossier only if they are about its version."""

_NO_VALUE = ("", "none", "not recorded", _NOT_EVALUATED)
"""What a cell says that has no value, in columns after the first."""


def verify_dossier(
    content: bytes,
    files: HomeFolder | ArchiveFile,
    ledger: LedgerDatabase | ArchivedEntries,
    report: VerificationReport,
) -> None:
    """Compare what a dossier says with the files and entries that it cites, value by value.

    Args:
        ledger: the verified entries.
    """
    report.cannot_prove += _DOSSIER_CANNOT_PROVE
    try:
        _DossierCheck(parse_object(content), files, ledger, report).run()
    except InvalidError as error:
        report.problem(error, file="--dossier")


class _DossierCheck:
    def __init__(
        self,
        dossier: dict[str, Any],
        files: HomeFolder | ArchiveFile,
        ledger: LedgerDatabase | ArchivedEntries,
        report: VerificationReport,
    ) -> None:
        self._dossier, self._files = dossier, files
        self._ledger, self._report = ledger, report
        self._comparison = EvidenceComparison(files, ledger)
        self._entries = ArchivedEntries()
        self._bodies: dict[int, bytes] = {}
        self._places: dict[str, int] = {}
        """Where the sources are, by path."""
        self._documents: dict[int, Any] = {}
        self._used: set[int] = set()

    def run(self) -> None:
        if self._dossier.get("format") != "factory.dossier" or self._dossier.get("version") != 1:
            raise InvalidError("is not a dossier of format 1")
        self._pipeline = take(self._dossier, "pipeline")
        self._version = take(self._dossier, "model_version", kind=int)
        self._read_entries()
        for place, source in enumerate(take(self._dossier, "sources", kind=list)):
            with self._reported(source.get("path") if isinstance(source, dict) else None):
                self._documents[place] = self._document(place, source)
                self._report.count("documents that the dossier cites")
        with self._reported(f"{self._pipeline}@{self._version}"):
            self._compare_version()
        self._compare_documents()
        lacking = self._compare_damaged()
        kinds = set()
        for table in take(self._dossier, "facts", kind=list):
            kinds.add(take(table, "kind"))
            for row in take(table, "rows", kind=list):
                if not isinstance(row, list):
                    raise InvalidError("has no valid 'rows'")
                with self._reported(take(table, "title")):
                    self._compare_row(row, table["title"])
        requirements = _distinct(self._dossier, "requirements", "id")
        if len(requirements) > _REQUIREMENTS:
            raise InvalidError(f"has more than {_REQUIREMENTS} requirements")
        for asked in requirements:
            with self._reported(asked["id"]):
                _require_gaps(asked, kinds)
                _require_lacking(asked, lacking)
                if asked.get("answer") is not None:
                    self._compare_answer(asked["id"], asked)
        with self._reported("sources"):
            if unused := self._documents.keys() - self._used:
                raise InvalidError(f"nothing is cited from source {min(unused)}")

    @contextmanager
    def _reported(self, about: object) -> Iterator[None]:
        """Report what does not hold, and go on."""
        try:
            yield
        except InvalidError as error:
            self._report.problem(error, file=f"--dossier: {_short(str(about))}")

    def _read_entries(self) -> None:
        """Take the entries whose proofs hold, in a log that has the key of the verified one."""
        content = text_bytes(take(self._dossier, "checkpoint"))
        note = SignedNote.parse(content)
        checkpoint = LogCheckpoint.parse(note.text)
        key = VerifierKey.parse(take(self._ledger.entry(0), "key"))
        require_signed(note, checkpoint, key)
        self._require_same("key", str(key))
        self._size = checkpoint.size
        self._require_same("size", self._size)
        entries = take(self._dossier, "entries", kind=dict)
        for number, one in sorted((parse_decimal(name), one) for name, one in entries.items()):
            body = text_bytes(take(one, "body"))
            proof = InclusionProof.parse(text_bytes(take(one, "proof")))
            if proof.checkpoint != content or proof.index != number:
                raise InvalidError(f"the proof of entry {number} is of another one")
            if not proof.proves(body, checkpoint):
                raise InvalidError(f"entry {number} is not in the log")
            entry = envelope(body)
            self._require_known(number, entry)
            self._entries.add(number, entry)
            self._bodies[number] = body
            self._report.count("entries that the dossier cites")
        self._compare_root(checkpoint)

    def _compare_root(self, checkpoint: LogCheckpoint) -> None:
        """Compare the log of the dossier with the verified one, which has the same key."""
        known = self._ledger.roots.get(checkpoint.size)
        if known is None:
            self._report.note(
                f"its log has {checkpoint.size} entries and the verified one "
                f"{max(self._ledger.roots, default=0)}: that one continues the other is not shown",
                file="--dossier",
            )
        elif known != checkpoint.root:
            raise InvalidError(
                f"its checkpoint is of another history: the verified log has other first "
                f"{checkpoint.size} entries"
            )

    def _require_known(self, number: int, entry: dict[str, Any]) -> None:
        """Refuse an entry that is another one in the ledger beside the dossier, if it is there."""
        try:
            known = self._ledger.entry(number)
        except InvalidError:
            return
        if known != entry:
            raise InvalidError(f"entry {number} is another one in the ledger")

    def _document(self, place: int, source: Any) -> Any:
        """Return what a document says, if it is as its entry says."""
        path, digest = take(source, "path"), take(source, "sha256")
        if self._places.setdefault(path, place) != place:
            raise InvalidError("is in the sources twice")
        number = take(source, "entry", kind=int)
        entry, body = self._entry(number), self._bodies[number]
        _require_same("the leaf hash", take(source, "leaf"), leaf_hash(body).hex())
        if path.startswith(_OWN):
            _require_same("the entry", path, f"{_OWN}{number}")
            _require_same("the SHA-256", digest, sha256(body).hexdigest())
            return entry
        content = read_all(self._files, require_relative(path), _RECORD_COST // 2)
        found = sha256(content).hexdigest()
        if found != digest:
            raise InvalidError(f"was changed: its SHA-256 is {found}")
        self._require_named(path, digest, entry)
        return parse_object(content)

    def _entry(self, number: int) -> dict[str, Any]:
        if number not in self._bodies:
            raise InvalidError(f"entry {number} is not in the dossier")
        return self._entries.entry(number)

    def _require_named(self, path: str, digest: str, entry: dict[str, Any]) -> None:
        """Refuse a file that its entry does not name, itself or by a manifest beside the file."""
        if entry["kind"] == "stage":
            named = entry.get("subject"), entry.get("sha256")
            _require_same("the record", (path, digest), named)
            return
        if entry["kind"] != "model_version":
            raise InvalidError(f"an entry of kind {entry['kind']!r} names no such file")
        folder, _, name = path.rpartition("/")
        manifest = read_all(self._files, f"{folder}/manifest.json", _SMALL_FILE)
        _require_same("the manifest", sha256(manifest).hexdigest(), entry.get("provenance"))
        _require_same("the SHA-256", digest, parse_object(manifest).get(name))

    def _compare_damaged(self) -> list[tuple[int, set[str]]]:
        """Return entry and kinds of evidence of each file that the dossier says is damaged."""
        lacking = []
        for one in _distinct({"damaged": [], **self._dossier}, "damaged", "path"):
            path, number = one["path"], take(one, "entry", kind=int)
            lacking.append((number, {*take_texts(one, "evidence")}))
            with self._reported(path):
                if self._is_as_entered(require_relative(path), self._entry(number)):
                    raise InvalidError(f"is as entry {number} says, and was not changed")
                self._report.count("damaged files that the dossier names")
        return lacking

    def _is_as_entered(self, path: str, entry: dict[str, Any]) -> bool:
        """Whether a file is there, and as the entry that names it says."""
        self._require_place(path, entry)
        try:
            digest = sha256(read_all(self._files, path, _RECORD_COST // 2)).hexdigest()
            self._require_named(path, digest, entry)
        except InvalidError:
            return False
        return True

    def _require_place(self, path: str, entry: dict[str, Any]) -> None:
        """Refuse a path that is not that of a file which the entry names."""
        if entry["kind"] == "stage":
            _require_same("the record", path, entry.get("subject"))
            return
        if entry["kind"] != "model_version":
            raise InvalidError(f"an entry of kind {entry['kind']!r} names no such file")
        record = self._record(take(entry, "record"))
        facts = _facts_of(take(record, "value", kind=dict)) if record else {}
        # Trained again, it is about a later version, and nothing here tells the folder.
        known = facts if facts.get("version") == entry.get("version") else {"run_id": "*"}
        pattern = re.escape(f"{_run_folder(entry, known)}/origin/*").replace(r"\*", "[^/]*")
        if not re.fullmatch(pattern, path):
            raise InvalidError("is not in the folder of the provenance of the version")

    def _require_same(self, name: str, found: object) -> None:
        claimed = self._dossier.get(name)
        if type(claimed) is not type(found) or claimed != found:
            raise InvalidError(f"{name} is {_short(str(found))}, not {_short(str(claimed))}")

    def _last(self, kind: str, subject: str) -> tuple[int, dict[str, Any]] | None:
        """Return the last entry of a kind about a subject, as of the checkpoint of the dossier."""
        known = self._ledger.last(kind, subject, self._size)
        found = filter(None, (known, self._entries.last(kind, subject)))
        return max(found, key=lambda one: one[0], default=None)

    def _compare_version(self) -> None:
        """Compare which version it is about, when that was made, and whether it served."""
        entered = self._last("model_version", f"model/{self._pipeline}@{self._version}")
        if entered is None:
            raise InvalidError("the ledger has no such version")
        made = take(entered[1], "time")
        for document in self._documents.values():
            stage = document.get("stage") if "value" in document else None
            if stage in ("train", "evaluate", "deploy"):
                facts = _facts_of(take(document, "value", kind=dict))
                if (facts["model"], facts["version"]) != (self._pipeline, self._version):
                    raise InvalidError(f"the record of {stage} is about another version")
                made = take(document, "finished") if stage == "train" else made
        self._require_same("made", made)
        served = self._last("champion", f"champion/{self._pipeline}")
        is_champion = served is not None and served[1].get("version") == self._version
        self._require_same("champion", is_champion)

    def _compare_documents(self) -> None:
        """Refuse documents that are not about the version, and that it was not made from."""
        made_from = None
        with self._reported("sources"):
            made_from = self._made_from()
        for path, place in self._places.items():
            if place not in self._documents:
                continue
            with self._reported(path):
                self._require_about(path, self._entry(self._dossier["sources"][place]["entry"]))
                stage = self._stage(place)
                if stage in _RESULTS:
                    self._require_last(stage, path)
                elif stage and made_from is not None and path not in made_from:
                    raise InvalidError(f"is a record of {stage} that the version was not made from")

    def _stage(self, place: int) -> str:
        """Return the stage of a document that is a record; of another, nothing."""
        document = self._documents[place]
        return take(document, "stage") if "value" in document and "inputs" in document else ""

    def _require_about(self, path: str, entry: dict[str, Any]) -> None:
        """Require that the entry of a document is about the pipeline, and the version if it must.

        A run, and a block of answers, may be of several pipelines.
        """
        kind = entry["kind"]
        pipeline = entry.get("pipeline", self._pipeline)
        if kind == "alarms":
            pipeline = take(entry, "subject").rpartition("/")[2]
        if kind != "run" and pipeline != self._pipeline:
            raise InvalidError(f"is about another pipeline, {_short(str(pipeline))}")
        is_own = kind in _OF_VERSION or not path.startswith(_OWN)
        if is_own and entry.get("version", self._version) != self._version:
            raise InvalidError(f"is about another version, {_short(str(entry['version']))}")

    def _require_last(self, stage: str, path: str) -> None:
        """Require that a result is the last one of the version whose record is here."""
        kind, about = _RESULTS[stage]
        last = self._last(kind, f"{about}/{self._pipeline}@{self._version}")
        name = take(last[1], "record") if last else path
        if last and name != path and self._record(name):
            raise InvalidError(f"is not the last result of {stage}, which entry {last[0]} names")

    def _record(self, path: str) -> dict[str, Any] | None:
        """Return a record; None if it is not here, or not as its entry says."""
        document: dict[str, Any] | None = self._documents.get(self._places.get(path, -1))
        return document or entered_record(require_relative(path), self._files, self._ledger)

    def _made_from(self) -> set[str] | None:
        """Return the records of the version, and those that it was made from.

        None if one of them is not here: which ones are behind it cannot be told.
        """
        which = f"{self._pipeline}@{self._version}"
        own = {
            path
            for path, place in self._places.items()
            if place in self._documents and self._stage(place) in _RESULTS
        }
        named = (self._last(kind, f"{about}/{which}") for kind, about in _RESULTS.values())
        waiting = [*(own or {take(one[1], "record") for one in named if one})]
        found = {*waiting}
        while waiting:
            record = self._record(waiting.pop())
            if record is None:
                return None
            inputs = take(record, "inputs", kind=dict)
            for stage in inputs:
                keys = take_texts(inputs, stage)
                paths = {f"records/{self._pipeline}/{stage}/{key}.json" for key in keys}
                waiting += paths - found
                found |= paths
        return found

    def _compare_row(self, row: list[Any], title: str) -> None:
        """Compare each value of a row; only the first cell may be a label."""
        values = [cell for cell in row if not isinstance(cell, str)]
        if not values:
            raise InvalidError(f"a row has no value from a document: {_short(str(row))}")
        for cell in row[1:]:
            if isinstance(cell, str) and cell not in _NO_VALUE:
                raise InvalidError(f"{_short(cell)} is from no document")
        if _NOT_EVALUATED in row[1:]:
            which = f"{self._pipeline}@{take(values[0], 'value', kind=int)}"
            if judged := self._last("verdict", f"verdict/{which}"):
                raise InvalidError(f"{which} was evaluated (entry {judged[0]})")
        for cell in values:
            self._compare(cell, title)

    def _compare(self, cell: Any, title: str) -> None:
        """Compare a value with the one at its pointer."""
        place, pointer = take(cell, "source", kind=int), take(cell, "pointer")
        if place not in range(len(self._dossier["sources"])):
            raise InvalidError(f"source {place} is not in the dossier")
        if place not in self._documents:
            return
        self._used.add(place)
        with self._reported(title):
            found, claimed = follow_pointer(self._documents[place], pointer), cell.get("value")
            if isinstance(found, (dict, list)):
                raise InvalidError(f"what is at {_short(pointer)} has parts")
            if type(claimed) is not type(found) or claimed != found:
                what = f"{_short(pointer)} is {_short(str(found))} there"
                raise InvalidError(f"{what}, not {_short(str(claimed))}")
            self._report.count("values of the dossier")

    def _compare_answer(self, requirement: str, asked: dict[str, Any]) -> None:
        """Compare an answer with the statement that was signed; whether that counts is checked
        with its entry."""
        answer = take(asked, "answer", kind=dict)
        state, subject = take(answer, "state"), f"governance/{self._pipeline}/{requirement}"
        if state == "open":
            self._require_open(answer, subject)
            return
        if state not in ("signed", "stale"):
            raise InvalidError(f"is neither open nor signed nor stale: {_short(state)}")
        if (state == "stale") != bool(take(answer, "changed", kind=list)):
            raise InvalidError("is stale if something changed since it was signed, and only then")
        number = take(answer, "entry", kind=int)
        entry = self._entry(number)
        _require_same("the entry", entry.get("subject"), subject)
        _require_same("the version", take(answer, "version", kind=int), entry.get("version"))
        self._require_newest(number, subject)
        self._compare_sections(state, asked, take(entry, "evidence", kind=dict))
        self._used.add(self._places.get(f"{_OWN}{number}", -1))
        digest = take(entry, "statement")
        name = require_relative(f"statements/{self._pipeline}/{digest}.json")
        try:
            content = read_all(self._files, name, STATEMENT_BYTES)
        except InvalidError as error:
            raise type(error)(f"cannot be compared: {name} {error}") from error
        _require_same("the statement", sha256(content).hexdigest(), digest)
        predicate = take(parse_object(statement_payload(content)), "predicate", kind=dict)
        if "question" not in answer["changed"]:
            _require_same("the question", take(asked, "question"), predicate.get("question"))
        _require_same("the text", take(answer, "text"), predicate.get("text"))
        _require_same("the time of the signature", take(answer, "signed"), predicate.get("time"))
        if take(answer, "by"):
            _require_same("the person", answer["by"], take(predicate, "person", "name"))
        known = self._comparison.changed(number, entry, self._version, self._size)
        if unsaid := [name for name in known if name not in answer["changed"]]:
            raise InvalidError(
                f"what it rests on changed since it was signed (entry {number}), and the dossier "
                f"does not say so: {', '.join(unsaid)}"
            )
        self._report.count("answers in the dossier")

    def _require_newest(self, number: int, subject: str) -> None:
        """Require that no later answer counts: the newest about the version does, else of all."""
        own = [
            last_about(ledger, "governance", subject, self._version, self._size)
            for ledger in (self._ledger, self._entries)
        ]
        counts = [found[0] for found in (*own, self._last("governance", subject)) if found]
        newest = max(counts[:-1] or counts, default=number)
        if newest != number:
            raise InvalidError(f"is that of entry {number}, and that of entry {newest} counts")

    def _compare_sections(
        self, state: str, asked: dict[str, Any], evidence: dict[str, Any]
    ) -> None:
        """Compare the sections of `governance.yaml` that were signed with an answer."""
        sections = take(asked, "answer", "declared", kind=dict)
        for name, section in sections.items():
            _require_same(f"the section {_short(name)}", digest_of(section), evidence.get(name))
        if state == "signed":
            claimed = {*asked["evidence"], *asked["gaps"], *sections}
            _require_same("what the answer rests on", claimed, {*evidence})

    def _require_open(self, answer: dict[str, Any], subject: str) -> None:
        """Require that an open answer says nothing, and that nobody signed one then."""
        for name, value in answer.items():
            if name != "state" and value:
                raise InvalidError(f"is open, and has {_short(name)}")
        if signed := last_about(self._ledger, "governance", subject, self._version, self._size):
            raise InvalidError(f"is open, although a person signed it (entry {signed[0]})")


def _distinct(dossier: dict[str, Any], name: str, field: str) -> list[dict[str, Any]]:
    """Return a list of objects in a dossier, of which no two have the same name in a field."""
    objects: list[dict[str, Any]] = take(dossier, name, kind=list)
    if len({take(one, field) for one in objects}) != len(objects):
        raise InvalidError(f"has the same {field!r} in its {name!r} twice")
    return objects


def _require_gaps(asked: Any, kinds: set[str]) -> None:
    """Require that the evidence of a requirement is in the tables, and its gaps are not."""
    for name in ("evidence", "gaps"):
        for kind in take(asked, name, kind=list):
            if not isinstance(kind, str) or (kind in kinds) != (name == "evidence"):
                where = "are in no table" if name == "evidence" else "are in a table"
                raise InvalidError(f"{_short(str(kind))}: facts of this kind {where}")


def _require_lacking(asked: dict[str, Any], lacking: list[tuple[int, set[str]]]) -> None:
    """Require that a requirement names the entries whose files its evidence lacks."""
    kinds = {*asked["evidence"], *asked["gaps"]}
    expected = sorted({number for number, touched in lacking if touched & kinds})
    claimed = asked.get("damaged") or []
    if not isinstance(claimed, list) or not all(type(number) is int for number in claimed):
        raise InvalidError("has no valid 'damaged'")
    _require_same("the damage", sorted({*claimed}), expected)


def follow_pointer(document: Any, pointer: str) -> Any:
    """Return what is at a JSON pointer (RFC 6901).

    Raises:
        InvalidError: there is nothing.
    """
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(document, dict) and name in document:
            document = document[name]
        elif isinstance(document, list) and name.isdecimal() and int(name[:9]) < len(document):
            document = document[int(name[:9])]
        else:
            raise InvalidError(f"there is nothing at {_short(pointer)}")
    return document


# ---------------------------------------------------------------------------------- The witness

FOR_OTHERS = 0o644
"""The permissions of what factory and witness hand to each other: they are different users."""


class WitnessKey:
    """The private key of a witness, and the last checkpoint that it saw of each log.

    Both are files: the key, and beside it one checkpoint a log.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        words = _content(path, 8192).decode("utf-8", "replace").split("+", 4)
        if len(words) != 5 or words[:2] != ["PRIVATE", "KEY"]:
            raise InvalidError(f"{path} is not the key of a witness")
        content = parse_base64(words[4].strip())
        self._kind, self._seed = content[0] if content else 0, content[1:]
        if self._kind not in (COSIGNATURE, ML_DSA_COSIGNATURE) or len(self._seed) != 32:
            raise InvalidError(f"{path} is not the key of a witness")
        self.public = VerifierKey(words[2], self._kind, _public(self._kind, self._seed))

    @classmethod
    def create(cls, path: str, name: str, kind: int) -> WitnessKey:
        """Make a key in a new file that only its owner can read."""
        seed = secrets.token_bytes(32)
        public = VerifierKey(require_key_name(name), kind, _public(kind, seed))
        content = format_base64(bytes([kind]) + seed)
        try:
            made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise InvalidError(f"{path} is there already; name a new file") from error
        with open(made, "w", encoding="utf-8") as file:
            file.write(f"PRIVATE+KEY+{name}+{public.key_id.hex()}+{content}\n")
            file.flush()
            os.fsync(file.fileno())
        return cls(path)

    def cosign(self, content: bytes, log: VerifierKey) -> bytes:
        """Return the checkpoint of a request with the cosignature of this witness.

        Args:
            content: the request: `old <size>`, a proof of consistency, and the checkpoint.
            log: the key of the log.

        Raises:
            InvalidError: the log did not sign it, or it does not extend what this witness saw.
        """
        request = CheckpointRequest.parse(content)
        note = SignedNote.parse(request.checkpoint)
        checkpoint = LogCheckpoint.parse(note.text)
        require_signed(note, checkpoint, log)
        if not checkpoint.size:
            raise InvalidError("the log is empty")
        name = sha256(checkpoint.origin.encode("utf-8")).hexdigest()[:32]
        state = f"{self._path}.{name}.checkpoint"
        with _locked(f"{self._path}.lock"):
            self._require_extension(request, checkpoint, state)
            # What it saw is on disk before it signs: it can never sign two histories.
            write_durably(state, request.checkpoint)
        now = int(datetime.now(timezone.utc).timestamp())
        signature = _sign(self._kind, self._seed, self.public.message(note.text, now))
        line = self.public.line(struct.pack(">Q", now) + signature)
        return request.checkpoint + line.encode("utf-8")

    def _require_extension(
        self, request: CheckpointRequest, checkpoint: LogCheckpoint, state: str
    ) -> None:
        try:
            with open(state, "rb") as file:
                seen = LogCheckpoint.parse(SignedNote.parse(file.read(_NOTE_BYTES + 1)).text)
        except InvalidError as error:
            raise InvalidError(
                f"{state}, the checkpoint that this witness saw last, was damaged ({error}): "
                "restore it from a backup"
            ) from error
        except FileNotFoundError:
            if request.old_size or request.hashes:
                raise InvalidError(
                    "this witness has not seen this log: the first request says `old 0`"
                ) from None
            return
        if checkpoint == seen:
            # What it answered may have been lost: to sign the same history again tells no other.
            return
        if request.old_size != seen.size:
            raise InvalidError(
                f"this witness saw {seen.size} entries last, and the request proves from "
                f"{request.old_size}: ask for one from there, by factory ledger request --old "
                f"{seen.size}"
            )
        if not request.extends(seen, checkpoint):
            raise InvalidError(
                f"the log was rewritten: the checkpoint of {checkpoint.size} entries does not "
                f"extend that of {seen.size} entries that this witness saw"
            )


def _public(kind: int, seed: bytes) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public: bytes = _private(kind, seed).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return public


def _sign(kind: int, seed: bytes, message: bytes) -> bytes:
    signature: bytes = _private(kind, seed).sign(message)
    return signature


def _private(kind: int, seed: bytes) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        if kind == ML_DSA_COSIGNATURE:
            from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

            return MLDSA44PrivateKey.from_seed_bytes(seed)
    except (ImportError, UnsupportedAlgorithm) as error:
        raise InvalidError("the installed cryptography has no ML-DSA-44") from error
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return Ed25519PrivateKey.from_private_bytes(seed)


@contextmanager
def _locked(path: str) -> Iterator[None]:
    """Let one process at a time compare and write what the witness saw."""
    with open(path, "ab") as file:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def write_durably(path: str, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file; after a power cut it has the old or the new content.

    A link is followed. What is no file, such as /dev/null or a pipe, is written to, not replaced.

    Args:
        mode: its permissions.
    """
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb") as file:
            file.write(content)
        return
    path = os.path.realpath(path)
    folder = os.path.dirname(path)
    handle, name = tempfile.mkstemp(dir=folder, prefix=".")
    try:
        with open(handle, "wb") as file:
            # Not every stick or share has permissions.
            with suppress(OSError):
                os.chmod(name, mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    if hasattr(os, "O_DIRECTORY"):
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(opened)
        os.close(opened)


# ------------------------------------------------------------------------------ The command line


def verify_path(
    path: str, expected: Expectation, ledger: str | None = None, databases: str | None = None
) -> tuple[VerificationReport, bytes | None]:
    """Verify a home, a copy of one, or an evidence archive.

    Returns:
        What was found, and the checkpoint that the log agrees with, a note, if it does.
    """
    report = VerificationReport()
    if os.path.isdir(path):
        return report, verify_home(path, expected, report, ledger, databases)
    return report, verify_archive(path, expected, report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0: all holds; 1: something does not; 2: a mistake in the call.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    commands = {"witness": _witness_command, "proof": _proof_command}
    try:
        return commands.get(words[0] if words else "", _verify_command)(words)
    except ModuleNotFoundError as error:
        package = (error.name or "cryptography").partition(".")[0]
        sys.stderr.write(f"error: the package {package} is not installed: pip install {package}\n")
        return 2
    except (InvalidError, OSError) as error:
        sys.stderr.write(printable(f"error: {error}") + "\n")
        return 2


class _Parser(argparse.ArgumentParser):
    """Reports a mistake in the call in one line, like every other mistake."""

    def error(self, message: str) -> NoReturn:
        raise InvalidError(f"{message} (`{self.prog} -h` shows what to give)")


def _verify_command(words: Sequence[str]) -> int:
    parser = _Parser(
        description="Verify a factory's home, a copy of one, or an evidence archive.",
        epilog="Exit code 0: all holds; 1: something does not; 2: a mistake in the call. "
        "The command `proof` verifies a single entry; the command `witness` makes keys of "
        "witnesses and cosigns checkpoints.",
    )
    parser.add_argument("path", help="the home or the archive")
    _add_trusted(parser)
    parser.add_argument("--since", metavar="FILE", help="an older checkpoint that you kept")
    parser.add_argument("--keep", metavar="FILE", help="where to keep the verified checkpoint")
    parser.add_argument("--ledger", metavar="FILE", help="the ledger, if not in the home")
    parser.add_argument(
        "--databases", metavar="FOLDER", help="of answers, outcomes and MLflow, if not the home"
    )
    parser.add_argument("--prediction", metavar="FILE", help="a proof about one answer")
    parser.add_argument("--dossier", metavar="FILE", help="a dossier, written as JSON")
    parser.add_argument("--json", action="store_true", help="write the result as JSON")
    options = parser.parse_args(words)
    if not os.path.isdir(options.path) and not os.path.isfile(options.path):
        raise InvalidError(f"{options.path} is neither a folder nor an archive")
    if options.ledger and not os.path.isdir(options.path):
        raise InvalidError("--ledger is for a home: an archive has the entries itself")
    if options.ledger and not os.path.isfile(options.ledger):
        raise InvalidError(f"there is no file {options.ledger}")
    if options.databases and not os.path.isdir(options.databases):
        raise InvalidError(f"there is no folder {options.databases}")
    key, policy = _trusted(options)
    since = _content(options.since) if options.since else None
    prediction = _content(options.prediction, _PROOF_BYTES) if options.prediction else None
    dossier = _content(options.dossier, _DOSSIER_BYTES) if options.dossier else None
    expected = Expectation(key, policy, since, prediction, dossier)
    report, head = verify_path(options.path, expected, options.ledger, options.databases)
    lines = [report.json()] if options.json else report.lines()
    sys.stdout.writelines(f"{line}\n" for line in lines)
    # If that fails, what was found is not lost.
    if options.keep and head is not None:
        _write(options.keep, head)
    return 0 if report.holds else 1


def _add_trusted(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--key", metavar="VKEY", help="the public key of the factory's log")
    parser.add_argument("--policy", metavar="FILE", help="the witnesses that you trust")


def _trusted(options: argparse.Namespace) -> tuple[VerifierKey | None, TrustPolicy | None]:
    """Return the key of the log, which a policy may name as well, and the policy."""
    policy = TrustPolicy.parse(_content(options.policy)) if options.policy else None
    key = VerifierKey.parse(options.key) if options.key else None
    if key is None and policy and len(policy.logs) == 1:
        key = policy.logs[0]
    if key and key.kind != ED25519:
        raise InvalidError("--key is not the key of a log")
    return key, policy


def _proof_command(words: Sequence[str]) -> int:
    parser = _Parser(prog="proof", description="Verify that an entry is in the log of a factory.")
    parser.add_argument("proof", help="the proof, NUMBER.tlog-proof")
    parser.add_argument("entry", help="what the entry says, NUMBER.json")
    _add_trusted(parser)
    options = parser.parse_args(words[1:])
    key, policy = _trusted(options)
    if key is None and policy is None:
        raise InvalidError("whose log it is, only --key or --policy can say")
    body = _content(options.entry, BODY_BYTES)
    report = verify_proof(_content(options.proof), body, Expectation(key, policy))
    sys.stdout.writelines(f"{line}\n" for line in report.lines())
    return 0 if report.holds else 1


def _witness_command(words: Sequence[str]) -> int:
    parser = _Parser(prog="witness", description="Witness the log of a factory.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a key, and print its public half")
    new.add_argument("key", help="the file to make")
    new.add_argument("--name", required=True, help="such as example.com/witness")
    new.add_argument("--ml-dsa", action="store_true", help="ML-DSA-44 instead of Ed25519")
    cosign = commands.add_parser("cosign", help="check a checkpoint and cosign it")
    cosign.add_argument("key", help="the file of the key")
    cosign.add_argument("request", help="the request of the factory")
    cosign.add_argument("--log", metavar="VKEY", required=True, help="the public key of the log")
    cosign.add_argument("--out", metavar="FILE", required=True, help="the cosigned checkpoint")
    options = parser.parse_args(words[1:])
    if options.command == "new":
        kind = ML_DSA_COSIGNATURE if options.ml_dsa else COSIGNATURE
        sys.stdout.write(f"{WitnessKey.create(options.key, options.name, kind).public}\n")
        return 0
    witness, log = WitnessKey(options.key), VerifierKey.parse(options.log)
    content = _content(options.request)
    try:
        cosigned = witness.cosign(content, log)
    except InvalidError as error:
        sys.stderr.write(printable(f"refused: {error}") + "\n")
        return 1
    _write(options.out, cosigned, mode=FOR_OTHERS)
    return 0


def _write(path: str, content: bytes, *, mode: int = 0o600) -> None:
    """Write a file that was named in the call."""
    try:
        write_durably(path, content, mode=mode)
    except OSError as error:
        # It names a file of another name beside it, or none.
        raise InvalidError(f"{path} cannot be written ({error.strerror})") from error


def _content(path: str, limit: int = _NOTE_BYTES + 8192) -> bytes:
    """Return what a file named in the call contains, which is at most `limit` bytes."""
    if not os.path.isfile(path):
        raise InvalidError(f"there is no file {path}")
    with open(path, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise InvalidError(f"{path} has more than {limit:,} bytes")
    return content


def limit_sqlite() -> None:
    """Let SQLite take 64 MB at most, whatever a database asks for; it holds for the process."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("PRAGMA hard_heap_limit = 67108864").fetchall()


if __name__ == "__main__":
    limit_sqlite()
    sys.exit(main())
