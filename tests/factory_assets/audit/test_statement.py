"""The signed statement is what the tools of others read: in-toto, DSSE, Ed25519."""

import json
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.v1.statement import Statement as OtherStatement
from in_toto_attestation.v1.statement_pb2 import Statement as Message
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from factory_assets.audit.statement import Statement
from factory_resources.ledger.factory_verify import InvalidError, parse_statement
from factory_resources.ledger.keys import LogKey
from factory_resources.tracking.record import Record

RECORD = Record(
    pipeline="apples",
    stage="train",
    partition=None,
    key="a" * 64,
    parts={},
    inputs={},
    value={},
    data_version="b" * 64,
    run_id="run",
    seconds=1.0,
    megabytes=1.0,
    finished="2026-11-25T20:00:00+00:00",
)
STATEMENT = Statement(
    "apples",
    3,
    RECORD,
    files={"artifacts/apples/models/m/artifacts/weights.safetensors": "c" * 64},
    materials={"records/apples/split/d.json": "d" * 64},
)


@pytest.fixture(scope="module")
def key() -> LogKey:
    return LogKey.generate()


def _other_key(key: LogKey, envelope: dict[str, Any]) -> SSlibKey:
    [signature] = envelope["signatures"]
    public = key.verifier.public.hex()
    return SSlibKey(signature["keyid"], "ed25519", "ed25519", {"public": public})


def test_others_verify_the_envelope(key: LogKey) -> None:
    envelope = json.loads(STATEMENT.signed(key))
    other = _other_key(key, envelope)
    assert Envelope.from_dict(envelope).verify([other], 1)
    envelope = json.loads(STATEMENT.signed(LogKey.generate()))
    envelope["signatures"][0]["keyid"] = other.keyid
    with pytest.raises(VerificationError):
        Envelope.from_dict(envelope).verify([other], 1)


def test_others_read_the_statement(key: LogKey) -> None:
    payload = json.loads(Envelope.from_dict(json.loads(STATEMENT.signed(key))).payload)
    read = OtherStatement.copy_from_pb(ParseDict(payload, Message()))
    read.validate()
    [subject] = read.pb.subject
    assert dict(subject.digest) == {"sha256": "c" * 64}
    build = read.pb.predicate["buildDefinition"]
    assert build["externalParameters"]["version"] == 3
    assert build["resolvedDependencies"][0]["name"] == "records/apples/split/d.json"


def test_the_verifier_reads_what_was_signed(key: LogKey) -> None:
    signed = STATEMENT.signed(key)
    assert parse_statement(signed, key.verifier)["predicateType"].startswith("https://slsa.dev/")
    with pytest.raises(InvalidError, match=r"was not signed by the key of factory\.local"):
        parse_statement(signed, LogKey.generate().verifier)


def test_no_more_signatures_are_checked_than_a_statement_may_have(key: LogKey) -> None:
    envelope = json.loads(STATEMENT.signed(key))
    for count, answer in ((4, True), (5, False)):
        content = json.dumps({**envelope, "signatures": envelope["signatures"] * count}).encode()
        if answer:
            assert parse_statement(content, key.verifier)
        else:
            with pytest.raises(InvalidError, match="has too many signatures"):
                parse_statement(content, key.verifier)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": "e30="},
        {"payloadType": "text/plain"},
        {"signatures": []},
        {"signatures": [{"sig": "AAAA"}]},
        {"signatures": ["AAAA"]},
        {"signatures": [{"sig": "AAAA"}] * 65},
        {"payload": None},
    ],
)
def test_a_changed_envelope_is_refused(key: LogKey, change: dict[str, object]) -> None:
    envelope = {**json.loads(STATEMENT.signed(key)), **change}
    with pytest.raises(InvalidError):
        parse_statement(json.dumps(envelope).encode(), key.verifier)
