"""The objects of a cluster that are the factory, by file: a base for kustomize.

One pod is the server: front door, daemon, code location and prediction server are processes of one
`factory up`, which share sockets and end together.
"""

from hashlib import sha256

import yaml

from factory_resources.compute.cluster import Cluster
from factory_resources.compute.network import DOOR_PORT, network_policies
from factory_resources.compute.pods import (
    DAGSTER_CONFIG,
    DAGSTER_FILE,
    NAME,
    RUN_ACCOUNT,
    TLS_FOLDER,
    Manifest,
    labels,
    pod_spec,
)
from factory_resources.compute.run_pods import dagster_settings

HEADER = "# Written by `factory k8s render`; change it in an overlay of kustomize.\n"

KUSTOMIZATION, SHELL = "kustomization.yaml", "shell.yaml"

_FACTORY = ["python", "-m", "factory_assets.cli"]

_PORT_NAME = "door"

_PUBLIC_PORT = 443
"""Of the Service, by which browsers reach the door."""

_RBAC = "rbac.authorization.k8s.io"


def render_files(cluster: Cluster) -> dict[str, str]:
    """Return the content of each file by its name."""
    found = manifests(cluster)
    base = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": cluster.namespace,
        "resources": [name for name in found if name != SHELL],
    }
    return {name: _text(objects) for name, objects in {KUSTOMIZATION: [base], **found}.items()}


def manifests(cluster: Cluster) -> dict[str, list[Manifest]]:
    """Return the objects by file; each names its namespace."""
    found = {
        "namespace.yaml": [_namespace(cluster)],
        "accounts.yaml": _accounts(cluster),
        "network.yaml": network_policies(cluster),
        "volume.yaml": [_claim(cluster)],
        "server.yaml": [_deployment(cluster), _service()],
        SHELL: [_shell(cluster)],
    }
    if cluster.runs == "pods":
        found["runs.yaml"] = [_dagster_config(cluster), *_launch_rights(cluster.namespace)]
    for objects in found.values():
        for one in objects:
            if one["kind"] != "Namespace":
                one["metadata"]["namespace"] = cluster.namespace
            one["metadata"].setdefault("labels", {})["app.kubernetes.io/name"] = NAME
    return found


def _namespace(cluster: Cluster) -> Manifest:
    # The cluster itself refuses pods that could do more than these.
    levels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": cluster.namespace, "labels": levels},
    }


def _accounts(cluster: Cluster) -> list[Manifest]:
    names = [NAME, *([RUN_ACCOUNT] if cluster.runs == "pods" else [])]
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": name},
            "automountServiceAccountToken": False,
        }
        for name in names
    ]


def _claim(cluster: Cluster) -> Manifest:
    spec: Manifest = {
        "accessModes": ["ReadWriteMany" if cluster.shared else "ReadWriteOnce"],
        "resources": {"requests": {"storage": cluster.storage}},
    }
    if cluster.storage_class:
        spec["storageClassName"] = cluster.storage_class
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": NAME},
        "spec": spec,
    }


def _deployment(cluster: Cluster) -> Manifest:
    metadata: Manifest = {"labels": labels("server")}
    if cluster.runs == "pods":
        # Other settings need another start.
        digest = sha256(_settings_text(cluster).encode()).hexdigest()
        metadata["annotations"] = {f"{NAME}/dagster-settings": digest}
    spec = {
        **pod_spec(cluster, "server", _server_container(cluster)),
        "terminationGracePeriodSeconds": 60,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 1,
            # Two factories cannot have one home.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": labels("server")},
            "template": {"metadata": metadata, "spec": spec},
        },
    }


def _server_container(cluster: Cluster) -> Manifest:
    options = ["--host", "0.0.0.0", "--port", str(DOOR_PORT), "--name", cluster.host]  # noqa: S104
    public = ["--public-port", str(_PUBLIC_PORT)]
    tls = ["--tls-cert", f"{TLS_FOLDER}/tls.crt", "--tls-key", f"{TLS_FOLDER}/tls.key"]
    # The door refuses whoever calls it by an unknown name.
    probe = {
        "httpGet": {
            "path": "/healthz",
            "port": _PORT_NAME,
            "scheme": "HTTPS",
            "httpHeaders": [{"name": "Host", "value": cluster.host}],
        },
        "timeoutSeconds": 5,
    }
    return {
        "command": [*_FACTORY, "up", *options, *public, *tls],
        "ports": [{"name": _PORT_NAME, "containerPort": DOOR_PORT, "protocol": "TCP"}],
        "startupProbe": {**probe, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 3},
        "livenessProbe": {**probe, "periodSeconds": 30, "failureThreshold": 4},
    }


def _service() -> Manifest:
    port = {"name": _PORT_NAME, "port": _PUBLIC_PORT, "targetPort": _PORT_NAME, "protocol": "TCP"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME},
        "spec": {"type": "ClusterIP", "selector": labels("server"), "ports": [port]},
    }


def _shell(cluster: Cluster) -> Manifest:
    """Return a pod in which a person gives the first password, restores or looks."""
    spec = pod_spec(cluster, "shell", {"command": ["sleep", "3600"]})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"{NAME}-shell", "labels": labels("shell")},
        "spec": {**spec, "restartPolicy": "Never"},
    }


def _dagster_config(cluster: Cluster) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": DAGSTER_CONFIG},
        "data": {DAGSTER_FILE: _settings_text(cluster)},
    }


def _settings_text(cluster: Cluster) -> str:
    return yaml.safe_dump(dagster_settings(cluster), sort_keys=False)


def _launch_rights(namespace: str) -> list[Manifest]:
    """Return the right to start, watch and end the pods of runs, and whose it is."""
    name = f"{NAME}-launches-runs"
    rules = [
        _rule("batch", ["jobs"], "create", "get", "list", "delete"),
        _rule("batch", ["jobs/status"], "get"),
        _rule("", ["pods"], "get", "list", "delete"),
        _rule("", ["pods/log"], "get"),
        _rule("", ["events"], "list"),
    ]
    role = {"apiGroup": _RBAC, "kind": "Role", "name": name}
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": rules,
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name},
            "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        },
    ]


def _rule(group: str, resources: list[str], *verbs: str) -> Manifest:
    return {"apiGroups": [group], "resources": resources, "verbs": [*verbs]}


def _text(objects: list[Manifest]) -> str:
    return HEADER + yaml.dump_all(objects, Dumper=_ReadableDumper, sort_keys=False)


class _ReadableDumper(yaml.SafeDumper):
    """Writes each object out where it is used, and lines as lines."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _string(dumper: _ReadableDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_ReadableDumper.add_representer(str, _string)
