"""Start a prediction server, and read what its processes have used.

The servers' own code belongs in `fastapi_app`, `litserve_app` and `bentoml_app`.
"""

import http.client
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil

from factory_resources.home.home import PROJECT
from factory_resources.security.offline import SWITCHES

_START = 120.0
"""Seconds within which a server must answer."""


@dataclass(frozen=True)
class Server:
    """A running server and its children."""

    process: "subprocess.Popen[bytes]"
    port: int
    seconds: float
    """From its start to its first answer."""

    @property
    def cpu(self) -> float:
        """CPU seconds so far, of it and its children."""
        return sum(sum(one.cpu_times()[:2]) for one in self._processes())

    @property
    def megabytes(self) -> float:
        """The resident memory now, of it and its children."""
        return float(sum(one.memory_info().rss for one in self._processes())) / (1 << 20)

    @property
    def private_megabytes(self) -> float:
        """The part of it that is not pages of files, such as libraries, which processes share."""
        return float(sum(one.memory_full_info().uss for one in self._processes())) / (1 << 20)

    def _processes(self) -> list[psutil.Process]:
        first = psutil.Process(self.process.pid)
        return [first, *first.children(recursive=True)]


@contextmanager
def serving(
    command: Sequence[str], path: str, body: bytes, environment: Mapping[str, str]
) -> Iterator[Server]:
    """Run a server for the block.

    Args:
        command: `{port}` stands for the port that it is to listen on.
        path: asked until it answers with status 200.

    Raises:
        RuntimeError: it ended, or did not answer in time; the message has the end of its output.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryFile() as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            [part.replace("{port}", str(port)) for part in command],
            # An installed server need not compile its modules on every start.
            env={**os.environ, **SWITCHES, "PYTHONDONTWRITEBYTECODE": "", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            start_new_session=True,
        )
        try:
            while not _answers(port, path, body):
                if process.poll() is not None or time.perf_counter() - started > _START:
                    output.seek(0)
                    end = output.read().decode(errors="replace")[-3000:]
                    raise RuntimeError(f"{' '.join(command)} does not answer:\n{end}")
                time.sleep(0.005)
            yield Server(process, port, time.perf_counter() - started)
        finally:
            _end(process)


def ask(port: int, path: str, body: bytes) -> bytes:
    """Return the answer to one request.

    Raises:
        OSError: nobody listens, or the status is not 200.
    """
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return bytes(reply.read())


def _answers(port: int, path: str, body: bytes) -> bool:
    try:
        ask(port, path, body)
    except (OSError, http.client.HTTPException):
        return False
    return True


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            continue
    process.wait()
