"""The state of each statement of a `governance.yaml`: open, signed, or stale.

Signing belongs in `execution.governance_signing`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from factory_assets.audit.requirements.catalogue import Requirement, catalogue
from factory_assets.audit.requirements.evidence_digests import evidence_digests
from factory_assets.audit.requirements.version_records import version_records
from factory_assets.declarations.governance import load_governance
from factory_assets.execution.governance_signing import (
    GovernanceStatement,
    signed_question,
    signed_text,
)
from factory_assets.results.base import digest
from factory_assets.results.record_graph import RecordGraph
from factory_assets.spec import Pipeline
from factory_assets.spec.governance import Governance
from factory_resources.home.home import Home
from factory_resources.ledger.governance_entries import GovernanceSigned
from factory_resources.ledger.ledger import Ledger, entries_in
from factory_resources.ledger.log import Log
from factory_resources.security.commitments import Commitments

State = Literal["open", "signed", "stale"]

STATEMENT_FILE = "statement_file"
"""Stands among what changed if the statement that was signed is missing or was changed."""


@dataclass(frozen=True)
class StatementState:
    """The state of the answer to one requirement, for one version."""

    requirement: Requirement
    statement: GovernanceStatement
    """As it is now; its text is empty if there is no answer."""
    state: State
    """`open` has no signature, `stale` was signed before something changed."""
    changed: tuple[str, ...] = ()
    """What changed since it was signed: `question`, `text`, or `statement_file` if what was signed
    is missing or was changed; kinds of evidence; sections of the file."""
    number: int | None = None
    """The entry of the signature: the newest about this version, else the newest."""
    person: str | None = None
    """Who signed it; None if the salt of the name is gone."""
    signed: str | None = None
    """When, by the person's clock: UTC, ISO 8601."""
    signed_version: int | None = None
    """The version about which it was signed."""


def governance_state(
    pipeline: Pipeline,
    home: Home,
    version: int,
    history: RecordGraph | None = None,
    *,
    records: RecordGraph | None = None,
) -> tuple[StatementState, ...]:
    """Return the state of each requirement that asks a person, in the order of the catalogue.

    Args:
        history: at least the records behind the version; None to read all records of the home.
        records: all records of the home that are to be believed; None to read them.

    Raises:
        DeclarationError: `governance.yaml` is wrong.
        UnknownNameError: there is no such version.
        StorageError: the ledger or a record was changed.
    """
    governance = load_governance(pipeline.folder) or Governance()
    asked = [one for one in catalogue().requirements if one.person]
    shown = version_records(pipeline, version, home, history, records=records)
    digests = evidence_digests({kind for one in asked for kind in one.evidence}, shown)
    statements = [
        GovernanceStatement(
            pipeline.name,
            version,
            shown.model,
            one.id,
            one.person,
            governance.statements.get(one.id) or "",
            {**{kind: digests[kind] for kind in one.evidence}, **_sections(one, governance)},
        )
        for one in asked
    ]
    with Ledger(home).reading() as log:
        return tuple(
            _state(log, requirement, statement, home)
            for requirement, statement in zip(asked, statements, strict=True)
        )


def _sections(requirement: Requirement, governance: Governance) -> dict[str, str]:
    """Return the digests of the sections of the file that belong to an answer."""
    declared: Mapping[str, object] = governance.model_dump(mode="json", exclude_defaults=True)
    return {name: digest(declared.get(name)) for name in requirement.declared}


def _state(
    log: Log, requirement: Requirement, statement: GovernanceStatement, home: Home
) -> StatementState:
    found = _newest(log, statement)
    if found is None:
        return StatementState(requirement, statement, "open")
    number, entry = found
    changed = _changed(entry, statement, home)
    return _signed(requirement, statement, number, entry, changed, home)


def _newest(log: Log, statement: GovernanceStatement) -> tuple[int, GovernanceSigned] | None:
    """Return the newest signature about the version; if it has none, about any version."""
    subject = GovernanceSigned.subject_of(
        pipeline=statement.pipeline, requirement=statement.requirement
    )
    entries = [*entries_in(log, GovernanceSigned, subject)]
    own = (one for one in entries if one[1].version == statement.version)
    return next(own, entries[0] if entries else None)


def _changed(
    entry: GovernanceSigned, statement: GovernanceStatement, home: Home
) -> tuple[str, ...]:
    names = dict.fromkeys((*statement.evidence, *entry.evidence))
    changed = [n for n in names if statement.evidence.get(n) != entry.evidence.get(n)]
    text, question = signed_text(entry, home), signed_question(entry, home)
    if text is None or question is None:
        return (STATEMENT_FILE, *changed)
    words = {"question": question != statement.question, "text": text != statement.text}
    return (*(name for name, differs in words.items() if differs), *changed)


def _signed(
    requirement: Requirement,
    statement: GovernanceStatement,
    number: int,
    entry: GovernanceSigned,
    changed: tuple[str, ...],
    home: Home,
) -> StatementState:
    return StatementState(
        requirement,
        statement,
        "stale" if changed else "signed",
        changed,
        number,
        Commitments(home).name_of("person", entry.person),
        entry.signed,
        entry.version,
    )
