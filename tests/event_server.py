"""A server on loopback that takes events of OpenLineage."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from tests.loopback_servers import served


@contextmanager
def receiving_events(port: int = 0) -> Iterator[tuple[int, list[dict[str, Any]], list[int]]]:
    """Run the server; yield its port, the events that it has taken, and its next statuses.

    Without a next status it takes the event: 201.
    """
    taken: list[dict[str, Any]] = []
    statuses: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            status = statuses.pop(0) if statuses else 201
            if status == 201:
                assert self.path == "/api/v1/lineage"
                taken.append(json.loads(content))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with served(HTTPServer(("127.0.0.1", port), Handler)) as bound:
        yield bound, taken, statuses
