"""A `factory up` as a process, and its front door as a person with a session sees it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

import httpx

_PORTS = 2_000
"""Of each process of tests, from 10,000 on: the system gives ports from 32,768 on to whoever asks
for any, and it may be seconds until the process that is told of one listens."""
_counted = count(secrets.randbelow(_PORTS))


def free_port() -> int:
    """Return a port of loopback on which nothing listens, and which nobody else takes meanwhile."""
    first = 10_000 + _PORTS * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    while True:
        port = first + next(_counted) % _PORTS
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def is_serving(port: int) -> bool:
    """Whether something on loopback accepts connections on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def up_options(port: int | None = None) -> list[str]:
    """Return `up` with ports that are free."""
    return ["up", "--port", str(port or free_port()), "--predict-port", str(free_port())]


class RunningFactory:
    """A factory that is up until `stop`.

    Args:
        home: its folder.
        variables: of its environment, besides those of this process.
        started_by: changes the command line, such as to that of another user.
    """

    def __init__(
        self,
        home: Path,
        variables: Mapping[str, str] | None = None,
        started_by: Callable[[Sequence[str]], list[str]] = list,
    ) -> None:
        arguments = up_options()
        self.ports = int(arguments[2]), int(arguments[4])
        self.url = f"http://127.0.0.1:{self.ports[0]}"
        self.process = subprocess.Popen(
            started_by([sys.executable, "-m", "factory_assets.cli", *arguments]),
            env={**os.environ, **(variables or {}), "FACTORY_HOME": str(home)},
            cwd=home.parent,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        first = self.process.stdout.readline().decode()
        if not first.startswith("factory "):
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"it did not start: {first!r}")
        self.link = first.split()[1]
        """Lets its owner in, once."""

    def enter(self) -> httpx.Client:
        """Return a client with the owner's session; it uses the link up."""
        client = httpx.Client(base_url=self.url, timeout=60)
        answer = client.get(self.link)
        assert answer.status_code == 303, answer.text
        return client

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        try:
            assert self.process.wait(timeout=60) == 0
        finally:
            self.process.kill()


def ask_graphql(client: httpx.Client, query: str, **variables: Any) -> Any:
    """Return what Dagster answers to a GraphQL document without mistakes."""
    answer = client.post("/dagster/graphql", json={"query": query, "variables": variables})
    content = answer.json()
    assert answer.status_code == 200, content
    assert not content.get("errors"), content
    return content["data"]
