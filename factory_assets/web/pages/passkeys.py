"""A person's own passkeys: what the page shows of them, adding one and removing one.

Logging in by one belongs in `web.door.passkeys`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from starlette.requests import Request

from factory_assets.declarations.people import has_people_file, load_people
from factory_assets.web.access_log import AccessLog
from factory_assets.web.visitor import Visitor, visitor_of
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home
from factory_resources.security.challenges import Challenges
from factory_resources.security.passkey_proofs import (
    PasskeyError,
    PasskeyOffer,
    RelyingParty,
    creation_options,
    passkey_offer,
    public_line,
    verify_registration,
)
from factory_resources.security.passkeys import Passkey, Passkeys
from factory_resources.security.sessions import Sessions

_FRESH = 600
"""Seconds after a login in which its session may add a passkey: a stolen one is older, mostly."""

_LONGEST = 64
"""Characters of a passkey's name."""


@dataclass(frozen=True)
class PasskeyRow:
    """A passkey as the page shows it."""

    id: str
    name: str
    host: str
    created: str
    """UTC, ISO 8601."""
    signs: bool
    """Whether `people.yaml` has it, so that its person decides by it."""
    line: str | None
    """What is to be added there; None if the kind of its key cannot be."""


@dataclass(frozen=True)
class PasskeyView:
    """What the page shows of the visitor's passkeys."""

    keys: tuple[PasskeyRow, ...]
    offer: PasskeyOffer
    is_fresh: bool
    """Whether the visitor logged in so recently that one may be added."""


class OwnPasskeys:
    """The passkeys of visitors of one home; may be used by several threads.

    Raises:
        StorageError: from all methods, if a file or the ledger cannot be read or written.
    """

    def __init__(self, home: Home, log: AccessLog, *, secure: bool) -> None:
        self._log, self._secure = log, secure
        self._passkeys, self._sessions = Passkeys(home), Sessions(home)
        self._challenges = Challenges()

    def read(self, request: Request) -> PasskeyView | None:
        """Return what the page shows; None if there are no passkeys here.

        The owner of a machine without people logs in by a link.
        """
        offer = offer_at(request, secure=self._secure)
        if offer == "none":
            return None
        visitor = visitor_of(request.scope)
        declared = declared_keys(visitor)
        rows = tuple(_row(one, declared) for one in self._passkeys.of(visitor.name))
        return PasskeyView(rows, offer, self._is_fresh(visitor))

    def options(self, request: Request) -> str:
        """Return what the visitor's browser needs to make a passkey, as JSON.

        Raises:
            RefusedError: this address has no passkeys, or the login was too long ago.
        """
        visitor, site = self._require(request)
        challenge = self._challenges.new(visitor.session)
        return creation_options(site, visitor.name, challenge, self._passkeys.of(visitor.name))

    def add(self, request: Request, name: str, answer: str) -> None:
        """Let a passkey that the visitor's browser made count from now on.

        Raises:
            RefusedError: as from `options`; or it was not made as asked, or has no name.
        """
        visitor, site = self._require(request)
        challenge = self._challenges.take(visitor.session)
        name = " ".join(name.split())[:_LONGEST]
        if not name or not name.isprintable():
            raise RefusedError("the passkey has no name", remedy="give it one, and add it again")
        try:
            if challenge is None:
                raise PasskeyError("the challenge has expired")
            known = self._passkeys.of(visitor.name)
            made = verify_registration(
                answer, site, challenge, known, person=visitor.name, name=name
            )
        except PasskeyError as error:
            self._log.refused("not allowed", "add passkey", visitor)
            raise RefusedError(
                "the browser's answer is not valid, or took longer than two minutes",
                remedy="add the passkey again",
            ) from error
        self._log.acts(visitor, "factory", ("add passkey",), (_digest(made.id),))
        self._passkeys.add(made)

    def remove(self, request: Request, passkey_id: str) -> None:
        """Let a passkey of the visitor count no more; nothing if the visitor has no such one."""
        visitor = visitor_of(request.scope)
        if any(one.id == passkey_id for one in self._passkeys.of(visitor.name)):
            self._log.acts(visitor, "factory", ("remove passkey",), (_digest(passkey_id),))
            self._passkeys.remove(visitor.name, passkey_id)

    def _require(self, request: Request) -> tuple[Visitor, RelyingParty]:
        visitor = visitor_of(request.scope)
        site = RelyingParty.of(request.headers.get("host", ""), secure=self._secure)
        if offer_at(request, secure=self._secure) != "here" or site is None:
            self._log.refused("not allowed", "add passkey", visitor)
            raise RefusedError(
                "a passkey cannot be added at this address",
                remedy="open the page by a host name with https, or as localhost",
            )
        if not self._is_fresh(visitor):
            self._log.refused("not allowed", "add passkey", visitor)
            raise RefusedError(
                "your login was more than ten minutes ago", remedy="log out and in again"
            )
        return visitor, site

    def _is_fresh(self, visitor: Visitor) -> bool:
        now = time.time()
        return any(
            one.sha256 == visitor.session and now - one.began < _FRESH
            for one in self._sessions.of(visitor.name)
        )


def offer_at(request: Request, *, secure: bool) -> PasskeyOffer:
    """Return whether passkeys work at the address by which the visitor came."""
    host = request.headers.get("host", "")
    return passkey_offer(host, secure=secure) if has_people_file() else "none"


def declared_keys(visitor: Visitor) -> tuple[str, ...]:
    """Return the visitor's keys in `people.yaml`."""
    person = load_people().get(visitor.name)
    return person.keys if person else ()


def _row(passkey: Passkey, declared: tuple[str, ...]) -> PasskeyRow:
    created = datetime.fromtimestamp(passkey.created, UTC).isoformat(timespec="seconds")
    line = public_line(passkey)
    return PasskeyRow(passkey.id, passkey.name, passkey.host, created, line in declared, line)


def _digest(passkey_id: str) -> str:
    """Return by what the ledger knows a passkey; its name may tell of the person."""
    return f"passkey {sha256(passkey_id.encode()).hexdigest()[:16]}"
