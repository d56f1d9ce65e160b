"""The ASGI application of the factory's own pages: which page is at which address."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from factory_assets.web.pages.rendering import page
from factory_assets.web.visitor import visitor_of
from factory_resources.home.home import Home


def pages(home: Home) -> Starlette:
    """Return the application; every request has a visitor."""

    async def overview(request: Request) -> Response:
        return page("overview", visitor=visitor_of(request.scope))

    return Starlette(routes=[Route("/", overview, methods=["GET"])])
