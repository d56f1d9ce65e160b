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
from tests.long_run import in_long

LIMITS = Limits(headers=1_000)
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n"


async def _app(
    scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    headers = [(b"content-length", b"2"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"ok"})


async def _connection(
    app: Any, limits: Limits, state: ServerState | None = None
) -> tuple[ServerState, asyncio.StreamReader, asyncio.StreamWriter]:
    """Return a server's state, and a client's ends of a connection that holds few bytes."""
    config = uvicorn.Config(app, http=limited(limits), lifespan="off", log_config=None)
    config.timeout_keep_alive = limits.idle
    config.load()
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
    state = state or ServerState()
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: config.http_protocol_class(  # type: ignore[operator]
            config=config, server_state=state, app_state={}
        ),
        theirs,
    )
    reader, writer = await asyncio.open_connection(sock=ours, limit=1_024)
    return state, reader, writer


async def _answer(parts: list[bytes]) -> bytes:
    """Return what the server sends to somebody whose bytes it reads in these parts."""
    _, reader, writer = await _connection(_app, LIMITS)
    for part in parts:
        writer.write(part)
        await asyncio.sleep(0.02)
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


def _sends(size: int, *headers: tuple[bytes, bytes]) -> Any:
    """Return an application whose answers have so many bytes."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        length = (b"content-length", str(size).encode())
        head = {"type": "http.response.start", "status": 200, "headers": [length, *headers]}
        await send(head)
        for start in range(0, size, 10_000):
            part = b"x" * min(10_000, size - start)
            more = start + 10_000 < size
            await send({"type": "http.response.body", "body": part, "more_body": more})

    return app


CLOSE = (b"connection", b"close")


@pytest.mark.parametrize(
    "app",
    [_sends(1_000_000), *in_long([_sends(30_000, CLOSE), _sends(30_000)])],
    ids=["a long answer", "a short one, then a closed connection", "a short one"],
)
def test_who_reads_nothing_is_cut_off(app: Any) -> None:
    async def hold() -> None:
        state, _, writer = await _connection(app, Limits(idle=1))
        writer.write(HEAD + b"\r\n")
        await asyncio.sleep(0.1)
        assert state.connections
        async with asyncio.timeout(10):
            while state.connections or state.tasks:
                await asyncio.sleep(0.05)
        writer.transport.abort()

    asyncio.run(hold())


def test_who_reads_slowly_gets_the_whole_answer() -> None:
    async def read() -> int:
        _, reader, writer = await _connection(_sends(400_000, CLOSE), Limits(idle=1))
        writer.write(HEAD + b"\r\n")
        size = 0
        while part := await reader.read(4_000):
            size += len(part)
            await asyncio.sleep(0.02)
        writer.transport.abort()
        return size

    assert asyncio.run(read()) > 400_000


WHOLE = HEAD + b"\r\n"

UPLOAD = HEAD.replace(b"GET", b"POST") + b"Content-Length: 5\r\n\r\n"


async def _come(most: int, sent: list[bytes]) -> list[bytes]:
    """Return what each of several clients gets, who come and send one after another.

    Nobody is answered before all have come.
    """
    state, readers, writers, is_time = ServerState(), [], [], asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await is_time.wait()
        await _app(scope, receive, send)

    for part in sent:
        _, reader, writer = await _connection(app, Limits(connections=most), state)
        writer.write(part)
        await asyncio.sleep(0.05)
        readers.append(reader)
        writers.append(writer)
    is_time.set()
    got = [await _end_of(reader) for reader in readers]
    for writer in writers:
        writer.transport.abort()
    return got


async def _end_of(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await asyncio.wait_for(reader.read(), 20))[-2:]
    except ConnectionError:
        return b""


@pytest.mark.parametrize("sent", [b"", HEAD, UPLOAD], ids=["nothing", "part of it", "no body"])
def test_who_has_been_silent_longest_makes_room_for_whoever_comes(sent: bytes) -> None:
    got = asyncio.run(_come(2, [WHOLE, sent, WHOLE, WHOLE]))
    assert got == [b"ok", b"", b"ok", b""], "the last one came while all waited for an answer"


def test_who_does_not_read_the_answer_makes_room() -> None:
    async def come() -> bytes:
        state, _, writer = await _connection(_sends(1_000_000), Limits(connections=1))
        writer.write(WHOLE)
        await asyncio.sleep(0.1)
        _, reader, last = await _connection(_app, Limits(connections=1), state)
        last.write(WHOLE)
        answer = await asyncio.wait_for(reader.read(), 20)
        for one in (writer, last):
            one.transport.abort()
        return answer

    assert asyncio.run(come()).endswith(b"ok")
