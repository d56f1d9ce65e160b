"""What the ledger says of a version: what people decided, and when it served.

Names and reasons are not in the ledger: a signed statement, or a salt of this home, opens them.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Any, TypeVar

from factory_assets.audit.trace.answer.report import LedgerEvent, VerdictFact
from factory_assets.audit.trace.report import State
from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    CandidateDecided,
    ChampionMade,
    Kind,
    ServingChanged,
    VerdictGiven,
)
from factory_resources.ledger.entry import Entry, SignedAct
from factory_resources.ledger.factory_verify import InvalidError, parse_statement, person_key
from factory_resources.ledger.ledger import entries_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import RolloutEnded, RolloutStarted
from factory_resources.ledger.statements import statement_file
from factory_resources.security.commitments import Commitments, commit

E = TypeVar("E", bound=Entry)


def entries_about(log: Log, kind: type[E], **names: str | int) -> list[tuple[int, E]]:
    """Return number and content of the entries of a kind about a subject, oldest first."""
    return [*entries_in(log, kind, kind.subject_of(**names))][::-1]


def verdict_before(log: Log, pipeline: str, version: int, moment: str) -> VerdictFact | None:
    """Return the last evaluation of a version before a moment; the first one if all are later."""
    entries = entries_about(log, VerdictGiven, pipeline=pipeline, version=version)
    earlier = [one for one in entries if one[1].time <= moment] or entries[:1]
    if not earlier:
        return None
    number, entry = earlier[-1]
    return VerdictFact(entry=number, time=entry.time, passed=entry.passed, gates=entry.gates)


@dataclass(frozen=True)
class EventReader:
    """Reads the entries about a version, as they were at a moment and after it."""

    log: Log
    home: Home
    pipeline: str
    version: int
    moment: str
    """UTC, ISO 8601, as entries have it."""
    problems: list[str]
    """What does not hold is added."""

    def approvals(self) -> tuple[LedgerEvent, ...]:
        """Return what people decided about the version as a candidate."""
        entries = entries_about(
            self.log, CandidateDecided, pipeline=self.pipeline, version=self.version
        )
        return tuple(self._event(*one) for one in entries)

    def serving(self) -> tuple[LedgerEvent, ...]:
        """Return when the version rolled out, served, and ceased to."""
        kinds = (ChampionMade, RolloutStarted, RolloutEnded, ServingChanged)
        entries = [
            one
            for kind in kinds
            for one in entries_about(self.log, kind, pipeline=self.pipeline)
            if self._concerns(one[1])
        ]
        return tuple(self._event(*one) for one in sorted(entries, key=lambda one: one[0]))

    def _concerns(self, entry: Any) -> bool:
        return self.version in (entry.version, getattr(entry, "replaced", None))

    def _event(self, number: int, entry: Any) -> LedgerEvent:
        act = entry if isinstance(entry, SignedAct) else SignedAct()
        state, predicate = self._statement(number, act)
        signer = predicate.get("person") or {}
        name = _opened(signer, act.person)
        if name is None and act.person:
            name = Commitments(self.home).name_of("person", act.person)
        unsigned = ", signed by nobody" if act.statement and not act.key else ""
        return LedgerEvent(
            entry=number,
            kind=entry.kind,
            what=_words(entry, self.version) + unsigned,
            time=entry.time,
            before=entry.time <= self.moment,
            signed=predicate.get("time") if act.key else None,
            person=act.person,
            name=name,
            role=predicate.get("role"),
            reason=predicate.get("reason") or getattr(entry, "reason", None),
            statement=state,
        )

    def _statement(self, number: int, act: SignedAct) -> tuple[State | None, dict[str, Any]]:
        """Return the state of a statement, and what it says; nothing if it does not hold."""
        if act.statement is None:
            return None, {}
        path = statement_file(self.home, self.pipeline, act.statement)
        try:
            content = path.read_bytes()
        except OSError:
            self.problems.append(f"the statement of entry {number} is gone")
            return "gone", {}
        try:
            if sha256(content).hexdigest() != act.statement:
                raise InvalidError("its SHA-256 differs")
            key = person_key(act.key) if act.key else None
            return "whole", dict(parse_statement(content, key)["predicate"])
        except (InvalidError, KeyError, TypeError, ValueError) as error:
            self.problems.append(f"the statement of entry {number} was changed: {error}")
            return "changed", {}


def _opened(signer: dict[str, Any], commitment: str | None) -> str | None:
    """Return the name in a statement if it is the one that the ledger has a commitment to."""
    try:
        name, salt = str(signer["name"]), str(signer["salt"])
        return name if commit(salt, name) == commitment else None
    except (KeyError, ValueError):
        return None


def _words(entry: Kind, version: int) -> str:
    """Say in words what an entry says of a version."""
    match entry:
        case CandidateDecided():
            return entry.decision
        case ChampionMade() if entry.version != version:
            return f"replaced by version {entry.version}"
        case ChampionMade():
            before = f", in place of version {entry.replaced}" if entry.replaced else ""
            back = "champion again by a roll-back" if entry.rollback else "became champion"
            return f"{back}{before}"
        case RolloutStarted():
            share = f", {entry.share / 100:g} % of callers" if entry.mode == "canary" else ""
            return f"began as a {entry.mode} beside version {entry.champion}{share}"
        case RolloutEnded(outcome="ended by a person"):
            return "its roll-out was ended"
        case RolloutEnded():
            return f"its roll-out ended: {entry.outcome}"
        case ServingChanged():
            return entry.action
        case _:
            return entry.kind
