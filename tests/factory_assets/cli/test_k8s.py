"""`factory k8s`: manifests with this factory's settings, and mistakes in one line."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_assets.cli.up import Services
from factory_resources.compute.manifests import KUSTOMIZATION
from tests.clusters import find
from tests.pipelines import APPLES, declare

_ASKED = ("--image", "r.example.org/factory:1.0", "--host", "factory.example.org")
_KNOWN = [f"--address={name}.example.org=10.0.0.{i}" for i, name in enumerate("abcde", 1)]

_PODS = ("--runs", "pods", "--api-server", "10.0.0.9:6443")


@pytest.fixture(autouse=True)
def defs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of pipelines, with settings that name four addresses, and a pipeline with one."""
    folder = tmp_path / "defs"
    declare(
        folder / "apples",
        {**APPLES, "boundary": {"level": "required", "allow": ["e.example.org:5433"]}},
    )
    (folder / "people.yaml").write_text("ann: {roles: [engineer]}\n")
    (folder / "factory.yaml").write_text(
        "boundary: {allow: ['a.example.org:9000']}\n"
        "alerts:\n"
        "- webhook: {url: 'https://b.example.org/alerts'}\n"
        "- email: {to: [x@example.org], sender: y@example.org, host: c.example.org}\n"
        "login:\n"
        "  oidc: {issuer: 'https://d.example.org/', client: factory, secret: OIDC_SECRET}\n"
    )
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FACTORY_DEFS", str(folder))
    monkeypatch.setenv("FACTORY_MEMORY", "4GB")
    monkeypatch.setenv("FACTORY_PASSPHRASE", "nobody may read this")
    for name in ("DATABASE_URL", "STORE", "S3_ENDPOINT", "S3_REGION"):
        monkeypatch.delenv(f"FACTORY_{name}", raising=False)
    return folder


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment names a store, and has its keys."""
    monkeypatch.setenv("FACTORY_STORE", "s3://plant/factory/")
    monkeypatch.setenv("FACTORY_S3_ENDPOINT", "https://storage.example.org")
    monkeypatch.setenv("FACTORY_S3_ACCESS_KEY", "nobody may read this")
    monkeypatch.setenv("FACTORY_S3_SECRET_KEY", "nor this")


_STORE = ("--address=storage.example.org=10.0.0.7", "--store-secret=factory-store")


def _k8s(*arguments: str, text: str | None = None) -> tuple[int, str, str]:
    done = CliRunner().invoke(main, ["k8s", *arguments], input=text)
    return done.exit_code, done.stdout, done.stderr


def test_what_is_declared_is_in_the_manifests_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "base"
    code, out, err = _k8s("render", *_ASKED, *_KNOWN, "--out", str(folder))
    assert code == 0, err
    assert "kubectl apply -k" in out
    assert "no cluster has run them yet" in out
    assert err.splitlines() == [
        "warning: a boundary is required (apples), and the usual filter of system calls in a pod "
        "allows no namespaces: these runs are refused; docs/kubernetes.md says what allows them"
    ]
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "nobody may read this" not in text
    found = [*yaml.safe_load_all((folder / "network.yaml").read_text())]

    def opened(name: str) -> list[tuple[str, int]]:
        rules = find(found, "NetworkPolicy", f"factory-{name}")["spec"]["egress"]
        return [(rule["to"][0]["ipBlock"]["cidr"], rule["ports"][0]["port"]) for rule in rules]

    assert opened("declared") == [
        ("10.0.0.1/32", 9000),
        ("10.0.0.2/32", 443),
        ("10.0.0.3/32", 587),
        ("10.0.0.5/32", 5433),
    ]
    assert opened("of-the-server") == [("10.0.0.4/32", 443)]
    server, service = yaml.safe_load_all((folder / "server.yaml").read_text())
    container = server["spec"]["template"]["spec"]["containers"][0]
    assert {"name": "FACTORY_MEMORY", "value": "4GB"} in container["env"]
    up: list[Services] = []
    monkeypatch.setattr("factory_assets.cli.up.up", lambda services, _: up.append(services))
    CliRunner().invoke(main, container["command"][container["command"].index("up") :])
    # To this address, too, the identity provider leads browsers back.
    assert [one.door.url for one in up] == ["https://factory.example.org"]
    assert service["spec"]["ports"][0]["port"] == 443


def test_one_text_is_the_base_and_passes_its_own_check() -> None:
    code, out, err = _k8s("render", *_ASKED, *_KNOWN, *_PODS)
    assert code == 0
    assert "all pods must be on the node that has the volume" in err
    kinds = [one["kind"] for one in yaml.safe_load_all(out)]
    assert {"Namespace", "Deployment", "ConfigMap", "Role"} <= {*kinds}
    assert not {"Kustomization", "Pod"} & {*kinds}
    assert _k8s("check", "-", text=out) == (0, "no problems\n", "")


def test_the_store_of_the_environment_is_in_the_manifests(store: None, tmp_path: Path) -> None:
    folder = tmp_path / "base"
    code, out, err = _k8s("render", *_ASKED, *_KNOWN, *_STORE, "--out", str(folder))
    assert code == 0, err
    secret = "create secret generic factory-store --from-file access-key=FILE"
    assert f"kubectl -n factory {secret} --from-file secret-key=FILE" in out
    text = "".join(path.read_text() for path in folder.iterdir())
    assert "nobody may read this" not in text
    assert "nor this" not in text
    found = [*yaml.safe_load_all((folder / "network.yaml").read_text())]
    rules = find(found, "NetworkPolicy", "factory-declared")["spec"]["egress"]
    assert rules[0]["to"] == [{"ipBlock": {"cidr": "10.0.0.7/32"}}]
    assert rules[0]["ports"] == [{"protocol": "TCP", "port": 443}]
    server, _ = yaml.safe_load_all((folder / "server.yaml").read_text())
    variables = server["spec"]["template"]["spec"]["containers"][0]["env"]
    for name, value in {
        "FACTORY_STORE": "s3://plant/factory",
        "FACTORY_S3_ENDPOINT": "https://storage.example.org",
        "FACTORY_S3_REGION": "us-east-1",
    }.items():
        assert {"name": name, "value": value} in variables
    assert _k8s("check", *map(str, folder.glob("[!k]*.yaml")))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (_STORE[:1], "--store-secret and FACTORY_STORE belong together"),
        (_STORE[1:], "FACTORY_S3_ENDPOINT: network policies need IP addresses"),
        ((*_STORE, "--store-secret=No Name"), "--store-secret: 'No Name' is not possible"),
    ],
)
def test_half_of_a_store_is_one_line(store: None, arguments: tuple[str, ...], told: str) -> None:
    code, _, err = _k8s("render", *_ASKED, *_KNOWN, *arguments)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert told in err


def test_keys_without_a_store_are_one_line() -> None:
    code, _, err = _k8s("render", *_ASKED, *_KNOWN, _STORE[1])
    assert (code, len(err.splitlines())) == (2, 1), err
    assert "--store-secret and FACTORY_STORE belong together" in err


def test_an_address_that_nothing_needs_is_told() -> None:
    _, _, err = _k8s("render", *_ASKED, *_KNOWN, "--address=storge.example.org=10.0.0.7")
    assert "warning: no declaration names storge.example.org" in err
    assert "a.example.org" not in err


def test_an_overlay_that_opens_what_was_closed_is_refused(tmp_path: Path) -> None:
    _, out, _ = _k8s("render", *_ASKED, *_KNOWN)
    file = tmp_path / "overlay.yaml"
    file.write_text(out.replace("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"))
    code, _, err = _k8s("check", str(file))
    assert (code, len(err.splitlines())) == (1, 1), err
    assert "Deployment factory: container factory: it can change its own programs" in err


def test_objects_of_a_list_are_checked_like_others(tmp_path: Path) -> None:
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"hostPID": True, "containers": []}}
    file = tmp_path / "list.yaml"
    file.write_text(json.dumps({"kind": "List", "items": [{"kind": "PodList", "items": [pod]}]}))
    code, _, err = _k8s("check", str(file))
    assert code == 1
    assert "Pod p: hostPID gives the pod access to its node" in err


def test_what_is_rendered_again_is_replaced_and_what_is_of_others_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "base"
    assert _k8s("render", *_ASKED, *_KNOWN, *_PODS, "--out", str(folder))[0] == 0
    assert (folder / "runs.yaml").exists()
    assert _k8s("render", *_ASKED, *_KNOWN, "--out", str(folder))[0] == 0
    assert not (folder / "runs.yaml").exists()
    (folder / KUSTOMIZATION).write_text("resources: [mine.yaml]\n")
    (folder / "mine.yaml").write_text("kind: Mine\n")
    code, _, err = _k8s("render", *_ASKED, *_KNOWN, "--out", str(folder))
    assert (code, len(err.splitlines())) == (2, 1), err
    assert "factory k8s render did not write this file" in err
    assert (folder / "mine.yaml").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("render", *_ASKED), "factory.yaml, boundary: network policies need IP addresses"),
        (
            ("render", *_ASKED, *_KNOWN[:3], _KNOWN[4]),
            "factory.yaml, login: network policies need IP addresses",
        ),
        (("render", *_ASKED, *_KNOWN[:4]), "apples, boundary: network policies need IP addresses"),
        (("render", *_ASKED, *_KNOWN, "--database", "x"), "--database: 'x' is not HOST:PORT"),
        (("render", *_ASKED, "--address", "a"), "--address: 'a' is not NAME=IP"),
        (
            ("render", *_ASKED, *_KNOWN, "--image", "f"),
            "--image: 'f' may name another image tomorrow",
        ),
        (
            ("check", "missing.yaml"),
            "missing.yaml: no manifests can be read from it (No such file or directory)",
        ),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], told: str) -> None:
    code, _, err = _k8s(*arguments)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert told in err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("FACTORY_MEMORY", "lots"),
        ("FACTORY_WORKERS", "999"),
        ("FACTORY_WORKERS", "ray://head.example.org:10001"),
        ("FACTORY_KEEP", "long"),
        ("FACTORY_DISK_KEEP", "some"),
        ("FACTORY_WATTS_PER_CORE", "-1"),
    ],
)
def test_a_wrong_setting_of_the_environment_is_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    code, _, err = _k8s("render", *_ASKED, *_KNOWN)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert value in err or name in err


@pytest.mark.parametrize(
    "text",
    [
        *("just words", "- a\n- b\n", "a: [", "metadata: {name: x}\n"),
        "kind: Pod\nmetadata: {made: 2024-02-30}\n",
        "kind: Pod\nspec: " + "1" * 5000,
        "kind: Pod\nspec: " + "[" * 3000 + "]" * 3000,
        "&own\nkind: List\nitems: [*own]\n",
    ],
    ids=lambda text: text[:40],
)
def test_what_is_no_manifest_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    code, _, err = _k8s("check", str(file))
    assert (code, len(err.splitlines())) == (2, 1), err
    assert "no manifests can be read from it" in err


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod\nmetadata: {name: p}\nspec: {containers: hello}\n",
        "kind: Deployment\nmetadata: {name: p}\n",
        "kind: NetworkPolicy\nmetadata: {name: p}\nspec: {policyTypes: 3, podSelector: {}}\n",
        "kind: Pod\nmetadata: p\nspec: {containers: [{image: 3, name: p}]}\n",
        "kind: ConfigMap\nmetadata: {name: factory-dagster}\ndata: {dagster.yaml: 'a: ['}\n",
        "kind: ConfigMap\nmetadata: {name: factory-dagster}\n"
        "data: {dagster.yaml: 'a: 2024-02-30'}\n",
    ],
)
def test_an_object_that_is_built_otherwise_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    code, _, err = _k8s("check", str(file))
    assert (code, len(err.splitlines())) == (2, 1), err
    assert "it is not a valid object of Kubernetes" in err


def test_parts_that_aliases_repeat_are_looked_at_once(tmp_path: Path) -> None:
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30))
    file = tmp_path / "x.yaml"
    file.write_text(
        f"kind: Pod\nspec: &s {{hostPID: true, containers: [], self: *s}}\na0: &a0 []\n{levels}"
    )
    code, _, err = _k8s("check", str(file))
    assert code == 1
    assert err.count("hostPID gives the pod access to its node") == 1


def test_a_variable_that_pipelines_name_and_no_pod_has_is_told(defs: Path) -> None:
    files = ["${FACTORY_DATA}/a.csv", "${FACTORY_LAKE}/b.csv"]
    declare(defs / "pears", {**APPLES, "ingest": {**APPLES["ingest"], "source": {"files": files}}})
    told = "warning: pipelines name FACTORY_LAKE, which no pod has: add it to their variables in an"
    assert told in _k8s("render", *_ASKED, *_KNOWN)[2]


def test_without_people_nobody_can_log_in(defs: Path) -> None:
    (defs / "people.yaml").unlink()
    assert "warning: nobody can log in: there is no" in _k8s("render", *_ASKED, *_KNOWN)[2]


def test_a_database_of_the_environment_that_the_pods_do_not_get_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FACTORY_DATABASE_URL", "postgresql:///factory")
    told = "warning: FACTORY_DATABASE_URL is set here, but without --database-secret the databases"
    assert told in _k8s("render", *_ASKED, *_KNOWN)[2]
    given = ("--database-secret=factory-database", "--database=db.example.org:5432")
    known = ("--address=db.example.org=10.1.2.3",)
    code, _, err = _k8s("render", *_ASKED, *_KNOWN, *given, *known)
    assert (code, "FACTORY_DATABASE_URL" in err) == (0, False), err
