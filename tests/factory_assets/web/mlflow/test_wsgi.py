"""A WSGI application that is asked from ASGI."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from factory_assets.web.mlflow.wsgi import WsgiApp, ask

SCOPE = {
    "method": "POST",
    "path": "/a b/ä",
    "query_string": b"x=%C3%A4",
    "http_version": "1.1",
    "scheme": "http",
    "server": ("127.0.0.1", 80),
    "headers": [(b"host", b"here"), (b"content-type", b"text/plain"), (b"content-length", b"99")],
}


class Parts:
    """The body of an answer, which wants to be closed."""

    def __init__(self, *parts: bytes) -> None:
        self._parts = iter(parts)
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        self.closed += 1


def answer(app: WsgiApp, body: bytes = b"") -> list[Any]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(ask(app, SCOPE, body, send))
    return sent


def test_the_application_gets_the_request_as_the_protocol_writes_it() -> None:
    seen: dict[str, Any] = {}

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.update(environ, read=environ["wsgi.input"].read())
        start("204 No Content", [("X-Note", "ä")])
        return []

    [start, end] = answer(app, b"four")
    assert start == {
        "type": "http.response.start",
        "status": 204,
        "headers": [(b"x-note", "ä".encode("latin-1"))],
    }
    assert end == {"type": "http.response.body", "body": b"", "more_body": False}
    assert seen["REQUEST_METHOD"] == "POST"
    assert seen["PATH_INFO"].encode("latin-1").decode() == "/a b/ä"
    assert seen["QUERY_STRING"] == "x=%C3%A4"
    assert (seen["CONTENT_TYPE"], seen["CONTENT_LENGTH"]) == ("text/plain", "4")
    assert seen["HTTP_HOST"] == "here"
    assert "HTTP_CONTENT_LENGTH" not in seen
    assert seen["read"] == b"four"


def test_a_long_answer_is_passed_on_in_pieces_and_a_short_one_at_once() -> None:
    piece = b"x" * 200_000
    for parts, sizes in (((b"a", b"b"), [2]), ((piece,) * 5, [400_000, 400_000, 200_000])):
        body = Parts(*parts)

        def app(environ: dict[str, Any], start: Any, body: Parts = body) -> Parts:
            start("200 OK", [])
            return body

        first, *rest = answer(app)
        assert first["status"] == 200
        assert [len(one["body"]) for one in rest] == sizes
        assert [one["more_body"] for one in rest] == [True] * (len(sizes) - 1) + [False]
        assert body.closed == 1


def test_an_answer_that_breaks_off_is_closed() -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * 300_000
        raise OSError("no more")

    body = Parts()
    body._parts = broken()

    def app(environ: dict[str, Any], start: Any) -> Parts:
        start("200 OK", [])
        return body

    with pytest.raises(OSError, match="no more"):
        answer(app)
    assert body.closed == 1
