"""`factory boundary test`: what it prints, and how it ends."""

import subprocess
import sys

import pytest

from factory_assets.cli.boundary import attempt_table, got_out, trial_summary
from factory_resources.boundary.escapes.trial import EscapeTrial, TrialOutcome, TrialResult
from factory_resources.home.home import PROJECT, Home
from tests.factory_resources.boundary.machine import needs_namespaces
from tests.ordinary_user import by_ordinary_user


def _factory(home: Home, *arguments: str) -> subprocess.CompletedProcess[str]:
    start = f"import sys; sys.path.insert(0, {str(PROJECT)!r})\n"
    start += "from factory_assets.cli.main import main; main()"
    command = [sys.executable, "-c", start, "boundary", "test", *arguments]
    return subprocess.run(
        by_ordinary_user(command), capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.slow
@needs_namespaces
def test_it_prints_what_held(home: Home) -> None:
    done = _factory(home, "tcp", "inherited-tcp")
    assert done.returncode == 0, done.stderr
    assert "namespaces, as user" in done.stdout
    assert ": 2 of 2 ways held\n" in done.stdout
    assert "an inherited TCP connection" in done.stdout


@pytest.mark.slow
@needs_namespaces
def test_it_ends_with_1_if_something_got_out(home: Home) -> None:
    done = _factory(home, "daemon", "tcp", "--level", "seccomp")
    assert done.returncode == 1, done.stderr
    assert "1 of 2 ways held, 1 got out" in done.stdout
    assert "open at this level: unix sockets of daemons" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["no-way"], "'no-way' is not a way out; use one of: alg, bash"),
        (["--user", "0"], "'0' is not UID or UID:GID of an ordinary user"),
        (["--user", "4294967295"], "'4294967295' is not UID or UID:GID of an ordinary user"),
        (["--user", "12345:99999999999"], "is not UID or UID:GID of an ordinary user"),
        (["--user", "12345"], "only root can become another user"),
    ],
)
def test_a_mistake_is_one_line(home: Home, arguments: list[str], error: str) -> None:
    done = _factory(home, *arguments)
    assert done.returncode == 2
    assert error in done.stderr.splitlines()[-1]


def _trial(*results: TrialOutcome) -> EscapeTrial:
    found = [TrialResult(f"way-{n}", "a way", one, "because") for n, one in enumerate(results)]
    return EscapeTrial("namespaces", "", 7, 1000, tuple(found))


def test_a_trial_without_control_is_no_proof() -> None:
    trial = _trial("held", "no control")
    assert not got_out(trial)
    assert trial_summary(trial) == (
        "namespaces, as user 1000: 1 of 2 ways held; "
        "1 without control: here they fail without a boundary, too\n"
    )
    assert attempt_table(trial).row_count == 2
    assert got_out(_trial("held", "out"))
