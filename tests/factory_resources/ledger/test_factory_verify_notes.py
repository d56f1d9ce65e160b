"""Keys, notes, checkpoints, cosignatures and policies, and canonical JSON, of the verifier."""

import json
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import (
    COSIGNATURE,
    ED25519,
    ML_DSA_COSIGNATURE,
    InvalidError,
    LogCheckpoint,
    SignedNote,
    TrustPolicy,
    VerificationReport,
    VerifierKey,
    Witnessed,
    canonical,
    parse_canonical,
    parse_object,
)
from tests.factory_resources.ledger.homes import LogKey

_RUSSCOX = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
"""The key of the tests of Go's golang.org/x/mod/sumdb/note, and a note that it signed."""
_NEUMANN = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"
    "pRZb6KE6RyyBwJnAM=\n"
)

_TEXTS = st.text(st.characters(codec="utf-8"))
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


def _vectors(real_data: Path, name: str) -> Any:
    path = real_data.parent / "vectors" / name
    if not path.is_file():
        pytest.skip(f"no vectors of others: {path} is missing")
    return json.loads(path.read_bytes())


def _verifies(public: str, signature: str, message: bytes) -> bool:
    key = VerifierKey("example.com/log", ED25519, bytes.fromhex(public))
    return key.verifies(bytes.fromhex(signature), message)


def test_ed25519_vectors_of_wycheproof_are_answered_as_they_ask(real_data: Path) -> None:
    tests = 0
    for group in _vectors(real_data, "ed25519_wycheproof.json")["testGroups"]:
        for test in group["tests"]:
            found = _verifies(group["publicKey"]["pk"], test["sig"], bytes.fromhex(test["msg"]))
            assert found == (test["result"] == "valid"), test
            tests += 1
    assert tests == 151


def test_which_edge_cases_of_ed25519_are_accepted(real_data: Path) -> None:
    """The equation without cofactor; R must be canonical, keys need not be, of any order.

    A key of low order signs everything, and is no more than a key that everybody has: whom an
    auditor trusts is in their policy. Log, witness and verifier have this one implementation.
    """
    for vector in _vectors(real_data, "ed25519_cctv.json"):
        flags = set(vector["flags"] or ())
        accepted = not flags & {"low_order_residue", "non_canonical_R"}
        assert _verifies(vector["key"], vector["sig"], vector["msg"].encode()) == accepted, vector


def test_a_note_that_go_signed_verifies() -> None:
    key, note = VerifierKey.parse(_RUSSCOX), SignedNote.parse(_NEUMANN.encode())
    assert str(key) == _RUSSCOX
    assert note.time_of(key) == 0
    with pytest.raises(InvalidError, match="does not verify"):
        SignedNote.parse(_NEUMANN.replace("answer", "Answer").encode()).time_of(key)
    assert note.time_of(LogKey().public) is None


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"\n\n",
        b"text\n",
        b"text\n\n",
        b"text\n\nno signature\n",
        "text\n\n— name AAAA\n".encode(),
        "text\n\n— name AAAAAAA".encode(),
        "text\n\n— name AAAAAAAA\n".encode().replace(b"AAAAAAAA", b"AAAAAAB="),
        "text\n\n— na+me AAAAAAAA\n".encode(),
        "text\n\n—  AAAAAAAA\n".encode(),
        "text\n\n— na\u00a0me AAAAAAAA\n".encode(),
        "te\txt\n\n— name AAAAAAAA\n".encode(),
        b"te\xffxt\n\n" + "— name AAAAAAAA\n".encode(),
        "\n\n— name AAAAAAAA\n".encode(),
        "— name AAAAAAAA\n".encode(),
        "text\n\n— name AAAAAAAAx".encode(),
        b"text\n\n" + "— name AAAAAAAA\n".encode() * 65,
        b"x" * 600_000 + "\n\n— name AAAAAAAA\n".encode(),
    ],
)
def test_what_is_no_note_is_refused(note: bytes) -> None:
    with pytest.raises(InvalidError):
        SignedNote.parse(note)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "a\n1\nAAAA\n",
        "a\n01\n{root}\n",
        "a\n-1\n{root}\n",
        "a\n1\n{root}",
        "a\n1\n{root}\n\n",
        "a\n٣\n{root}\n",
        "a\n9999999999999999999\n{root}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidError):
        LogCheckpoint.parse(text.replace("{root}", "A" * 43 + "="))


def test_a_checkpoint_is_written_as_it_was_read() -> None:
    text = f"example.com/log\n20852163\n{'A' * 43}=\nextension\n"
    read = LogCheckpoint.parse(text)
    assert (read.origin, read.size, read.root) == ("example.com/log", 20852163, bytes(32))
    assert read.text == text


@pytest.mark.parametrize("kind", [COSIGNATURE, ML_DSA_COSIGNATURE])
def test_a_cosignature_says_when_it_was_made(kind: int) -> None:
    private: Any = (
        Ed25519PrivateKey.from_private_bytes(bytes(32))
        if kind == COSIGNATURE
        else MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    )
    key = VerifierKey("example.com/w", kind, private.public_key().public_bytes_raw())
    text = LogCheckpoint("example.com/log", 5, bytes(32)).text
    signature = (1_700_000_000).to_bytes(8, "big") + private.sign(key.message(text, 1_700_000_000))
    note = SignedNote.parse(f"{text}\n{key.line(signature)}".encode())
    assert VerifierKey.parse(str(key)) == key
    assert note.time_of(key) == 1_700_000_000
    earlier = (1_600_000_000).to_bytes(8, "big") + signature[8:]
    with pytest.raises(InvalidError, match="does not verify"):
        SignedNote.parse(f"{text}\n{key.line(earlier)}".encode()).time_of(key)


_MLDSA = "cryptography.hazmat.primitives.asymmetric.mldsa"


@pytest.mark.parametrize(("quorum", "suffices"), [("any", True), ("all", False)])
def test_a_cosignature_that_cannot_be_checked_here_counts_as_none(
    quorum: str, suffices: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian 13 has a `cryptography` without ML-DSA."""
    plain: Any = Ed25519PrivateKey.from_private_bytes(bytes(32))
    lasting: Any = MLDSA44PrivateKey.from_seed_bytes(bytes(32))
    signers = ((COSIGNATURE, plain), (ML_DSA_COSIGNATURE, lasting))
    text, time = LogCheckpoint("example.com/log", 5, bytes(32)).text, 1_700_000_000
    lines, policy = [f"{text}\n"], list[str]()
    for name, (kind, private) in zip("ab", signers, strict=True):
        key = VerifierKey(f"example.com/{name}", kind, private.public_key().public_bytes_raw())
        lines.append(key.line(time.to_bytes(8, "big") + private.sign(key.message(text, time))))
        policy.append(f"witness {name} {key}\n")
    policy.append(f"group q {quorum} a b\nquorum q\n")
    monkeypatch.setitem(sys.modules, _MLDSA, None)
    witnessed, report = Witnessed(TrustPolicy.parse("".join(policy).encode())), VerificationReport()
    witnessed.see(SignedNote.parse("".join(lines).encode()), 5)
    witnessed.report(report, 5)
    assert (report.holds, witnessed.size) == ((True, 5) if suffices else (False, 0))
    told = "cannot check the signature of 'example.com/b': it counts as none"
    assert [one for one in report.notes if told in one.what]


def test_without_the_package_that_checks_signatures_one_line_says_so(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "evidence.zip", "w") as archive:
        note = LogKey().sign(1, bytes(32))
        archive.writestr(
            "evidence.json", '{"format": 1, "pipeline": "a", "version": 1, "origin": "x"}'
        )
        archive.writestr("key", str(LogKey().public))
        archive.writestr("checkpoint", note)
    call = [sys.executable, "-I", "-S", factory_verify.__file__, str(tmp_path / "evidence.zip")]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    told = "error: the package cryptography is not installed: pip install cryptography\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", told)


def test_what_is_signed_is_what_the_specification_says() -> None:
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    ed25519 = VerifierKey("example.com/w", COSIGNATURE, bytes(32))
    assert ed25519.message(text, 1679315147) == b"cosignature/v1\ntime 1679315147\n" + text.encode()
    ml_dsa = VerifierKey("example.com/w", ML_DSA_COSIGNATURE, bytes(1312))
    assert ml_dsa.message(text, 7) == (
        b"subtree/v1\n\0\x0dexample.com/w"
        + (7).to_bytes(8, "big")
        + b"\x1bexample.com/behind-the-sofa"
        + bytes(8)
        + (20852163).to_bytes(8, "big")
        + LogCheckpoint.parse(text).root
    )


def test_a_name_that_an_ml_dsa_cosignature_cannot_hold_is_refused() -> None:
    def message(name: str, origin: str) -> bytes:
        text = LogCheckpoint(origin, 5, bytes(32)).text
        return VerifierKey(name, ML_DSA_COSIGNATURE, bytes(1312)).message(text, 7)

    assert message("n" * 255, "o" * 255)
    for name, origin in (("n" * 256, "o"), ("n", "o" * 256), ("ä" * 128, "o")):
        with pytest.raises(InvalidError, match="names are too long"):
            message(name, origin)


_KEY = VerifierKey("example.com/w", ED25519, bytes(32))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (str(_KEY).replace(_KEY.key_id.hex(), "00000000"), "another key id than its key"),
        (str(_KEY).replace("example.com/w", "example.com/v"), "another key id than its key"),
        (str(replace(_KEY, public=bytes(31))), "a key of an unknown type"),
        (str(replace(_KEY, public=b"", kind=9)), "a key of an unknown type"),
        (f"example.com/w+{_KEY.key_id.hex()}+", "a key of an unknown type"),
        (str(replace(_KEY, name="a b")), "not a name of a key"),
        (f"example.com/w+{_KEY.key_id.hex()}", "not a verifier key"),
    ],
)
def test_what_is_no_key_is_refused(text: str, why: str) -> None:
    assert VerifierKey.parse(str(_KEY)) == _KEY
    with pytest.raises(InvalidError, match=why):
        VerifierKey.parse(text)


def _policy(*lines: str) -> TrustPolicy:
    keys = {
        f"{{{number}}}": str(VerifierKey(f"example.com/{number}", kind, bytes([number] * 32)))
        for number in range(6)
        for kind in [COSIGNATURE if number else ED25519]
    }
    text = "\n".join(lines)
    for mark, key in keys.items():
        text = text.replace(mark, key)
    return TrustPolicy.parse(text.encode())


def test_a_quorum_counts_organisations_not_keys() -> None:
    policy = _policy(
        "# two organisations, of which one has three keys",
        "log {0} https://example.com",
        "witness X1 {1}",
        "\twitness X2 {2}  https://example.com",
        "witness X3 {3}",
        "witness Y {4}",
        "group X any X1 X2 X3",
        "group all-of-them all X Y",
        "quorum all-of-them",
    )
    assert not policy.is_met([])
    assert not policy.is_met(["X1", "X2", "X3"])
    assert policy.is_met(["X3", "Y"])
    assert len(policy.logs) == 1


def test_a_policy_without_quorum_is_met_by_nobody_and_everybody() -> None:
    assert _policy("quorum none").is_met([])
    assert _policy("witness a {1}", "quorum a").is_met(["a"])


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["quorum a"],
        ["quorum none", "quorum none"],
        ["witness none {1}", "quorum none"],
        ["witness a {1}", "witness a {2}", "quorum a"],
        ["witness a {1}", "witness b {1}", "quorum a"],
        ["witness a {0}", "quorum a"],
        ["log {1}", "quorum none"],
        ["log {0}", "log {0}", "quorum none"],
        ["witness a {1}", "group g 2 a", "quorum g"],
        ["witness a {1}", "group g 0 a", "quorum g"],
        ["witness a {1}", "group g any a a", "quorum g"],
        ["witness a {1}", "group g any a", "group h any a", "quorum h"],
        ["group g any h", "group h any g", "quorum g"],
        ["witness a {1}", "group g any none", "quorum g"],
        ["quorum none\r"],
        ["nonsense", "quorum none"],
        ["nonsense none"],
        ["group", "quorum none"],
        ["group g any", "quorum g"],
        ["witness a {1}", "quorum a a"],
    ],
)
def test_a_policy_with_a_mistake_is_refused(lines: list[str]) -> None:
    with pytest.raises(InvalidError):
        _policy(*lines)


@given(st.dictionaries(_TEXTS, _JSON, max_size=4))
def test_canonical_json_is_that_of_another_writer(value: dict[str, Any]) -> None:
    body = rfc8785.dumps(value)
    assert canonical(value) == body
    assert parse_canonical(body) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"1",
        b"{} ",
        b" {}",
        b'{"a": 1}',
        b'{"b":1,"a":1}',
        b'{"a":1,"a":1}',
        b'{"a":1.0}',
        b'{"a":1e3}',
        b'{"a":-0}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 60_000 + b"}",
        b'{"a":NaN}',
        b'{"a":"\\u0061"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        '{"é":1,"a":1}'.encode(),
        # In UTF-16, what is beyond U+FFFF comes before U+E000.
        '{"\ue000":1,"\U0001f34e":1}'.encode(),
        b'{"a":"\\/"}',
        b'{"a":' + b"[" * 30_000,
        b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}",
        b'{"a":"' + b"x" * 65_535 + b'"}',
        b'\xef\xbb\xbf{"a":1}',
    ],
)
def test_what_is_not_canonical_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidError):
        parse_canonical(body)


@pytest.mark.parametrize("value", ["{}", "[]"])
def test_an_object_that_would_take_much_memory_is_refused(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def content(count: int) -> bytes:
        return f'{{"a":[{",".join([value] * count)}]}}'.encode()

    monkeypatch.setattr(factory_verify, "_RECORD_COST", 10_000)
    assert parse_object(content(25))
    with pytest.raises(InvalidError, match="is too large"):
        parse_object(content({"{}": 30, "[]": 56}[value]))
