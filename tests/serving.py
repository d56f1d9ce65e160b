"""A prediction server as a real process, and a plain client for it."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from factory_resources.home.home import PROJECT

START = 60.0
"""Seconds within which a server must answer."""


@dataclass
class Reply:
    """What the server answered."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class PredictionServer:
    """A running `factory serve`."""

    process: "subprocess.Popen[str]"
    port: int
    _errors: list[str] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)

    @property
    def log(self) -> list[str]:
        """What it wrote to standard error so far; all of it once its process has ended."""
        if self.process.poll() is not None:
            _join(self._readers)
        return self._errors

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        method: str | None = None,
    ) -> Reply:
        """Send one request; a body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"content-type": "application/json", **(headers or {})}
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(
                method or ("GET" if body is None else "POST"), path, content, dict(sent)
            )
            reply = connection.getresponse()
            found = {name.lower(): value for name, value in reply.getheaders()}
            return Reply(reply.status, found, reply.read())
        finally:
            connection.close()

    def kill(self) -> None:
        """End it as a power cut would."""
        self.process.kill()
        self.process.wait()

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


def start(home: Path, *arguments: str, code: str = "", **variables: str) -> PredictionServer:
    """Start a server on a free port and wait until it answers.

    Args:
        code: Python that runs before the command, in the process of the server.
    """
    launch = ["-c", f"{code}\nfrom factory_assets.cli.main import main\nmain()"]
    process = subprocess.Popen(
        [
            sys.executable,
            *(launch if code else ["-m", "factory_assets.cli"]),
            "serve",
            *arguments,
            "--port",
            "0",
        ],
        env={**os.environ, "FACTORY_HOME": str(home), "PYTHONPATH": str(PROJECT), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    log: list[str] = []
    lines: Queue[str] = Queue()
    assert process.stdout is not None
    assert process.stderr is not None
    readers = [
        threading.Thread(target=_read, args=(stream, keep), daemon=True)
        for stream, keep in ((process.stdout, lines.put), (process.stderr, log.append))
    ]
    for reader in readers:
        reader.start()
    try:
        line = lines.get(timeout=START)
    except Empty:
        process.kill()
        raise AssertionError("the server did not start: " + "".join(log)) from None
    if not line:
        process.wait(timeout=START)
        _join(readers)
        raise AssertionError(f"the server ended with {process.returncode}: " + "".join(log))
    port = int(line.split("http", 1)[1].split()[0].rsplit(":", 1)[1])
    return PredictionServer(process, port, log, readers)


SOON = """
from factory_assets.serving.http import server
server._SEAL = server._COLLECT = 1.0
"""
"""Python that lets the answers of a server leave its journal at once."""


@contextmanager
def asking(
    server: PredictionServer,
    path: str,
    row: Mapping[str, Any],
    answered: list[str],
    *,
    clients: int = 1,
    pause: float = 0.0,
) -> Iterator[None]:
    """Ask about a row in the block while the server is there; note the id of each answer.

    Args:
        pause: seconds between an answer and the next request of a client.
    """
    stop = threading.Event()

    def ask() -> None:
        with suppress(ConnectionError, http.client.HTTPException):
            while not stop.wait(pause):
                reply = server.ask(path, [row])
                if reply.status == 200:
                    [answer] = reply.json["predictions"]
                    answered.append(answer["id"])

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _join(readers: list[threading.Thread]) -> None:
    """Wait until all that a process has written is read, also if a child of it goes on."""
    for reader in readers:
        reader.join(START)


def _read(stream: Any, keep: Any) -> None:
    for line in stream:
        keep(line)
    keep("")


@contextmanager
def serving(home: Path, *arguments: str, **options: str) -> Iterator[PredictionServer]:
    """Run a server for the block, and end it as an operator does."""
    server = start(home, *arguments, **options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
            try:
                server.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                server.process.kill()
                raise
