"""What people decided about a version, with the statements that they signed, if they had to.

Whether a statement is the one that its entry names, and its signature holds, is found out in
`factory_assets.audit.trace.answer.events`.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from factory_assets.audit.trace.answer.events import EventReader
from factory_assets.audit.trace.report import State
from factory_resources.home.home import Home
from factory_resources.ledger.entry import SignedAct
from factory_resources.ledger.ledger import entry_in
from factory_resources.ledger.log import Log
from factory_resources.ledger.statements import statement_file


@dataclass(frozen=True)
class DecisionLine:
    """One decision of a person."""

    number: int
    """Its entry."""
    act: str
    """In words, such as `approved`, or `stopped, signed by nobody`."""
    time: str
    """When it was entered: UTC, ISO 8601."""
    person: str
    """The name; empty if nothing opens the commitment in the ledger."""
    role: str
    reason: str
    key: str
    """By which it was signed; empty if nobody signed it."""
    statement: str
    """The digest of the statement."""
    state: State
    """`whole` if it is the one that the entry names, and its signature holds if it has one."""
    shown: str
    """The text that the person was shown; empty if the statement does not hold."""


def decisions_of(log: Log, pipeline: str, version: int, home: Home) -> Iterator[DecisionLine]:
    """Yield the decisions about a version: as a candidate, then while it served."""
    events = EventReader(log, home, pipeline, version, datetime.now(UTC).isoformat(), [])
    seen: set[str] = set()
    for event in (*events.approvals(), *events.serving()):
        entry = entry_in(log, event.entry)
        digest = entry.statement if isinstance(entry, SignedAct) else None
        # The entry that a version serves may name the statement of the approval.
        if digest is None or digest in seen or event.statement is None:
            continue
        seen.add(digest)
        yield DecisionLine(
            event.entry,
            event.what,
            event.time,
            event.name or "",
            event.role or "",
            event.reason or "",
            getattr(entry, "key", None) or "",
            digest,
            event.statement,
            _shown(home, pipeline, digest) if event.statement == "whole" else "",
        )


def _shown(home: Home, pipeline: str, digest: str) -> str:
    """Return the text in a statement that holds."""
    content = json.loads(statement_file(home, pipeline, digest).read_bytes())
    predicate = json.loads(b64decode(content["payload"]))["predicate"]
    return str(predicate.get("shown", ""))
