"""A process has an identity that no other shares, and is alive until it has ended."""

import os
import subprocess

from factory_resources.home.processes import is_alive, process_identity


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
