"""The ASGI application of the prediction server.

Requests for predictions are answered here, without a framework; `pages` holds everything else.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from factory_assets.serving.http import invocations, plain
from factory_assets.serving.http.access import Access, PageReader
from factory_assets.serving.http.beside import AnswersBeside
from factory_assets.serving.http.call import Call, Protocol, query_of, read_body
from factory_assets.serving.http.champions import Champions
from factory_assets.serving.http.durable import DurableLog
from factory_assets.serving.http.errors import HttpError, unavailable
from factory_assets.serving.http.feedback import FeedbackDesk
from factory_assets.serving.http.limits import LimitedThread, Limits
from factory_assets.serving.http.metrics import Metrics
from factory_assets.serving.http.oip import InferenceRequest
from factory_assets.serving.http.records import record_of
from factory_assets.serving.http.rows import nested, read_rows
from factory_assets.serving.online.answers import explanations
from factory_assets.serving.online.request_rows import RequestRows
from factory_assets.serving.online.served_model import ScoredRequest
from factory_resources.errors import FactoryError, JoinedTableError, StorageError
from factory_resources.prediction_log import ids
from factory_resources.security.request_guard import App, Message, Receive, Send
from factory_resources.sql.scalar.values import UndecidedError

_LOG = logging.getLogger("factory.serve")

_JSON = b"application/json"

_ROWS_IN_LOOP = 512
"""Requests with more rows are computed in the other thread, so that others need not wait."""

T = TypeVar("T")

Headers = dict[bytes, bytes]


@dataclass(frozen=True)
class Route:
    """What a path asks for."""

    protocol: Protocol
    pipeline: str
    """Empty for the only one that is served."""
    version: str | None = None


def route_of(path: str) -> Route | None:
    """Return which model a path asks for a prediction; None if it asks for something else."""
    match path.split("/")[1:]:
        case ["predict", pipeline] if pipeline:
            return Route("plain", pipeline)
        case ["v2", "models", pipeline, "infer"] if pipeline:
            return Route("oip", pipeline)
        case ["v2", "models", pipeline, "versions", version, "infer"] if pipeline:
            return Route("oip", pipeline, version)
        case ["invocations"]:
            return Route("mlflow", "")
        case ["models", pipeline, "invocations"] if pipeline:
            return Route("mlflow", pipeline)
        case _:
            return None


class PredictionApp:
    """Answers prediction requests, each remembered before it is answered.

    Args:
        pages: the application for all other paths.
        engine_thread: one thread, in which engines are used.
        feedback: takes what turned out to be true of answers.
    """

    def __init__(
        self,
        champions: Champions,
        log: DurableLog,
        access: Access,
        metrics: Metrics,
        limits: Limits,
        pages: App,
        engine_thread: Executor,
        feedback: FeedbackDesk,
    ) -> None:
        self._champions, self._log, self._access = champions, log, access
        self._metrics, self._limits, self._pages = metrics, limits, pages
        self._feedback = feedback
        self._engines = LimitedThread(
            engine_thread, limits.waiting, "too many requests wait for the engine"
        )
        self._ids = ids.PredictionIds()
        self._beside_champion = AnswersBeside(
            self._answer,
            self._remember_error,
            log.write,
            self._ids,
            metrics,
            self._read,
            engine_thread,
        )
        self._active = 0

    @property
    def active(self) -> int:
        """How many requests are being answered."""
        return self._active

    def close(self) -> None:
        """Compute no more shadows."""
        self._beside_champion.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        route = route_of(scope["path"]) if scope["method"] == "POST" else None
        headers: Headers = dict(scope["headers"])
        self._active += 1
        try:
            if self._active > self._limits.concurrent:
                raise HttpError(429, "overload", "too many requests at once", "try again", retry=1)
            self._access.require_origin(headers)
            if route is None and self._feedback.is_asked(scope):
                body = await self._feedback.answer(headers, scope["state"]["peer"], receive)
                await _respond(send, 200, body, {b"content-type": _JSON})
            elif route is None:
                await self._page(scope, receive, send, headers)
            else:
                await self._predict(route, scope, headers, receive, send)
        except HttpError as error:
            await self._refuse(error, route, send)
        except StorageError as error:
            _LOG.error("answer not given: %s", error)
            await self._refuse(unavailable(error), route, send)
        except Exception:  # noqa: BLE001
            # Whatever happens, others are answered; the log has the traceback, without values.
            _LOG.exception("fault")
            fault = HttpError(500, "fault", "a fault of the server", "its log has the details")
            await self._refuse(fault, route, send)
        finally:
            self._active -= 1

    async def _page(self, scope: Message, receive: Receive, send: Send, headers: Headers) -> None:
        scope["state"]["reader"] = self._recognize(scope, headers)
        await self._pages(scope, receive, send)

    async def _predict(
        self, route: Route, scope: Message, headers: Headers, receive: Receive, send: Send
    ) -> None:
        pipeline = route.pipeline or self._only(scope, headers)
        peer = scope["state"]["peer"]
        caller = self._access.caller(headers, pipeline, peer, is_named=bool(route.pipeline))
        served = self._champions.get(pipeline, route.version, knows_all=not caller)
        call = Call(served, route.protocol, caller, headers, query_of(scope), b"")
        if served is not self._champions.served.get(pipeline):
            call.role = "challenger"
        try:
            call.body = await read_body(receive, headers, self._limits)
            trial = None if route.version else self._champions.trial(pipeline)
            if trial is None:
                body, more = await self._answer(call)
            else:
                body, more = await self._beside_champion.answer(trial, call)
        except HttpError as error:
            await self._remember_error(call, error)
            raise
        except RecursionError as error:
            refused = nested()
            await self._remember_error(call, refused)
            raise refused from error
        await _respond(send, 200, body, {b"content-type": _JSON, **more})

    def _recognize(self, scope: Message, headers: Headers) -> PageReader | None:
        return self._access.recognize(scope["path"], headers, scope["state"]["peer"])

    def _only(self, scope: Message, headers: Headers) -> str:
        names = [*self._champions.served]
        if len(names) != 1:
            # How many there are is nothing for a stranger.
            self._recognize(scope, headers)
            raise HttpError(
                404,
                "unknown",
                f"{len(names)} pipelines are served",
                "name one: POST /models/{pipeline}/invocations",
            )
        return names[0]

    async def _answer(self, call: Call) -> tuple[bytes, Headers]:
        """Read the rows, score them, log the answer, and return it when it is durable."""
        request, several, partial, explain = None, False, False, False
        if call.protocol == "plain":
            rows, several = read_rows(call.body, call.served.decoder, self._limits)
            call.require_parameters({"partial", "explain"})
            partial, explain = call.flag("partial"), call.flag("explain")
        elif call.protocol == "mlflow":
            rows = invocations.read(call, self._limits)
        else:
            request = InferenceRequest(call, self._limits)
            rows = request.rows
        scored = await self._score(call, rows, partial=partial, in_thread=explain)
        moved = None
        if explain:
            moved = await self._engines.run(lambda: explanations(call.served, scored))
        record = await self._record(call, rows, scored)
        # Ids are logged in their order: nothing may be awaited until this one is.
        identifier, more = self._ids.take(len(rows)), Headers()
        if request:
            body, more = request.encode(call, scored, identifier)
        elif call.protocol == "mlflow":
            body = invocations.encode(call, scored, identifier)
        else:
            body = plain.encode(call, rows, scored, identifier, several=several, moved=moved)
        # A person may have stopped it while the request waited.
        self._champions.require_not_stopped(call.served.pipeline)
        call.answer = identifier
        await self._log.write(identifier, record)
        self._metrics.answered(call, len(scored.rows))
        return body, more

    def _read(self, call: Call) -> RequestRows:
        """Return the rows of a request, as its version reads them."""
        if call.protocol == "plain":
            return read_rows(call.body, call.served.decoder, self._limits)[0]
        if call.protocol == "mlflow":
            return invocations.read(call, self._limits)
        return InferenceRequest(call, self._limits).rows

    async def _score(
        self, call: Call, rows: RequestRows, *, partial: bool = False, in_thread: bool = False
    ) -> ScoredRequest:
        scored = await self._outputs(call, rows, in_thread or len(rows) > _ROWS_IN_LOOP)
        if scored.refusals and not partial:
            found = plain.reasons(call, rows, scored)
            raise HttpError(
                422,
                "contract",
                f"{len(found)} of {len(rows)} rows break the contract",
                "correct them" + " or send ?partial=true" * (call.protocol == "plain"),
                reasons=[reason for one in found.values() for reason in one.reasons],
                broken=Counter(rule for one in scored.refusals for rule in one.rules),
            )
        return scored

    async def _outputs(self, call: Call, rows: RequestRows, in_thread: bool) -> ScoredRequest:
        try:
            if in_thread:
                return await self._engines.run(
                    lambda: _timed(call, lambda: rows.score(call.served))
                )
            return _timed(call, lambda: rows.score(call.served))
        except UndecidedError:
            pass
        try:
            return await self._engines.run(
                lambda: _timed(call, lambda: call.served.score(rows.objects()))
            )
        except StorageError:
            raise
        except JoinedTableError as error:
            _LOG.error("no table joined for %s: %s", call.served.pipeline, error.__cause__)
            raise HttpError(503, "unavailable", error.what, error.remedy, retry=5) from error
        except FactoryError as error:
            raise HttpError(422, "contract", str(error)) from error

    async def _record(self, call: Call, rows: RequestRows, scored: ScoredRequest) -> bytes:
        """Return what is logged; of many rows, the sensitive values are hidden beside the loop."""
        protection = call.served.protection
        if protection is None or len(rows) <= _ROWS_IN_LOOP:
            return record_of(call, rows, scored, protection)
        return await self._engines.run(lambda: record_of(call, rows, scored, protection))

    async def _remember_error(self, call: Call, error: HttpError) -> None:
        """Log a refused request without its rows: nobody may have promised what they hold."""
        error.about = call.about
        record = record_of(call, None, error, None)
        await self._log.write(self._ids.take(), record)

    async def _refuse(self, error: HttpError, route: Route | None, send: Send) -> None:
        self._metrics.refused(error)
        more: Headers = {b"content-type": _JSON}
        if error.retry is not None:
            more[b"retry-after"] = str(error.retry).encode()
        if error.status == 401:
            more[b"www-authenticate"] = b"Bearer"
        if error.status in {400, 408, 413}:
            # What follows may be the rest of the body and not another request.
            more[b"connection"] = b"close"
        body = msgspec.json.encode(_error(error, route.protocol if route else "plain"))
        await _respond(send, error.status, body, more)


def _timed(call: Call, score: Callable[[], T]) -> T:
    started = time.perf_counter()
    try:
        return score()
    finally:
        call.seconds += time.perf_counter() - started


def _error(error: HttpError, protocol: Protocol) -> Mapping[str, Any]:
    if protocol == "mlflow":
        code = {404: "RESOURCE_DOES_NOT_EXIST", 429: "REQUEST_LIMIT_EXCEEDED"}
        other = "INTERNAL_ERROR" if error.status >= 500 else "BAD_REQUEST"
        found: dict[str, Any] = {
            "error_code": code.get(error.status, other),
            "message": error.line,
        }
    else:
        found = {"error": error.line}
    if error.reasons:
        found["reasons"] = error.reasons
    if error.more_reasons:
        found["more_reasons"] = error.more_reasons
    return found


async def _respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    whole = [*headers.items(), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": whole})
    await send({"type": "http.response.body", "body": body})
