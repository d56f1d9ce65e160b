"""uvicorn's server as the factory runs it: how it ends, and which certificate it shows."""

import asyncio
import contextlib
import os
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop

from factory_assets.serving.http import uvicorn_server
from factory_assets.serving.http.uvicorn_server import UvicornServer
from tests.e2e.test_serve import write_certificate

GRACE = 3
"""Seconds that open connections may take to end."""

PATIENCE = 60
"""Seconds after which a test that waits for a server fails."""


@pytest.mark.parametrize("steps", range(5))
def test_a_connection_made_while_it_stops_is_closed(
    steps: int, caplog: pytest.LogCaptureFixture
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(end_under_a_late_client(steps))
    assert "exceeded" not in caplog.text


async def end_under_a_late_client(steps: int) -> None:
    """Connect so many steps of the event loop after the stop, and ask as long as it serves."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = UvicornServer(_config())
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.01)
        address = bound.getsockname()
        server.stop()
        for _ in range(steps):
            await asyncio.sleep(0)
        client = socket.socket()
        with contextlib.suppress(ConnectionRefusedError):
            # In this thread: the event loop accepts it in its next step, not before.
            client.connect(address)
        over = threading.Event()
        asking = asyncio.create_task(asyncio.to_thread(ask, client, over))
        await serving
        over.set()
        await asking


def ask(client: socket.socket, over: threading.Event) -> None:
    with client, contextlib.suppress(OSError):
        while not over.is_set():
            client.sendall(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            if not client.recv(1000):
                break


def test_a_renewed_certificate_counts_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(uvicorn_server, "_TICK", 0.005)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        renewing = renew(tmp_path / "door.key", tmp_path / "door.crt", caplog)
        runner.run(asyncio.wait_for(renewing, PATIENCE))


async def renew(key: Path, certificate: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Renew the certificate of a server that is up, first without its key."""
    write_certificate(key, certificate)
    new_key, new_certificate = key.with_name("new.key"), key.with_name("new.crt")
    write_certificate(new_key, new_certificate)
    former, renewed = certificate.read_text(), new_certificate.read_text()
    with socket.create_server(("127.0.0.1", 0)) as bound:
        server = UvicornServer(_config(ssl_certfile=certificate, ssl_keyfile=key))
        serving = asyncio.create_task(server.serve(sockets=[bound]))
        while not server.started:
            await asyncio.sleep(0.01)

        async def shown() -> str:
            address = bound.getsockname()
            return await asyncio.to_thread(ssl.get_server_certificate, address, timeout=5)

        assert await shown() == former
        os.replace(new_certificate, certificate)
        while "does not count, the former one does" not in caplog.text:
            await asyncio.sleep(0.01)
        assert await shown() == former
        os.replace(new_key, key)
        while await shown() != renewed:
            await asyncio.sleep(0.01)
        server.stop()
        await serving


def _config(**options: Any) -> uvicorn.Config:
    return uvicorn.Config(
        answer,
        **options,
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_graceful_shutdown=GRACE,
    )


async def answer(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})
