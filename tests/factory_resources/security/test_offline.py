"""The switches that keep libraries offline take effect."""

import subprocess
import sys

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
