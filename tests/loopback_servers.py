"""Servers of tests on ports of loopback that the system chooses, each in a thread of the test."""

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.waiting import wait_until


@contextmanager
def served(server: socketserver.BaseServer) -> Iterator[int]:
    """Let a server of the standard library serve in the block, and yield its port."""
    # The argument is how often it checks whether to end, in seconds.
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server.server_address[1]  # type: ignore[index]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def served_app(app: Any, listening: socket.socket | None = None) -> Iterator[int]:
    """Let uvicorn serve an ASGI application in the block, and yield the port.

    Args:
        listening: a listener that exists already; it is closed at the end.
    """
    import uvicorn

    with listening or socket.create_server(("127.0.0.1", 0)) as door:
        config = uvicorn.Config(app, log_level="warning", lifespan="off")
        config.timeout_graceful_shutdown = 1
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([door],), daemon=True)
        thread.start()
        try:
            wait_until(lambda: server.started or not thread.is_alive())
            assert server.started, "the server has ended"
            yield door.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(timeout=30)
