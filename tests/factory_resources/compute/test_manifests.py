"""Kubernetes' own schemas find no mistake in what is rendered, and planted ones are refused."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_resources.compute.cluster import PeerAddress
from factory_resources.compute.manifests import HEADER, KUSTOMIZATION, SHELL, render_files
from factory_resources.compute.pods import DAGSTER_CONFIG, Manifest
from factory_resources.compute.policy import policy_violations
from tests.clusters import DATABASE, ON_POSTGRES, ON_STORE, PODS, cluster, find, needs, objects

needs_schemas = needs("kubernetes_validate", "kubernetes-validate")

_PLACES: list[dict[str, Any]] = [
    {},
    ON_POSTGRES,
    PODS,
    {**PODS, **ON_POSTGRES},
    {**PODS, **ON_POSTGRES, "shared": True},
    {**PODS, **ON_POSTGRES, **ON_STORE},
]
_REST: list[dict[str, Any]] = [
    {},
    {"storage_class": "fast", "storage": "1Ti", "visitors": ("gateway", "monitoring")},
    {"gpus": 2, "cores": "500m", "memory": "64Gi", "image": f"f@sha256:{'a' * 64}"},
    {
        "namespace": "ai-2",
        "outgoing": (PeerAddress("s3.example.org", "fd00::7", 9000), DATABASE),
        "logins": (PeerAddress("id.example.org", "10.1.2.4", 443),),
        "variables": {"FACTORY_MEMORY": "4GB", "FACTORY_DISK_KEEP": "0"},
    },
]
_SETTINGS = [{**place, **rest} for place, rest in product(_PLACES, _REST)]
_DECLARED = {**PODS, **ON_POSTGRES, "shared": True, **_REST[-1]}


def validate(found: list[Manifest], version: str = "1.37") -> None:
    """Validate objects strictly, equal ones once: most are the same in many settings."""
    for one in found:
        _validate(json.dumps(one), version)


@cache
def _validate(text: str, version: str) -> None:
    import kubernetes_validate

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kubernetes_validate.utils, "schema_contents", _schema_contents)
        assert kubernetes_validate.validate(json.loads(text), version, strict=True) == version


@cache
def _schema_contents(filename: str, _: str) -> Any:
    """Read a schema of the package once, which it does at each call."""
    import kubernetes_validate

    file = Path(kubernetes_validate.__file__).parent / filename
    return json.loads(file.read_bytes())


@needs_schemas
@pytest.mark.parametrize("chosen", _SETTINGS, ids=range(len(_SETTINGS)))
def test_the_strict_schemas_find_no_mistake(chosen: dict[str, Any]) -> None:
    found = objects(cluster(**chosen))
    validate(found)
    assert policy_violations(found) == []


@needs_schemas
@pytest.mark.parametrize("version", ["1.30", "1.33", "1.35"])
def test_older_clusters_take_it_too(version: str) -> None:
    validate(objects(cluster(**_SETTINGS[-1])), version)


def test_the_files_are_a_base_for_kustomize() -> None:
    for chosen in _SETTINGS[::6]:
        files = render_files(cluster(**chosen))
        assert all(text.startswith(HEADER) for text in files.values())
        base = yaml.safe_load(files[KUSTOMIZATION])
        assert {*base["resources"]} == {*files} - {KUSTOMIZATION, SHELL}
        assert base["namespace"] == chosen.get("namespace", "factory")
        read = [one for name in files if name != KUSTOMIZATION for one in _load(files[name])]
        assert read == objects(cluster(**chosen))


def _load(text: str) -> list[Manifest]:
    return [*yaml.safe_load_all(text)]


def test_the_network_allows_what_is_declared_and_nothing_else() -> None:
    found = objects(cluster(**_DECLARED))
    policies = {
        one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "NetworkPolicy"
    }
    assert policies["factory-nothing"] == {
        "podSelector": {},
        "policyTypes": ["Ingress", "Egress"],
    }
    opened = {
        name: {
            (rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"])
            for rule in spec.get("egress", [])
        }
        for name, spec in policies.items()
    }
    assert opened == {
        "factory-nothing": set(),
        "factory-door": set(),
        "factory-declared": {("10.1.2.3/32", 5432), ("fd00::7/128", 9000)},
        "factory-of-the-server": {("10.1.2.4/32", 443), ("10.0.0.1/32", 6443)},
    }
    assert (
        policies["factory-of-the-server"]["podSelector"]["matchLabels"]
        == (find(found, "Deployment")["spec"]["selector"]["matchLabels"])
    )


def test_what_is_declared_no_more_is_taken_from_the_rules_that_a_cluster_has() -> None:
    before, after = objects(cluster(**_DECLARED)), objects(cluster())

    def rules(found: list[Manifest]) -> dict[str, Manifest]:
        policies = [one for one in found if one["kind"] == "NetworkPolicy"]
        return {one["metadata"]["name"]: one["spec"] for one in policies}

    # `kubectl apply` removes no object that is missing in a base.
    assert {*rules(before)} == {*rules(after)}
    assert not any(spec.get("egress") for spec in rules(after).values())
    assert policy_violations(after) == []


def test_the_store_is_reached_by_all_pods_and_its_keys_are_those_of_a_secret() -> None:
    found = objects(cluster(**PODS, **ON_STORE))
    rules = find(found, "NetworkPolicy", "factory-declared")["spec"]
    assert rules["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "factory"}}
    assert [rule["to"] for rule in rules["egress"]] == [[{"ipBlock": {"cidr": "10.1.2.5/32"}}]]
    [run] = [yaml.safe_load(text) for text in find_config(found)["data"].values()]
    containers = [
        _pod(found)["containers"][0],
        find(found, "Pod", "factory-shell")["spec"]["containers"][0],
        run["run_launcher"]["config"]["run_k8s_config"]["container_config"],
    ]
    for container in containers:
        variables = {one.pop("name"): one for one in container["env"]}
        assert variables["FACTORY_STORE"] == {"value": "s3://plant/factory"}
        keys = {"FACTORY_S3_ACCESS_KEY": "access-key", "FACTORY_S3_SECRET_KEY": "secret-key"}
        for name, key in keys.items():
            reference = {"name": "factory-store", "key": key}
            assert variables[name] == {"valueFrom": {"secretKeyRef": reference}}


def test_names_are_known_without_a_name_server() -> None:
    found = objects(cluster(**_DECLARED))
    server = _pod(found)
    assert server["dnsPolicy"] == "None"
    names = {"db.example.org", "s3.example.org", "id.example.org"}
    assert {name for one in server["hostAliases"] for name in one["hostnames"]} == names
    [run] = [yaml.safe_load(text) for text in find_config(found)["data"].values()]
    aliases = run["run_launcher"]["config"]["run_k8s_config"]["pod_spec_config"]["hostAliases"]
    assert {name for one in aliases for name in one["hostnames"]} == names - {"id.example.org"}


def test_only_the_pod_that_starts_others_has_a_token_and_only_the_door_the_certificate() -> None:
    found = objects(cluster(**PODS))
    text = yaml.safe_dump(find_config(found)) + yaml.safe_dump(find(found, "Pod", "factory-shell"))
    assert "serviceAccountToken" in yaml.safe_dump(_pod(found))
    assert "factory-tls" in yaml.safe_dump(_pod(found))
    assert not {word for word in ("serviceAccountToken", "factory-tls", "secret:") if word in text}
    alone = yaml.safe_dump_all(objects(cluster()))
    assert not {w for w in ("serviceAccountToken:", "kind: Role", "6443") if w in alone}


def test_the_pod_of_a_run_may_wait_for_a_new_node() -> None:
    config = find_config(objects(cluster(**PODS)))
    [run] = [yaml.safe_load(text) for text in config["data"].values()]
    assert run["run_monitoring"] == {"max_resume_run_attempts": 0, "start_timeout_seconds": 1800}


def test_every_pod_but_the_server_goes_by_its_name() -> None:
    found = objects(cluster(**PODS))
    name = "FACTORY_POD"
    assert name not in yaml.safe_dump(find(found, "Deployment"))
    assert name in yaml.safe_dump(find(found, "Pod", "factory-shell"))
    assert name in yaml.safe_dump(find_config(found))


def test_other_settings_of_dagster_start_the_server_again() -> None:
    def digest(**chosen: Any) -> Any:
        template = find(objects(cluster(**PODS, **chosen)), "Deployment")["spec"]["template"]
        return template["metadata"]["annotations"]

    assert digest() == digest()
    assert digest() != digest(memory="16Gi")


def find_config(found: list[Manifest]) -> Manifest:
    return find(found, "ConfigMap", DAGSTER_CONFIG)


def _pod(found: list[Manifest]) -> Manifest:
    spec: Manifest = find(found, "Deployment")["spec"]["template"]["spec"]
    return spec


def _container(found: list[Manifest]) -> Manifest:
    one: Manifest = _pod(found)["containers"][0]
    return one


_Plant = Callable[[list[Manifest]], Any]

_INVALID: dict[str, _Plant] = {
    "a word that nobody knows": lambda found: _container(found).update(privilegd=True),
    "a number as text": lambda found: _pod(found)["securityContext"].update(runAsUser="root"),
    "a right in the wrong place": lambda found: _pod(found).update(readOnlyRootFilesystem=True),
    "a probe without a port": lambda found: _container(found)["livenessProbe"]["httpGet"].pop(
        "port"
    ),
    "a port without a number": lambda found: find(found, "Service")["spec"]["ports"][0].pop("port"),
    "a deployment without a selector": lambda found: find(found, "Deployment")["spec"].pop(
        "selector"
    ),
}

_REFUSED: dict[str, tuple[_Plant, str]] = {
    "privileged": (
        lambda found: _container(found)["securityContext"].update(privileged=True),
        "it is privileged",
    ),
    "root": (
        lambda found: _pod(found)["securityContext"].update(runAsUser=0),
        "it may run as root",
    ),
    "perhaps root": (
        lambda found: _pod(found)["securityContext"].pop("runAsNonRoot"),
        "it may run as root",
    ),
    "more rights": (
        lambda found: _container(found)["securityContext"].pop("allowPrivilegeEscalation"),
        "it can get more rights",
    ),
    "writable": (
        lambda found: _container(found)["securityContext"].update(readOnlyRootFilesystem=False),
        "it can change its own programs",
    ),
    "capability": (
        lambda found: _container(found)["securityContext"]["capabilities"].update(add=["NET_RAW"]),
        "it has capabilities",
    ),
    "no filter": (
        lambda found: _pod(found)["securityContext"].update(seccompProfile={"type": "Unconfined"}),
        "no filter of system calls",
    ),
    "token": (
        lambda found: _pod(found).update(automountServiceAccountToken=True),
        "it gets a token of the API",
    ),
    "token of an account": (
        lambda found: find(found, "ServiceAccount").pop("automountServiceAccountToken"),
        "every pod gets a token",
    ),
    "token for nothing": (
        lambda found: found.remove(find(found, "RoleBinding", "factory-launches-runs")),
        "a token of the API that nothing needs",
    ),
    "no refusal": (
        lambda found: found.remove(find(found, "NetworkPolicy", "factory-nothing")),
        "no NetworkPolicy denies traffic by default",
    ),
    "any address": (
        lambda found: find(found, "NetworkPolicy", "factory-declared")["spec"]["egress"].append({}),
        "it lets pods send anywhere",
    ),
    "folder of the node": (
        lambda found: _pod(found)["volumes"].append({"name": "n", "hostPath": {"path": "/"}}),
        "hostPath gives access to the node",
    ),
    "half of all addresses": (
        lambda found: find(found, "NetworkPolicy", "factory-declared")["spec"]["egress"].append(
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/1"}}], "ports": [{"port": 443}]}
        ),
        "it lets pods send anywhere",
    ),
    "all pods of all namespaces": (
        lambda found: find(found, "NetworkPolicy", "factory-declared")["spec"]["egress"].append(
            {"to": [{"namespaceSelector": {}}], "ports": [{"port": 443}]}
        ),
        "it lets pods send anywhere",
    ),
    "every port": (
        lambda found: find(found, "NetworkPolicy", "factory-door")["spec"]["ingress"].append({}),
        "it lets in to every port of the pods",
    ),
    "port of the node": (
        lambda found: _container(found)["ports"][0].update(hostPort=8443),
        "port 8443 of the node leads to it",
    ),
    "network of the node": (
        lambda found: _pod(found).update(hostNetwork=True),
        "hostNetwork gives the pod access",
    ),
    "two factories": (
        lambda found: find(found, "Deployment")["spec"].update(replicas=2),
        "two factories would share one home",
    ),
    "another factory": (
        lambda found: _copy_server(found, "second"),
        "another factory uses this home",
    ),
    "a namespace without rules": (
        lambda found: find(found, "NetworkPolicy", "factory-nothing")["metadata"].update(
            namespace="elsewhere"
        ),
        "no NetworkPolicy denies traffic by default",
    ),
    "no probe": (
        lambda found: _container(found).pop("livenessProbe"),
        "nobody notices if it hangs",
    ),
    "all memory": (
        lambda found: _container(found)["resources"].pop("limits"),
        "it may take all memory of its node",
    ),
    "password": (
        lambda found: _container(found)["env"].append(
            {"name": "FACTORY_DATABASE_URL", "value": "postgresql://u:p@db/f"}
        ),
        "may contain a password",
    ),
    "key of a storage": (
        lambda found: _container(found)["env"].append(
            {"name": "FACTORY_S3_SECRET_KEY", "value": "hunter2"}
        ),
        "FACTORY_S3_SECRET_KEY may contain a password",
    ),
    "moving image": (
        lambda found: _container(found).update(image="r.example.org:5000/factory"),
        "may be another tomorrow",
    ),
    "every right": (
        lambda found: find(found, "Role", "factory-launches-runs")["rules"].append(
            {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}
        ),
        "it may do more than start",
    ),
    "rights of the cluster": (
        lambda found: find(found, "RoleBinding", "factory-launches-runs").update(
            roleRef={"kind": "ClusterRole", "name": "cluster-admin"}
        ),
        "it gives the rights of a ClusterRole",
    ),
    "run as root": (
        lambda found: _change_runs(found, "runAsUser: 1000", "runAsUser: 0"),
        "pods of runs: container run: it may run as root",
    ),
    "runs that people change": (
        lambda found: _change_runs(found, "only_allow_user_defined_k8s_config_fields: {}", "{}"),
        "whoever launches a run may change its pod",
    ),
    "pod of a night": (
        lambda found: found.append(
            {
                "kind": "CronJob",
                "metadata": {"name": "nightly"},
                "spec": {
                    "jobTemplate": {
                        "spec": {
                            "template": {
                                "spec": {
                                    **find(found, "Deployment")["spec"]["template"]["spec"],
                                    "hostPID": True,
                                }
                            }
                        }
                    }
                },
            }
        ),
        "CronJob nightly: hostPID gives the pod access",
    ),
    "open service": (
        lambda found: find(found, "Service")["spec"].update(type="LoadBalancer"),
        "its type must be ClusterIP",
    ),
}


def _copy_server(found: list[Manifest], name: str) -> None:
    copy = deepcopy(find(found, "Deployment"))
    copy["metadata"]["name"] = name
    found.append(copy)


def _change_runs(found: list[Manifest], before: str, after: str) -> None:
    config = find_config(found)
    [(name, text)] = config["data"].items()
    assert before in text
    lines = [line for line in text.replace(before, after).splitlines() if line.strip() != "{}"]
    config["data"][name] = "\n".join(lines)


@needs_schemas
@pytest.mark.parametrize("plant", _INVALID.values(), ids=_INVALID)
def test_what_is_no_object_of_kubernetes_is_refused_by_its_schemas(plant: _Plant) -> None:
    import kubernetes_validate

    found = deepcopy(objects(cluster(**PODS)))
    plant(found)
    with pytest.raises(kubernetes_validate.ValidationError):
        validate(found)


def test_a_key_without_a_value_is_as_none() -> None:
    found = deepcopy(objects(cluster(**PODS)))
    _container(found).update(envFrom=None, env=None, ports=None)
    _pod(found).update(initContainers=None, volumes=None)
    find(found, "NetworkPolicy", "factory-nothing")["spec"].update(ingress=None)
    assert policy_violations(found) == []
    _pod(found).update(securityContext=None)
    assert any("it may run as root" in line for line in policy_violations(found))


@pytest.mark.parametrize(("plant", "told"), _REFUSED.values(), ids=_REFUSED)
def test_rights_that_no_schema_refuses_are_refused(plant: _Plant, told: str) -> None:
    found = deepcopy(objects(cluster(**PODS, **ON_POSTGRES)))
    assert policy_violations(found) == []
    plant(found)
    assert any(told in line for line in policy_violations(found)), policy_violations(found)
