"""The ASGI application at the factory's address: it finds out who asks, and who answers.

Which requests are malformed or come from another site is decided before, in
`factory_resources.security.request_guard`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from factory_assets.web.access_log import AccessLog
from factory_assets.web.door.bodies import (
    LARGEST,
    STRANGERS,
    BodyError,
    read_body,
    replay,
)
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_assets.web.door.login import Login
from factory_assets.web.door.passkeys import PasskeyLogin
from factory_assets.web.pages.rendering import PASSKEY_SCRIPT
from factory_assets.web.visitor import Visitor, set_visitor, visitor_of
from factory_resources.errors import FactoryError
from factory_resources.security.request_guard import App, Message, Receive, Send
from factory_resources.security.sessions import Session, Sessions

_LOG = logging.getLogger("factory.door")

_CLOSED = "This is not possible now. Whoever runs the factory finds the reason in logs/door.log."

_BODIES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(frozen=True)
class Applications:
    """The applications behind the door, each by the beginning of its paths."""

    by_prefix: Mapping[str, App]
    """Such as `/dagster`; without a slash at its end."""
    pages: App
    """Answers everything else."""

    def application(self, path: str) -> App:
        """Return the application that answers a path."""
        first = "/" + path[1:].partition("/")[0]
        return self.by_prefix.get(first, self.pages)


class Door:
    """Lets sessions through, and whoever has none to the login only.

    Args:
        peer: returns the system user behind a request, None if the kernel does not tell it.
        ways: more ways to log in, which are open to everybody.
    """

    def __init__(
        self,
        apps: Applications,
        login: Login,
        passkeys: PasskeyLogin,
        doorkeeper: Doorkeeper,
        sessions: Sessions,
        log: AccessLog,
        cookie: str,
        peer: Callable[[Message], int | None],
        ways: Sequence[Route] = (),
    ) -> None:
        self._apps, self._login, self._doorkeeper = apps, login, doorkeeper
        self._sessions, self._log, self._cookie = sessions, log, cookie
        self._peer = peer
        routes = [
            Route("/login", login.form, methods=["GET"]),
            Route("/login", login.by_password, methods=["POST"]),
            # Where a browser is after a login that was refused.
            Route("/login/passkey", _lead_to("/login"), methods=["GET"]),
            Route("/login/passkey", passkeys.log_in, methods=["POST"]),
            Route("/login/passkey/options", passkeys.options, methods=["POST"]),
            Route("/style.css", _style, methods=["GET"]),
            Route(PASSKEY_SCRIPT, _script, methods=["GET"]),
            Route("/healthz", _healthy, methods=["GET"]),
            # Browsers ask for it by themselves.
            Route("/favicon.ico", lambda _: Response(status_code=204), methods=["GET"]),
            *ways,
        ]
        self._open_paths = frozenset(route.path for route in routes)
        self._open = Starlette(routes=routes, exception_handlers={FactoryError: self._unavailable})
        self._out = Starlette(
            routes=[
                # Who types the address finds the button there.
                Route("/logout", _lead_to("/me"), methods=["GET"]),
                Route("/logout", self._log_out, methods=["POST"]),
            ]
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return
        try:
            if scope["type"] == "websocket":
                await self._websocket(scope, receive, send)
            else:
                await self._request(scope, receive, send)
        except BodyError as error:
            await PlainTextResponse(f"refused: {error}\n", error.status)(scope, receive, send)

    async def _request(self, scope: Message, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["method"] in _BODIES:
            is_open = path in self._open_paths or not self._is_known(scope)
            most = STRANGERS if is_open else LARGEST
            receive = replay(await read_body(scope, receive, most), receive)
        if path in self._open_paths:
            await self._open(scope, receive, send)
            return
        try:
            visitor = self._visitor(scope)
        except FactoryError as error:
            await PlainTextResponse(f"{error}\n", 503)(scope, receive, send)
            return
        if visitor is None:
            await (await self._stranger(scope))(scope, receive, send)
            return
        set_visitor(scope, visitor)
        app = self._out if path == "/logout" else self._apps.application(path)
        try:
            await app(scope, receive, send)
        except FactoryError as error:
            await PlainTextResponse(f"{error}\n", 503)(scope, receive, send)

    async def _stranger(self, scope: Message) -> Response:
        """Return the way to the login for whoever reads pages, and a refusal for all others."""
        request = Request(scope)
        is_page = "text/html" in request.headers.get("accept", "")
        had_session = self._cookie in request.cookies
        if scope["path"] == "/" and not had_session and is_page:
            # Everybody begins there; it is no attempt.
            return RedirectResponse("/login", 303)
        await self._refused(scope)
        if is_page:
            asked, query = scope["raw_path"], scope["query_string"]
            after = b"%b?%b" % (asked, query) if query else asked
            return RedirectResponse(f"/login?next={quote(after)}", 303)
        return PlainTextResponse("refused: log in first, at /login\n", 401)

    async def _websocket(self, scope: Message, receive: Receive, send: Send) -> None:
        try:
            visitor = self._visitor(scope)
        except FactoryError:
            await send({"type": "websocket.close", "code": 1013})
            return
        if visitor is None:
            await self._refused(scope)
            await send({"type": "websocket.close", "code": 4401})
            return
        set_visitor(scope, visitor)

        async def checked_receive() -> Message:
            message = await receive()
            # A websocket may outlive its session.
            if message["type"] == "websocket.receive" and not self._is_known(scope):
                await send({"type": "websocket.close", "code": 4401})
                return {"type": "websocket.disconnect", "code": 4401}
            return message

        async def checked_send(message: Message) -> None:
            if message["type"] == "websocket.send" and not self._is_known(scope):
                message = {"type": "websocket.close", "code": 4401}
            await send(message)

        app = self._apps.application(scope["path"])
        await app(scope, checked_receive, checked_send)

    def _visitor(self, scope: Message) -> Visitor | None:
        session = self._session(scope)
        return self._doorkeeper.visitor(session) if session else None

    def _is_known(self, scope: Message) -> bool:
        """Whether somebody with a session asks; not if nobody can tell."""
        try:
            return self._visitor(scope) is not None
        except FactoryError:
            return False

    def _session(self, scope: Message) -> Session | None:
        # Not by `http.cookies`, which reads none behind one that it takes for malformed: servers at
        # other ports of the host set cookies, too.
        text = HTTPConnection(scope).cookies.get(self._cookie)
        session = self._sessions.find(text) if text else None
        # On loopback, a cookie counts only for the system user who logged in: browsers send it to
        # every port of the machine, and so to servers of its other users.
        if session and session.user is not None and self._peer(scope) != session.user:
            return None
        return session

    async def _unavailable(self, request: Request, error: Exception) -> Response:
        # It may name people and files: whoever comes to the door is not told.
        _LOG.error("%s", error)
        is_own = self._peer(request.scope) in (0, os.geteuid())
        return PlainTextResponse(f"{error if is_own else _CLOSED}\n", 503)

    async def _log_out(self, request: Request) -> Response:
        return await self._login.out(request, visitor_of(request.scope))

    async def _refused(self, scope: Message) -> None:
        """Enter the refusal, and end the session if its person may come in no more."""
        try:
            # Without that, it would count again for whoever is added with the same name.
            if session := self._session(scope):
                await self._login.in_thread(self._login.end, session.sha256)
        except FactoryError as error:
            _LOG.error("a session was not ended: %s", error)
        operation = f"{scope.get('method', 'websocket')} {scope['path']}"
        await self._login.in_thread(self._log.refused, "no session", operation)


def _lead_to(page: str) -> Callable[[Request], Response]:
    return lambda _: RedirectResponse(page, 303)


async def _healthy(_: Request) -> Response:
    # As a coroutine: the threads may all wait for a database that is away.
    return PlainTextResponse("ok\n")


async def _style(_: Request) -> Response:
    return _file("style.css", "text/css")


async def _script(_: Request) -> Response:
    return _file("passkey.js", "text/javascript")


def _file(name: str, media_type: str) -> Response:
    from importlib.resources import files

    text = files("factory_assets.web.pages").joinpath(f"templates/{name}").read_text("utf-8")
    return Response(text, media_type=media_type, headers={"cache-control": "max-age=3600"})
