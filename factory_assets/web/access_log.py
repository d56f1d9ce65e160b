"""Enter in the ledger who came through the front door, what they did there, and who was refused.

Deciding what is refused belongs in `web.door`, `web.dagster` and `web.mlflow`.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from factory_assets.web.visitor import Visitor
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.access_entries import (
    AccessRefused,
    ActionTaken,
    Application,
    LoginMethod,
    RefusalReason,
    SessionEnded,
    SessionStarted,
)
from factory_resources.ledger.ledger import Ledger
from factory_resources.security.commitments import Commitments

_TOGETHER = 60.0
"""Seconds within which refusals of one kind become one entry, so that nobody can fill the disk."""

_KINDS_TOGETHER = 50
"""Kinds of refusals that are counted apart within that time; the others are counted as one, since
anybody can ask for as many addresses as they like, and no entry goes away again."""

_TEXT, _MOST = 200, 50
"""Characters of a name, and names of one kind, in an entry."""

_Refusal = tuple[RefusalReason, str | None, str | None]


class AccessLog:
    """Writes to the ledger of one home; may be used by several threads.

    Raises:
        StorageError: from all methods but `refused`, if the ledger cannot be written: what is not
            entered may not be done.
    """

    def __init__(self, home: Home) -> None:
        self._ledger = Ledger(home)
        self._commitments = Commitments(home)
        self._lock = threading.Lock()
        self._waiting: dict[_Refusal, int] = {}
        self._flushed = -_TOGETHER

    def started(self, visitor: Visitor, method: LoginMethod) -> None:
        """Enter that a person logged in."""
        self._ledger.append(
            [
                SessionStarted(
                    subject=SessionStarted.subject_of(session=visitor.session),
                    session=visitor.session,
                    person=self._person(visitor.name),
                    method=method,
                    roles=tuple(sorted(visitor.roles)),
                )
            ]
        )

    def ended(self, session: str) -> None:
        """Enter that a session was ended before its time."""
        subject = SessionEnded.subject_of(session=session)
        self._ledger.append([SessionEnded(subject=subject, session=session)])

    def acts(
        self,
        visitor: Visitor,
        application: Application,
        operations: tuple[str, ...],
        about: tuple[str, ...] = (),
    ) -> int:
        """Enter what a person is about to do, durably, and return the entry's number."""
        entry = ActionTaken(
            subject=ActionTaken.subject_of(session=visitor.session),
            session=visitor.session,
            person=self._person(visitor.name),
            application=application,
            operations=tuple(one[:_TEXT] for one in operations[:_MOST]),
            about=tuple(one[:_TEXT] for one in about[:_MOST]),
        )
        return self._ledger.append([entry])[0]

    def refused(
        self, reason: RefusalReason, operation: str | None = None, visitor: Visitor | None = None
    ) -> None:
        """Count a refusal; it is entered now, or with the others of its kind within a minute.

        If the ledger cannot be written, it waits on: who is refused is refused all the same.
        """
        person = self._person(visitor.name) if visitor else None
        refusal = (reason, operation and operation[:_TEXT], person)
        with self._lock:
            if refusal not in self._waiting and len(self._waiting) >= _KINDS_TOGETHER:
                refusal = (reason, None, None)
            self._waiting[refusal] = self._waiting.get(refusal, 0) + 1
            is_due = time.monotonic() - self._flushed > _TOGETHER
        if is_due:
            with suppress(StorageError):
                self.flush()

    def flush(self) -> None:
        """Enter the refusals that were counted; they wait on if the ledger cannot be written."""
        with self._lock:
            waiting = dict(self._waiting)
            self._flushed = time.monotonic()
            if not waiting:
                return
            self._ledger.append(
                [
                    AccessRefused(
                        subject=AccessRefused.subject_of(),
                        reason=reason,
                        operation=operation,
                        person=person,
                        count=number,
                    )
                    for (reason, operation, person), number in waiting.items()
                ]
            )
            self._waiting.clear()

    def _person(self, name: str) -> str:
        return self._commitments.of("person", name)
