"""Ask a WSGI application, which MLflow's is, from ASGI.

MLflow wraps it in ASGI itself, together with a gateway to language models, an assistant, jobs and
other things that the front door lets nobody use; importing them takes much memory.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Iterable
from io import BytesIO
from typing import Any

from factory_resources.security.request_guard import Message, Send

Environ = dict[str, Any]
WsgiApp = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]

_CHUNK = 1 << 18
"""Bytes of an answer that are passed on together; most answers are shorter."""


async def ask(app: WsgiApp, scope: Message, body: bytes, send: Send) -> None:
    """Answer a request, whose whole body is there, in a thread."""
    from anyio.to_thread import run_sync

    batches = _messages(app, _environ(scope, body))
    try:
        more = True
        while more:
            for message in await run_sync(next, batches):
                await send(message)
                more = message.get("more_body", False)
    finally:
        batches.close()


def _messages(app: WsgiApp, environ: Environ) -> Generator[list[Message], None, None]:
    """Yield the messages of the answer; only the last one says that no more follow."""
    begun: list[Message] = []

    def start(status: str, headers: list[tuple[str, str]], error: object = None) -> None:
        begun[:] = [
            {
                "type": "http.response.start",
                "status": int(status.split()[0]),
                "headers": [
                    (name.lower().encode(), value.encode("latin-1")) for name, value in headers
                ],
            }
        ]

    parts = app(environ, start)
    try:
        waiting, size = [], 0
        for part in parts:
            waiting.append(part)
            size += len(part)
            if size >= _CHUNK:
                yield [*begun, _part(waiting, more=True)]
                begun, waiting, size = [], [], 0
        yield [*begun, _part(waiting, more=False)]
    finally:
        if close := getattr(parts, "close", None):
            close()


def _part(chunks: list[bytes], *, more: bool) -> Message:
    return {"type": "http.response.body", "body": b"".join(chunks), "more_body": more}


def _environ(scope: Message, body: bytes) -> Environ:
    """Return the request as PEP 3333 writes it."""
    host, port = scope.get("server") or ("localhost", 80)
    environ: Environ = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        # WSGI's strings are bytes, written as Latin-1.
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_NAME": host,
        "SERVER_PORT": str(port),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        key = name.decode("latin-1").upper().replace("-", "_")
        if key == "CONTENT_TYPE":
            environ[key] = value.decode("latin-1")
        elif key != "CONTENT_LENGTH":
            environ[f"HTTP_{key}"] = value.decode("latin-1")
    return environ
