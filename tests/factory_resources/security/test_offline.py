"""Nothing calls out by itself.

The switches are set before the libraries are imported, and read back.
"""

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


def test_libraries_see_the_switches() -> None:
    subprocess.run([sys.executable, "-c", _READ_BACK], check=True, env={"PATH": "/usr/bin:/bin"})


def test_reading_back_notices_a_missing_switch(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    for name, value in SWITCHES.items():
        monkeypatch.setenv(name, value)
    assert all(switches_off().values())
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "1")
    assert not switches_off()["MLFLOW_DISABLE_TELEMETRY"]
