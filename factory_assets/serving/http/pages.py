"""Everything that is not a prediction: health, descriptions of models, metrics, documentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from factory_assets.serving.http import oip
from factory_assets.serving.http.champions import Champions
from factory_assets.serving.http.documentation import page
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.http.openapi import openapi
from factory_assets.serving.online.served_model import ServedModel

if TYPE_CHECKING:
    from factory_assets.serving.http.metrics import Metrics


_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


_POSTED = (
    "/predict/{name}",
    "/feedback",
    "/v2/models/{name}/infer",
    "/v2/models/{name}/versions/{version}/infer",
    "/invocations",
    "/models/{name}/invocations",
)
"""What is asked by POST, which never comes here: every other method is told so, with status 405."""


class Pages:
    """The handlers; `application` is the ASGI application.

    Args:
        queue: returns how many requests are being answered.
        watts: what one busy core takes.

    Each request has a `reader` in its state: who asks, None for a stranger who asks for health.
    """

    def __init__(
        self, champions: Champions, metrics: Metrics, queue: Callable[[], int], watts: float
    ) -> None:
        self._champions, self._metrics = champions, metrics
        self._queue, self._watts = queue, watts
        self.application = Starlette(
            routes=[
                Route("/", lambda _: RedirectResponse("/docs")),
                Route("/healthz", self._healthy),
                Route("/readyz", self._ready),
                Route("/ping", lambda _: Response("\n", media_type="application/json")),
                Route("/version", lambda _: Response(installed_version("mlflow"))),
                Route("/metrics", self._measured),
                Route("/docs", self._documented),
                Route("/openapi.json", self._described),
                Route("/v2", self._server),
                Route("/v2/health/live", self._healthy),
                Route("/v2/health/ready", self._ready),
                Route("/v2/models/{name}", self._model),
                Route("/v2/models/{name}/ready", self._model_ready),
                Route("/v2/models/{name}/versions/{version}", self._model),
                Route("/v2/models/{name}/versions/{version}/ready", self._model_ready),
                *(Route(path, _not_here, methods=["POST"]) for path in _POSTED),
            ],
            exception_handlers={HttpError: _refused, HTTPException: _unknown},
        )
        # `_unknown` does that: behind a proxy, Starlette would lead from https to http.
        self.application.router.redirect_slashes = False

    async def _healthy(self, _: Request) -> Response:
        return JSONResponse({"live": True})

    async def _ready(self, request: Request) -> Response:
        """Ready is a server all of whose champions serve or were stopped by a person.

        A caller whom nobody knows is not told what is wrong.
        """
        faults, reader = self._champions.faults, request.state.reader
        content: dict[str, Any] = {"ready": not faults}
        if reader:
            content["faults"] = {name: why for name, why in faults.items() if reader.may_read(name)}
        return JSONResponse(content, 503 if faults else 200)

    async def _measured(self, request: Request) -> Response:
        text = self._metrics.text(
            queue=self._queue(),
            served=self._serving(request),
            watts=self._watts,
            may=request.state.reader.may_read,
        )
        return Response(text, media_type="text/plain; version=0.0.4")

    async def _documented(self, request: Request) -> Response:
        address = str(request.base_url.replace(scheme=_scheme(request))).rstrip("/")
        with_token = request.state.reader.token is not None
        text = page(self._serving(request), address, with_token=with_token)
        return HTMLResponse(text, headers=_HEADERS)

    async def _described(self, request: Request) -> Response:
        return JSONResponse(openapi(self._serving(request)))

    async def _server(self, _: Request) -> Response:
        return JSONResponse(
            {
                "name": "sovereign-ai-factory",
                "version": installed_version("sovereign-ai-factory"),
                "extensions": ["binary_tensor_data"],
            }
        )

    async def _model(self, request: Request) -> Response:
        served = self._asked(request)
        return JSONResponse(oip.metadata(served, self._champions.versions(served.pipeline)))

    async def _model_ready(self, request: Request) -> Response:
        served = self._asked(request)
        return JSONResponse({"name": served.pipeline, "ready": True})

    def _asked(self, request: Request) -> ServedModel:
        asked = request.path_params
        reader = request.state.reader
        reader.require(asked["name"])
        return self._champions.get(
            asked["name"], asked.get("version"), knows_all=reader.token is None
        )

    def _serving(self, request: Request) -> Mapping[str, ServedModel]:
        """Return the champions that serve, as far as the reader may know of them."""
        return {
            name: served
            for name, served in self._champions.served.items()
            if self._champions.state(name) == "serves" and request.state.reader.may_read(name)
        }


async def _not_here(_: Request) -> Response:
    raise HTTPException(404)


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HttpError)
    return JSONResponse({"error": error.line}, error.status)


def _scheme(request: Request) -> str:
    """Return the scheme by which the client came: a proxy tells it, its connection does not."""
    told = request.headers.get("x-forwarded-proto", "")
    return told if told in {"http", "https"} else request.url.scheme


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.url.path
    if error.status_code == 404 and path.endswith("/") and path.strip("/"):
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/{path.strip('/')}{query}", 307)
    headers = dict(error.headers or {})
    why = f"it answers only {headers['Allow']}" if error.status_code == 405 else error.detail
    what = f"{request.method} {request.url.path}: {why}; /docs lists what can be asked"
    return JSONResponse({"error": what}, error.status_code, headers)
