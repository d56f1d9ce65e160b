"""A process has an identity that no other shares, and is alive until it has ended."""

import os
import subprocess

import pytest

from factory_resources.home.processes import (
    OUTSIDE_VARIABLE,
    POD_VARIABLE,
    is_alive,
    own_identity,
    process_identity,
)


def test_process_identity_distinguishes_processes() -> None:
    assert process_identity(os.getpid()) == process_identity(os.getpid())
    assert process_identity(os.getppid()) != process_identity(os.getpid())
    assert process_identity(2**30) == f"{2**30} gone"


def test_a_process_that_has_ended_is_not_alive_before_its_parent_asks() -> None:
    process = subprocess.Popen(["true"], stdout=subprocess.PIPE)
    assert process.stdout
    identity = process_identity(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_identity(process.pid) == identity
    assert not is_alive(identity)
    process.communicate()
    assert is_alive(process_identity(os.getpid()))
    assert not is_alive(f"{os.getpid()} 1 elsewhere")


def test_a_pod_is_alive_for_all_who_cannot_see_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OUTSIDE_VARIABLE, process_identity(os.getpid()))
    monkeypatch.setenv(POD_VARIABLE, "dagster-run-1")
    identity = own_identity()
    monkeypatch.delenv(OUTSIDE_VARIABLE)
    # What it sees of the processes of others says nothing of them.
    assert is_alive(f"{os.getpid()} 1 elsewhere")
    monkeypatch.delenv(POD_VARIABLE)
    assert identity == "dagster-run-1 pod"
    assert is_alive(identity)
    assert not is_alive(f"{os.getpid()} 1 elsewhere")
