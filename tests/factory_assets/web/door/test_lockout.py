"""A name is locked after some failures, for longer and longer."""

import pytest

from factory_assets.web.door import lockout as module
from factory_assets.web.door.lockout import Lockout


def _fail(lockout: Lockout, name: str, times: int) -> list[float]:
    """Fail so often; return how long the name is locked after each time."""
    waits = []
    for _ in range(times):
        lockout.failed(name)
        waits.append(lockout.wait(name))
    return waits


def test_each_failure_after_the_fifth_doubles_the_time_up_to_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lockout, now = Lockout(), 1_000.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    assert _fail(lockout, "jane", 11) == [0, 0, 0, 0, 60, 120, 240, 480, 960, 1_920, 3_600]
    assert _fail(lockout, "jane", 20)[-1] == 3_600
    assert lockout.wait("tom") == 0
    now += 3_601
    assert lockout.wait("jane") == 0
    assert _fail(lockout, "jane", 1) == [3_600]
    lockout.succeeded("jane")
    assert _fail(lockout, "jane", 5) == [0, 0, 0, 0, 60]


def test_a_flood_of_names_makes_those_be_forgotten_that_failed_longest_ago(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_NAMES", 3)
    lockout = Lockout()
    for name in ("jane", "tom"):
        _fail(lockout, name, 4)
    _fail(lockout, "ann", 1)
    assert _fail(lockout, "jane", 1)[0] > 0
    _fail(lockout, "eve", 1)
    assert lockout.wait("jane") > 0
    assert _fail(lockout, "tom", 1) == [0]
