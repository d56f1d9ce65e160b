"""What a device signs counts for one site, one challenge, one person and one key only."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("webauthn")

from hypothesis import given
from hypothesis import strategies as st
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, encode_cbor, parse_cbor

from factory_assets.spec.people import Person
from factory_resources.security import passkey_proofs
from factory_resources.security.passkey_proofs import (
    PasskeyError,
    RelyingParty,
    creation_options,
    passkey_id_in,
    passkey_offer,
    public_line,
    request_options,
    verify_authentication,
    verify_registration,
)
from factory_resources.security.passkeys import Passkey
from tests.authenticator import Authenticator

SITE = RelyingParty("factory.example", "https://factory.example:8443")

CHALLENGE, OTHER = b"c" * 32, b"d" * 32


def make(
    device: Authenticator,
    person: str = "ann",
    known: tuple[Passkey, ...] = (),
    site: RelyingParty = SITE,
    challenge: bytes = CHALLENGE,
) -> Passkey:
    answer = device.create(creation_options(site, person, challenge, known))
    return verify_registration(answer, SITE, challenge, known, person=person, name="laptop")


@pytest.fixture
def device() -> Authenticator:
    return Authenticator(SITE.origin)


@pytest.mark.parametrize(
    ("host", "secure", "origin"),
    [
        ("localhost:3000", False, "http://localhost:3000"),
        ("LOCALHOST:3000", False, "http://localhost:3000"),
        ("localhost", True, "https://localhost"),
        ("factory.example:8443", True, "https://factory.example:8443"),
        ("factory", True, "https://factory"),
        ("factory.example", False, None),
        ("127.0.0.1:3000", False, None),
        ("127.0.0.1:3000", True, None),
        ("10.0.0.5", True, None),
        ("[::1]:3000", True, None),
        ("[fe80::a]", True, None),
        ("", True, None),
        ("a..b", True, None),
    ],
)
def test_passkeys_are_offered_at_host_names_only(
    host: str, secure: bool, origin: str | None
) -> None:
    site = RelyingParty.of(host, secure=secure)
    assert (site and site.origin) == origin
    assert passkey_offer(host, secure=secure) == ("here" if origin else "elsewhere")


def test_without_the_extra_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passkey_proofs, "find_spec", lambda name: None)
    assert passkey_offer("localhost", secure=False) == "none"


def test_the_browser_is_asked_for_a_device_that_verifies_its_person(device: Authenticator) -> None:
    asked = json.loads(creation_options(SITE, "ann", CHALLENGE, ()))
    assert asked["rp"]["id"] == "factory.example"
    assert base64url_to_bytes(asked["challenge"]) == CHALLENGE
    assert asked["attestation"] == "none"
    assert asked["authenticatorSelection"]["userVerification"] == "required"
    assert asked["authenticatorSelection"]["residentKey"] == "required"
    wanted = json.loads(request_options(SITE, CHALLENGE))
    assert wanted["userVerification"] == "required"
    assert wanted["allowCredentials"] == []


def test_a_person_has_one_number_at_all_devices(device: Authenticator) -> None:
    first = make(device)
    second = make(device, known=(first,), challenge=OTHER)
    assert first.user == second.user != make(device, "tom", challenge=OTHER).user
    asked = json.loads(creation_options(SITE, "ann", OTHER, (first,)))
    assert [one["id"] for one in asked["excludeCredentials"]] == [first.id]


def test_a_passkey_signs(device: Authenticator) -> None:
    passkey = make(device)
    answer = device.get(request_options(SITE, OTHER))
    assert passkey_id_in(answer) == passkey.id
    assert verify_authentication(answer, SITE, OTHER, passkey) == passkey.sign_count + 1 == 2


def test_an_answer_to_another_challenge_does_not_count(device: Authenticator) -> None:
    passkey = make(device)
    with pytest.raises(PasskeyError, match="challenge"):
        verify_authentication(device.get(request_options(SITE, OTHER)), SITE, CHALLENGE, passkey)
    created = device.create(creation_options(SITE, "ann", OTHER, ()))
    with pytest.raises(PasskeyError, match="challenge"):
        verify_registration(created, SITE, CHALLENGE, (), person="ann", name="x")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "http://factory.example:8443", "https://factory.example"]
)
def test_an_answer_on_another_page_does_not_count(device: Authenticator, origin: str) -> None:
    passkey = make(device)
    device.origin = origin
    with pytest.raises(PasskeyError, match="origin"):
        verify_authentication(device.get(request_options(SITE, OTHER)), SITE, OTHER, passkey)
    with pytest.raises(PasskeyError, match="origin"):
        make(device)


def test_a_key_for_another_host_does_not_count(device: Authenticator) -> None:
    passkey, elsewhere = make(device), RelyingParty("evil.example", SITE.origin)
    with pytest.raises(PasskeyError, match="RP ID"):
        verify_authentication(device.get(request_options(elsewhere, OTHER)), SITE, OTHER, passkey)
    with pytest.raises(PasskeyError, match="RP ID"):
        make(device, site=elsewhere)


def test_a_device_that_does_not_verify_who_holds_it_does_not_count(device: Authenticator) -> None:
    passkey = make(device)
    device.verified = False
    with pytest.raises(PasskeyError, match="verified"):
        verify_authentication(device.get(request_options(SITE, OTHER)), SITE, OTHER, passkey)
    with pytest.raises(PasskeyError, match="verified"):
        make(device)


def test_another_persons_passkey_does_not_count(device: Authenticator) -> None:
    passkey, other = make(device), Authenticator(SITE.origin)
    toms = make(other, "tom")
    options = request_options(SITE, OTHER)
    for claims in ({}, {"id": passkey.id}, {"id": passkey.id, "userHandle": passkey.user}):
        with pytest.raises(PasskeyError):
            verify_authentication(other.get(options, claims=claims), SITE, OTHER, passkey)
    assert verify_authentication(other.get(options), SITE, OTHER, toms)


@pytest.mark.parametrize("claims", [{"id": "b3RoZXI"}, {"userHandle": "b3RoZXI"}])
def test_an_answer_that_names_another_passkey_or_person_does_not_count(
    device: Authenticator, claims: dict[str, str]
) -> None:
    passkey = make(device)
    with pytest.raises(PasskeyError, match="another person"):
        verify_authentication(
            device.get(request_options(SITE, OTHER), claims=claims), SITE, OTHER, passkey
        )


def test_a_device_need_not_say_whose_passkey_it_used_if_that_was_known(
    device: Authenticator,
) -> None:
    passkey = make(device)
    answer = json.loads(device.get(request_options(SITE, OTHER, (passkey,))))
    del answer["response"]["userHandle"]
    with pytest.raises(PasskeyError, match="another person"):
        verify_authentication(json.dumps(answer), SITE, OTHER, passkey)
    assert verify_authentication(json.dumps(answer), SITE, OTHER, passkey, is_known=True) == 2
    answer["response"]["userHandle"] = "b3RoZXI"
    with pytest.raises(PasskeyError, match="another person"):
        verify_authentication(json.dumps(answer), SITE, OTHER, passkey, is_known=True)


def test_only_the_passkeys_that_count_are_asked_for(device: Authenticator) -> None:
    first = make(device)
    second = make(device, known=(first,), challenge=OTHER)
    asked = json.loads(request_options(SITE, OTHER, (second,), 300))
    assert [one["id"] for one in asked["allowCredentials"]] == [second.id]
    assert asked["timeout"] == 300_000
    assert passkey_id_in(device.get(json.dumps(asked))) == second.id


@pytest.mark.parametrize(
    ("kind", "start"),
    [("ES256", "MFkwEwYHKoZIzj0"), ("EdDSA", "MCowBQYDK2Vw"), ("RS256", "MIIBIj")],
)
def test_a_passkey_has_a_line_for_people_yaml(kind: Any, start: str) -> None:
    line = public_line(make(Authenticator(SITE.origin, kind=kind)))
    assert line
    assert line.startswith(f"passkey factory.example {start}")
    assert Person(roles=(), keys=(line,)).keys == (line,)


def test_a_passkey_that_cannot_be_verified_elsewhere_has_no_line() -> None:
    made = make(Authenticator(SITE.origin, kind="RS256"))
    key = parse_cbor(base64url_to_bytes(made.public_key))
    other_hash = bytes_to_base64url(encode_cbor({**key, 3: -258}))
    assert public_line(replace(made, public_key=other_hash)) is None


def test_a_huge_answer_is_not_read(device: Authenticator) -> None:
    passkey = make(device)
    answer = device.get(request_options(SITE, OTHER)) + " " * 70_000
    with pytest.raises(PasskeyError, match="too long"):
        verify_authentication(answer, SITE, OTHER, passkey)


def test_a_changed_signature_does_not_count(device: Authenticator) -> None:
    passkey = make(device)
    answer = json.loads(device.get(request_options(SITE, OTHER)))
    signed = bytearray(base64url_to_bytes(answer["response"]["authenticatorData"]))
    signed[-1] += 1
    answer["response"]["authenticatorData"] = bytes_to_base64url(bytes(signed))
    with pytest.raises(PasskeyError, match="signature"):
        verify_authentication(json.dumps(answer), SITE, OTHER, passkey)


@pytest.mark.parametrize(
    "answer", ["", "{", "3", "[]", "{}", '{"id": 3}', "[" * 30_000, "x" * 70_000]
)
def test_nonsense_is_refused(device: Authenticator, answer: str) -> None:
    passkey = make(device)
    for attempt in (
        lambda: passkey_id_in(answer),
        lambda: verify_authentication(answer, SITE, OTHER, passkey),
        lambda: verify_registration(answer, SITE, OTHER, (), person="ann", name="x"),
    ):
        with pytest.raises(PasskeyError):
            attempt()


@given(st.data())
def test_a_damaged_answer_is_refused(data: st.DataObject) -> None:
    """Whatever is cut out or changed in a device's answer, one error names it."""
    device = Authenticator(SITE.origin)
    answer = json.loads(device.create(creation_options(SITE, "ann", CHALLENGE, ())))
    part = data.draw(st.sampled_from(["clientDataJSON", "attestationObject"]))
    content = bytearray(base64url_to_bytes(answer["response"][part]))
    at = data.draw(st.integers(0, len(content) - 1))
    content[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
    answer["response"][part] = bytes_to_base64url(bytes(content))
    try:
        made = verify_registration(json.dumps(answer), SITE, CHALLENGE, (), person="ann", name="x")
    except PasskeyError:
        return
    try:
        verify_authentication(device.get(request_options(SITE, OTHER)), SITE, OTHER, made)
    except PasskeyError:
        return
    # Only bytes that nobody signs or reads may differ.
    assert made.id == next(iter(device.credentials))
