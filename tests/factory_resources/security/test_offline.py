"""The switches that keep libraries offline take effect, and a missing one is noticed."""

import subprocess
import sys

from factory_resources.security.offline import SWITCHES, switches_off

_READ_BACK = """
from factory_resources.security.offline import go_offline, switches_off
go_offline()
assert all(switches_off().values())
import mlflow.telemetry.client as client
from mlflow.telemetry.utils import is_telemetry_disabled
assert is_telemetry_disabled()
"""


def test_the_switches_disable_mlflow_telemetry() -> None:
    subprocess.run([sys.executable, "-c", _READ_BACK], check=True, env={"PATH": "/usr/bin:/bin"})


def test_switches_off_notices_a_wrong_value(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    assert all(switches_off().values())
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "1")
    assert not switches_off()["MLFLOW_DISABLE_TELEMETRY"]
