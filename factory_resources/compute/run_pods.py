"""The setting of Dagster by which each run has a pod of its own, started by `dagster-k8s`.

What a pod is belongs in `pods`; what the process in it does, in `factory_assets.cli.run_pod`.
"""

from typing import Any

from factory_resources.compute.cluster import Cluster
from factory_resources.compute.pods import (
    DAGSTER_CONFIG,
    RUN_ACCOUNT,
    VOLUME,
    labels,
    pod_spec,
)

_ENTRY = ["python", "-m", "factory_assets.cli.run_pod"]
"""What a pod starts; the command line of Dagster's worker is behind it."""

_KEPT_SECONDS = 86_400
"""How long the cluster shows a run that has ended."""

_START_SECONDS = 1_800
"""How long a pod may take to start: a new node has to come, and to fetch the image."""


def dagster_settings(cluster: Cluster) -> dict[str, Any]:
    """Return the sections that take the place of those of `dagster.yaml`."""
    spec = pod_spec(cluster, "run", {"command": _ENTRY})
    [container] = spec.pop("containers")
    for name in ("name", "image", "imagePullPolicy"):
        container.pop(name)
    config = {
        "job_namespace": cluster.namespace,
        "job_image": cluster.image,
        "image_pull_policy": "IfNotPresent",
        "service_account_name": RUN_ACCOUNT,
        # The launcher asks for a name. The pods read the settings in the home.
        "instance_config_map": DAGSTER_CONFIG,
        "dagster_home": f"{VOLUME}/home/dagster",
        "labels": labels("run"),
        # Else whoever launches a run could choose its image, its rights and its secrets.
        "only_allow_user_defined_k8s_config_fields": {},
        "only_allow_user_defined_env_vars": [],
        "run_k8s_config": {
            "container_config": container,
            "pod_spec_config": spec,
            "job_spec_config": {"ttlSecondsAfterFinished": _KEPT_SECONDS},
        },
    }
    return {
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": config,
        },
        "run_monitoring": {
            # A retry is a run of its own, with its own entries in the ledger.
            "max_resume_run_attempts": 0,
            "start_timeout_seconds": _START_SECONDS,
        },
    }
