"""Switches that keep libraries from using the network on their own, set before their import.

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
        "RAY_USAGE_STATS_ENABLED": "0",
        # Otherwise the S3 client queries the cloud's instance metadata service.
        "AWS_EC2_METADATA_DISABLED": "true",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # MLflow asks git for a commit on every run; the factory records its own code version.
        "GIT_PYTHON_REFRESH": "quiet",
        "MPLBACKEND": "Agg",
        # Plugins of other packages would see every declaration, and are searched at every start.
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
        # Unrelated to the network, but set at the same time: OpenMP's threads otherwise spin while
        # they wait for each other, which doubles the time of boosting on shared cores.
        "OMP_WAIT_POLICY": "PASSIVE",
    }
)


def go_offline() -> None:
    """Set every switch in this process and its children. Cheap, and safe to call again."""
    os.environ.update(SWITCHES)
    # A server of PostgreSQL that takes connections and never answers, or whose machine is gone,
    # would keep every page, command and run waiting; the address or the environment may say longer.
    os.environ.setdefault("PGCONNECT_TIMEOUT", "10")
