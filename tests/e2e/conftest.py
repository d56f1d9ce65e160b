"""One factory for all end-to-end tests: the demo, run once by the real command in a fresh home."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

Factory = Callable[..., subprocess.CompletedProcess[str]]


class Demo(NamedTuple):
    """A home in which the demo has run, what it printed, and the command bound to that home."""

    home: Path
    output: str
    factory: Factory


def command(home: Path, **variables: str) -> Factory:
    """The `factory` command as a real process in `home`."""

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


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    home = tmp_path_factory.mktemp("factory") / "home"
    factory = command(home)
    done = factory("demo")
    assert done.returncode == 0, done.stdout + done.stderr
    return Demo(home, done.stdout, factory)


@pytest.fixture
def factory(tmp_path: Path) -> Factory:
    """The command in an empty home of the test's own."""
    return command(tmp_path / "home")
