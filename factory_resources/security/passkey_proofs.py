"""Ask devices to sign by a passkey, and verify what they signed: WebAuthn by `py_webauthn`.

The library is the extra `passkeys`. Which passkeys there are belongs in `passkeys`.
"""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from typing import Literal

from factory_resources.security.challenges import VALID
from factory_resources.security.passkeys import Passkey
from factory_resources.security.request_guard import host_name

PasskeyOffer = Literal["none", "here", "elsewhere"]
"""Whether a page offers passkeys: not at all, here, or only at a better address."""

_NAME = re.compile(r"(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.IGNORECASE)

_LINE_BYTES = {91, 44, 294}
"""Of a public key in DER on the curve P-256, of Ed25519, and of RSA with 2048 bits."""

_LONGEST = 64 << 10
"""Characters of a device's answer."""


class PasskeyError(Exception):
    """What a device sent does not count; says why, for the log and not for who asks."""


@dataclass(frozen=True)
class RelyingParty:
    """A site whose pages make and use passkeys: a host by its name, over TLS or on this machine."""

    name: str
    """WebAuthn's RP ID."""
    origin: str
    """Such as `https://factory.example:8443`."""

    @classmethod
    def of(cls, host: str, *, secure: bool) -> RelyingParty | None:
        """Return the site of a request; None if browsers have no passkeys there.

        Args:
            host: the header `Host`.
            secure: whether browsers come by TLS.
        """
        name = (host_name(host) or "").lower()
        if not _NAME.fullmatch(name) or not (secure or name == "localhost"):
            return None
        return cls(name, f"{'https' if secure else 'http'}://{host.lower()}")


@dataclass(frozen=True)
class DeviceSignature:
    """What a device signed, in the form of WebAuthn."""

    signature: bytes
    """Of `authenticator_data` and the SHA-256 of `client_data`."""
    authenticator_data: bytes
    client_data: bytes
    """JSON of the browser: with the challenge and the page."""


def passkey_offer(host: str, *, secure: bool) -> PasskeyOffer:
    """Return what a page at this address offers."""
    if find_spec("webauthn") is None:
        return "none"
    return "here" if RelyingParty.of(host, secure=secure) else "elsewhere"


def creation_options(
    site: RelyingParty, person: str, challenge: bytes, known: tuple[Passkey, ...]
) -> str:
    """Return what the browser needs to make a passkey, as JSON.

    Args:
        known: the person's passkeys; a device that has one of them makes no other.
    """
    from webauthn import base64url_to_bytes, generate_registration_options, options_to_json
    from webauthn.helpers.structs import (
        AuthenticatorSelectionCriteria,
        PublicKeyCredentialDescriptor,
        ResidentKeyRequirement,
        UserVerificationRequirement,
    )

    options = generate_registration_options(
        rp_id=site.name,
        rp_name="AI factory",
        user_name=person,
        user_id=_user_handle(known, challenge),
        challenge=challenge,
        timeout=VALID * 1000,
        authenticator_selection=AuthenticatorSelectionCriteria(
            resident_key=ResidentKeyRequirement.REQUIRED,
            user_verification=UserVerificationRequirement.REQUIRED,
        ),
        exclude_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id)) for one in known
        ],
    )
    return options_to_json(options)


def request_options(
    site: RelyingParty,
    challenge: bytes,
    only: tuple[Passkey, ...] = (),
    valid: int = VALID,
) -> str:
    """Return what the browser needs to use a passkey, as JSON.

    Args:
        only: the passkeys that count; empty for any that the device has.
        valid: seconds for which the challenge counts.
    """
    from webauthn import (
        base64url_to_bytes,
        generate_authentication_options,
        options_to_json,
    )
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor, UserVerificationRequirement

    options = generate_authentication_options(
        rp_id=site.name,
        challenge=challenge,
        timeout=valid * 1000,
        allow_credentials=[
            PublicKeyCredentialDescriptor(id=base64url_to_bytes(one.id)) for one in only
        ],
        user_verification=UserVerificationRequirement.REQUIRED,
    )
    return options_to_json(options)


def passkey_id_in(answer: str) -> str:
    """Return the id of the passkey that a device's answer names.

    Raises:
        PasskeyError: it names none.
    """
    from webauthn.helpers import parse_authentication_credential_json

    with _refusals(answer):
        return parse_authentication_credential_json(answer).id


def verify_registration(
    answer: str,
    site: RelyingParty,
    challenge: bytes,
    known: tuple[Passkey, ...],
    *,
    person: str,
    name: str,
) -> Passkey:
    """Return the passkey that a device made for a person.

    Args:
        known: the person's passkeys, as in `creation_options`.
        name: by which the person will know the passkey.

    Raises:
        PasskeyError: the answer is to another challenge or site, or the device did not verify who
            holds it.
    """
    from webauthn import verify_registration_response
    from webauthn.helpers import bytes_to_base64url

    with _refusals(answer):
        made = verify_registration_response(
            credential=answer,
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
            require_user_verification=True,
        )
        return Passkey(
            bytes_to_base64url(made.credential_id),
            person,
            name,
            site.name,
            bytes_to_base64url(_user_handle(known, challenge)),
            bytes_to_base64url(made.credential_public_key),
            made.sign_count,
            time.time(),
        )


def verify_authentication(
    answer: str,
    site: RelyingParty,
    challenge: bytes,
    passkey: Passkey,
    *,
    is_known: bool = False,
) -> int:
    """Return how often the device of a passkey signed by now, as it says.

    Args:
        is_known: whether the person was known before; the device need not say whose it is then.

    Raises:
        PasskeyError: another key signed, another challenge or site, for another person, or the
            device did not verify who holds it.
    """
    from webauthn import base64url_to_bytes, verify_authentication_response
    from webauthn.helpers import parse_authentication_credential_json

    with _refusals(answer):
        given = parse_authentication_credential_json(answer)
        users = [base64url_to_bytes(passkey.user), *([None] if is_known else [])]
        if given.id != passkey.id or given.response.user_handle not in users:
            raise PasskeyError("it is of another person")
        used = verify_authentication_response(
            credential=given,
            expected_challenge=challenge,
            expected_rp_id=site.name,
            expected_origin=site.origin,
            credential_public_key=base64url_to_bytes(passkey.public_key),
            # Compared while the file is locked, in `Passkeys.use`.
            credential_current_sign_count=0,
            require_user_verification=True,
        )
        return used.new_sign_count


def public_line(passkey: Passkey) -> str | None:
    """Return the public key as it is written in `people.yaml`: `passkey`, its host, the key.

    Returns:
        None if what a key of this kind signs cannot be verified elsewhere.
    """
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from webauthn import base64url_to_bytes
    from webauthn.helpers import decode_credential_public_key, decoded_public_key_to_cryptography
    from webauthn.helpers.cose import COSEAlgorithmIdentifier as Kind

    decoded = decode_credential_public_key(base64url_to_bytes(passkey.public_key))
    public = decoded_public_key_to_cryptography(decoded).public_bytes(
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    common = Kind.ECDSA_SHA_256, Kind.EDDSA, Kind.RSASSA_PKCS1_v1_5_SHA_256
    if decoded.alg not in common or len(public) not in _LINE_BYTES:
        return None
    return f"passkey {passkey.host} {b64encode(public).decode()}"


def signature_in(answer: str) -> DeviceSignature:
    """Return what a device signed.

    Raises:
        PasskeyError: it is no answer of a device.
    """
    from webauthn.helpers import parse_authentication_credential_json

    with _refusals(answer):
        response = parse_authentication_credential_json(answer).response
        return DeviceSignature(
            response.signature, response.authenticator_data, response.client_data_json
        )


def _user_handle(known: tuple[Passkey, ...], challenge: bytes) -> bytes:
    """Return the user handle by which devices know a person: one for all passkeys of a person.

    The first passkey's is as random as its challenge, and not stored before the passkey is.
    """
    from webauthn import base64url_to_bytes

    return base64url_to_bytes(known[0].user) if known else sha256(challenge).digest()


@contextmanager
def _refusals(answer: str) -> Iterator[None]:
    """Raise `PasskeyError` for whatever the library raises about an answer that is malformed."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from webauthn.helpers.exceptions import WebAuthnException

    if len(answer) > _LONGEST:
        raise PasskeyError("the answer is too long")
    try:
        yield
    except (
        *(WebAuthnException, UnsupportedAlgorithm),
        # Of keys and numbers that do not have the form that the library expects.
        *(ValueError, TypeError, LookupError, AttributeError, RecursionError),
    ) as error:
        raise PasskeyError(str(error) or type(error).__name__) from error
