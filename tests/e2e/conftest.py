"""Fixtures of the end-to-end tests: the `factory` command as a real process, and homes.

The demo and the pipeline that is served run once for all tests, each in a new home.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock

from tests import approvals
from tests.commands import FactoryCommand, command
from tests.pipelines import enter, write_apples


class Demo(NamedTuple):
    """A home in which the demo has run, its output, and the command bound to that home."""

    home: Path
    output: str
    factory: FactoryCommand


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
def factory(tmp_path: Path) -> FactoryCommand:
    """The command bound to an empty home, for one test."""
    return command(tmp_path / "home")
