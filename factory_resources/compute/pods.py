"""What each pod of the factory is: its container, rights, volumes, and how much it may use.

Which pods there are belongs in `manifests` and `run_pods`.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from factory_resources.compute.cluster import Cluster, PeerAddress
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.home.processes import POD_VARIABLE
from factory_resources.instance import SETTINGS_VARIABLE
from factory_resources.store.location import ACCESS_KEY, SECRET_KEY

Component = Literal["server", "run", "shell"]

Manifest = dict[str, Any]
"""An object of Kubernetes, as its API reads it."""

NAME = "factory"

USER = 1000
"""Number of the user and the group of all processes."""

VOLUME = "/factory"
"""Where the volume is. The home is a folder in it: its own rights are the cluster's."""

PIPELINES, DATA = "/srv/pipelines", "/srv/data"
"""Folders of the image: declarations with `factory.yaml` and `people.yaml`, and data."""

SETTINGS_FOLDER, TLS_FOLDER = "/etc/factory/dagster", "/etc/factory/tls"

DAGSTER_FILE = "dagster.yaml"

DAGSTER_CONFIG = "factory-dagster"
"""The ConfigMap with what a cluster changes in the settings of Dagster."""

RUN_ACCOUNT = "factory-run"

_SHARED_MEMORY = "1Gi"
"""Of `/dev/shm`, by which data loaders pass batches; it counts as memory of the pod."""


def labels(component: Component) -> dict[str, str]:
    """Return the labels of a pod."""
    return {"app.kubernetes.io/name": NAME, "app.kubernetes.io/component": component}


def pod_spec(cluster: Cluster, component: Component, container: Mapping[str, Any]) -> Manifest:
    """Return the specification of a pod with one container.

    Args:
        container: what this container has of its own: command, ports, probes.
    """
    peers = (*cluster.peers, *(cluster.logins if component == "server" else ()))
    hosts = _hosts(peers)
    return {
        "serviceAccountName": RUN_ACCOUNT if component == "run" else NAME,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # No name server is asked; `hostAliases` has all names.
        "dnsPolicy": "None",
        "dnsConfig": {"nameservers": ["127.0.0.1"]},
        **({"hostAliases": hosts} if hosts else {}),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            # Else each start would open the home, whose rights are its own, to the group.
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [_container(cluster, component, container)],
        "volumes": _volumes(cluster, component),
        **_placement(cluster, component),
    }


def _hosts(peers: Iterable[PeerAddress]) -> list[Manifest]:
    """Return the names of peers by their IP address."""
    found: dict[str, dict[str, None]] = {}
    for peer in peers:
        if peer.host != peer.ip:
            found.setdefault(peer.ip, {})[peer.host] = None
    return [{"ip": ip, "hostnames": [*names]} for ip, names in found.items()]


def _container(cluster: Cluster, component: Component, own: Mapping[str, Any]) -> Manifest:
    return {
        "name": NAME,
        "image": cluster.image,
        "imagePullPolicy": "IfNotPresent",
        **own,
        "env": _variables(cluster, component),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "resources": _resources(cluster, component),
        "volumeMounts": _mounts(cluster, component),
    }


def variables_of(cluster: Cluster) -> dict[str, str]:
    """Return the environment variables of each pod whose values are no secrets."""
    values = {
        "FACTORY_HOME": f"{VOLUME}/home",
        "FACTORY_DEFS": PIPELINES,
        "FACTORY_DATA": DATA,
        **cluster.variables,
        # Libraries keep caches, and the file system of the image is read only.
        "HOME": "/tmp",  # noqa: S108 - the pod's own
        "XDG_CACHE_HOME": "/tmp/cache",  # noqa: S108
        "MPLCONFIGDIR": "/tmp/matplotlib",  # noqa: S108
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    if cluster.runs == "pods":
        values[SETTINGS_VARIABLE] = f"{SETTINGS_FOLDER}/{DAGSTER_FILE}"
    return values


def _variables(cluster: Cluster, component: Component) -> list[Manifest]:
    values = variables_of(cluster)
    found: list[Manifest] = [{"name": name, "value": value} for name, value in values.items()]
    if component != "server":
        # The server, which ends what dead processes have left, sees none of its processes.
        field = {"fieldRef": {"fieldPath": "metadata.name"}}
        found.append({"name": POD_VARIABLE, "valueFrom": field})
    if cluster.database_secret:
        found.append(_secret(DATABASE_VARIABLE, cluster.database_secret, "url"))
    if cluster.store_secret:
        keys = {ACCESS_KEY: "access-key", SECRET_KEY: "secret-key"}
        found += [_secret(name, cluster.store_secret, key) for name, key in keys.items()]
    return found


def _secret(variable: str, secret: str, key: str) -> Manifest:
    """Return a variable whose value is a key of a Secret."""
    reference = {"secretKeyRef": {"name": secret, "key": key}}
    return {"name": variable, "valueFrom": reference}


def _resources(cluster: Cluster, component: Component) -> Manifest:
    trains = component == ("run" if cluster.runs == "pods" else "server")
    gpus = {"nvidia.com/gpu": str(cluster.gpus)} if trains and cluster.gpus else {}
    return {
        "requests": {"cpu": cluster.cores, "memory": cluster.memory, **gpus},
        "limits": {"memory": cluster.memory, **gpus},
    }


def _volumes(cluster: Cluster, component: Component) -> list[Manifest]:
    found: list[Manifest] = [
        {"name": "home", "persistentVolumeClaim": {"claimName": NAME}},
        {"name": "tmp", "emptyDir": {}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": _SHARED_MEMORY}},
    ]
    if cluster.runs == "pods":
        found.append({"name": "dagster", "configMap": {"name": DAGSTER_CONFIG}})
    if component == "server":
        # Readable by the group, which is the process's alone.
        secret = {"secretName": cluster.tls_secret, "defaultMode": 0o440}
        found.append({"name": "tls", "secret": secret})
        if cluster.runs == "pods":
            found.append({"name": "api", "projected": {"defaultMode": 0o440, "sources": [*_TOKEN]}})
    return found


_TOKEN: Sequence[Manifest] = (
    {"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}},
    {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    {
        "downwardAPI": {
            "items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
        }
    },
)
"""What a program needs to ask the API of its cluster. The token counts for an hour and is renewed
while the pod lives."""


def _mounts(cluster: Cluster, component: Component) -> list[Manifest]:
    places = {"home": VOLUME, "tmp": "/tmp", "shm": "/dev/shm"}  # noqa: S108
    readable = {"dagster": SETTINGS_FOLDER} if cluster.runs == "pods" else {}
    if component == "server":
        readable["tls"] = TLS_FOLDER
        if cluster.runs == "pods":
            readable["api"] = "/var/run/secrets/kubernetes.io/serviceaccount"
    found: list[Manifest] = [{"name": name, "mountPath": path} for name, path in places.items()]
    return found + [
        {"name": name, "mountPath": path, "readOnly": True} for name, path in readable.items()
    ]


def _placement(cluster: Cluster, component: Component) -> Manifest:
    """Return where the pod must be: only one node has a volume that is not shared."""
    if component == "server" or cluster.shared:
        return {}
    term = {
        "labelSelector": {"matchLabels": labels("server")},
        "topologyKey": "kubernetes.io/hostname",
    }
    if component == "run":
        wish: Manifest = {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
    else:
        weighted = {"weight": 100, "podAffinityTerm": term}
        wish = {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}
    return {"affinity": {"podAffinity": wish}}
