"""A run marks that it is in progress; only a kill leaves the mark."""

import os
import signal
import subprocess
import sys

import pytest

from factory_resources.home.home import Home
from factory_resources.home.run_markers import killed_runs, run_marker

_HANG = """
import sys, time
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.home.run_markers import run_marker
with run_marker(Home(Path(sys.argv[1]))):
    print("marked", flush=True)
    time.sleep(600)
"""


def test_a_run_that_ends_leaves_no_marker(home: Home) -> None:
    home.require_writable()
    with run_marker(home):
        assert len(list((home.path / "running").iterdir())) == 1
        assert killed_runs(home) == []
    assert list((home.path / "running").iterdir()) == []


def test_a_run_that_fails_leaves_no_marker(home: Home) -> None:
    home.require_writable()
    with pytest.raises(ValueError, match="a mistake"), run_marker(home):
        raise ValueError("a mistake")
    assert list((home.path / "running").iterdir()) == []


def test_a_killed_run_is_found(home: Home) -> None:
    home.require_writable()
    command = [sys.executable, "-c", _HANG, str(home.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "marked\n"
        assert killed_runs(home) == []
        os.kill(process.pid, signal.SIGKILL)
    assert len(killed_runs(home)) == 1
