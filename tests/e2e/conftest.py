"""Fixtures of the end-to-end tests: the `factory` command as a real process, and homes.

The demo and the pipeline that is served run once for all tests, each in a new home.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from factory_resources.home.home import PROJECT
from tests import approvals
from tests.command_client import run_command
from tests.pipelines import enter, write_apples

Factory = Callable[..., subprocess.CompletedProcess[str]]


class Demo(NamedTuple):
    """A home in which the demo has run, its output, and the command bound to that home."""

    home: Path
    output: str
    factory: Factory


def command(home: Path, **variables: str) -> Factory:
    """Return a function that runs the `factory` command as a process in `home`."""

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "FACTORY_HOME": str(home), **variables}
        return subprocess.run(
            [sys.executable, "-m", "factory_assets.cli", *map(str, arguments)],
            env=environment,
            cwd=cwd or home.parent,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    return run


class _Server(NamedTuple):
    """The process of `tests.command_server`, which ends with this one, and its socket."""

    folder: tempfile.TemporaryDirectory[str]
    process: "subprocess.Popen[bytes]"

    @property
    def socket(self) -> str:
        return str(Path(self.folder.name) / "commands")


@cache
def command_server() -> _Server:
    """Start the server of commands, once in this process."""
    folder = tempfile.TemporaryDirectory(prefix="commands")
    started = _Server(
        folder,
        subprocess.Popen(
            [sys.executable, "-m", "tests.command_server", str(Path(folder.name) / "commands")],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        ),
    )
    while not Path(started.socket).exists():
        assert started.process.poll() is None
        time.sleep(0.05)
    return started


def forked(home: Path, **variables: str) -> Factory:
    """Return what `command` does, with processes that have imported everything already."""

    def run(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        words = [*map(str, arguments)]
        with (
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as errors,
            open(os.devnull) as nothing,
        ):
            code = run_command(
                command_server().socket,
                words,
                {**os.environ, "FACTORY_HOME": str(home), **variables},
                str(cwd or home.parent),
                [one.fileno() for one in (nothing, output, errors)],
                timeout=600,
            )
            output.seek(0)
            errors.seek(0)
            said = output.read().decode(), errors.read().decode()
        return subprocess.CompletedProcess(words, code, *said)

    return run


def several(*commands: Sequence[str], home: Path, **variables: str) -> str:
    """Run `factory` commands that shall succeed, and return what they print."""
    factory = forked(home, **variables)
    printed = []
    for arguments in commands:
        done = factory(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    return "".join(printed)


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """A home of this process, copied from one in which the demo ran once for all."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "demo"
    with FileLock(f"{shared}.lock"):
        if not (shared / "output").exists():
            shared.mkdir(exist_ok=True)
            done = command(shared / "home")("demo")
            assert done.returncode == 0, done.stdout + done.stderr
            (shared / "output").write_text(done.stdout)
    home = shutil.copytree(shared / "home", tmp_path_factory.mktemp("factory") / "home")
    return Demo(home, (shared / "output").read_text(), command(home))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> approvals.Factory:
    """A home with two versions of a pipeline, the second of which serves; tests copy it.

    Each version learned from other rows, so that their answers differ.
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "trained"
    done = shared / "done"
    with FileLock(f"{shared}.lock"), pytest.MonkeyPatch.context() as patch:
        if not done.exists():
            made = approvals.declare_factory(shared)
            enter(made.root, patch)
            for seed, rows in ((7, 200), (8, 300)):
                write_apples(made.defs / "apples", rows)
                made.declare(seed=seed, approval=None)
                made.run()
            done.touch()
    return approvals.Factory(shared)


@pytest.fixture(scope="module")
def made(
    trained: approvals.Factory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[approvals.Factory]:
    """A copy of `trained` for the tests of one module."""
    with pytest.MonkeyPatch.context() as patch:
        yield approvals.copy_factory(trained, tmp_path_factory.mktemp("serve") / "factory", patch)


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """The command bound to an empty home, for one test."""
    return command(tmp_path / "home")
