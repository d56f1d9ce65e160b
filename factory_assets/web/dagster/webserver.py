"""Dagster's web server with the factory's rules: less routes, allowed operations, entered acts.

Which operations are allowed is in `operations`; requests from other sites are refused before, by
the guard of the front door.
"""

import json
from asyncio import Task
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from dagster_webserver.webserver import DagsterWebserver
from graphql import (
    ASTValidationRule,
    GraphQLFormattedError,
    OverlappingFieldsCanBeMergedRule,
    specified_rules,
    validate,
)
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from factory_assets.web.access_log import AccessLog
from factory_assets.web.dagster.attribution import Act, acting
from factory_assets.web.dagster.documents import MalformedDocumentError, Operation, read_operation
from factory_assets.web.dagster.operations import (
    MUTATIONS,
    QUERIES,
    REFUSED,
    REFUSED_IN_QUERIES,
    SUBSCRIPTIONS,
)
from factory_assets.web.dagster.subjects import subjects_of
from factory_assets.web.dagster.workspace import VisitorContext, VisitorWorkspace
from factory_assets.web.visitor import Visitor, visitor_of
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.home.storage_faults import require_server, storage_faults

MAX_BODY = 2 * 1024 * 1024
"""Bytes of a GraphQL request; the largest name every partition of a backfill."""

MAX_SUBJECTS = 1_000
"""Runs, pipelines and so on that one mutation may be about."""

_SUBJECTS_TOGETHER = 50
"""Of them in one entry of the ledger."""

MAX_WATCHED = 100
"""Subscriptions of one websocket at a time."""

_READ_DOCUMENTS = 64
"""Documents whose operations are kept; the UI asks the same ones again and again."""

_LOGS = ("out", "err")

_ALLOWED = {"query": QUERIES, "mutation": MUTATIONS, "subscription": SUBSCRIPTIONS}


class VisitorWebserver(DagsterWebserver[VisitorWorkspace, VisitorContext]):
    """Answers each visitor as the visitor's roles allow.

    Args:
        home: whose databases Dagster asks.
        workspace: the workspace of the process.
        prefix: the path below which it answers.
        access_log: where acts and refusals are entered.
    """

    def __init__(
        self, home: Home, workspace: VisitorWorkspace, prefix: str, access_log: AccessLog
    ) -> None:
        super().__init__(workspace, prefix)
        self._home, self._access_log = home, access_log
        self._operation = lru_cache(_READ_DOCUMENTS)(read_operation)

    def build_routes(self) -> list[BaseRoute]:
        """Return what the pages need: no reports of assets, no notebooks, no query editor."""
        files: list[Route | Mount] = self.build_static_routes()  # type: ignore[no-untyped-call]
        routes: list[BaseRoute] = [
            Route("/server_info", self.webserver_info_endpoint),
            Route("/graphql", self.graphql_http_endpoint, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", self.graphql_ws_endpoint),
            *(route for route in files if route.path != "/vendor"),
            Route("/logs/{path:path}", self.download_captured_logs_endpoint),
            Route("/{path:path}", self.index_html_endpoint),
        ]
        return [Mount(self._app_path_prefix, routes=routes)]

    def build_graphql_validation_rules(self) -> Collection[type[ASTValidationRule]]:
        """Return all rules but one, whose time grows exponentially with the document.

        It forbids two fields of one name that differ. Of these only the first is executed, and each
        was read as an operation of its own.
        """
        return [rule for rule in specified_rules if rule is not OverlappingFieldsCanBeMergedRule]

    def index_html_endpoint(self, request: Request) -> Response:
        """Return the page, or say in one line that there is nothing to show on it."""
        try:
            with storage_faults(self._home):
                require_server()
                return super().index_html_endpoint(request)  # type: ignore[no-any-return]
        except StorageError as error:
            return PlainTextResponse(f"{error}\n", 503)

    async def graphql_http_endpoint(self, request: Request) -> Response:
        """Answer one operation, posted as a JSON object."""
        visitor = visitor_of(request.scope)
        if request.method != "POST":
            return await self._answer_malformed(visitor, "GraphQL is asked for by POST", 405)
        if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return await self._answer_malformed(
                visitor, "the content type is application/json", 415
            )
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY:
                return await self._answer_malformed(visitor, f"at most {MAX_BODY} bytes", 413)
        try:
            data = json.loads(body)
        except (ValueError, RecursionError):
            data = None
        if (question := _question(data)) is None:
            what = "the body is one GraphQL request as a JSON object"
            return await self._answer_malformed(visitor, what)
        query, variables, name = question
        return await self.execute_graphql_request(request, query, variables, name)

    async def gen_graphql_response(  # type: ignore[override]
        self,
        request_context: VisitorContext,
        query: str,
        variables: dict[str, Any] | None,
        operation_name: str | None,
    ) -> Response:
        """Answer an operation that the visitor may ask for; a mutation is entered before."""
        visitor = request_context.visitor
        try:
            operation = self._operation(query)
            if operation.kind == "subscription":
                raise MalformedDocumentError("a subscription is asked for by a websocket")
            if refusal := self._refusal(operation, visitor):
                return PlainTextResponse(refusal, 403)
            if operation.kind == "query" or not operation.names:
                return await super().gen_graphql_response(
                    request_context, query, variables, operation_name
                )
            with self._entered(operation, variables, request_context):
                return await super().gen_graphql_response(
                    request_context, query, variables, operation_name
                )
        except MalformedDocumentError as error:
            return self._malformed(visitor, str(error))
        except StorageError as error:
            return PlainTextResponse(f"{error}\n", 503)

    @contextmanager
    def _entered(
        self,
        operation: Operation,
        variables: dict[str, Any] | None,
        context: VisitorContext,
    ) -> Iterator[None]:
        schema = self._graphene_schema.graphql_schema
        subjects = subjects_of(operation, variables, schema, context)
        if len(subjects) > MAX_SUBJECTS:
            raise MalformedDocumentError(f"one request acts on at most {MAX_SUBJECTS} things")
        parts = range(0, max(1, len(subjects)), _SUBJECTS_TOGETHER)
        entries = [
            self._access_log.acts(
                context.visitor,
                "dagster",
                operation.names,
                subjects[start : start + _SUBJECTS_TOGETHER],
            )
            for start in parts
        ]
        with acting(Act(context.visitor.name, entries[0])):
            yield

    async def execute_graphql_subscription(
        self,
        websocket: WebSocket,
        operation_id: str,
        query: str,
        variables: dict[str, Any] | None,
        operation_name: str | None,
    ) -> tuple[Task[Any] | None, GraphQLFormattedError | None]:
        """Start what the visitor may watch."""
        visitor = visitor_of(websocket.scope)
        running: set[Task[Any]] = websocket.state.running
        try:
            if (question := _question({"query": query, "variables": variables})) is None:
                raise MalformedDocumentError("the message is not a GraphQL request")
            operation = self._operation(question[0])
            if refusal := await run_in_threadpool(self._refusal, operation, visitor):
                return None, {"message": refusal}
            if operation.kind != "subscription":
                raise MalformedDocumentError("a websocket is for subscriptions")
            # Dagster does not validate them.
            schema, rules = self._graphene_schema.graphql_schema, self._graphql_validation_rules
            if errors := validate(schema, operation.document, rules):
                raise MalformedDocumentError(errors[0].message)
            if len(running) >= MAX_WATCHED:
                raise MalformedDocumentError(f"at most {MAX_WATCHED} subscriptions")
        except MalformedDocumentError as error:
            await run_in_threadpool(self._malformed, visitor, str(error))
            return None, {"message": f"refused: {error}"}
        task, failure = await super().execute_graphql_subscription(
            websocket, operation_id, query, variables, operation_name
        )
        if task is not None:
            running.add(task)
            task.add_done_callback(running.discard)
        return task, failure

    async def graphql_ws_endpoint(self, websocket: WebSocket) -> None:
        """Serve subscriptions until a message is none of the protocol."""
        websocket.state.running = set()
        try:
            await super().graphql_ws_endpoint(websocket)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            visitor = visitor_of(websocket.scope)
            await run_in_threadpool(self._malformed, visitor, "it is not a message")
            await websocket.close(1003)

    async def download_captured_logs_endpoint(self, request: Request) -> Response:
        """Return what a step printed. Databases lie in the same folder."""
        name, _, kind = request.path_params["path"].rpartition("/")
        try:
            if not name or kind not in _LOGS:
                raise HTTPException(404)
            return await super().download_captured_logs_endpoint(request)  # type: ignore[no-any-return]
        except ValueError:
            # The path leads out of the folder.
            raise HTTPException(404) from None

    def _refusal(self, operation: Operation, visitor: Visitor) -> str | None:
        """Return why the visitor may not ask for it; it is then recorded."""
        refused = _refused_names(operation, visitor)
        if not refused:
            return None
        self._access_log.refused("not allowed", ", ".join(refused), visitor)
        reason = REFUSED.get(refused[0])
        if reason is None and operation.kind == "mutation" and refused[0] in MUTATIONS:
            reason = "only an engineer may"
        return f"refused: {refused[0]}: {reason or 'not on the list of operations'}\n"

    async def _answer_malformed(self, visitor: Visitor, why: str, status: int = 400) -> Response:
        # The ledger may be locked for a minute, in which others are to be answered.
        return await run_in_threadpool(self._malformed, visitor, why, status)

    def _malformed(self, visitor: Visitor, why: str, status: int = 400) -> Response:
        self._access_log.refused("malformed request", _PLACE, visitor)
        return PlainTextResponse(f"refused: {why}\n", status)


_PLACE = "/dagster/graphql"


def _refused_names(operation: Operation, visitor: Visitor) -> tuple[str, ...]:
    allowed = _ALLOWED[operation.kind]
    if operation.kind == "mutation":
        if not visitor.may_act():
            return operation.names
    elif in_queries := operation.field_names & REFUSED_IN_QUERIES:
        return tuple(sorted(in_queries))
    return tuple(name for name in operation.names if name not in allowed)


def _question(data: object) -> tuple[str, dict[str, Any] | None, str | None] | None:
    """Return document, variables and name of a request; None if it is none."""
    if not isinstance(data, Mapping):
        return None
    query, variables, name = (data.get(key) for key in ("query", "variables", "operationName"))
    if (
        not isinstance(query, str)
        or not isinstance(variables, dict | None)
        or not isinstance(name, str | None)
    ):
        return None
    return query, variables, name
