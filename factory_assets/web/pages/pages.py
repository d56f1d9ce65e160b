"""The ASGI application of the factory's own pages: which page is at which address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from factory_assets.web.access_log import AccessLog
from factory_assets.web.pages.approvals import ApprovalView, approval_view, enter_statement
from factory_assets.web.pages.errors import error_handlers, error_page, error_status
from factory_assets.web.pages.forms import Forms, OtherSiteError
from factory_assets.web.pages.me import MeReader
from factory_assets.web.pages.numbers import number_in_path
from factory_assets.web.pages.overview import OverviewReader
from factory_assets.web.pages.passkey_decisions import PasskeyDecisions
from factory_assets.web.pages.passkeys import OwnPasskeys
from factory_assets.web.pages.rendering import PASSKEY_SCRIPT, page
from factory_assets.web.visitor import visitor_of
from factory_resources.errors import FactoryError, RefusedError
from factory_resources.home.home import Home


def pages(home: Home, log: AccessLog, cookie: str, *, secure: bool = False) -> Starlette:
    """Return the application; every request has a visitor.

    What the first page shows is read already, which imports Dagster: not in a thread of its own,
    as Dagster's modules import each other and cannot be imported by two threads at once.

    Args:
        cookie: the name of the cookie with the session.
        secure: whether browsers come by TLS.
    """
    own, decisions = (
        OwnPasskeys(home, log, secure=secure),
        PasskeyDecisions(home, log, secure=secure),
    )
    forms = Forms(cookie)
    made = _Pages(home, log, forms, own, decisions)
    made.overview_reader.read()
    candidate = f"/approvals/{{pipeline}}/{number_in_path('version')}"
    return Starlette(
        routes=[
            Route("/", made.overview, methods=["GET"]),
            Route("/me", made.me, methods=["GET"]),
            Route("/me/passkeys", _back, methods=["GET"]),
            Route("/me/passkeys", made.add_passkey, methods=["POST"]),
            Route("/me/passkeys/options", made.passkey_options, methods=["POST"]),
            Route("/me/passkeys/remove", _back, methods=["GET"]),
            Route("/me/passkeys/remove", made.remove_passkey, methods=["POST"]),
            Route(candidate, made.approval, methods=["GET"]),
            Route(candidate, made.decide, methods=["POST"]),
            Route(f"{candidate}/passkey", _back, methods=["GET"]),
            Route(f"{candidate}/passkey", made.decide_by_passkey, methods=["POST"]),
            Route(f"{candidate}/passkey/options", made.decision_options, methods=["POST"]),
        ],
        exception_handlers=error_handlers(forms),
    )


class _Pages:
    """The handlers. Those that are no coroutines run in threads: they read files."""

    def __init__(
        self,
        home: Home,
        log: AccessLog,
        forms: Forms,
        passkeys: OwnPasskeys,
        decisions: PasskeyDecisions,
    ) -> None:
        self._home, self._log, self._forms = home, log, forms
        self._passkeys, self._decisions = passkeys, decisions
        self.overview_reader = OverviewReader(home)
        self._me = MeReader(home, self.overview_reader)

    def overview(self, request: Request) -> Response:
        return self._page(request, "overview", overview=self.overview_reader.read())

    def me(self, request: Request) -> Response:
        me, passkeys = self._me.read(visitor_of(request.scope)), self._passkeys.read(request)
        script = PASSKEY_SCRIPT if passkeys and passkeys.offer == "here" else ""
        return self._page(request, "me", script=script, me=me, passkeys=passkeys)

    async def passkey_options(self, request: Request) -> Response:
        return await self._by_form(request, "add passkey", self._passkey_options)

    def _passkey_options(self, request: Request, fields: dict[str, str]) -> Response:
        try:
            options = self._passkeys.options(request)
        except RefusedError as error:
            # The page's script shows it.
            return PlainTextResponse(str(error), 403)
        headers = {"cache-control": "no-store"}
        return Response(options, media_type="application/json", headers=headers)

    async def add_passkey(self, request: Request) -> Response:
        return await self._by_form(request, "add passkey", self._add_passkey)

    def _add_passkey(self, request: Request, fields: dict[str, str]) -> Response:
        self._passkeys.add(request, fields.get("name", ""), fields.get("credential", ""))
        return RedirectResponse("/me", 303)

    async def remove_passkey(self, request: Request) -> Response:
        return await self._by_form(request, "remove passkey", self._remove_passkey)

    def _remove_passkey(self, request: Request, fields: dict[str, str]) -> Response:
        self._passkeys.remove(request, fields.get("passkey", ""))
        return RedirectResponse("/me", 303)

    def approval(self, request: Request) -> Response:
        return self._approval(request, approval_view(*_named(request), self._home))

    def _approval(self, request: Request, view: ApprovalView, message: str = "") -> Response:
        signing = self._decisions.read(request)
        values = {"view": view, "signing": signing, "message": message}
        script = PASSKEY_SCRIPT if signing.can_sign else ""
        return self._page(request, "approval", 422 if message else 200, script=script, **values)

    async def decide(self, request: Request) -> Response:
        return await self._by_form(request, _operation(request), self._decide)

    def _decide(self, request: Request, fields: dict[str, str]) -> Response:
        visitor, (name, version) = visitor_of(request.scope), _named(request)
        view = approval_view(name, version, self._home)
        if why := self._why_not(request, view):
            return self._error(request, 403, why)
        statement = fields.get("file", "").strip() or fields.get("statement", "").strip()
        if not statement:
            text = "Choose the file of the signed decision, or paste its text."
            return self._approval(request, view, text)
        self._log.acts(visitor, "factory", ("decide",), (f"{name}@{version}",))
        try:
            done = enter_statement(name, version, statement.encode(), self._home)
        except RefusedError as error:
            return self._approval(request, view, str(error))
        return self._page(request, "decided", text=done, view=view)

    async def decision_options(self, request: Request) -> Response:
        return await self._by_form(request, _operation(request), self._decision_options)

    def _decision_options(self, request: Request, fields: dict[str, str]) -> Response:
        # The page's script shows what is refused.
        try:
            if why := self._why_not(request, approval_view(*_named(request), self._home)):
                return PlainTextResponse(why, 403)
            options = self._decisions.options(request, fields, *_named(request))
        except FactoryError as error:
            return PlainTextResponse(str(error), error_status(error))
        headers = {"cache-control": "no-store"}
        return Response(options, media_type="application/json", headers=headers)

    async def decide_by_passkey(self, request: Request) -> Response:
        return await self._by_form(request, _operation(request), self._decide_by_passkey)

    def _decide_by_passkey(self, request: Request, fields: dict[str, str]) -> Response:
        view = approval_view(*_named(request), self._home)
        if why := self._why_not(request, view):
            return self._error(request, 403, why)
        try:
            done = self._decisions.enter(request, fields.get("credential", ""), *_named(request))
        except RefusedError as error:
            return self._approval(request, view, str(error))
        return self._page(request, "decided", text=done, view=view)

    def _why_not(self, request: Request, view: ApprovalView) -> str:
        """Return why the visitor may not decide, and count the refusal; nothing if they may."""
        visitor = visitor_of(request.scope)
        if view.role in visitor.roles:
            return ""
        self._log.refused("not allowed", _operation(request), visitor)
        return f"Only a person with the role {view.role} may enter a decision."

    async def _by_form(
        self,
        request: Request,
        operation: str,
        do: Callable[[Request, dict[str, str]], Response],
    ) -> Response:
        """Do in a thread what a form asks for, if a page of this door sent it."""
        try:
            fields = await self._forms.read(request)
        except OtherSiteError:
            return await run_in_threadpool(self._foreign, request, operation)
        return await run_in_threadpool(do, request, fields)

    def _foreign(self, request: Request, operation: str) -> Response:
        self._log.refused("another site", operation, visitor_of(request.scope))
        return self._error(request, 403, "The form was not sent by this page. Open it again.")

    def _error(self, request: Request, status: int, text: str) -> Response:
        return error_page(request, self._forms, status, text)

    def _page(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        visitor, token = visitor_of(request.scope), self._forms.token(request)
        return page(name, status, visitor=visitor, form_token=token, **values)


async def _back(request: Request) -> Response:
    """Lead from the address of a form, where a browser is after its answer, to the form's page."""
    return RedirectResponse(request.url.path.rpartition("/")[0], 303)


def _named(request: Request) -> tuple[str, int]:
    return request.path_params["pipeline"], request.path_params["version"]


def _operation(request: Request) -> str:
    name, version = _named(request)
    return f"decide {name}@{version}"
