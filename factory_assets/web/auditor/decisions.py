"""What people decided about a version, with the statements that they signed."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from factory_resources.home.home import Home
from factory_resources.ledger.entries import (
    CandidateDecided,
    ChampionMade,
    Kind,
    ServingChanged,
)
from factory_resources.ledger.ledger import entry_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.rollout_entries import RolloutEnded
from factory_resources.ledger.statements import statement_file

_ACTS = (CandidateDecided, ChampionMade, ServingChanged, RolloutEnded)


@dataclass(frozen=True)
class DecisionLine:
    """One decision that a person signed."""

    number: int
    """Its entry."""
    act: str
    """Such as `approved`."""
    time: str
    """When it was entered: UTC, ISO 8601."""
    person: str
    """The name, which is in the statement only."""
    role: str
    reason: str
    key: str
    statement: str
    """The digest of the statement."""
    shown: str
    """The text that the person was shown."""


def decisions_of(log: Log, pipeline: str, version: int, home: Home) -> Iterator[DecisionLine]:
    """Yield the signed decisions about a version, the oldest first."""
    subjects = (
        CandidateDecided.subject_of(pipeline=pipeline, version=version),
        ChampionMade.subject_of(pipeline=pipeline),
        ServingChanged.subject_of(pipeline=pipeline),
        RolloutEnded.subject_of(pipeline=pipeline),
    )
    seen: set[str] = set()
    for number in sorted({one for subject in subjects for one in log.numbers(subject)}):
        entry = entry_in(log, number)
        if not isinstance(entry, _ACTS) or entry.pipeline != pipeline:
            continue
        if entry.version == version and entry.statement and entry.statement not in seen:
            seen.add(entry.statement)
            yield _line(number, entry, entry.statement, entry.key or "", home)


def _line(number: int, entry: Kind, digest: str, key: str, home: Home) -> DecisionLine:
    said = read_statement(home, getattr(entry, "pipeline", ""), digest)
    person = said.get("person")
    return DecisionLine(
        number,
        str(said.get("decision", entry.kind)),
        entry.time,
        str(person.get("name", "")) if isinstance(person, dict) else "",
        str(said.get("role", "")),
        str(said.get("reason", "")),
        key,
        digest,
        str(said.get("shown", "")),
    )


def read_statement(home: Home, pipeline: str, digest: str) -> dict[str, Any]:
    """Return what a stored statement says; nothing if it is gone or damaged.

    Whether its signature holds is found out by a verification.
    """
    try:
        content = statement_file(home, pipeline, digest).read_bytes()
        said = json.loads(b64decode(json.loads(content)["payload"]))["predicate"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}
