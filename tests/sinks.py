"""A webhook and an SMTP server on loopback that keep what they are sent."""

import json
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from tests.loopback_servers import served


@dataclass
class Sink:
    """What was sent, and what the sink answers."""

    status: int = 200
    received: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    port: int = 0


@contextmanager
def webhook() -> Iterator[Sink]:
    """Run an HTTP server that keeps the JSON that is posted to it."""
    sink = Sink()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            if sink.status < 300:
                sink.received.append(json.loads(content))
                sink.headers.append({name.lower(): one for name, one in self.headers.items()})
            self.send_response(sink.status)
            if sink.status in {301, 302, 307}:
                self.send_header("Location", f"http://127.0.0.1:{sink.port}/elsewhere")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with served(HTTPServer(("127.0.0.1", 0), Handler)) as sink.port:
        yield sink


@contextmanager
def smtp() -> Iterator[Sink]:
    """Run an SMTP server that keeps messages; with a status above 299 it refuses them.

    It knows nobody whose name begins with `nobody`.
    """
    sink = Sink()

    class Handler(socketserver.StreamRequestHandler):
        def say(self, line: str) -> None:
            self.wfile.write(f"{line}\r\n".encode())

        def handle(self) -> None:
            self.say("220 sink")
            while line := self.rfile.readline():
                if line.upper().startswith(b"RCPT TO:<NOBODY"):
                    self.say("550 no such user")
                    continue
                match line.split()[0].upper():
                    case b"EHLO" | b"HELO":
                        self.say("250-sink")
                        self.say("250 AUTH PLAIN")
                    case b"AUTH":
                        self.say("235 welcome")
                    case b"DATA":
                        self.take()
                    case b"QUIT":
                        self.say("221 bye")
                        return
                    case _:
                        self.say("250 ok" if sink.status < 300 else "550 no")

        def take(self) -> None:
            self.say("354 go on")
            lines = []
            while (line := self.rfile.readline()) != b".\r\n":
                if not line:
                    return  # the client has gone in the middle of a message
                lines.append(line)
            message = message_from_bytes(b"".join(lines), policy=policy.default)
            assert isinstance(message, EmailMessage)
            sink.received.append(message)
            self.say("250 ok")

    with served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as sink.port:
        yield sink
