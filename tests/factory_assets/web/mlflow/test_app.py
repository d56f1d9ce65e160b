"""What reaches MLflow, what is entered before, and what it is not told."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from factory_assets.spec.people import Role
from factory_assets.web.mlflow import page
from factory_assets.web.mlflow.endpoints import WRITES, Endpoint
from factory_resources.errors import StorageError
from factory_resources.home.database import DATABASE_VARIABLE
from factory_resources.tracking.registry import Registry
from tests.factory_assets.web.mlflow.conftest import PREFIX, SESSION, V2, MlflowSite
from tests.factory_assets.web.mlflow.test_writes import BASE, NOTES

NOTE = {"name": "m", "version": "1", "key": "checked", "value": "by ann"}


def tags(factory: MlflowSite) -> dict[str, str]:
    return Registry(factory.home).version_tags("m", 1)


def test_an_engineer_writes_a_tag_and_the_ledger_has_it(factory: MlflowSite) -> None:
    assert factory.ask("POST", f"{V2}/model-versions/set-tag", body=NOTE).status == 200
    assert tags(factory)["checked"] == "by ann"
    entry = factory.actions()[-1]
    assert entry.session == SESSION
    assert entry.application == "mlflow"
    assert entry.operations == (f"POST {V2}/model-versions/set-tag",)
    assert entry.about == ("name=m", "key=checked", "version=1")
    body = {key: NOTE[key] for key in ("name", "version", "key")}
    assert factory.ask("DELETE", f"{V2}/model-versions/delete-tag", body=body).status == 200
    assert "checked" not in tags(factory)


@pytest.mark.parametrize("role", ["approver", "auditor"])
@pytest.mark.parametrize("endpoint", WRITES, ids=lambda one: one.route.rpartition("mlflow/")[2])
def test_who_is_no_engineer_writes_nothing(
    factory: MlflowSite, endpoint: Endpoint, role: Role
) -> None:
    before, acted = factory.refusals(), len(factory.actions())
    known = {"run_id": factory.run_id, "experiment_id": factory.experiment_id}
    body = NOTES[endpoint.route.removeprefix(BASE)]
    body = {name: known.get(name, value) for name, value in body.items()}
    path = f"{PREFIX}{endpoint.route}"
    assert factory.ask(endpoint.method, path, role=role, body=body).status == 403
    assert factory.refusals() == before + 1
    assert len(factory.actions()) == acted


@pytest.mark.parametrize(
    ("method", "path", "role", "why"),
    [
        ("POST", f"{V2}/registered-models/set-tag", "auditor", "only an engineer may"),
        ("POST", f"{V2}/runs/create", "engineer", "only the factory's own runs record this"),
        ("DELETE", f"{V2}/registered-models/alias", "engineer", "use `factory approve`"),
        ("GET", f"{PREFIX}/api/2.0/mlflow/runs/get", "engineer", "the UI asks `/ajax-api/`"),
        ("GET", f"{PREFIX}/x", "engineer", "not on the list of operations"),
        ("GET", "/mlflowx", "engineer", "not on the list of operations"),
    ],
)
def test_a_refusal_says_why(
    factory: MlflowSite, method: str, path: str, role: Role, why: str
) -> None:
    message = factory.ask(method, path, role=role, body={}).json["message"]
    assert message.startswith("refused: ")
    assert message.endswith(why)


def test_a_write_that_cannot_be_entered_is_not_done(
    factory: MlflowSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = factory.home.path / "secrets" / "ledger_key"
    away = key.rename(key.with_name("away"))
    try:
        body = {**NOTE, "key": "unseen"}
        assert factory.ask("POST", f"{V2}/model-versions/set-tag", body=body).status == 503
        assert factory.ask("POST", f"{V2}/runs/delete").status == 403
    finally:
        away.rename(key)
    assert "unseen" not in tags(factory)


def test_the_query_string_of_a_write_does_not_reach_mlflow(factory: MlflowSite) -> None:
    answer = factory.ask(
        "POST", f"{V2}/model-versions/set-tag", query="key=factory.gates", body=NOTE
    )
    assert answer.status == 200
    assert "factory.gates" not in tags(factory)


def test_an_address_with_too_many_fields_is_refused_in_one_line(factory: MlflowSite) -> None:
    query = "&".join(f"field{number}=1" for number in range(11))
    answer = factory.ask("GET", f"{PREFIX}/get-artifact", query=query)
    assert answer.status == 403
    assert "more than 10 fields" in answer.json["message"]


def test_a_refused_tag_is_told_in_one_line_that_the_ui_shows(factory: MlflowSite) -> None:
    before = factory.refusals()
    body = {**NOTE, "key": "factory.onnx_sha256", "value": "1"}
    answer = factory.ask("POST", f"{V2}/model-versions/set-tag", body=body)
    assert answer.status == 403
    said = "refused: key: the tag factory.onnx_sha256 is not for people to write; write a note"
    assert answer.json["message"] == said
    assert tags(factory)["factory.onnx_sha256"] == "0"
    assert factory.refusals() == before + 1


def test_a_header_does_not_rename_the_method(factory: MlflowSite) -> None:
    answer = factory.ask(
        "POST",
        f"{V2}/runs/search",
        body={"experiment_ids": [factory.experiment_id]},
        headers={"x-http-method-override": "DELETE", "x-mlflow-workspace": "other"},
    )
    assert answer.status == 200
    assert answer.json["runs"][0]["info"]["run_id"] == factory.run_id


def test_mlflow_is_not_told_the_session(
    factory: MlflowSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        seen.extend(name for name in environ if name.startswith(("HTTP_", "CONTENT_")))
        start("200 OK", [])
        return []

    monkeypatch.setattr(factory.app, "_app", app)
    headers = {"cookie": "session=1", "authorization": "Bearer 1", "transfer-encoding": "chunked"}
    assert factory.ask("GET", f"{PREFIX}/version", headers=headers).status == 200
    assert set(seen) == {"HTTP_HOST", "CONTENT_TYPE", "CONTENT_LENGTH"}


@pytest.mark.parametrize("origin", ["http://localhost:9", "http://127.0.0.1:9"])
def test_a_page_of_another_port_may_not_read_with_the_session(
    factory: MlflowSite, origin: str
) -> None:
    answer = factory.ask("GET", f"{V2}/registered-models/search", headers={"origin": origin})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_a_long_body_is_refused_before_all_of_it_is_read(factory: MlflowSite) -> None:
    before = factory.refusals()
    assert factory.ask("POST", f"{V2}/runs/search", body=b" " * (1 << 20) + b" ").status == 403
    assert factory.refusals() == before + 1


def test_an_upload_is_refused_and_nothing_is_written(factory: MlflowSite) -> None:
    path = f"{PREFIX}/ajax-api/2.0/mlflow/upload-artifact"
    query = f"run_uuid={factory.run_id}&path=evil.html"
    assert factory.ask("POST", path, query=query, body=b"<script>").status == 403
    for base in ("", PREFIX):
        path = f"{base}/ajax-api/2.0/mlflow-artifacts/artifacts/m/evil.html"
        assert factory.ask("PUT", path, body=b"<script>").status == 403
    assert not list(factory.home.artifacts.rglob("evil*"))


def test_a_websocket_is_closed(factory: MlflowSite) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    asyncio.run(factory.app({"type": "websocket", "path": f"{PREFIX}/"}, receive, send))
    assert sent == [{"type": "websocket.close", "code": 4403}]


def test_graphql_reads_a_run_and_lists_no_files(factory: MlflowSite) -> None:
    asked = f'mlflowGetRun(input: {{runId: "{factory.run_id}"}})'
    query = f"query {{ {asked} {{ run {{ info {{ runName }} }} }} }}"
    answer = factory.ask("POST", f"{PREFIX}/graphql", body={"query": query}, role="auditor")
    assert answer.json["data"]["mlflowGetRun"]["run"]["info"]["runName"] == "test"
    query = query.replace("mlflowGetRun", "mlflowListArtifacts")
    assert factory.ask("POST", f"{PREFIX}/graphql", body={"query": query}).status == 403
    assert factory.ask("GET", f"{PREFIX}/graphql", query="query={test}").status == 403


def test_what_every_page_asks_by_itself_is_no_refusal(factory: MlflowSite) -> None:
    before = factory.refusals()
    assert factory.ask("GET", f"{V2}/users/current").status == 404
    assert factory.refusals() == before


def test_the_page_starts_with_our_script_and_at_one_address(factory: MlflowSite) -> None:
    first = factory.ask("GET", PREFIX)
    assert (first.status, first.headers["location"]) == (302, f"{PREFIX}/")
    body = factory.ask("GET", f"{PREFIX}/").body
    assert body.index(page.START.encode()) < body.index(b"static-files/static/js/main")
    assert b"#/models" in factory.ask("GET", f"{PREFIX}{page.START}").body
    script = body.split(b'src="static-files/')[1].split(b'"')[0].decode()
    assert factory.ask("GET", f"{PREFIX}/static-files/{script}").status == 200


def test_our_script_sets_what_the_installed_ui_remembers(factory: MlflowSite) -> None:
    import mlflow.server

    scripts = Path(mlflow.server.__file__).parent / "js" / "build" / "static" / "js"
    text = "".join(file.read_text() for file in scripts.glob("*.js"))
    keys = [line.split('"')[1] for line in page.SCRIPT.decode().splitlines() if '  "' in line]
    assert len(keys) == 6
    assert [key for key in keys if key not in text] == []


def test_a_server_that_is_away_is_told_at_once(
    factory: MlflowSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(DATABASE_VARIABLE, f"postgresql:///factory?host={tmp_path}")
    answer = factory.ask("GET", f"{V2}/registered-models/search")
    assert answer.status == 503
    assert "the database of FACTORY_DATABASE_URL cannot be used" in str(answer.json)


def test_a_home_that_cannot_be_read_is_told(
    factory: MlflowSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise StorageError("no", remedy="mend it")

    monkeypatch.setattr(factory.app._artifacts, "of_run", fails)
    assert factory.ask("GET", f"{PREFIX}/get-artifact", query="run_id=1&path=a").status == 503
