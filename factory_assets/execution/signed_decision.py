"""The statement that a person signs when they decide about a version.

It binds exactly what they saw: a statement about another version, evaluation, champion or factory
does not count here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any, Literal

from factory_assets.execution.deployed_version import DeployedVersion
from factory_assets.execution.people import KnownPerson
from factory_assets.execution.standing import CLOCKS
from factory_resources.errors import RefusedError, UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.entry import SignedAct
from factory_resources.ledger.factory_verify import (
    STATEMENT_BYTES,
    InvalidError,
    parse_statement,
    person_key,
)
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.statements import (
    URN,
    EnvelopeSigner,
    encode_statement,
    entered_as,
    envelope,
    resource_descriptors,
)
from factory_resources.security.commitments import Commitments, commit
from factory_resources.security.personal_keys import PersonalKey

DECISION = f"{URN}:decision:v1"
"""The type of the predicate."""

Act = Literal["approved", "refused", "rolled back", "roll-out ended", "stopped", "resumed"]

_REASON = 2_000
"""Characters."""

TIME = "%Y-%m-%dT%H:%M:%SZ"
"""The format of the time of a signature."""


@dataclass(frozen=True)
class Signer:
    """The person who signs, and their key."""

    person: KnownPerson
    key: PersonalKey
    role: str
    """The role in which they sign."""


@dataclass(frozen=True)
class DecidedBy:
    """Who decides."""

    person: str
    """The name."""
    role: str
    """The role in which they sign."""


@dataclass(frozen=True)
class SignedDecision:
    """A decision whose signature holds; who may decide was not checked."""

    content: bytes
    """The envelope."""
    person: KnownPerson
    key: str
    """The person's public key."""
    reason: str
    signed: str
    """When, by the person's clock: UTC, ISO 8601."""
    age: timedelta


def require_reason(reason: str) -> str:
    """Return a reason as it is signed: in one line.

    Raises:
        UnknownNameError: it is empty or too long.
    """
    text = " ".join(reason.split())
    if not text or len(text) > _REASON:
        raise UnknownNameError(
            f"the reason has {len(text):,} characters",
            remedy=f"say why in up to {_REASON:,} characters, such as 'better on all sites'",
        )
    return text


def state_decision(
    act: Act,
    deployed: DeployedVersion,
    reason: str,
    home: Home,
    *,
    signer: Signer | None,
    shown: str | None = None,
) -> bytes:
    """Return the envelope of the statement; without a signer it has no signature.

    Args:
        shown: the text that the person was shown.
    """
    by = DecidedBy(signer.person.name, signer.role) if signer else None
    content = decision_payload(act, deployed, reason, home, by=by, shown=shown)
    signers = [EnvelopeSigner(signer.key.public, signer.key.sign)] if signer else []
    return envelope(content, signers)


def decision_payload(
    act: Act,
    deployed: DeployedVersion,
    reason: str,
    home: Home,
    *,
    by: DecidedBy | None,
    shown: str | None,
) -> bytes:
    """Return the bytes of the statement, to be signed."""
    predicate: dict[str, object] = {
        **_bound(act, deployed, home),
        "reason": reason,
        "time": datetime.now(UTC).strftime(TIME),
        # The digest of the statement is in the ledger: nobody can try out reasons and names.
        "nonce": token_hex(16),
        **({"shown": shown} if shown else {}),
    }
    if by:
        salt = Commitments(home).salt("person", by.person)
        predicate["person"] = {"name": by.person, "salt": salt}
        predicate["role"] = by.role
    return encode_statement(_subject(deployed), DECISION, predicate)


def read_decision(
    content: bytes, act: Act, deployed: DeployedVersion, people: Iterable[KnownPerson], home: Home
) -> SignedDecision:
    """Return a decision after checking its signature, and that it is about exactly this.

    Raises:
        RefusedError: nobody in `people.yaml` signed it, or it is about something else.
    """
    signed = signed_by(content, people)
    if signed is None:
        raise _refused("nobody in people.yaml signed it")
    person, key, statement = signed
    try:
        if statement["predicateType"] != DECISION:
            raise _refused("it is not a decision about a model version")
        predicate = statement["predicate"]
        expected = _bound(act, deployed, home)
        for name, value in expected.items():
            if predicate[name] != value:
                said = f"{name} {_short(predicate[name])}, not {_short(value)}"
                raise _refused(f"it is about {said}")
        if statement["subject"] != resource_descriptors(_subject(deployed)):
            raise _refused("it is about other files")
        if not names(predicate["person"], person):
            raise _refused(f"it names another person than {person.name}, whose key signed it")
        time = stated_time(predicate["time"])
        reason = str(predicate["reason"])
    except (KeyError, TypeError, ValueError) as error:
        raise _refused("it is not a decision about a model version") from error
    age = datetime.now(UTC) - time
    if age < -CLOCKS:
        raise _refused("it is dated in the future; compare the clocks of the two machines")
    return SignedDecision(content, person, key, reason, time.strftime(TIME), age)


def require_new(
    content: bytes, acts: Iterable[tuple[int, SignedAct]], deployed: DeployedVersion, home: Home
) -> None:
    """Require that no act about the version has this statement: each counts once.

    Raises:
        RefusedError: one has.
    """
    number = entered_as(content, acts, home, deployed.pipeline)
    if number is not None:
        raise _refused(f"it was entered already (entry {number})")


def names(claimed: Mapping[str, str], person: KnownPerson) -> bool:
    """Whether a statement names the person, by the salt with which the ledger knows them."""
    is_name = claimed["name"] == person.name
    return is_name and commit(claimed["salt"], person.name) == person.commitment


def stated_time(text: str) -> datetime:
    """Read the time of a statement.

    Raises:
        ValueError: it is written otherwise, which the auditor's verifier does not read.
    """
    time = datetime.strptime(text, TIME).replace(tzinfo=UTC)
    if time.strftime(TIME) != text:
        raise ValueError(f"{text!r} is no time such as 2026-01-02T03:04:05Z")
    return time


def signed_by(
    content: bytes, people: Iterable[KnownPerson]
) -> tuple[KnownPerson, str, dict[str, Any]] | None:
    """Return who signed an envelope, by which public key, and the statement in it; None if nobody
    of these people did.

    Raises:
        RefusedError: it is longer than the auditor's verifier reads.
    """
    if len(content) > STATEMENT_BYTES:
        raise RefusedError(
            f"the statement has {len(content):,} bytes, and may have {STATEMENT_BYTES:,}",
            remedy="nothing was changed; sign a shorter one",
        )
    for person in people:
        for key in person.declared.keys:
            try:
                return person, key, parse_statement(content, person_key(key))
            except InvalidError:
                continue
    return None


def _bound(act: Act, deployed: DeployedVersion, home: Home) -> dict[str, Any]:
    """Return what the statement and the factory must agree on."""
    return {
        "decision": act,
        "log": LogKey.load(home).origin,
        "pipeline": deployed.pipeline,
        "version": deployed.version,
        "replaces": deployed.replaces,
        "verdict": {"record": deployed.verdict_record, "sha256": deployed.verdict},
    }


def _subject(deployed: DeployedVersion) -> list[tuple[str, str]]:
    return [
        (f"{deployed.name}/manifest.json", deployed.model),
        (f"{deployed.name}/model.onnx", deployed.graph),
    ]


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _refused(why: str) -> RefusedError:
    return RefusedError(
        f"the statement does not count: {why}",
        remedy="nothing was changed; look at the candidate and decide again",
    )
