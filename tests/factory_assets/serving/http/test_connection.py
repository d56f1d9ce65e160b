"""Connections whose headers are too large are answered so, however they arrive."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from factory_assets.serving.http.connection import limited
from factory_assets.serving.http.limits import Limits

LIMITS = Limits(headers=1_000)
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def _app(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    headers = [(b"content-length", b"2"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def _answer(parts: list[bytes]) -> bytes:
    """Return what the server sends to somebody whose bytes it reads in these parts."""
    config = uvicorn.Config(_app, http=limited(LIMITS), lifespan="off", log_config=None)
    config.load()
    ours, theirs = socket.socketpair()
    ours.sendall(parts[0])
    loop = asyncio.get_running_loop()
    await loop.connect_accepted_socket(
        lambda: config.http_protocol_class(  # type: ignore[operator]
            config=config, server_state=ServerState(), app_state={}
        ),
        theirs,
    )
    reader, writer = await asyncio.open_connection(sock=ours)
    for part in parts[1:]:
        await asyncio.sleep(0.02)
        writer.write(part)
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "parts",
    [
        [HEAD + b"X: " + b"x" * 2_000 + b"\r\n\r\n"],
        [HEAD + b"X: " + b"x" * 900, b"x" * 100 + b"\r\n\r\n"],
        [HEAD.replace(b"/ ", b"/" + b"x" * 2_000 + b" ") + b"\r\n"],
        [HEAD + b"X: y\r\n" * 600 + b"\r\n"],
    ],
    ids=["one piece", "two pieces", "address", "many"],
)
def test_too_large_headers_are_refused(parts: list[bytes]) -> None:
    answer = asyncio.run(_answer(parts))
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")


def test_headers_within_the_limit_are_answered() -> None:
    answer = asyncio.run(_answer([HEAD + b"X: " + b"x" * 900, b"\r\n\r\n"]))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"ok")
