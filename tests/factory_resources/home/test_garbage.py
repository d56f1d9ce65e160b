"""Scratch of a run in a pod stays while the pod holds its lock, and is left behind afterwards."""

import os
import subprocess
import sys

import pytest

from factory_resources.home.garbage import left_behind
from factory_resources.home.home import PROJECT, Home
from factory_resources.home.processes import POD_VARIABLE, pod_lock

_POD = "dagster-run-1-abcde"

_SCRIPT = """
import signal, sys
from pathlib import Path
from factory_resources.home.home import Home
from factory_resources.home.processes import pod_lock
home = Home(Path(sys.argv[1]))
with home.lock(pod_lock(sys.argv[2])), home.scratch() as scratch:
    print(scratch.name, flush=True)
    signal.pause()
"""


def test_scratch_of_a_pod_is_left_behind_when_the_pod_is_gone(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(home.path), _POD],
        cwd=PROJECT,
        env={**os.environ, POD_VARIABLE: _POD},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert pod.stdout
    scratch = pod.stdout.readline().strip()
    assert scratch.startswith(f"{_POD}.pod-")
    assert [*left_behind(home)] == []
    pod.kill()
    pod.communicate()
    assert [(one.path.name, one.kind) for one in left_behind(home)] == [
        (scratch, "scratch"),
        (pod_lock(_POD), "lock"),
    ]
