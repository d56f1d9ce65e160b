"""The switches that keep libraries offline take effect."""

import os
import subprocess
import sys

import pytest

from factory_resources.security.offline import go_offline

_READ_BACK = """
import os
from factory_resources.security.offline import SWITCHES, go_offline
go_offline()
assert all(os.environ[name] == value for name, value in SWITCHES.items())
import mlflow.telemetry.client as client
from mlflow.telemetry.utils import is_telemetry_disabled
assert is_telemetry_disabled()
"""


def test_the_switches_disable_mlflow_telemetry() -> None:
    subprocess.run([sys.executable, "-c", _READ_BACK], check=True, env={"PATH": "/usr/bin:/bin"})


def test_nothing_waits_for_a_silent_database_unless_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    go_offline()
    assert os.environ["PGCONNECT_TIMEOUT"] == "10"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "60")
    go_offline()
    assert os.environ["PGCONNECT_TIMEOUT"] == "60"
