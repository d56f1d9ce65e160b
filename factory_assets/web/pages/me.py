"""What a person sees of themselves: roles, sessions, tokens, and what waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from factory_assets.web.pages.overview import OverviewReader
from factory_assets.web.pages.waits import Wait
from factory_assets.web.visitor import Visitor
from factory_resources.home.home import Home
from factory_resources.security.commitments import Commitments
from factory_resources.security.sessions import Session, Sessions
from factory_resources.security.tokens import Token, Tokens


@dataclass(frozen=True)
class OwnSession:
    """One of the visitor's sessions."""

    id: str
    """The hash of its id."""
    began: str
    """UTC, ISO 8601."""
    used: str
    """When it was used last, within a minute: UTC, ISO 8601."""
    method: str
    browser: str
    is_this: bool
    """Whether it is the one that asks."""


@dataclass(frozen=True)
class Me:
    """What the page shows."""

    visitor: Visitor
    sessions: tuple[OwnSession, ...]
    tokens: tuple[Token, ...] | None
    """Of the prediction server; None if the visitor's roles do not concern them."""
    waits: tuple[Wait, ...]

    @property
    def has_password(self) -> bool:
        """Whether the visitor logged in by one."""
        return any(one.is_this and one.method == "password" for one in self.sessions)


class MeReader:
    """Reads what people see of themselves in one home."""

    def __init__(self, home: Home, overview: OverviewReader) -> None:
        self._overview = overview
        self._sessions, self._tokens = Sessions(home), Tokens(home)
        self._commitments = Commitments(home)

    def read(self, visitor: Visitor) -> Me:
        """Return what holds for a visitor now.

        Raises:
            StorageError: a file of the home cannot be read.
        """
        sessions = self._sessions.of(visitor.name)
        return Me(
            visitor,
            tuple(_session(one, visitor) for one in sessions),
            self._tokens.list() if visitor.may_act() else None,
            tuple(self._waits(visitor)),
        )

    def _waits(self, visitor: Visitor) -> list[Wait]:
        """Return the candidates that the visitor's roles may decide about, and who did not yet."""
        found = [wait for wait in self._overview.waits() if wait.role in visitor.roles]
        if not any(wait.given for wait in found):
            return found
        person = self._commitments.of("person", visitor.name)
        return [wait for wait in found if person not in wait.given]


def _session(session: Session, visitor: Visitor) -> OwnSession:
    return OwnSession(
        session.sha256,
        _iso(session.began),
        _iso(session.used),
        session.method,
        session.browser,
        session.sha256 == visitor.session,
    )


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
