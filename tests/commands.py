"""The `factory` command: in a new process, in one that was forked with all imports, or in this."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_resources.home.home import PROJECT
from tests.command_client import run_command

FactoryCommand = Callable[..., subprocess.CompletedProcess[str]]


def command(home: Path, **variables: str) -> FactoryCommand:
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


def forked_command() -> list[str]:
    """Return the start of a command line that runs a command of `factory` as `forked` does.

    Signals to its process do not reach the command.
    """
    client = Path(__file__).with_name("command_client.py")
    return [sys.executable, "-IS", str(client), command_server().socket]


def forked(home: Path, **variables: str) -> FactoryCommand:
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
            texts = output.read().decode(), errors.read().decode()
        return subprocess.CompletedProcess(words, code, *texts)

    return run


def in_process(*arguments: object) -> tuple[int, str]:
    """Run a `factory` command in this process; return its exit code, and what it prints."""
    done = CliRunner().invoke(main, [*map(str, arguments)])
    return done.exit_code, done.output


def several(*commands: Sequence[str], home: Path, **variables: str) -> str:
    """Run `factory` commands that shall succeed, and return what they print."""
    factory = forked(home, **variables)
    printed = []
    for arguments in commands:
        done = factory(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        printed.append(done.stdout)
    return "".join(printed)
