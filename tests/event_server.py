"""A server on loopback that takes events of OpenLineage."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class _Receiver(BaseHTTPRequestHandler):
    """Keeps the events that are posted, and answers what the test says."""

    taken: list[dict[str, Any]] = []
    answers: list[int] = []

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.answers.pop(0) if self.answers else 201
        if status == 201:
            assert self.path == "/api/v1/lineage"
            self.taken.append(json.loads(content))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving_events(port: int = 0) -> Iterator[tuple[int, list[dict[str, Any]], list[int]]]:
    class Handler(_Receiver):
        taken: list[dict[str, Any]] = []
        answers: list[int] = []

    with HTTPServer(("127.0.0.1", port), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server.server_address[1], Handler.taken, Handler.answers
        server.shutdown()
        thread.join()
