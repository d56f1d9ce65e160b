"""Log in by a link or a password, and log out.

Logging in by a passkey belongs in `passkeys`, at an identity provider in `oidc`. What the pages
look like belongs in `web.pages`.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest
from math import ceil
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from factory_assets.execution.people import enter_people
from factory_assets.serving.http.limits import RateLimit
from factory_assets.web.access_log import AccessLog
from factory_assets.web.door.bodies import read_form
from factory_assets.web.door.doorkeeper import Doorkeeper
from factory_assets.web.door.lockout import Lockout
from factory_assets.web.pages.rendering import PASSKEY_SCRIPT, page
from factory_assets.web.visitor import Visitor
from factory_resources.errors import FactoryError
from factory_resources.home.home import Home
from factory_resources.ledger.access_entries import LoginMethod
from factory_resources.security.login_links import LoginLinks
from factory_resources.security.passkey_proofs import passkey_offer
from factory_resources.security.passwords import Passwords
from factory_resources.security.request_guard import Message
from factory_resources.security.sessions import LIFETIME, Sessions

T = TypeVar("T")

CHECKS = 5.0
"""Passwords that are checked a second; each takes some 50 ms of one core."""

_WRONG = "The name or the password is wrong."

_LOCAL_PATH = re.compile(r"/(?![/\\])[^\x00-\x20\\\x7f]*")


@dataclass(frozen=True)
class Cookie:
    """The cookie with the id of a session."""

    name: str
    """It has the port: browsers send cookies to every port of a host."""
    secure: bool

    def set(self, response: Response, text: str) -> None:
        """Let the browser keep it."""
        response.set_cookie(
            self.name,
            text,
            max_age=LIFETIME,
            httponly=True,
            samesite="lax",
            secure=self.secure,
        )


class Login:
    """The handlers of `/login` and `/logout`.

    Args:
        disk_thread: runs what waits for the disk.
        hashing: runs one check of a password at a time.
        peer: returns the system user behind a request, None if the kernel does not tell it.
        provider: the host of the identity provider that the page offers, if any.
    """

    def __init__(
        self,
        home: Home,
        doorkeeper: Doorkeeper,
        sessions: Sessions,
        log: AccessLog,
        cookie: Cookie,
        disk_thread: Executor,
        hashing: Executor,
        peer: Callable[[Message], int | None],
        provider: str | None = None,
    ) -> None:
        self._home, self._doorkeeper, self._sessions = home, doorkeeper, sessions
        self._log, self._cookie, self._disk_thread, self._peer = log, cookie, disk_thread, peer
        self._hashing, self._provider = hashing, provider
        self._links, self._passwords, self._lockout = LoginLinks(home), Passwords(home), Lockout()
        self._checks = RateLimit(CHECKS)

    async def form(self, request: Request) -> Response:
        """Show the form, or let in whoever has a link."""
        token = request.query_params.get("token")
        # Who asks by HEAD only looks at a link, and does not use it up.
        if token and request.method == "GET":
            return await self._by_link(request, token)
        return self.show(request, local_path(request.query_params.get("next")))

    async def _by_link(self, request: Request, token: str) -> Response:
        if self._peer(request.scope) not in (None, 0, os.geteuid()):
            await self.in_thread(self._log.refused, "wrong login", "link of another user")
            text = "Another user of this machine started this factory."
            return self.show(request, "/", text, 403)
        if not await self.in_thread(self._links.use, token):
            await self.in_thread(self._log.refused, "wrong login", "link")
            text = "This link was used before, or is older than ten minutes."
            return self.show(request, "/", text, 401)
        try:
            owner = self._doorkeeper.owner()
        except FactoryError as error:
            return self.show(request, "/", str(error), 403)
        return await self.let_in(request, owner, "link", "/")

    async def by_password(self, request: Request) -> Response:
        """Check name and password."""
        form = await read_form(request)
        name, password = form.get("name", "").strip()[:64], form.get("password", "")
        after = local_path(form.get("next"))
        if request.headers.get("origin") is None:
            await self.in_thread(self._log.refused, "another site", "login")
            return self.show(request, after, "The form was not sent by this page.", 403)
        if wait := self._lockout.wait(name):
            await self.in_thread(self._log.refused, "locked out", "login")
            return self.later(request, after, wait)
        if wait := self._checks.take():
            await self.in_thread(self._log.refused, "locked out", "login")
            return self.later(request, after, wait)
        right = await self._in(self._hashing, self._passwords.is_right, name, password)
        # Somebody else may have failed with this name meanwhile.
        if wait := self._lockout.wait(name):
            return self.later(request, after, wait)
        people = self._doorkeeper.people() or {}
        if not right or name not in people or not people[name].roles:
            self._lockout.failed(name)
            await self.in_thread(self._log.refused, "wrong login", "login")
            return self.show(request, after, _WRONG, 401)
        self._lockout.succeeded(name)
        return await self.let_in(request, name, "password", after)

    async def let_in(
        self, request: Request, person: str, method: LoginMethod, after: str
    ) -> Response:
        """Begin a session of a person who may come in, and lead to a page."""

        def begin() -> str | None:
            enter_people(self._home)
            text, session = self._sessions.begin(
                person,
                method,
                user=self._peer(request.scope),
                browser=request.headers.get("user-agent", ""),
            )
            visitor = self._doorkeeper.visitor(session)
            if visitor is None:
                # The roles were withdrawn since they were looked at.
                self._sessions.end([session.sha256])
                return None
            try:
                self._log.started(visitor, method)
            except FactoryError:
                # Whoever is not in the ledger does not come in.
                self._sessions.end([session.sha256])
                raise
            return text

        # The browser's former session, if any, ends: it may be somebody else's.
        if former := self._sessions.find(request.cookies.get(self._cookie.name, "")):
            await self.in_thread(self.end, former.sha256)
        if (text := await self.in_thread(begin)) is None:
            await self.in_thread(self._log.refused, "wrong login", "login")
            return self.show(request, "/", "You no longer have access to this factory.", 403)
        response = RedirectResponse(after, 303, {"cache-control": "no-store"})
        self._cookie.set(response, text)
        return response

    async def out(self, request: Request, visitor: Visitor) -> Response:
        """End the visitor's session, or another one of the same person that the form names."""
        form = await read_form(request)
        text = request.cookies.get(self._cookie.name, "")
        if not compare_digest(form_token(text).encode(), form.get("form_token", "").encode()):
            await self.in_thread(self._log.refused, "another site", "logout", visitor)
            return self.show(request, "/", "The form was not sent by this page.", 403)
        wanted = form.get("session") or visitor.session
        mine = {session.sha256 for session in self._sessions.of(visitor.name)}
        if wanted in mine:
            await self.in_thread(self.end, wanted)
        response = RedirectResponse("/login" if wanted == visitor.session else "/me", 303)
        if wanted == visitor.session:
            response.delete_cookie(self._cookie.name)
        return response

    def end(self, session: str) -> None:
        """End a session, and enter that it ended."""
        if self._sessions.end([session]):
            self._log.ended(session)

    def later(self, request: Request, after: str, wait: float) -> Response:
        """Return the page that asks to wait so many seconds."""
        text = f"Too many tries. Try again in {ceil(wait)} seconds."
        response = self.show(request, after, text, 429)
        response.headers["retry-after"] = str(ceil(wait))
        return response

    def show(self, request: Request, after: str, message: str = "", status: int = 200) -> Response:
        """Return the page of the login."""
        has_people = self._doorkeeper.people() is not None
        passkeys = passkey_offer(request.headers.get("host", ""), secure=self._cookie.secure)
        return page(
            "login",
            status,
            script=PASSKEY_SCRIPT if has_people and passkeys == "here" else "",
            next=after,
            message=message,
            has_people=has_people,
            passkeys=passkeys,
            provider=self._provider,
        )

    async def in_thread(self, do: Callable[..., T], *args: Any) -> T:
        """Run a function that waits for the disk in a thread, and return its result."""
        return await self._in(self._disk_thread, do, *args)

    async def _in(self, executor: Executor, do: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, do, *args)


def form_token(text: str) -> str:
    """Return what every form of a page has, so that no other site can send it.

    Args:
        text: the id of the session, which only its browser has.
    """
    return sha256(b"form " + text.encode()).hexdigest()


def local_path(path: str | None) -> str:
    """Return the path of a page behind this door, `/` for anything else."""
    return path if path and _LOCAL_PATH.fullmatch(path) else "/"
