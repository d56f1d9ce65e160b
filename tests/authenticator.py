"""A device with passkeys, in software: it answers as a browser passes a device's answers on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from secrets import token_bytes
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor

Kind = Literal["ES256", "EdDSA", "RS256"]

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

_PRESENT, _VERIFIED, _HAS_KEY = 1, 4, 64


@dataclass
class Credential:
    """A key for one person at one host."""

    private: Private
    user: str
    """base64url."""
    count: int = 0


class Authenticator:
    """Makes passkeys and signs with them.

    Args:
        origin: of the page that the browser shows.
        kind: of its keys, by the name of the algorithm.
        verified: whether the device checks who holds it.
        counts: whether it counts its signatures.
    """

    def __init__(
        self, origin: str, *, kind: Kind = "ES256", verified: bool = True, counts: bool = True
    ) -> None:
        self.origin, self.kind, self.verified, self.counts = origin, kind, verified, counts
        self.credentials: dict[str, Credential] = {}

    def create(self, options: str) -> str:
        """Return the answer to a request for a new passkey."""
        asked = json.loads(options)
        passkey_id = token_bytes(16)
        credential = Credential(_private(self.kind), asked["user"]["id"])
        self.credentials[bytes_to_base64url(passkey_id)] = credential
        key = encode_cbor(_cose(credential.private))
        attested = bytes(16) + len(passkey_id).to_bytes(2, "big") + passkey_id + key
        signed = self._signed(asked["rp"]["id"], credential, _HAS_KEY) + attested
        made = {"fmt": "none", "attStmt": {}, "authData": signed}
        return _answer(
            bytes_to_base64url(passkey_id),
            clientDataJSON=self._client_data("webauthn.create", asked),
            attestationObject=encode_cbor(made),
        )

    def get(self, options: str, *, claims: Mapping[str, str] | None = None) -> str:
        """Return the answer to a request for a signature, by the first passkey that may.

        Args:
            claims: what the answer says in place of the truth: `id`, `userHandle`.
        """
        asked, claims = json.loads(options), claims or {}
        allowed = [one["id"] for one in asked.get("allowCredentials", ())]
        passkey_id, credential = next(
            one for one in self.credentials.items() if not allowed or one[0] in allowed
        )
        client_data = self._client_data("webauthn.get", asked)
        signed = self._signed(asked["rpId"], credential)
        message = signed + sha256(client_data).digest()
        return _answer(
            claims.get("id", passkey_id),
            clientDataJSON=client_data,
            authenticatorData=signed,
            signature=_sign(credential.private, message),
            userHandle=base64url_to_bytes(claims.get("userHandle", credential.user)),
        )

    def _client_data(self, kind: str, asked: dict[str, Any]) -> bytes:
        content = {"type": kind, "challenge": asked["challenge"], "origin": self.origin}
        return json.dumps({**content, "crossOrigin": False}).encode()

    def _signed(self, host: str, credential: Credential, flags: int = 0) -> bytes:
        credential.count += self.counts
        flags |= _PRESENT | (_VERIFIED if self.verified else 0)
        count = credential.count.to_bytes(4, "big")
        return sha256(host.encode()).digest() + bytes([flags]) + count


def _private(kind: Kind) -> Private:
    if kind == "RS256":
        return rsa.generate_private_key(65537, 2048)
    if kind == "EdDSA":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def _cose(private: Private) -> dict[int, Any]:
    """Return the public key as RFC 9053 and RFC 8230 write it."""
    if isinstance(private, rsa.RSAPrivateKey):
        of = private.public_key().public_numbers()
        return {1: 3, 3: -257, -1: of.n.to_bytes(256, "big"), -2: of.e.to_bytes(3, "big")}
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return {1: 1, 3: -8, -1: 6, -2: private.public_key().public_bytes_raw()}
    point = private.public_key().public_numbers()
    return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}


def _sign(private: Private, message: bytes) -> bytes:
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(message, padding.PKCS1v15(), SHA256())
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(message)
    return private.sign(message, ec.ECDSA(SHA256()))


def _answer(passkey_id: str, **response: bytes) -> str:
    encoded = {name: bytes_to_base64url(value) for name, value in response.items()}
    names = {"id": passkey_id, "rawId": passkey_id, "type": "public-key"}
    return json.dumps({**names, "response": encoded, "clientExtensionResults": {}})
