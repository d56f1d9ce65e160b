"""Status, title and text of an error page. How it is shown belongs in `rendering`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from factory_resources.errors import RefusedError, StorageError, UnknownNameError

if TYPE_CHECKING:
    from starlette.exceptions import HTTPException

_TITLES = {
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    409: "Refused",
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


def error_title(status: int) -> str:
    return _TITLES.get(status, HTTPStatus(status).phrase)


def http_error_text(error: HTTPException) -> str:
    """Return the text for a request that no page answers."""
    is_missing = error.status_code == HTTPStatus.NOT_FOUND
    return "There is no such page." if is_missing else "This page takes no such request."
