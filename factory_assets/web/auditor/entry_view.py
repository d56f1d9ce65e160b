"""One entry of the ledger: its bytes, its proof, and where what it names is shown."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from factory_assets.execution.governance_signing import signed_text
from factory_resources.errors import UnknownNameError
from factory_resources.home.home import Home
from factory_resources.ledger.factory_verify import LogCheckpoint, SignedNote, leaf_hash
from factory_resources.ledger.governance_entries import GovernanceSigned
from factory_resources.ledger.ledger import entry_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.proofs import inclusion_proof
from factory_resources.ledger.statements import statement_file
from factory_resources.security.commitments import Commitments


@dataclass(frozen=True)
class SignedAnswer:
    """The answer to a requirement that an entry is about."""

    requirement: str
    person: str
    """The name; empty if nothing opens the commitment in the ledger."""
    signed: str
    """When, by the person's clock: UTC, ISO 8601."""
    statement: str
    """The path of the statement in the home."""
    text: str | None
    """None if the statement is missing or was changed."""


@dataclass(frozen=True)
class EntryView:
    """What the page shows."""

    number: int
    size: int
    """Entries in the ledger."""
    kind: str
    time: str
    what: str
    """What entries of this kind say."""
    text: str
    """The entry as JSON, indented."""
    leaf: str
    """Its leaf hash, in hexadecimal."""
    pipeline: str
    version: int | None
    record: str
    """The path of the record that it is about; empty without one."""
    record_state: str
    answer: SignedAnswer | None


@dataclass(frozen=True)
class ShownCheckpoint:
    """The newest checkpoint, as every page names it."""

    size: int
    root: str
    """In base64."""


def checkpoint_of(log: Log) -> ShownCheckpoint:
    """Return the checkpoint that the log has signed last."""
    _, note = log.signed
    parsed = LogCheckpoint.parse(SignedNote.parse(note.encode()).text)
    return ShownCheckpoint(parsed.size, parsed.text.splitlines()[2])


def entry_view(log: Log, number: int, home: Home) -> EntryView:
    """Return what the page of an entry shows.

    Raises:
        UnknownNameError: there is no such entry.
    """
    size = _require(log, number)
    body, entry = log.body(number), entry_in(log, number)
    said: dict[str, Any] = json.loads(body)
    record = str(said.get("record") or (said["subject"] if entry.kind == "stage" else ""))
    version = said.get("version")
    return EntryView(
        number,
        size,
        entry.kind,
        entry.time,
        (type(entry).__doc__ or "").strip().partition("\n")[0],
        json.dumps(said, indent=2, ensure_ascii=False),
        leaf_hash(body).hex(),
        str(said.get("pipeline", "")),
        version if isinstance(version, int) else None,
        record,
        _record_state(record, said.get("sha256"), home) if entry.kind == "stage" else "",
        _answer(entry, home) if isinstance(entry, GovernanceSigned) else None,
    )


def entry_body(log: Log, number: int) -> bytes:
    """Return the bytes of the entry; raises as `entry_proof` does."""
    _require(log, number)
    return log.body(number)


def entry_proof(log: Log, number: int) -> bytes:
    """Return the proof that the entry is in the ledger, in the format tlog-proof.

    Raises:
        UnknownNameError: there is no such entry.
    """
    _require(log, number)
    size, note = log.signed
    return inclusion_proof(log.tree, number, size, note).encode()


def _require(log: Log, number: int) -> int:
    size = log.size
    if not 0 <= number < size:
        raise UnknownNameError(
            f"there is no entry {number}", remedy=f"the entries are 0 to {size - 1}"
        )
    return size


def _answer(entry: GovernanceSigned, home: Home) -> SignedAnswer:
    file = statement_file(home, entry.pipeline, entry.statement or "")
    return SignedAnswer(
        entry.requirement,
        Commitments(home).name_of("person", entry.person) or "",
        entry.signed,
        str(file.relative_to(home.path)),
        signed_text(entry, home),
    )


def _record_state(name: str, digest: object, home: Home) -> str:
    try:
        content = (home.path / name).read_bytes()
    except OSError:
        return "is gone"
    same = sha256(content).hexdigest() == digest
    return "has the digest that the entry says" if same else "was CHANGED: its digest differs"
