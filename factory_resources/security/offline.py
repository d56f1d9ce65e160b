"""Every switch that keeps a library from calling out, in one place, set before the import.

Dagster's own switch is in the instance's `dagster.yaml`: the environment does not stop its UI.
"""

import os
from types import MappingProxyType

SWITCHES = MappingProxyType(
    {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_MODEL_CATALOG_URI": "",
        "DO_NOT_TRACK": "1",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        # Or the S3 client asks a machine of the cloud who it is.
        "AWS_EC2_METADATA_DISABLED": "true",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # MLflow asks git for a commit on every run; the factory records its own code version.
        "GIT_PYTHON_REFRESH": "quiet",
        "MPLBACKEND": "Agg",
        # Not about calling out, but to be set at the same moment: OpenMP's threads otherwise spin
        # while they wait for each other, which doubles boosting's time where cores are shared.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
)


def go_offline() -> None:
    """Set every switch in this process; children inherit them. Cheap, and safe to call again."""
    os.environ.update(SWITCHES)


def switches_off() -> dict[str, bool]:
    """Read each switch back, as a check: name of the variable to whether it stands as it must."""
    return {name: os.environ.get(name) == value for name, value in SWITCHES.items()}
