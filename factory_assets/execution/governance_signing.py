"""Sign the statements of a `governance.yaml`, and enter them in the ledger.

A signature binds the text, and the digests of what it rests on. Which evidence that is, and
whether it changed since, belongs in `audit.requirements`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex
from typing import Any

from factory_assets.execution.people import KnownPerson, known_people, owner_of, people_in
from factory_assets.execution.signed_decision import TIME, names, signed_by, stated_time
from factory_assets.execution.standing import CLOCKS
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import storage_faults
from factory_resources.ledger.factory_verify import InvalidError, parse_object, statement_payload
from factory_resources.ledger.governance_entries import GovernanceSigned
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger, entries_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.statements import (
    URN,
    EnvelopeSigner,
    encode_statement,
    entered_as,
    envelope,
    resource_descriptors,
    statement_file,
    store_statement,
)
from factory_resources.security.commitments import Commitments
from factory_resources.security.personal_keys import PersonalKey

GOVERNANCE = f"{URN}:governance:v1"
"""The type of the predicate."""


@dataclass(frozen=True)
class GovernanceStatement:
    """The answer to a requirement, and what it rests on."""

    pipeline: str
    version: int
    """The version whose evidence it rests on."""
    model: str
    """The digest of the manifest of that version's files."""
    requirement: str
    question: str
    text: str
    evidence: Mapping[str, str]
    """Kind of evidence, or section of `governance.yaml`, to its digest."""

    @property
    def subject(self) -> list[tuple[str, str]]:
        """What it is about: names and their SHA-256."""
        text = sha256(self.text.encode()).hexdigest()
        return [
            (f"governance.yaml#{self.requirement}", text),
            (f"{self.pipeline}@{self.version}/manifest.json", self.model),
        ]

    def bound(self, home: Home) -> dict[str, Any]:
        """Return what the signature binds, and the factory must agree with."""
        return {
            "log": LogKey.load(home).origin,
            "pipeline": self.pipeline,
            "version": self.version,
            "requirement": self.requirement,
            "question": self.question,
            "text": self.text,
            "evidence": dict(self.evidence),
        }


def sign_statements(
    statements: Iterable[GovernanceStatement], key: PersonalKey, name: str | None, home: Home
) -> list[bytes]:
    """Return the envelope of each; they count once they are entered.

    Args:
        name: who signs, in `people.yaml`; None for whoever has the key.

    Raises:
        RefusedError: nobody has the key, or another person than this one.
    """
    person = owner_of(key.public, known_people(home))
    if name not in {None, person.name}:
        raise RefusedError(
            f"the key is that of {person.name}, not of {name}",
            remedy=f"give the key of {name}, or sign as {person.name}",
        )
    signer = EnvelopeSigner(key.public, key.sign)
    return [envelope(_payload(one, person, home), [signer]) for one in statements]


def _payload(statement: GovernanceStatement, person: KnownPerson, home: Home) -> bytes:
    predicate = {
        **statement.bound(home),
        "person": {
            "name": person.name,
            "salt": Commitments(home).salt("person", person.name),
        },
        "time": datetime.now(UTC).strftime(TIME),
        # The digest of the statement is in the ledger: nobody can try out texts and names.
        "nonce": token_hex(16),
    }
    return encode_statement(statement.subject, GOVERNANCE, predicate)


def enter_statements(
    signed: Sequence[tuple[GovernanceStatement, bytes]], home: Home
) -> list[tuple[int, str]]:
    """Check signed statements and enter them, all or none.

    Args:
        signed: each as it is now, with the envelope.

    Returns:
        The entry of each, and who signed it.

    Raises:
        RefusedError: nobody signed one of them who may, it is about something else, or it was
            entered before.
        StorageError: the ledger cannot be written; nothing has changed.
    """
    people = known_people(home)
    if len({statement_payload(content) for _, content in signed}) < len(signed):
        raise RefusedError("a statement is given twice", remedy="give each once")
    read = [_read(statement, content, people, home) for statement, content in signed]

    def decide(log: Log) -> list[GovernanceSigned]:
        known = people_in(log)
        for person, entry in read:
            in_ledger = known.get(person.commitment)
            if in_ledger is None or entry.key not in in_ledger.keys:
                raise _refused(f"the ledger does not have the key of {person.name}", entry)
        for (_, content), (_, entry) in zip(signed, read, strict=True):
            _require_new(log, content, entry, home)
        for statement, content in signed:
            store_statement(home, statement.pipeline, content)
        return [entry for _, entry in read]

    with storage_faults(home), home.working(), home.acting():
        numbers = Ledger(home).append_decided(decide)
    return [(number, person.name) for number, (person, _) in zip(numbers, read, strict=True)]


def _read(
    statement: GovernanceStatement, content: bytes, people: Iterable[KnownPerson], home: Home
) -> tuple[KnownPerson, GovernanceSigned]:
    """Return who signed, and the entry.

    Raises:
        RefusedError: nobody did, or it is about something else.
    """
    signed = signed_by(content, people)
    if signed is None:
        raise _refused("nobody in people.yaml signed it", statement)
    person, key, found = signed
    try:
        predicate = found["predicate"]
        changed = [k for k, v in statement.bound(home).items() if predicate[k] != v]
        subject = resource_descriptors(statement.subject)
        if found["predicateType"] != GOVERNANCE or found["subject"] != subject:
            changed = changed or ["subject"]
        time = stated_time(predicate["time"])
        if not names(predicate["person"], person):
            changed.append("person")
    except (KeyError, TypeError, ValueError) as error:
        raise _refused("it is not a statement about a requirement", statement) from error
    if changed:
        raise _refused(f"it was signed with another {' and '.join(changed)}", statement)
    if time - datetime.now(UTC) > CLOCKS:
        raise _refused("it is dated in the future; compare the clocks", statement)
    return person, GovernanceSigned(
        subject=GovernanceSigned.subject_of(
            pipeline=statement.pipeline, requirement=statement.requirement
        ),
        pipeline=statement.pipeline,
        version=statement.version,
        requirement=statement.requirement,
        evidence=dict(statement.evidence),
        signed=time.strftime(TIME),
        statement=sha256(content).hexdigest(),
        person=person.commitment,
        key=key,
    )


def _require_new(log: Log, content: bytes, entry: GovernanceSigned, home: Home) -> None:
    """Require that no entry about the requirement has this statement: each is entered once.

    Raises:
        RefusedError: one has.
    """
    acts = entries_in(log, GovernanceSigned, entry.subject)
    number = entered_as(content, acts, home, entry.pipeline)
    if number is not None:
        raise _refused(f"it was entered already (entry {number})", entry)


def requirement_of(content: bytes) -> str | None:
    """Return the requirement that an envelope is about; None if it is about none."""
    try:
        predicate = parse_object(statement_payload(content))["predicate"]
        return str(predicate["requirement"])
    except (InvalidError, KeyError, TypeError):
        return None


def signed_text(entry: GovernanceSigned, home: Home) -> str | None:
    """Return the text that was signed; None if its statement is missing or was changed."""
    return _signed(entry, home, "text")


def signed_question(entry: GovernanceSigned, home: Home) -> str | None:
    """Return the question that it answers; None if its statement is missing or was changed."""
    return _signed(entry, home, "question")


def _signed(entry: GovernanceSigned, home: Home, part: str) -> str | None:
    try:
        content = statement_file(home, entry.pipeline, entry.statement or "").read_bytes()
        if sha256(content).hexdigest() != entry.statement:
            return None
        return str(parse_object(statement_payload(content))["predicate"][part])
    except (OSError, InvalidError, KeyError, TypeError):
        return None


def _refused(why: str, statement: GovernanceStatement | GovernanceSigned) -> RefusedError:
    return RefusedError(
        f"the statement does not count: {why}",
        where=f"{statement.pipeline}, {statement.requirement}",
        remedy="nothing was entered; look at it as it is now, and sign it again",
    )
