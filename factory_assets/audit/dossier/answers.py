"""The signed answers of people to the questions that only a person can answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from factory_assets.audit.dossier.cited import Citation
from factory_assets.audit.dossier.cited_home import CitedHome
from factory_assets.audit.requirements.catalogue import EvidenceKind, Requirement
from factory_assets.audit.requirements.statement_state import (
    State,
    StatementState,
    governance_state,
)
from factory_assets.declarations.governance import load_governance
from factory_assets.execution.governance_signing import signed_text
from factory_assets.results.record_graph import RecordGraph
from factory_assets.spec import Pipeline
from factory_resources.ledger.entries import read_entry
from factory_resources.ledger.governance_entries import GovernanceSigned


@dataclass(frozen=True)
class PersonAnswer:
    """The answer to the question of one requirement."""

    state: State
    text: str = ""
    """As it was signed."""
    by: str = ""
    """Who signed it; empty if the name is not known any more."""
    signed: str = ""
    """When: UTC, ISO 8601."""
    changed: tuple[str, ...] = ()
    """What has changed since."""
    sections: Mapping[str, Any] = field(default_factory=dict)
    """The sections of `governance.yaml` that were signed with it, by name; None if empty."""
    version: int | None = None
    """The version about which it was signed."""
    citation: Citation | None = None
    """The entry of the signature."""
    kinds: tuple[EvidenceKind, ...] = ()
    """The kinds of evidence that it rests on."""

    @property
    def declared(self) -> tuple[tuple[str, str], ...]:
        """Place and value of what is in the sections."""
        return tuple(pair for name, part in self.sections.items() for pair in _flat(name, part))


OPEN = PersonAnswer("open")


def person_answers(
    pipeline: Pipeline, version: int, cited: CitedHome, records: RecordGraph
) -> Mapping[str, PersonAnswer]:
    """Return the answers about a version that were signed, by the id of the requirement.

    Args:
        records: all records of the home that are to be believed.

    Raises:
        DeclarationError: `governance.yaml` is wrong.
        StorageError: the ledger or a record was changed.
    """
    states = governance_state(pipeline, cited.home, version, records=records)
    return {
        one.requirement.id: _answer(one, pipeline, cited)
        for one in states
        if one.state != "open" and one.number is not None
    }


def _answer(state: StatementState, pipeline: Pipeline, cited: CitedHome) -> PersonAnswer:
    assert state.number is not None
    entry = read_entry(cited.log.body(state.number))
    assert isinstance(entry, GovernanceSigned)
    current = state.state == "signed"
    return PersonAnswer(
        state.state,
        # What was signed is not always what stands there now.
        signed_text(entry, cited.home) or "",
        state.person or "",
        entry.signed,
        state.changed,
        _sections(state.requirement, pipeline) if current else {},
        entry.version,
        cited.entry(state.number).citation,
        state.requirement.evidence,
    )


def _sections(requirement: Requirement, pipeline: Pipeline) -> dict[str, Any]:
    governance = load_governance(pipeline.folder)
    content = governance.model_dump(mode="json", exclude_defaults=True) if governance else {}
    return {name: content.get(name) for name in requirement.declared}


def _flat(place: str, value: object) -> Iterator[tuple[str, str]]:
    match value:
        case None:
            return
        case dict():
            for name, part in value.items():
                yield from _flat(f"{place}.{name}", part)
        case list():
            for number, part in enumerate(value, 1):
                yield from _flat(f"{place}.{number}", part)
        case _:
            yield place, str(value)
