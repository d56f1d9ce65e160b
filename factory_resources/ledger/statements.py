"""Statements of in-toto (v1) in envelopes of DSSE (1.0), which other tools can read and verify.

What is stated belongs to whoever states it; checking belongs in `factory_verify`.
"""

import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from factory_resources.home.home import Home
from factory_resources.ledger.entry import SignedAct
from factory_resources.ledger.factory_verify import (
    STATEMENT_PAYLOAD,
    STATEMENT_TYPE,
    InvalidError,
    pre_authentication_encoding,
    statement_payload,
)

URN = "urn:sovereign-ai-factory"

ERASURES = "_erasures"
"""In place of a pipeline, where the statements about erasures are; none can have this name."""


@dataclass(frozen=True)
class EnvelopeSigner:
    """Who signs, and how."""

    key_id: str
    sign: Callable[[bytes], bytes]


def resource_descriptors(digests: Iterable[tuple[str, str]]) -> list[dict[str, object]]:
    """Return names and their SHA-256 as resource descriptors of in-toto."""
    return [{"name": name, "digest": {"sha256": digest}} for name, digest in digests]


def encode_statement(
    subject: Iterable[tuple[str, str]], predicate_type: str, predicate: Mapping[str, object]
) -> bytes:
    """Return the bytes of a statement about a subject: names and their SHA-256."""
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": resource_descriptors(subject),
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    return json.dumps(statement, sort_keys=True).encode()


def envelope(content: bytes, signers: Iterable[EnvelopeSigner]) -> bytes:
    """Return the envelope of a statement, as JSON; without a signer it has no signature."""
    message = pre_authentication_encoding(STATEMENT_PAYLOAD, content)
    signatures = [
        {"keyid": one.key_id, "sig": b64encode(one.sign(message)).decode()} for one in signers
    ]
    return _envelope(content, signatures)


def passkey_envelope(
    content: bytes, key_id: str, *, signature: bytes, authenticator_data: bytes, client_data: bytes
) -> bytes:
    """Return the envelope of a statement whose SHA-256 was the challenge for a passkey.

    Args:
        key_id: the public line of the passkey.
        signature: of `authenticator_data` and the SHA-256 of `client_data` (WebAuthn, 6.3.3).
    """
    made = {
        "sig": signature,
        "authenticatorData": authenticator_data,
        "clientDataJSON": client_data,
    }
    encoded = {name: b64encode(value).decode() for name, value in made.items()}
    return _envelope(content, [{"keyid": key_id, **encoded}])


def _envelope(content: bytes, signatures: list[dict[str, str]]) -> bytes:
    text = {
        "payload": b64encode(content).decode(),
        "payloadType": STATEMENT_PAYLOAD,
        "signatures": signatures,
    }
    return json.dumps(text, indent=1).encode()


def store_statement(home: Home, pipeline: str, content: bytes) -> str:
    """Store the envelope durably under its SHA-256, and return that."""
    digest = sha256(content).hexdigest()
    home.write_durable(statement_file(home, pipeline, digest), content)
    return digest


def statement_file(home: Home, pipeline: str, digest: str) -> Path:
    """Return where a statement about a pipeline is."""
    return home.path / "statements" / pipeline / f"{digest}.json"


def entered_as(
    content: bytes, acts: Iterable[tuple[int, SignedAct]], home: Home, pipeline: str
) -> int | None:
    """Return which of these entries has the statement in an envelope; None if none of them has it.

    The envelope may be written in other ways: only its payload is signed.
    """
    payload, digest = statement_payload(content), sha256(content).hexdigest()
    for number, act in acts:
        if act.statement == digest:
            return number
        with suppress(OSError, InvalidError):
            file = statement_file(home, pipeline, act.statement or "")
            if statement_payload(file.read_bytes()) == payload:
                return number
    return None
