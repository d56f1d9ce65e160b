"""Log in by a passkey, which the page's script asks the browser for.

Adding and removing passkeys belongs in `web.pages.passkeys`; what a passkey is, in
`factory_resources.security.passkeys`.
"""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from factory_assets.serving.http.limits import RateLimit
from factory_assets.web.access_log import AccessLog
from factory_assets.web.door.bodies import read_form
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_assets.web.door.lockout import Lockout
from factory_assets.web.door.login import CHECKS, Cookie, Login, local_path
from factory_resources.home.home import Home
from factory_resources.security.challenges import VALID, Challenges
from factory_resources.security.passkey_proofs import (
    PasskeyError,
    RelyingParty,
    passkey_id_in,
    passkey_offer,
    request_options,
    verify_authentication,
)
from factory_resources.security.passkeys import Passkey, Passkeys

_WRONG = "This passkey is not known here. Log in another way, and see your passkeys on your page."

_LATE = "This was tried before, or took longer than two minutes. Try again."


class PasskeyLogin:
    """The handlers of `/login/passkey`.

    Failures lock the passkeys of a person as those of passwords lock the name, but not each other:
    whoever guesses passwords locks nobody's passkey.
    """

    def __init__(
        self, home: Home, login: Login, doorkeeper: Doorkeeper, log: AccessLog, cookie: Cookie
    ) -> None:
        self._login, self._doorkeeper, self._log, self._cookie = login, doorkeeper, log, cookie
        self._passkeys, self._challenges = Passkeys(home), Challenges()
        self._lockout, self._checks = Lockout(), RateLimit(CHECKS)
        self._name = f"{cookie.name}_passkey"

    async def options(self, request: Request) -> Response:
        """Return what the browser needs to use a passkey, and let it keep whose challenge it is."""
        site = self._site(request)
        if site is None:
            return PlainTextResponse("There are no passkeys at this address.", 404)
        asker = secrets.token_urlsafe(32)
        challenge = self._challenges.new(asker)
        text = await self._login.in_thread(request_options, site, challenge)
        headers = {"cache-control": "no-store"}
        response = Response(text, media_type="application/json", headers=headers)
        response.set_cookie(
            self._name,
            asker,
            max_age=VALID,
            path="/login/passkey",
            httponly=True,
            samesite="strict",
            secure=self._cookie.secure,
        )
        return response

    async def log_in(self, request: Request) -> Response:
        """Let in whoever has a passkey."""
        form = await read_form(request)
        after = local_path(form.get("next"))
        site = self._site(request)
        if site is None or request.headers.get("origin") is None:
            await self._login.in_thread(self._log.refused, "another site", "passkey")
            return self._login.show(request, after, "The form was not sent by this page.", 403)
        challenge = self._challenges.take(request.cookies.get(self._name, ""))
        if wait := self._checks.take():
            return await self._later(request, after, wait)
        if challenge is None:
            return await self._wrong(request, after, _LATE)
        answer = form.get("credential", "")
        passkey = await self._login.in_thread(self._find, answer)
        if passkey is None:
            return await self._wrong(request, after, _WRONG)
        if wait := self._lockout.wait(passkey.person):
            return await self._later(request, after, wait)
        try:
            await self._login.in_thread(self._require, answer, site, challenge, passkey)
        except PasskeyError:
            self._lockout.failed(passkey.person)
            return await self._wrong(request, after, _WRONG)
        self._lockout.succeeded(passkey.person)
        return await self._login.let_in(request, passkey.person, "passkey", after)

    def _find(self, answer: str) -> Passkey | None:
        """Return the passkey that an answer names; None if it names none that is known."""
        try:
            return self._passkeys.find(passkey_id_in(answer))
        except PasskeyError:
            return None

    def _require(self, answer: str, site: RelyingParty, challenge: bytes, passkey: Passkey) -> None:
        """Require that a passkey signed, and that its person may come in."""
        signed = verify_authentication(answer, site, challenge, passkey)
        people = self._doorkeeper.people() or {}
        if passkey.person not in people or not people[passkey.person].roles:
            raise PasskeyError("its person has no access")
        if not self._passkeys.use(passkey, signed):
            raise PasskeyError("it was removed, or its device's signature counter went back")

    def _site(self, request: Request) -> RelyingParty | None:
        host = request.headers.get("host", "")
        is_offered = passkey_offer(host, secure=self._cookie.secure) == "here"
        return RelyingParty.of(host, secure=self._cookie.secure) if is_offered else None

    async def _wrong(self, request: Request, after: str, text: str) -> Response:
        await self._login.in_thread(self._log.refused, "wrong login", "passkey")
        return self._login.show(request, after, text, 401)

    async def _later(self, request: Request, after: str, wait: float) -> Response:
        await self._login.in_thread(self._log.refused, "locked out", "passkey")
        return self._login.later(request, after, wait)
