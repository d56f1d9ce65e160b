"""ASGI messages of the answers that MLflow does not give itself."""

from __future__ import annotations

import json
import mimetypes
import os
from pathlib import PurePosixPath
from urllib.parse import quote

from factory_resources.security.request_guard import Receive, Send

_CHUNK = 1 << 18

_LONGEST = 1 << 20
"""Bytes of a body; the UI's longest are searches and notes."""


class BodyTooLargeError(Exception):
    """More than MLflow's UI ever sends."""


async def read_body(receive: Receive) -> bytes | None:
    """Return the whole body, or None if the client has gone.

    Raises:
        BodyTooLargeError: it is longer than 1 MiB.
    """
    chunks, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > _LONGEST:
            raise BodyTooLargeError
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


async def send_error(send: Send, status: int, code: str, message: str) -> None:
    """Answer with an error that MLflow's UI shows."""
    await send_json(send, {"error_code": code, "message": message}, status)


async def send_json(send: Send, value: object, status: int = 200) -> None:
    await send_text(send, json.dumps(value).encode(), b"application/json", status)


async def send_text(
    send: Send, body: bytes, kind: bytes, status: int = 200, *others: tuple[bytes, bytes]
) -> None:
    length = (b"content-length", str(len(body)).encode())
    headers = [(b"content-type", kind), length, (b"cache-control", b"no-store"), *others]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def send_file(send: Send, file: int, path: str) -> None:
    """Send an open file as a download, so that no page of it runs in our origin; close it."""
    from anyio.to_thread import run_sync

    try:
        left = os.fstat(file).st_size
        await send({"type": "http.response.start", "status": 200, "headers": _download(path, left)})
        while left:
            chunk = await run_sync(os.read, file, min(left, _CHUNK))
            if not chunk:
                break
            left -= len(chunk)
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        os.close(file)


def _download(path: str, size: int) -> list[tuple[bytes, bytes]]:
    name = PurePosixPath(path).name
    kind = mimetypes.guess_type(name, strict=True)[0] or "application/octet-stream"
    return [
        (b"content-type", kind.encode()),
        (b"content-length", str(size).encode()),
        (b"content-disposition", f"attachment; filename*=UTF-8''{quote(name)}".encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"cache-control", b"no-store"),
    ]
