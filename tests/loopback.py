"""Connections within this machine, of this user and of others."""

import http.client
import json
import os
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import pytest

from tests.loopback_servers import served

OTHER = 54321
"""A user whom no system has."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


class Connected(NamedTuple):
    """Both ends of a connection."""

    server: socket.socket
    client: socket.socket


@contextmanager
def connected(host: str = "127.0.0.1") -> Iterator[Connected]:
    """Connect to a socket on `host`; "mapped" for IPv4 in a socket of IPv6."""
    with _listening(host) as listening:
        port = listening.getsockname()[1]
        address = "127.0.0.1" if host == "mapped" else host
        with socket.create_connection((address, port)) as client:
            server, _ = listening.accept()
            with server:
                yield Connected(server, client)


def _listening(host: str) -> socket.socket:
    if host != "mapped":
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, 0), family=family)
    found = socket.socket(socket.AF_INET6)
    found.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    found.bind(("::ffff:127.0.0.1", 0))
    found.listen()
    return found


def run_as(user: int, code: str, *arguments: str) -> str:
    """Run Python as a user of this machine, after its imports; return what it prints."""
    imports = "import encodings.idna, json, os, socket, sys\nfrom tests import loopback\n"
    imports += "from factory_resources.security.peer_user import Peer\n"
    become = f"os.setgroups([]); os.setgid({user}); os.setuid({user})\n"
    done = subprocess.run(
        [sys.executable, "-c", imports + become + code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def ask(host: str, port: int, requests: Sequence[Sequence[Any]]) -> list[tuple[int, str]]:
    """Send requests over one connection: path, body (None for GET), headers; return the answers."""
    connection = http.client.HTTPConnection(host, port, timeout=30)
    answers = []
    for path, body, headers in requests:
        content = None if body is None else json.dumps(body)
        sent = {"content-type": "application/json", **headers}
        connection.request("GET" if body is None else "POST", path, content, sent)
        reply = connection.getresponse()
        answers.append((reply.status, reply.read().decode()))
    connection.close()
    return answers


def ask_as(
    user: int, host: str, port: int, requests: Sequence[Sequence[Any]]
) -> list[tuple[int, str]]:
    """Do `ask` as a user of this machine."""
    code = "print(json.dumps(loopback.ask(sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3]))))"
    answers = json.loads(run_as(user, code, host, str(port), json.dumps(requests)))
    return [(status, body) for status, body in answers]


@contextmanager
def relayed(path: str) -> Iterator[int]:
    """Let a unix socket be reached by TCP on loopback as well; yield the port."""

    class Relay(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.socket(socket.AF_UNIX) as other:
                other.connect(path)
                thread = threading.Thread(target=_copy, args=(other, self.request), daemon=True)
                thread.start()
                _copy(self.request, other)
                thread.join()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Relay)
    server.daemon_threads = True
    with served(server) as port:
        yield port


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while content := source.recv(65_536):
            target.sendall(content)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
