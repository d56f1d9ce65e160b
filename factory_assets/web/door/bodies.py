"""Read the body of a request before any application does: bounded in bytes and in time."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

from starlette.requests import Request

from factory_resources.security.request_guard import Message, Receive

LARGEST = 4 << 20
"""Bytes of a body."""

STRANGERS = 128 << 10
"""Bytes of a body of somebody without a session, who can open as many connections as there may be:
a form of the login, also with the answer of a device for a passkey."""

_FIELDS = 20
"""Fields of a form."""

_SECONDS = 15.0
"""Within which it must have arrived."""


class BodyError(Exception):
    """The body is too large or too slow.

    Args:
        status: of the answer.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


async def read_body(scope: Message, receive: Receive, most: int = LARGEST) -> bytes:
    """Return the body.

    Args:
        most: bytes that it may have.

    Raises:
        BodyError: it is too large, or did not arrive in time.
    """
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if not declared.isdigit() or int(declared) > most:
        raise BodyError(413, f"the body has more than {most:,} bytes")
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(_SECONDS):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyError(400, "the body is not complete")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise BodyError(413, f"the body has more than {most:,} bytes")
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError as error:
        raise BodyError(408, f"the body did not arrive within {_SECONDS:g} seconds") from error


def replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that begins with the body that was read."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return waiting.pop() if waiting else await receive()

    return replayed


async def read_form(request: Request) -> dict[str, str]:
    """Return the fields of a form; none if it is not one, or has too many."""
    try:
        text = (await request.body()).decode()
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=_FIELDS))
    except ValueError:
        return {}
