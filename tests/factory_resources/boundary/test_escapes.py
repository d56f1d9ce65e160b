"""No attempt to leave gets out, and each would without a boundary.

Every attempt is made twice in a network whose every address is this machine.
"""

import json
import subprocess
import sys
from functools import cache

import pytest

from factory_resources.boundary.escapes.attempting import register
from factory_resources.boundary.escapes.registry import ATTEMPTS
from factory_resources.boundary.escapes.trial import EscapeTrial, TrialResult
from factory_resources.home.home import PROJECT
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.loopback import needs_root
from tests.ordinary_user import USER, by_ordinary_user

register()
_QUICK = [name for name, one in ATTEMPTS.items() if not one.slow]
pytestmark = pytest.mark.slow

_TRY = """
import json, sys
sys.path.insert(0, sys.argv[1])
from factory_resources.boundary.escapes.trial import run_trial
json.dump(run_trial(sys.argv[2], json.loads(sys.argv[3]), slow=sys.argv[4] == "slow"), sys.stdout)
"""
_NEEDS_MORE = {"alg", "bpf", "file-handle", "int-80", "keyring", "mptcp", "perf", "userfaultfd"}
_NEEDS_MORE |= {"type-into-terminal", "type-with-high-bits", "vsock", "xdp", "io-uring"}
_NEEDS_MORE |= {"tcp-ipv6", "udp-ipv6"}
"""What a kernel may not have, or not for an ordinary user: then the control does not get out."""
_OPEN_IN_FALLBACK = {"daemon", "daemon-nearby", "sent-descriptors", "shared-memory"}
"""`open_ways` names them: a filter of system calls cannot tell one unix socket from another."""


@cache
def _trial(level: str, *, as_root: bool = False, speed: str = "quick") -> EscapeTrial:
    command = [sys.executable, "-c", _TRY, str(PROJECT), level, json.dumps(USER), speed]
    done = subprocess.run(
        command if as_root else by_ordinary_user(command),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *fields, results = json.loads(done.stdout)
    return EscapeTrial(*fields, tuple(TrialResult(*one) for one in results))


def _result(trial: EscapeTrial, name: str) -> TrialResult:
    return next(one for one in trial.results if one.name == name)


@needs_namespaces
@pytest.mark.parametrize("name", ATTEMPTS)
def test_an_ordinary_user_does_not_get_out(name: str) -> None:
    trial = _trial("required", speed="slow")
    assert trial.level == "namespaces"
    one = _result(trial, name)
    assert one.result == "held" or (one.result == "no control" and name in _NEEDS_MORE), one


@needs_namespaces
@needs_root
@pytest.mark.parametrize("name", _QUICK)
def test_whom_root_becomes_does_not_get_out(name: str) -> None:
    one = _result(_trial("required", as_root=True), name)
    assert one.result == "held" or (one.result == "no control" and name in _NEEDS_MORE), one


@needs_namespaces
@pytest.mark.parametrize("name", _QUICK)
def test_the_fallback_holds_all_but_what_it_names(name: str) -> None:
    trial = _trial("seccomp")
    assert trial.level == "seccomp"
    one = _result(trial, name)
    expected = "out" if name in _OPEN_IN_FALLBACK else "held"
    assert one.result == expected or (one.result == "no control" and name in _NEEDS_MORE), one
