"""How much of the log witnesses have seen: the quorum and its members are those of the policy."""

import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from factory_resources.errors import StorageError
from factory_resources.home.database import chosen_database
from factory_resources.home.home import Home
from factory_resources.ledger.entries import FilesRemoved
from factory_resources.ledger.factory_verify import (
    COSIGNATURE,
    InvalidError,
    SignedNote,
    TrustPolicy,
    VerifierKey,
    WitnessKey,
    parse_canonical,
)
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.witnesses import add_cosignatures, request, witness_state


@pytest.fixture
def ledger(home: Home, engine: str) -> Ledger:
    ledger = Ledger(home)
    ledger.begin()
    ledger.append([FilesRemoved(paths=("tables/a",), reason="r")])
    return ledger


def _witnesses(folder: Path, count: int) -> list[WitnessKey]:
    return [
        WitnessKey.create(str(folder / f"w{n}.key"), f"example.com/w{n}", COSIGNATURE)
        for n in range(count)
    ]


def _policy(witnesses: list[WitnessKey], *lines: str) -> TrustPolicy:
    named = [f"witness w{n} {one.public}" for n, one in enumerate(witnesses)]
    return TrustPolicy.parse("\n".join([*named, *lines, ""]).encode())


def _keys(name: str) -> tuple[Ed25519PrivateKey, VerifierKey]:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    return private, VerifierKey(f"example.com/{name}", COSIGNATURE, public)


def _cosign(ledger: Ledger, witness: WitnessKey, policy: TrustPolicy) -> list[str]:
    with ledger.writing() as log:
        key = VerifierKey.parse(str(parse_canonical(log.body(0))["key"]))
        _, asked = request(log, witness.public)
        return add_cosignatures(log, witness.cosign(asked, key), policy)


def test_as_many_organisations_as_required_must_have_seen_it(
    ledger: Ledger, tmp_path: Path
) -> None:
    witnesses = _witnesses(tmp_path, 3)
    policy = _policy(
        witnesses,
        "group ours any w0 w1",
        "group theirs any w2",
        "group q 1 ours theirs",
        "quorum q",
    )

    def seen(required: int) -> int:
        with ledger.reading() as log:
            return witness_state(log, policy, required).seen

    assert (seen(1), seen(2)) == (0, 0)
    assert _cosign(ledger, witnesses[0], policy) == ["w0"]
    assert (seen(1), seen(2)) == (2, 0)
    # Another key of the same organisation adds nothing.
    _cosign(ledger, witnesses[1], policy)
    assert (seen(1), seen(2)) == (2, 0)
    _cosign(ledger, witnesses[2], policy)
    assert (seen(1), seen(2)) == (2, 2)


def test_a_second_request_proves_consistency_with_the_first(ledger: Ledger, tmp_path: Path) -> None:
    [witness] = _witnesses(tmp_path, 1)
    policy = _policy([witness], "quorum w0")
    _cosign(ledger, witness, policy)
    ledger.append([FilesRemoved(paths=(f"tables/{n}",), reason="r") for n in range(600)])
    with ledger.writing() as log:
        size, asked = request(log, witness.public)
    assert size == 602
    assert asked.startswith(b"old 2\n")
    _cosign(ledger, witness, policy)
    with ledger.reading() as log:
        assert witness_state(log, policy, 1).seen == 602


def test_a_request_looks_at_the_newest_checkpoints_alone(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A witness that is asked every hour has cosigned thousands within a year."""
    [witness] = _witnesses(tmp_path, 1)
    policy, looked = _policy([witness], "quorum w0"), 0
    for number in range(8):
        _cosign(ledger, witness, policy)
        ledger.append([FilesRemoved(paths=(f"tables/{number}",), reason="r")])
    verify = VerifierKey.verify

    def counted(key: VerifierKey, text: str, signature: bytes) -> int:
        nonlocal looked
        looked += 1
        return verify(key, text, signature)

    monkeypatch.setattr(VerifierKey, "verify", counted)
    with ledger.writing() as log:
        _, asked = request(log, witness.public)
    assert asked.startswith(b"old 9\n")
    assert looked == 1


def test_a_checkpoint_of_a_stranger_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    known, stranger = _witnesses(tmp_path, 2)
    policy = _policy([known], "quorum w0")
    with pytest.raises(InvalidError, match="has no cosignature of a witness of the policy"):
        _cosign(ledger, stranger, policy)
    other = Ledger(Home(tmp_path / "other"))
    with chosen_database(None):
        other.begin()
        with other.writing() as log:
            _, asked = request(log, known.public)
    with ledger.writing() as log, pytest.raises(InvalidError, match="is not a checkpoint that"):
        add_cosignatures(log, asked.partition(b"\n\n")[2], policy)


def test_a_checkpoint_that_is_cosigned_again_and_again_keeps_the_latest_of_each_witness(
    ledger: Ledger, tmp_path: Path
) -> None:
    other = _witnesses(tmp_path, 1)
    private, public = _keys("often")
    lines = [f"witness often {public}", f"witness w0 {other[0].public}", "quorum often", ""]
    policy = TrustPolicy.parse("\n".join(lines).encode())
    _cosign(ledger, other[0], policy)
    with ledger.writing() as log:
        _, asked = request(log, public)
        _, _, note = asked.partition(b"\n\n")
        text = SignedNote.parse(note).text
        for hour in [*range(70), 5]:
            moment = 1_700_000_000 + 3600 * hour
            signed = struct.pack(">Q", moment) + private.sign(public.message(text, moment))
            add_cosignatures(log, note + public.line(signed).encode(), policy)
        assert witness_state(log, policy, 1).seen == 2
        [(_, stored)] = log.cosigned()
    kept = SignedNote.parse(stored.encode())
    assert len(kept.signatures) == 3
    assert kept.time_of(public) == 1_700_000_000 + 3600 * 69
    assert kept.time_of(other[0].public)


def test_cosignatures_that_are_added_at_once_are_all_stored(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    witnesses = _witnesses(tmp_path, 2)
    policy = _policy(witnesses, "group q all w0 w1", "quorum q")
    with ledger.writing() as log:
        key = VerifierKey.parse(str(parse_canonical(log.body(0))["key"]))
        _, asked = request(log, witnesses[0].public)
    own, *others = [one.cosign(asked, key) for one in witnesses]
    time_of = SignedNote.time_of

    def others_first(note: SignedNote, key: VerifierKey) -> int | None:
        while others:
            with ledger.writing() as log:
                add_cosignatures(log, others.pop(), policy)
        return time_of(note, key)

    monkeypatch.setattr(SignedNote, "time_of", others_first)
    with ledger.writing() as log:
        add_cosignatures(log, own, policy)
        assert witness_state(log, policy, 2).seen == 2


@pytest.mark.parametrize("ahead", [3600, 10**12, 2**62])
def test_a_cosignature_of_a_time_to_come_is_refused(ledger: Ledger, ahead: int) -> None:
    private, public = _keys("early")
    policy = TrustPolicy.parse(f"witness w {public}\nquorum w\n".encode())
    with ledger.writing() as log:
        _, asked = request(log, public)
        _, _, note = asked.partition(b"\n\n")
        moment = int(time.time()) + ahead
        message = public.message(SignedNote.parse(note).text, moment)
        line = public.line(struct.pack(">Q", moment) + private.sign(message))
        with pytest.raises(InvalidError, match="in the future: the clock of w, or ours"):
            add_cosignatures(log, note + line.encode(), policy)
        assert witness_state(log, policy, 1).time == 0


@pytest.mark.parametrize("change", [lambda note: "nonsense", lambda note: note[:-6] + "AAAA=\n"])
def test_a_stored_checkpoint_that_was_changed_is_told(
    ledger: Ledger, tmp_path: Path, change: Callable[[str], str]
) -> None:
    [witness] = _witnesses(tmp_path, 1)
    policy = _policy([witness], "quorum w0")
    _cosign(ledger, witness, policy)
    with ledger.writing() as log:
        [(size, stored)] = log.cosigned()
        log.store_checkpoint(size, lambda _: change(stored))
        with pytest.raises(StorageError, match="a stored checkpoint cannot be read"):
            witness_state(log, policy, 1)
        with pytest.raises(StorageError, match="a stored checkpoint cannot be read"):
            request(log, witness.public)
