"""Calls of a served model, as the server would have read them."""

import json
from typing import Any

import pytest

from factory_assets.serving.http.call import Call, Protocol
from factory_assets.serving.http.errors import HttpError
from factory_assets.serving.online.served_model import ServedModel

ROW = {"Heat [K]": 3.5, "steps": 2, "colour": "red", "code": "c1", "open": True}


def call_of(
    served: ServedModel,
    body: Any,
    protocol: Protocol = "plain",
    headers: dict[bytes, bytes] | None = None,
    **query: str,
) -> Call:
    """Return a call with this body; one that is not bytes becomes JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Call(served, protocol, "", headers or {}, query, content)


def line_of(error: "pytest.ExceptionInfo[HttpError]", status: int = 400) -> str:
    """Return the line of an error, which has this status."""
    assert error.value.status == status
    assert "\n" not in error.value.line
    return error.value.line
