"""The verifier takes a decision that a passkey signed only as a device and a browser make it."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest

pytest.importorskip("webauthn")

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.decisions import enter_decision, waiting_candidate
from factory_assets.execution.signed_decision import DecidedBy, decision_payload
from factory_resources.ledger.factory_verify import (
    InvalidError,
    WebAuthnKey,
    parse_statement,
    person_key,
    ssh_key,
)
from factory_resources.ledger.statements import encode_statement, passkey_envelope
from factory_resources.security.passkey_proofs import (
    RelyingParty,
    creation_options,
    public_line,
    request_options,
    signature_in,
    verify_registration,
)
from tests.approvals import Factory, copy_factory, make_factory
from tests.authenticator import Authenticator, Kind
from tests.factory_resources.ledger.homes import problems_with, read_entries

SITE = RelyingParty("factory.example", "https://factory.example:8443")

STATEMENT = encode_statement([("apples@1/model.onnx", "0" * 64)], "urn:x", {"decision": "approved"})


class Device(Authenticator):
    """A device with one passkey, and the line of its public key."""

    def __init__(self, site: RelyingParty = SITE, **how: Any) -> None:
        super().__init__(site.origin, **how)
        self.site = site
        answer = self.create(creation_options(site, "jane", b"c" * 32, ()))
        made = verify_registration(answer, site, b"c" * 32, (), person="jane", name="x")
        self.line = public_line(made) or ""

    def sign(self, content: bytes = STATEMENT, site: RelyingParty | None = None) -> bytes:
        """Return the envelope of a statement that the device signed."""
        options = request_options(site or self.site, sha256(content).digest())
        made = signature_in(self.get(options))
        return passkey_envelope(content, self.line, **vars(made))


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_statement_that_a_passkey_signed_holds(kind: Kind) -> None:
    device = Device(kind=kind)
    statement = parse_statement(device.sign(), person_key(device.line))
    assert statement["predicate"] == {"decision": "approved"}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_the_passkey_of_another_person_did_not_sign_it(kind: Kind) -> None:
    with pytest.raises(InvalidError, match="was not signed by the key"):
        parse_statement(Device(kind=kind).sign(), person_key(Device(kind=kind).line))


def test_a_key_of_openssh_did_not_sign_it_nor_a_passkey_what_such_a_key_signed() -> None:
    device = Device(kind="EdDSA")
    raw = b64decode(device.line.split()[2])[-32:]
    ssh = b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + raw
    same = ssh_key(f"ssh-ed25519 {b64encode(ssh).decode()}")
    with pytest.raises(InvalidError, match="was not signed by the key"):
        parse_statement(device.sign(), same)
    plain = {"payload": b64encode(STATEMENT).decode(), "signatures": [{"sig": ""}]}
    plain["payloadType"] = "application/vnd.in-toto+json"
    with pytest.raises(InvalidError, match="clientDataJSON"):
        parse_statement(json.dumps(plain).encode(), person_key(device.line))


def _with(envelope: bytes, **changed: Any) -> bytes:
    """Change fields of the signature; None leaves one out."""
    value = json.loads(envelope)
    [signature] = value["signatures"]
    for name, content in changed.items():
        signature[name] = b64encode(content).decode() if isinstance(content, bytes) else content
    value["signatures"] = [{name: one for name, one in signature.items() if one is not None}]
    return json.dumps(value).encode()


def _field(envelope: bytes, name: str) -> bytes:
    return b64decode(json.loads(envelope)["signatures"][0][name])


@pytest.mark.parametrize("name", ["sig", "authenticatorData", "clientDataJSON"])
def test_no_changed_bit_of_a_signature_is_believed(name: str) -> None:
    device = Device()
    envelope = device.sign()
    content = _field(envelope, name)
    for place in range(len(content)):
        changed = bytearray(content)
        changed[place] ^= 1
        with pytest.raises(InvalidError):
            parse_statement(_with(envelope, **{name: bytes(changed)}), person_key(device.line))


@pytest.mark.parametrize("name", ["sig", "authenticatorData", "clientDataJSON"])
@pytest.mark.parametrize(
    "value", [None, "", 5, [], {}, "%", "AAAA", b"", b"{}", b"[" * 9_999, b"\xff", b"null"], ids=str
)
def test_an_odd_signature_is_answered(name: str, value: Any) -> None:
    device = Device()
    with pytest.raises(InvalidError):
        parse_statement(_with(device.sign(), **{name: value}), person_key(device.line))


def test_a_changed_statement_is_not_believed() -> None:
    device = Device()
    value = json.loads(device.sign())
    value["payload"] = b64encode(STATEMENT.replace(b"approved", b"refused")).decode()
    with pytest.raises(InvalidError, match="another statement"):
        parse_statement(json.dumps(value).encode(), person_key(device.line))


def test_what_a_person_signed_for_something_else_is_no_statement() -> None:
    device, other = Device(), STATEMENT.replace(b"in-toto.io/Statement", b"example.com/Link")
    assert other != STATEMENT
    with pytest.raises(InvalidError, match="is not a statement of in-toto"):
        parse_statement(device.sign(other), person_key(device.line))


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://factory.example:8443",
        "https://factory.example.evil.example",
        "https://xfactory.example",
        "https://factory-example",
        "https://factory.example:8443/",
        "https://factory.example:",
        "https://a@factory.example",
        "",
    ],
)
def test_a_signature_on_another_page_does_not_hold(origin: str) -> None:
    device = Device()
    device.origin = origin
    with pytest.raises(InvalidError, match="page of another host"):
        parse_statement(device.sign(), person_key(device.line))


@pytest.mark.parametrize("size", [0, 31, 32, 36])
def test_of_what_a_device_has_said_nothing_may_be_missing(size: int) -> None:
    device = Device()
    envelope = device.sign()
    said = _field(envelope, "authenticatorData")[:size]
    with pytest.raises(InvalidError, match="passkey of another host"):
        parse_statement(_with(envelope, authenticatorData=said), person_key(device.line))


def test_a_signature_for_another_host_does_not_hold() -> None:
    device = Device()
    envelope = device.sign(site=RelyingParty("evil.example", SITE.origin))
    with pytest.raises(InvalidError, match="passkey of another host"):
        parse_statement(envelope, person_key(device.line))
    moved = person_key(device.line.replace("factory.example", "evil.example"))
    with pytest.raises(InvalidError, match="another host"):
        parse_statement(device.sign(), moved)


def test_only_localhost_is_a_page_without_tls() -> None:
    device = Device(RelyingParty("localhost", "http://localhost:3000"))
    assert parse_statement(device.sign(), person_key(device.line))


def test_a_device_that_did_not_verify_who_holds_it_signed_nothing() -> None:
    device = Device()
    device.verified = False
    with pytest.raises(InvalidError, match="did not verify"):
        parse_statement(device.sign(), person_key(device.line))


def test_a_device_at_which_nobody_was_signed_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Device()
    monkeypatch.setattr("tests.authenticator._PRESENT", 0)
    with pytest.raises(InvalidError, match="did not verify"):
        parse_statement(device.sign(), person_key(device.line))


@pytest.mark.parametrize(
    "said", [{"type": "webauthn.create"}, {"crossOrigin": True}, {"topOrigin": "https://a.example"}]
)
def test_what_the_browser_did_for_another_purpose_is_no_signature(said: dict[str, Any]) -> None:
    """The device signed this: only what it says is not what it must be."""

    class Other(Device):
        def _client_data(self, kind: str, asked: dict[str, Any]) -> bytes:
            told = json.loads(super()._client_data(kind, asked))
            return json.dumps(told | (said if kind == "webauthn.get" else {})).encode()

    device = Other()
    with pytest.raises(InvalidError, match=r"not signed by a passkey|page of another host"):
        parse_statement(device.sign(), person_key(device.line))


@pytest.mark.parametrize(
    "line",
    [
        "passkey",
        "passkey factory.example",
        "passkey factory.example AAAA more",
        "passkey FACTORY AAAA",
        "passkey a\u00e9 AAAA",
        "passkey factory.example %",
        "passkeys factory.example AAAA",
        "",
    ],
)
def test_what_is_no_key_is_answered(line: str) -> None:
    with pytest.raises(InvalidError):
        person_key(line)


def test_keys_of_another_kind_verify_nothing() -> None:
    for private in (
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP256K1()),
        rsa.generate_private_key(65537, 1024),
    ):
        device = Device()
        [credential] = device.credentials.values()
        credential.private = private
        public = private.public_key()
        der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(InvalidError, match="was not signed by the key"):
            parse_statement(device.sign(), WebAuthnKey(SITE.name, der))
    with pytest.raises(InvalidError, match="not the public key"):
        parse_statement(Device().sign(), WebAuthnKey(SITE.name, b"0" * 91))


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Factory, Device]]:
    """A factory in which jane approved version 1 by her passkey."""
    made = make_factory(tmp_path_factory.mktemp("made") / "root")
    with pytest.MonkeyPatch.context() as patch:
        factory = copy_factory(made, tmp_path_factory.mktemp("decided") / "root", patch)
        device, home = Device(), factory.home
        factory.people(jane={"keys": [device.line]})
        pipeline = load_pipeline(factory.defs / "apples")
        deployed = waiting_candidate(pipeline, 1, home).deployed
        by = DecidedBy("jane", "approver")
        content = decision_payload("approved", deployed, "good", home, by=by, shown="all")
        enter_decision(pipeline, 1, "approved", device.sign(content), home)
        # MLflow's alias is compared elsewhere, and takes most of the time.
        (home.path / "mlflow.db").unlink()
        yield factory, device


@pytest.fixture
def home(decided: tuple[Factory, Device], tmp_path: Path) -> Path:
    return Path(shutil.copytree(decided[0].home.path, tmp_path / "home"))


def _rewritten(home: Path, entry: dict[str, Any], change: Callable[[bytes], bytes]) -> None:
    folder = home / "statements" / "apples"
    content = change((folder / f"{entry['statement']}.json").read_bytes())
    entry["statement"] = sha256(content).hexdigest()
    (folder / f"{entry['statement']}.json").write_bytes(content)


@pytest.mark.slow
def test_an_approval_by_a_passkey_holds(decided: tuple[Factory, Device], home: Path) -> None:
    entries = read_entries(decided[0].home)
    approval = next(one for one in entries if one["kind"] == "approval")
    assert approval["key"] == decided[1].line
    assert problems_with(home, entries) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["sig", "authenticatorData", "clientDataJSON"])
def test_an_approval_with_another_signature_does_not_hold(
    decided: tuple[Factory, Device], home: Path, name: str
) -> None:
    factory, device = decided
    other = device.sign()
    for changed in (_field(other, name), b"", None):
        entries = read_entries(factory.home)
        approval = next(one for one in entries if one["kind"] == "approval")
        _rewritten(home, approval, lambda old, new=changed: _with(old, **{name: new}))  # type: ignore[misc]
        assert problems_with(home, entries)


@pytest.mark.slow
def test_the_key_must_have_been_the_persons_then(
    decided: tuple[Factory, Device], home: Path
) -> None:
    """It counts from the entry on by which an owner vouched for it, and until it is withdrawn."""
    factory, device = decided

    def problems(change: Callable[[dict[str, Any]], None]) -> list[str]:
        entries = read_entries(factory.home)
        for one in entries:
            if device.line in one.get("keys", ()):
                change(one)
        return problems_with(home, entries)

    assert any(
        "without the role approver then" in one for one in problems(lambda one: one.update(keys=[]))
    )
    another = Device().line
    assert any(
        "without the role approver" in one
        for one in problems(lambda one: one.update(keys=[another]))
    )
    assert any(
        "without the role approver" in one
        for one in problems(lambda one: one.update(person="0" * 64))
    )
    late = read_entries(factory.home)
    vouched = next(one for one in late if device.line in one.get("keys", ()))
    late.remove(vouched)
    assert any("without the role approver" in one for one in problems_with(home, [*late, vouched]))


@pytest.mark.slow
def test_an_approval_in_the_name_of_another_key_does_not_hold(
    decided: tuple[Factory, Device], home: Path
) -> None:
    factory, device = decided
    another = Device().line
    entries = read_entries(factory.home)
    for one in entries:
        if one["kind"] == "approval":
            one["key"] = another
        if device.line in one.get("keys", ()):
            one["keys"] = [another]
    assert any("was not signed by the key" in one for one in problems_with(home, entries))
