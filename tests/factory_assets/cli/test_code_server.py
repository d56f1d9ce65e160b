"""The process at the code server's socket, and the one that takes its place.

With processes that only listen; Dagster's own are in `tests.e2e.test_reload`.
"""

import errno
import shutil
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
from tests.waiting import wait_until

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
        self.fails = self.hangs = False

    def __call__(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        socket = command[command.index("--socket") + 1]
        program = "raise SystemExit(1)" if self.fails else LISTEN
        program = "import time; time.sleep(600)" if self.hangs else program
        self.started.append(subprocess.Popen([sys.executable, "-c", program, socket]))
        return self.started[-1]


@pytest.fixture
def starter() -> Iterator[Starter]:
    made = Starter()
    yield made
    for process in made.started:
        process.kill()
        process.wait()


def until(check: Callable[[], bool], server: CodeServer) -> None:
    """Look after the server until the check holds."""

    def look_and_check() -> bool:
        server.look()
        return check()

    wait_until(look_and_check)


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


def test_pipelines_that_are_declared_anew_are_loaded_once_they_stay_as_they_are(
    tmp_path: Path, starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    server = CodeServer(tmp_path / "code.sock", starter, pause=0.2)

    def count_after_looks() -> int:
        end = time.monotonic() + 1
        until(lambda: time.monotonic() > end, server)
        return len(starter.started)

    assert count_after_looks() == 1
    file = tmp_path / "defs" / "apples" / "defs.yaml"
    file.parent.mkdir(parents=True)
    for number in range(10):
        file.write_text(f"# {number}")
        server.look()
        time.sleep(0.1)
    assert len(starter.started) == 1, "it was still being written"
    assert count_after_looks() == 2
    (file.parent / "assets.py").touch()
    assert count_after_looks() == 3
    starter.fails = True
    file.unlink()
    assert count_after_looks() == 4, "what does not load is not tried again and again"


def test_declarations_that_cannot_be_read_for_a_while_leave_what_is_loaded(
    tmp_path: Path, starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise OSError(errno.ESTALE, "Stale file handle")

    path = tmp_path / "code.sock"
    server = CodeServer(path, starter, pause=0)
    with monkeypatch.context() as patch:
        patch.setattr("factory_assets.cli.code_server.declared_files", away)
        for _ in range(3):
            server.look()
        assert len(starter.started) == 1
        reload_request(path).touch()
        until(lambda: server.process is starter.started[-1] is not starter.started[0], server)
    until(lambda: len(starter.started) == 3, server)


def test_a_server_that_hangs_is_given_up_once_pipelines_are_declared_anew(
    tmp_path: Path, starter: Starter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path / "defs"))
    server = CodeServer(tmp_path / "code.sock", starter, pause=0.05, patience=0.2)
    starter.hangs = True
    file = tmp_path / "defs" / "apples" / "assets.py"
    file.parent.mkdir(parents=True)
    file.touch()
    until(lambda: len(starter.started) == 2, server)
    starter.hangs = False
    file.write_text("# corrected")
    until(lambda: server.process is starter.started[-1], server)
    assert len(starter.started) == 3
    assert starter.started[1].wait(30)


def test_a_socket_that_somebody_removes_is_made_anew(tmp_path: Path, starter: Starter) -> None:
    path = tmp_path / "factory" / "code.sock"
    server = CodeServer(path, starter, pause=0.05)
    until(lambda: answers(path), server)
    for number, remove in enumerate((lambda: shutil.rmtree(path.parent), path.unlink), 2):
        remove()
        until(lambda: answers(path), server)
        assert server.process is starter.started[-1]
        assert len(starter.started) == number
    assert path.parent.stat().st_mode & 0o777 == 0o700


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
        with pytest.raises(FactoryError, match=r"not reloaded.*code\.log"):
            asked.result()
    assert server.process is starter.started[0]
    assert answers(path)
    assert not reload_request(path).exists()
