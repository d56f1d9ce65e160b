"""Decide about a candidate by a passkey, which signs the statement in the browser.

What the page shows of the candidate, and entering what is signed, belongs in `approvals`. A passkey
signs only if `people.yaml` has it: an owner of the machine vouches for it, not the door alone.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from hashlib import sha256

from starlette.requests import Request

from factory_assets.execution.decided import Verb
from factory_assets.execution.signed_decision import DecidedBy, decision_payload, require_reason
from factory_assets.web.access_log import AccessLog
from factory_assets.web.pages.approvals import approval_view, enter_statement
from factory_assets.web.pages.passkeys import declared_keys, offer_at
from factory_assets.web.visitor import Visitor, visitor_of
from factory_resources.errors import RefusedError
from factory_resources.home.home import Home
from factory_resources.ledger.statements import passkey_envelope
from factory_resources.security.challenges import Challenges
from factory_resources.security.passkey_proofs import (
    PasskeyError,
    PasskeyOffer,
    RelyingParty,
    passkey_id_in,
    public_line,
    request_options,
    signature_in,
    verify_authentication,
)
from factory_resources.security.passkeys import Passkey, Passkeys

VALID = 300
"""Seconds for which a statement waits for its signature."""

_VERBS: dict[str, Verb] = {"approved": "approved", "refused": "refused"}


@dataclass(frozen=True)
class SigningView:
    """Whether the visitor can decide by a passkey here."""

    offer: PasskeyOffer
    can_sign: bool
    """Whether one of the visitor's passkeys for this address is in `people.yaml`."""
    lines: tuple[str, ...]
    """Of those that are not: what to add there."""


class PasskeyDecisions:
    """Decisions by passkeys of one home; may be used by several threads.

    Raises:
        StorageError: from all methods, if a file or the ledger cannot be read or written.
    """

    def __init__(self, home: Home, log: AccessLog, *, secure: bool) -> None:
        self._home, self._log, self._secure = home, log, secure
        self._passkeys, self._statements = Passkeys(home), Challenges(VALID)

    def read(self, request: Request) -> SigningView:
        """Return what the page shows the visitor."""
        offer, visitor = offer_at(request, secure=self._secure), visitor_of(request.scope)
        site = self._site(request)
        if offer != "here" or site is None:
            return SigningView(offer, can_sign=False, lines=())
        declared = declared_keys(visitor)
        lines = [public_line(one) for one in self._at(site, visitor)]
        missing = tuple(line for line in lines if line and line not in declared)
        return SigningView(offer, any(line in declared for line in lines), missing)

    def options(self, request: Request, fields: dict[str, str], name: str, version: int) -> str:
        """Fix the statement, and return what the browser needs to let a passkey sign it, as JSON.

        Args:
            fields: `decision`, `reason`, and in `shown` the digest of the text on the page.

        Raises:
            RefusedError: the visitor has no passkey that signs here, or what the page showed is
                not what holds by now.
            FactoryError: nothing is to be decided, or no reason is given.
        """
        visitor, site = visitor_of(request.scope), self._site(request)
        keys = self._signing(site, visitor) if site else ()
        if site is None or not keys:
            raise RefusedError(
                "none of your passkeys for this address is in people.yaml",
                remedy="let an owner of the machine add the line that this page shows",
            )
        verb, reason = _VERBS.get(fields.get("decision", "")), fields.get("reason", "")
        if verb is None:
            raise RefusedError("no decision was made", remedy="approve or refuse")
        view = approval_view(name, version, self._home)
        if view.digest != fields.get("shown"):
            raise RefusedError(
                "what this page shows has changed meanwhile", remedy="load the page again"
            )
        statement = decision_payload(
            verb,
            view.deployed,
            require_reason(reason),
            self._home,
            by=DecidedBy(visitor.name, view.role),
            shown=view.text,
        )
        self._statements.new(visitor.session, statement)
        return request_options(site, sha256(statement).digest(), keys, VALID)

    def enter(self, request: Request, answer: str, name: str, version: int) -> str:
        """Enter the statement that a passkey of the visitor signed; return what came of it.

        Raises:
            RefusedError: it does not count.
            FactoryError: there is no such candidate, or the ledger cannot be written.
        """
        visitor, site = visitor_of(request.scope), self._site(request)
        statement = self._statements.take(visitor.session)
        try:
            if site is None or statement is None:
                raise PasskeyError("nothing waits for a signature")
            content = self._signed(answer, site, statement, visitor)
        except PasskeyError as error:
            self._log.refused("not allowed", f"decide {name}@{version}", visitor)
            raise RefusedError(
                "the passkey's signature is not valid, or took longer than five minutes",
                remedy="decide again; nothing was changed",
            ) from error
        self._log.acts(visitor, "factory", ("decide",), (f"{name}@{version}",))
        return enter_statement(name, version, content, self._home)

    def _signed(self, answer: str, site: RelyingParty, statement: bytes, visitor: Visitor) -> bytes:
        """Return the envelope of a statement that a passkey of the visitor signed."""
        used = passkey_id_in(answer)
        passkey = next((one for one in self._signing(site, visitor) if one.id == used), None)
        if passkey is None:
            raise PasskeyError("it is not a passkey by which the visitor signs")
        challenge = sha256(statement).digest()
        count = verify_authentication(answer, site, challenge, passkey, is_known=True)
        if not self._passkeys.use(passkey, count):
            raise PasskeyError("it was removed, or its device's signature counter went back")
        line = public_line(passkey) or ""
        return passkey_envelope(statement, line, **asdict(signature_in(answer)))

    def _signing(self, site: RelyingParty, visitor: Visitor) -> tuple[Passkey, ...]:
        """Return the visitor's passkeys by which they sign at a site."""
        declared = declared_keys(visitor)
        return tuple(one for one in self._at(site, visitor) if public_line(one) in declared)

    def _at(self, site: RelyingParty, visitor: Visitor) -> list[Passkey]:
        return [one for one in self._passkeys.of(visitor.name) if one.host == site.name]

    def _site(self, request: Request) -> RelyingParty | None:
        is_here = offer_at(request, secure=self._secure) == "here"
        host = request.headers.get("host", "")
        return RelyingParty.of(host, secure=self._secure) if is_here else None
