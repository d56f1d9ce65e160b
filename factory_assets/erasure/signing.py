"""The statement that a person signs when they erase somebody: why, and exactly what.

It names neither the erased person nor a value. Who may sign is decided here; what is erased, in
`plan`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from secrets import token_hex

from factory_assets.execution.people import known_people, may, owner_of, people_in
from factory_assets.execution.signed_decision import TIME
from factory_resources.erasure.manifest import ErasureManifest
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureBegun
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.log import Log
from factory_resources.ledger.statements import (
    ERASURES,
    URN,
    EnvelopeSigner,
    encode_statement,
    envelope,
    store_statement,
)
from factory_resources.security.commitments import Commitments
from factory_resources.security.personal_keys import PersonalKey

ERASURE = f"{URN}:erasure:v1"
"""The type of the predicate."""

_ROLES = ("engineer", "approver")


@dataclass(frozen=True)
class ErasureDecision:
    """Why somebody is erased, and who decided it."""

    reason: str
    key: PersonalKey | None
    """By which the person signs; None if nobody has to, because there are no people."""


def require_signer(decision: ErasureDecision, home: Home, log: Log) -> None:
    """Require that whoever decides may, by what the ledger says of people.

    Raises:
        RefusedError: they sign with a key that nobody has, or without a role, or not at all.
    """
    people = people_in(log)
    if decision.key is None:
        if any(one.roles for one in people.values()):
            raise RefusedError(
                "people.yaml names people, so one of them must sign this",
                remedy="give your key with --key",
            )
        return
    person = owner_of(decision.key.public, known_people(home))
    if not any(may(people, person.commitment, decision.key.public, role) for role in _ROLES):
        raise RefusedError(
            f"{person.name} may not erase anybody",
            remedy=f"let a person with the role {' or '.join(_ROLES)} in people.yaml do it",
        )


def begun_entry(
    manifest: ErasureManifest, rows: int, decision: ErasureDecision, home: Home
) -> ErasureBegun:
    """Store the statement, signed if there is a key, and return the entry of the erasure."""
    time = datetime.now(UTC).strftime(TIME)
    digest = sha256(manifest.content).hexdigest()
    predicate: dict[str, object] = {
        "log": LogKey.load(home).origin,
        "erasure": manifest.id,
        "manifest": digest,
        "reason": decision.reason,
        "time": time,
        # The digest of the statement is in the ledger: nobody can try out reasons and names.
        "nonce": token_hex(16),
    }
    person = None
    if decision.key is not None:
        person = owner_of(decision.key.public, known_people(home))
        salt = Commitments(home).salt("person", person.name)
        predicate["person"] = {"name": person.name, "salt": salt}
    content = encode_statement([(f"erasures/{manifest.id}.json", digest)], ERASURE, predicate)
    signers = [EnvelopeSigner(decision.key.public, decision.key.sign)] if decision.key else []
    return ErasureBegun(
        subject=ErasureBegun.subject_of(erasure=manifest.id),
        manifest=digest,
        pipelines=tuple(sorted(manifest.pipelines)),
        rows=rows,
        answers=sum(len(one.answers) for one in manifest.pipelines.values()),
        signed=time if person else None,
        statement=store_statement(home, ERASURES, envelope(content, signers)),
        person=person.commitment if person else None,
        key=decision.key.public if decision.key else None,
    )
