"""The process at the code server's socket, and the one that takes its place.

With processes that only listen; Dagster's own are in `tests.e2e.test_reload`.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from factory_assets.cli.code_server import CodeServer
from factory_assets.web.dagster.code_server import answers, reload_code, reload_request
from factory_resources.errors import FactoryError

LISTEN = """\
import socket, sys, time
with socket.socket(socket.AF_UNIX) as listening:
    listening.bind(sys.argv[1])
    listening.listen()
    time.sleep(600)
"""


class Starter:
    """Starts a process that listens where a code server would, or one that fails."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[bytes]] = []
        self.fails = False

    def __call__(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        socket = command[command.index("--socket") + 1]
        program = "raise SystemExit(1)" if self.fails else LISTEN
        self.started.append(subprocess.Popen([sys.executable, "-c", program, socket]))
        return self.started[-1]


@pytest.fixture
def starter() -> Iterator[Starter]:
    made = Starter()
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def until(true: Callable[[], bool], server: CodeServer) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        server.look()
        time.sleep(0.02)


def test_another_server_takes_the_place_once_it_answers(tmp_path: Path, starter: Starter) -> None:
    path = tmp_path / "code.sock"
    server = CodeServer(path, starter)
    until(lambda: answers(path), server)
    first = server.process
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(reload_code, path)
        until(lambda: len(starter.started) == 2, server)
        # The first one answers until the second one does.
        assert answers(path)
        assert first.poll() is None
        until(asked.done, server)
        asked.result()
    assert answers(path)
    assert server.process is starter.started[1]
    first.wait(30)
    assert answers(path)
    server.look()
    assert len(starter.started) == 2


def test_a_server_that_does_not_come_up_leaves_the_present_one(
    tmp_path: Path, starter: Starter
) -> None:
    path = tmp_path / "code.sock"
    server = CodeServer(path, starter)
    until(lambda: answers(path), server)
    starter.fails = True
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(reload_code, path)
        until(asked.done, server)
        with pytest.raises(FactoryError, match=r"not loaded anew.*code\.log"):
            asked.result()
    assert server.process is starter.started[0]
    assert answers(path)
    assert not reload_request(path).exists()
