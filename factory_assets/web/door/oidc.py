"""Log in through the organisation's identity provider: out to it, and back.

What is asked of the provider belongs in `factory_resources.security.openid`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from factory_assets.serving.http.limits import RateLimit
from factory_assets.spec.settings import OpenIdConnect
from factory_assets.web.access_log import AccessLog
from factory_assets.web.door.address import DoorAddress
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_assets.web.door.login import Cookie, Login, local_path
from factory_resources.errors import FactoryError, RefusedError
from factory_resources.home.home import Home
from factory_resources.ledger.access_entries import RefusalReason
from factory_resources.security.openid import VALID, Attempts, Provider
from factory_resources.security.request_guard import host_name
from factory_resources.security.secrets import secret

_LOG = logging.getLogger("factory.door")

_BACK, _START = "/login/oidc", "/login/oidc/start"

_STARTS = 20.0
"""Logins that are begun a second; the provider is asked for each."""

_ERROR = re.compile(r"[a-z_]{1,40}")
"""The errors of OpenID Connect, such as `access_denied`."""


class OpenIdLogin:
    """The handlers of `/login/oidc/start`, which leads out, and `/login/oidc`, which leads back."""

    def __init__(
        self,
        declared: OpenIdConnect,
        home: Home,
        address: DoorAddress,
        login: Login,
        doorkeeper: Doorkeeper,
        log: AccessLog,
        cookie: Cookie,
    ) -> None:
        self._host, self._url = declared.host, address.url
        self._login, self._doorkeeper, self._log = login, doorkeeper, log
        self._cookie, self._secure = f"{cookie.name}_oidc", cookie.secure
        self._attempts, self._starts = Attempts(), RateLimit(_STARTS)
        self._provider = Provider(
            declared.issuer,
            declared.client,
            lambda: secret(declared.secret, home),
            declared.claim,
            address.url + _BACK,
        )

    @property
    def routes(self) -> Sequence[Route]:
        """Return where the handlers are; both are open to everybody."""
        return (
            Route(_START, self.start, methods=["GET"]),
            Route(_BACK, self.back, methods=["GET"]),
        )

    async def start(self, request: Request) -> Response:
        """Send the browser to the provider."""
        after = local_path(request.query_params.get("next"))
        if host_name(request.headers["host"]) != urlsplit(self._url).hostname:
            # The provider sends the browser back to one address, which must know the cookie.
            return _redirect(f"{self._url}{_START}?next={quote(after)}")
        if wait := self._starts.take():
            await self._refuse("locked out")
            return self._login.later(request, after, wait)
        try:
            if self._doorkeeper.people() is None:
                return self._login.show(request, after)
            attempt = await self._provider.begin()
        except FactoryError as error:
            return self._away(request, error, after)
        response = _redirect(attempt.url)
        response.set_cookie(
            self._cookie,
            self._attempts.add(attempt, after),
            max_age=VALID,
            path=_BACK,
            httponly=True,
            samesite="lax",
            secure=self._secure,
        )
        return response

    async def back(self, request: Request) -> Response:
        """Let in whom the provider sends back, if it is a person of this factory."""
        response = await self._back(request)
        response.delete_cookie(self._cookie, path=_BACK)
        return response

    async def _back(self, request: Request) -> Response:
        given = request.query_params
        text = request.cookies.get(self._cookie, "")
        begun = self._attempts.take(text, given.get("state", ""))
        if begun is None:
            what = "This login was used before, is older than five minutes, or is not yours."
            return await self._wrong(request, "/", f"{what} Begin again.")
        attempt, after = begun
        if "code" not in given:
            error = given.get("error", "")
            named = f" ({error})" if _ERROR.fullmatch(error) else ""
            return await self._wrong(request, after, f"{self._host} did not log you in{named}.")
        try:
            claim = await self._provider.finish(attempt, given["code"], given.get("iss"))
            person = self._doorkeeper.called(claim)
            if person is not None:
                return await self._login.let_in(request, person, "oidc", after)
        except RefusedError as error:
            _LOG.warning("%s", error)
            return await self._wrong(request, after, f"The login at {self._host} is not valid.")
        except FactoryError as error:
            return self._away(request, error, after)
        what = f"You are {claim[:256]!r} at {self._host}; nobody of that name has access here."
        return await self._wrong(request, "/", what, 403)

    async def _wrong(self, request: Request, after: str, text: str, status: int = 401) -> Response:
        await self._refuse("wrong login")
        return self._login.show(request, after, text, status)

    def _away(self, request: Request, error: FactoryError, after: str) -> Response:
        # Its remedy is for who runs the factory, and not for everybody who comes to the door.
        _LOG.error("%s", error)
        what = f"{self._host} cannot log you in now. Use a password, or try again later."
        return self._login.show(request, after, what, 503)

    async def _refuse(self, reason: RefusalReason) -> None:
        await self._login.in_thread(self._log.refused, reason, "login by oidc")


def _redirect(url: str) -> RedirectResponse:
    return RedirectResponse(url, 303, {"cache-control": "no-store"})
