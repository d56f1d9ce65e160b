"""What no schema of Kubernetes refuses, and the factory does: rights that its pods must not have.

It also reads what an overlay of kustomize makes of the base.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import yaml

from factory_resources.compute.pods import DAGSTER_CONFIG, DAGSTER_FILE, Manifest
from factory_resources.errors import DeclarationError

_LONG_RUNNING = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"})

_CLAIM = "persistentVolumeClaim"

_VOLUMES = frozenset({_CLAIM, "emptyDir", "configMap", "secret", "projected", "downwardAPI"})
"""Kinds of volumes that show nothing of the node."""

_SECRET = re.compile(r"PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIAL|_KEY\b|DATABASE_URL")
"""Names of variables whose values only a Secret should have."""

_LAUNCH_RESOURCES = frozenset({"jobs", "jobs/status", "pods", "pods/log", "events"})
"""What the API must show to start, watch and end runs."""


def policy_violations(objects: Sequence[Manifest]) -> list[str]:
    """Return a line for each thing that the factory does not accept; none if all is well.

    Args:
        objects: keys without a value are removed from them, as Kubernetes does.

    Raises:
        DeclarationError: an object is not valid for Kubernetes.
    """
    for part in _parts([*objects]):
        if isinstance(part, dict):
            for key in [key for key, value in part.items() if value is None]:
                del part[key]
    found = []
    closed = {_namespace(one) for one in objects if _refuses_all(one)}
    open_to_all = {_namespace(one) for one in objects if any(_pod_specs(one))} - closed - {""}
    if not closed or (open_to_all and "" not in closed):
        found.append(
            "no NetworkPolicy denies traffic by default; in each namespace, add one for all pods "
            "that has no rules"
        )
    for one in objects:
        with _malformed(one):
            found += [f"{_name(one)}: {line}" for line in _object_violations(one, objects)]
    return found


@contextmanager
def _malformed(one: Manifest) -> Iterator[None]:
    """Name the object in which something of another type is, or a part is missing."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise DeclarationError(
            f"it is not a valid object of Kubernetes ({' '.join(str(error).split())})",
            where=_name(one),
            remedy="correct what kubectl apply --dry-run=server finds",
        ) from error


def _name(one: Manifest) -> str:
    metadata = one.get("metadata")
    return f"{one['kind']} {metadata.get('name') if isinstance(metadata, dict) else metadata}"


def _namespace(one: Manifest) -> str:
    """Return the namespace that an object names; empty if whoever applies it chooses."""
    metadata = one.get("metadata")
    return str(metadata.get("namespace", "")) if isinstance(metadata, dict) else ""


def _object_violations(one: Manifest, objects: Sequence[Manifest]) -> Iterator[str]:
    for spec in _pod_specs(one):
        yield from _pod_violations(spec, objects)
    if any(_claims(one) & _claims(other) for other in objects if other is not one):
        yield "another factory uses this home, too; give each a volume of its own"
    match one.get("kind"):
        case "Deployment":
            yield from _deployment_violations(one["spec"])
        case "ConfigMap" if one["metadata"]["name"] == DAGSTER_CONFIG:
            yield from _run_violations(yaml.safe_load(one["data"][DAGSTER_FILE]), objects)
        case "ServiceAccount" if one.get("automountServiceAccountToken") is not False:
            yield "every pod gets a token of the API; set automountServiceAccountToken: false"
        case "NetworkPolicy":
            yield from _network_violations(one["spec"])
        case "ClusterRoleBinding":
            yield "it gives rights in all namespaces; bind a Role of this one"
        case "RoleBinding" if one["roleRef"]["kind"] != "Role":
            yield "it gives the rights of a ClusterRole; bind a Role of this namespace"
        case "Role" | "ClusterRole":
            yield from _role_violations(one)
        case "Secret":
            yield "a secret is in a manifest; make it in the cluster, and name it here"
        case "Service" if one["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield "the service is reached past the cluster's gateway; its type must be ClusterIP"


def _pod_specs(one: Manifest) -> Iterator[Mapping[str, Any]]:
    """Yield the pods of an object of any kind: those of a CronJob lie deeper than a Job's."""
    return (part for part in _parts(one) if isinstance(part, dict) and "containers" in part)


def _parts(whole: object) -> Iterator[dict[str, Any] | list[Any]]:
    """Yield a mapping or list, and all that are in it."""
    pending = [whole]
    seen = set()
    while pending:
        part = pending.pop()
        # Aliases of YAML can repeat a part without end.
        if id(part) in seen or not isinstance(part, dict | list):
            continue
        seen.add(id(part))
        yield part
        pending += part.values() if isinstance(part, dict) else part


def _claims(one: Manifest) -> set[tuple[str, str]]:
    """Return the namespace and name of each volume in which pods that always run can write."""
    if one["kind"] not in _LONG_RUNNING:
        return set()
    volumes = [volume for spec in _pod_specs(one) for volume in spec.get("volumes", [])]
    claims = [volume[_CLAIM] for volume in volumes if _CLAIM in volume]
    return {(_namespace(one), claim["claimName"]) for claim in claims if not claim.get("readOnly")}


def _run_violations(settings: Mapping[str, Any], objects: Sequence[Manifest]) -> Iterator[str]:
    config = settings["run_launcher"]["config"]
    pods = config["run_k8s_config"]
    container = {**pods["container_config"], "name": "run", "image": config["job_image"]}
    for line in _pod_violations({**pods["pod_spec_config"], "containers": [container]}, objects):
        yield f"pods of runs: {line}"
    if config.get("only_allow_user_defined_k8s_config_fields") != {}:
        yield "whoever launches a run may change its pod; allow no user-defined fields"


def _pod_violations(spec: Mapping[str, Any], objects: Sequence[Manifest]) -> Iterator[str]:
    rights = spec.get("securityContext", {})
    for shared in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(shared):
            yield f"{shared} gives the pod access to its node"
    if spec.get("automountServiceAccountToken") is not False:
        yield "it gets a token of the API; set automountServiceAccountToken: false"
    for volume in spec.get("volumes", []):
        if kinds := {*volume} - {"name"} - _VOLUMES:
            yield f"volume {volume['name']}: {', '.join(sorted(kinds))} gives access to the node"
        if _has_token(volume) and not any(one.get("kind") == "RoleBinding" for one in objects):
            yield f"volume {volume['name']}: a token of the API that nothing needs"
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for one in spec.get(kind, []):
            yield from (
                f"container {one['name']}: {line}" for line in _container_violations(one, rights)
            )


def _has_token(volume: Mapping[str, Any]) -> bool:
    sources = volume.get("projected", {}).get("sources", [])
    return any("serviceAccountToken" in source for source in sources)


def _container_violations(one: Mapping[str, Any], of_pod: Mapping[str, Any]) -> Iterator[str]:
    own = one.get("securityContext", {})
    rights = {**of_pod, **own}
    if own.get("privileged"):
        yield "it is privileged"
    if rights.get("runAsNonRoot") is not True or rights.get("runAsUser") in (0, None):
        yield "it may run as root; set runAsNonRoot and runAsUser"
    if own.get("allowPrivilegeEscalation") is not False:
        yield "it can get more rights; set allowPrivilegeEscalation: false"
    if own.get("readOnlyRootFilesystem") is not True:
        yield "it can change its own programs; set readOnlyRootFilesystem: true"
    capabilities = own.get("capabilities", {})
    if capabilities.get("drop") != ["ALL"] or capabilities.get("add"):
        yield "it has capabilities; drop ALL, and add none"
    if rights.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "no filter of system calls; set seccompProfile: {type: RuntimeDefault}"
    if "memory" not in one.get("resources", {}).get("limits", {}):
        yield "it may take all memory of its node; set resources.limits.memory"
    if _is_moving(one["image"]):
        yield f"image {one['image']} may be another tomorrow; add a tag of its own or a digest"
    for port in one.get("ports", []):
        if port.get("hostPort"):
            yield f"port {port['hostPort']} of the node leads to it; leave out hostPort"
    for variable in one.get("env", []):
        if variable.get("value") and _SECRET.search(variable["name"]):
            yield f"{variable['name']} may contain a password; take it from a Secret"


def _is_moving(image: str) -> bool:
    last = image.rpartition("/")[2]
    return "@" not in last and (":" not in last or last.endswith(":latest"))


def _deployment_violations(spec: Mapping[str, Any]) -> Iterator[str]:
    if spec.get("replicas") not in (0, 1) or spec.get("strategy", {}).get("type") != "Recreate":
        yield "two factories would share one home; set replicas: 1 and strategy: {type: Recreate}"
    for one in spec["template"]["spec"]["containers"]:
        if missing := [kind for kind in ("livenessProbe", "readinessProbe") if kind not in one]:
            yield f"container {one['name']}: nobody notices if it hangs; add {missing[0]}"


def _role_violations(role: Manifest) -> Iterator[str]:
    for rule in role.get("rules", []):
        resources = {*rule.get("resources", [])}
        if (
            role["kind"] == "ClusterRole"
            or "*" in rule.get("verbs", [])
            or resources - _LAUNCH_RESOURCES
        ):
            yield "it may do more than start, watch and end runs in its namespace"


def _refuses_all(one: Manifest) -> bool:
    if one.get("kind") != "NetworkPolicy":
        return False
    with _malformed(one):
        spec = one["spec"]
        return (
            spec.get("podSelector") == {}
            and {*spec.get("policyTypes", [])} == {"Ingress", "Egress"}
            and not {"ingress", "egress"} & {*spec}
        )


def _network_violations(spec: Mapping[str, Any]) -> Iterator[str]:
    if not all(rule.get("ports") for rule in spec.get("ingress", [])):
        yield "it lets in to every port of the pods; name the port of the front door"
    for rule in spec.get("egress", []):
        if not _is_narrow(rule):
            yield "it lets pods send anywhere; name one address and its port"


def _is_narrow(rule: Mapping[str, Any]) -> bool:
    peers = rule.get("to") or []
    return bool(rule.get("ports")) and bool(peers) and all(map(_is_named, peers))


def _is_named(peer: Mapping[str, Any]) -> bool:
    """Return whether a peer is one address, or pods that labels name."""
    if "ipBlock" in peer:
        return str(peer["ipBlock"]["cidr"]).endswith(("/32", "/128"))
    return any(peer.get(kind) for kind in ("podSelector", "namespaceSelector"))
