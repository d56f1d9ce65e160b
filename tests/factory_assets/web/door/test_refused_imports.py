"""What the front door's process does without, in a process of its own."""

import subprocess
import sys

PROGRAM = """\
import json, sys
from factory_assets.web.door.refused_imports import WITHOUT, refuse_imports
refuse_imports()
import mlflow.server
for name in WITHOUT:
    try:
        __import__(name)
    except ModuleNotFoundError as error:
        assert error.name == name
    else:
        raise SystemExit(f"{name} was imported")
# As MLflow does it.
try:
    from mlflow.server import auth
except ImportError:
    pass
print(sorted(WITHOUT & sys.modules.keys()))
"""


def test_a_refused_module_is_missing_and_mlflow_is_imported_without() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
