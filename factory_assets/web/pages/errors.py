"""The page of a request that failed: its status, title and text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from factory_assets.web.pages.forms import Forms
from factory_assets.web.pages.rendering import page
from factory_assets.web.visitor import visitor_of
from factory_resources.errors import FactoryError, RefusedError, StorageError, UnknownNameError

_TITLES = {
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    # Not "Refused": of a candidate that serves, that would say what a person had decided.
    409: "Not possible",
    500: "It cannot be shown",
    503: "Not possible now",
}
"""By the status of the answer."""

_STATUSES: dict[type[Exception], int] = {
    UnknownNameError: 404,
    RefusedError: 409,
    StorageError: 503,
}


def error_status(error: Exception) -> int:
    """Return the status of the answer to a request that failed."""
    return next((status for kind, status in _STATUSES.items() if isinstance(error, kind)), 500)


def error_page(request: Request, forms: Forms, status: int, text: str) -> Response:
    """Return the page of an error."""
    title = _TITLES.get(status, HTTPStatus(status).phrase)
    visitor, token = visitor_of(request.scope), forms.token(request)
    return page("error", status, title=title, text=text, visitor=visitor, form_token=token)


def error_handlers(forms: Forms) -> Mapping[Any, Callable[[Request, Exception], Response]]:
    """Return what shows the errors of an application whose requests have a visitor."""

    def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        is_missing = error.status_code == HTTPStatus.NOT_FOUND
        text = "There is no such page." if is_missing else "This page refuses such a request."
        return error_page(request, forms, error.status_code, text)

    def factory_error(request: Request, error: Exception) -> Response:
        return error_page(request, forms, error_status(error), str(error))

    return {HTTPException: http_error, FactoryError: factory_error}
