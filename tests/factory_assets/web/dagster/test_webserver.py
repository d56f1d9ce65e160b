"""What each role may ask of Dagster's server, by every way in."""

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from dagster._core.storage.runs import SqlRunStorage
from dagster_graphql.schema import create_schema
from graphql import GraphQLField, GraphQLNonNull

from factory_assets.spec.people import Role
from factory_assets.web.dagster.operations import MUTATIONS
from factory_assets.web.dagster.webserver import MAX_BODY
from factory_resources.home.database import DATABASE_VARIABLE
from tests.factory_assets.web.dagster.conftest import ROLE, Site

SCHEMA = create_schema().graphql_schema
ROLES: tuple[Role, ...] = get_args(Role)


def _fields(kind: str) -> dict[str, GraphQLField]:
    fields: dict[str, GraphQLField] = getattr(SCHEMA, f"{kind}_type").fields
    return fields


def _call(name: str, field: GraphQLField) -> str:
    """Return the call of a field whose required arguments are variables."""
    required = [a for a, v in field.args.items() if isinstance(v.type, GraphQLNonNull)]
    arguments = ", ".join(f"{argument}: ${argument}" for argument in required)
    nested = " { __typename }" if hasattr(_unwrapped(field), "name") and _is_object(field) else ""
    return f"{name}{f'({arguments})' if arguments else ''}{nested}"


def _unwrapped(field: GraphQLField) -> Any:
    found: Any = field.type
    while hasattr(found, "of_type"):
        found = found.of_type
    return found


def _is_object(field: GraphQLField) -> bool:
    return hasattr(_unwrapped(field), "fields") or hasattr(_unwrapped(field), "types")


def _variables(field: GraphQLField) -> str:
    required = {a: v.type for a, v in field.args.items() if isinstance(v.type, GraphQLNonNull)}
    return f"({', '.join(f'${a}: {t}' for a, t in required.items())})" if required else ""


def _ways(name: str) -> list[str]:
    """Return the ways to ask for one mutation."""
    field = _fields("mutation")[name]
    call, variables = _call(name, field), _variables(field)
    return [
        f"mutation M{variables} {{ {call} }}",
        f"mutation M{variables} {{ version: {call} }}",
        f"mutation M{variables} {{ ...F }} fragment F on Mutation {{ __typename x: {call} }}",
        f"mutation M{variables} {{ __typename ... on Mutation {{ ... {{ {call} }} }} }}",
    ]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("name", sorted(_fields("mutation")))
def test_a_mutation_is_refused_unless_an_engineer_asks_for_one_on_the_list(
    site: Site, name: str, role: Role
) -> None:
    allowed = role == "engineer" and name in MUTATIONS
    acts, refused = len(site.acts()), site.refusals()
    for way in _ways(name):
        # Without the variables Dagster itself finds the mistake, and nothing is done.
        if not allowed:
            answer = site.ask(role, way)
            assert (answer.status_code, answer.text.count("\n")) == (403, 1)
            assert name in answer.text
        elif _variables(_fields("mutation")[name]):
            assert site.ask(role, way).status_code != 403
    if allowed:
        assert all(name in act.operations for act in list(site.acts().values())[acts:])
    else:
        assert len(site.acts()) == acts
        assert site.refusals() == refused + len(_ways(name))


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "query",
    [
        "{ __schema { types { name } } }",
        '{ version: __type(name: "Query") { name } }',
        "{ version ...F } fragment F on Query { test { alwaysException } }",
        '{ utilizedEnvVarsOrError(repositorySelector: {repositoryName: "a", '
        'repositoryLocationName: "b"}) { __typename } }',
        "{ nothingOfDagster }",
        '{ scheduleOrError(scheduleSelector: {repositoryName: "a", '
        'repositoryLocationName: "b", scheduleName: "c"}) { ... on Schedule { '
        "futureTick(tickTimestamp: 1) { x: evaluationResult { skipReason } } } } }",
    ],
)
def test_a_query_that_is_on_no_list_is_refused_and_recorded(
    site: Site, query: str, role: Role
) -> None:
    before = site.refusals()
    assert site.ask(role, query).status_code == 403
    assert site.refusals() == before + 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ([{"query": "{ version }"}, {"query": "mutation { setNuxSeen }"}], 400),
        ("{ version }", 400),
        ({"query": ["{ version }"]}, 400),
        ({"query": "{ version }", "variables": "{}"}, 400),
        ({"query": "{ version }", "operationName": 1}, 400),
        ({"query": "query A { version } mutation B { setNuxSeen }", "operationName": "B"}, 400),
        ({"query": 'subscription { capturedLogs(logKey: ["a"]) { cursor } }'}, 400),
        ({"query": "{ " + "version " * 5_000 + "}"}, 400),
    ],
)
def test_a_body_that_is_not_one_operation_is_refused_and_recorded(
    site: Site, body: Any, status: int
) -> None:
    before = site.refusals()
    answer = site.client.post("/dagster/graphql", json=body, headers={ROLE: "engineer"})
    assert answer.status_code == status
    assert site.refusals() == before + 1


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{ version }", "application/graphql", 415),
        (b'{"query": "{ version }"}', "text/plain", 415),
        (b"query=%7B+version+%7D", "application/x-www-form-urlencoded", 415),
        (b" " * (MAX_BODY + 1), "application/json", 413),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
    ],
)
def test_a_body_of_another_kind_is_refused(site: Site, body: bytes, kind: str, status: int) -> None:
    headers = {ROLE: "engineer", "content-type": kind}
    answer = site.client.post("/dagster/graphql", content=body, headers=headers)
    assert answer.status_code == status


def test_graphql_is_not_answered_by_get(site: Site) -> None:
    for headers in ({}, {"accept": "text/html"}):
        answer = site.client.get("/dagster/graphql?query={version}", headers=headers)
        assert answer.status_code == 405


def test_an_action_that_cannot_be_entered_is_not_done(
    site: Site,
) -> None:
    ledger = site.home.ledger
    moved = ledger.rename(ledger.with_suffix(".away"))
    ledger.write_bytes(b"no database" * 1_000)
    try:
        answer = site.ask("engineer", "mutation { reloadWorkspace { __typename } }")
    finally:
        moved.replace(ledger)
    assert (answer.status_code, answer.text.count("\n")) == (503, 1)


def _watch(site: Site, role: Role, *messages: Any) -> list[Any]:
    """Return what a websocket answers to messages, until it has answered each or closes."""
    protocol, headers = ["graphql-ws"], {ROLE: role}
    path, answers = "/dagster/graphql", []
    with site.client.websocket_connect(path, subprotocols=protocol, headers=headers) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        for message in messages:
            socket.send_text(message if isinstance(message, str) else json.dumps(message))
            answers.append(socket.receive())
    return answers


def _start(query: object, identifier: str = "1") -> dict[str, Any]:
    return {"type": "start", "id": identifier, "payload": {"query": query}}


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    "query",
    [
        "mutation { reloadWorkspace { __typename } }",
        'mutation { capturedLogs(logKey: ["a"]) { cursor } }',
        "{ version }",
        '{ capturedLogs(logKey: ["a"]) { cursor } }',
        'subscription { capturedLogs(logKey: ["a"]) { nothing } }',
        "subscription { reloadWorkspace { __typename } }",
        "subscription { ...F } fragment F on Subscription { ...F }",
        5,
        None,
    ],
)
def test_a_websocket_answers_no_other_operation_than_a_subscription(
    site: Site, query: object, role: Role
) -> None:
    acts, refused = len(site.acts()), site.refusals()
    [answer] = _watch(site, role, _start(query))
    assert json.loads(answer["text"])["type"] == "error"
    assert len(site.acts()) == acts
    assert site.refusals() == refused + 1


def test_a_refusal_that_waits_for_the_ledger_keeps_nobody_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[str] = []
    monkeypatch.setattr(
        site.log, "refused", lambda *_: threads.append(threading.current_thread().name)
    )
    site.client.post("/dagster/graphql", content=b"x", headers={"content-type": "text/plain"})
    site.ask("auditor", "{ test }")
    queries = ("subscription { test }", "{ version }", "subscription {")
    _watch(site, "auditor", *map(_start, queries), "[]")
    assert threads == ["AnyIO worker thread"] * 6


def test_everybody_may_watch_the_log_of_a_run(site: Site) -> None:
    query = 'subscription { pipelineRunLogs(runId: "none") { __typename } }'
    [answer] = _watch(site, "auditor", _start(query))
    assert json.loads(answer["text"]) == {
        "type": "data",
        "id": "1",
        "payload": {
            "data": {"pipelineRunLogs": {"__typename": "PipelineRunLogsSubscriptionFailure"}}
        },
    }


def test_no_more_is_watched_at_a_time_than_allowed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("factory_assets.web.dagster.webserver.MAX_WATCHED", 1)
    lasting = "subscription { locationStateChangeEvents { __typename } }"
    short = 'subscription { pipelineRunLogs(runId: "none") { __typename } }'
    protocol, headers, refused = ["graphql-ws"], {ROLE: "auditor"}, site.refusals()
    with site.client.websocket_connect(
        "/dagster/graphql", subprotocols=protocol, headers=headers
    ) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        socket.send_json(_start(lasting, "1"))
        socket.send_json(_start(short, "2"))
        answer = socket.receive_json()
        assert (answer["id"], answer["type"]) == ("2", "error")
        assert answer["payload"] == {"message": "refused: at most 1 subscriptions"}
        socket.send_json({"type": "stop", "id": "1"})
        socket.send_json(_start(short, "3"))
        answer = socket.receive_json()
        assert (answer["id"], answer["type"]) == ("3", "data")
    assert site.refusals() == refused + 1


@pytest.mark.parametrize("message", ["[]", "5", "{", '{"type": "start", "id": "1"}', "[" * 5000])
def test_a_websocket_is_closed_at_a_message_that_is_none(site: Site, message: str) -> None:
    refused = site.refusals()
    [answer] = _watch(site, "auditor", message)
    assert answer["type"] == "websocket.close"
    assert site.refusals() == refused + 1


def test_the_logs_of_steps_are_all_that_can_be_downloaded(site: Site) -> None:
    folder = site.home.dagster / "storage"
    (folder / "abc" / "compute_logs").mkdir(parents=True)
    (folder / "abc" / "compute_logs" / "train.out").write_text("printed")
    (folder / "abc" / "stolen.out").symlink_to(site.home.dagster / "dagster.yaml")
    (folder / "runs.db").exists() or (folder / "runs.db").write_text("a database")
    read = site.client.get("/dagster/logs/abc/compute_logs/train/out")
    assert (read.status_code, read.text) == (200, "printed")
    for path in (
        "runs/db",
        "abc/stolen/out",
        "%2e%2e/dagster/yaml",
        "..%2f..%2fworkspace/yaml",
        "%2fetc%2fpasswd/out",
        "abc%00/out",
        "out",
        "",
        "a" * 300 + "/out",
    ):
        assert site.client.get(f"/dagster/logs/{path}").status_code == 404, path


@pytest.mark.parametrize("key", [["..", "secret"], ["/etc/secret"], ["..", "..", "secret"]])
def test_the_log_of_a_step_cannot_be_read_from_another_folder(site: Site, key: list[str]) -> None:
    (site.home.dagster / "secret.out").write_text("a secret")
    (site.home.path / "secret.out").write_text("a secret")
    query = "query Q($key: [String!]!) { capturedLogs(logKey: $key) { stdout } }"
    assert "a secret" not in site.ask("engineer", query, key=key).text


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path",
    [
        "report_asset_materialization/apples/train",
        "report_asset_check/apples/train",
        "report_asset_observation/apples/train",
        "notebook",
        "dagit/notebook",
        "download_debug/abc",
        "dagit_info",
        "vendor/graphiql/graphiql.min.js",
    ],
)
def test_routes_that_no_page_needs_do_not_exist(site: Site, path: str, method: str) -> None:
    answer = site.client.request(method, f"/dagster/{path}")
    if method == "GET":
        # The page finds its own way from the address.
        assert '<div id="__next">' in answer.text
    else:
        assert answer.status_code == 405


def test_the_page_and_its_files_are_served_to_everybody(site: Site) -> None:
    page = site.client.get("/dagster/assets/apples/train")
    assert page.status_code == 200
    script = next(part for part in page.text.split('"') if part.endswith(".js"))
    assert script.startswith("/dagster/_next/")
    assert site.client.get(script).status_code == 200
    assert site.client.get("/dagster/_next/%2e%2e/%2e%2e/%2e%2e/webserver.py").status_code == 404
    assert site.client.get("/dagster/server_info").json()["dagster_version"]


def test_without_its_database_the_page_is_one_line_at_once(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(DATABASE_VARIABLE, f"postgresql:///factory?host={tmp_path}")
        before, answer = time.monotonic(), site.client.get("/dagster/runs")
    assert time.monotonic() - before < 5
    assert (answer.status_code, len(answer.text.splitlines())) == (503, 1)
    assert "the database of FACTORY_DATABASE_URL cannot be used" in answer.text

    def damaged(storage: SqlRunStorage) -> str:
        raise sqlite3.DatabaseError("file is not a database")

    monkeypatch.setattr(SqlRunStorage, "get_run_storage_id", damaged)
    runs = site.home.dagster / "history" / "runs.db"
    away = runs.rename(tmp_path / "runs.db")
    try:
        runs.write_bytes(b"x" * 10_000)
        answer = site.client.get("/dagster/runs")
    finally:
        away.replace(runs)
    assert (answer.status_code, len(answer.text.splitlines())) == (503, 1)
    assert "Dagster's database is damaged" in answer.text


@pytest.mark.parametrize("role", ROLES)
def test_the_pages_offer_what_the_role_may_do(site: Site, role: Role) -> None:
    query = "{ permissions { permission value } }"
    found = site.ask(role, query).json()["data"]["permissions"]
    offered = {one["permission"] for one in found if one["value"]}
    assert ("launch_pipeline_execution" in offered) == (role == "engineer")
    assert offered & {"wipe_assets", "delete_pipeline_run", "report_runless_asset_events"} == set()


def test_an_engineer_may_go_on_after_a_reload(site: Site) -> None:
    query = """mutation { reloadWorkspace { ... on Workspace { locationEntries {
        permissions { permission value } } } } }"""
    [entry] = site.ask("engineer", query).json()["data"]["reloadWorkspace"]["locationEntries"]
    assert {"permission": "launch_pipeline_execution", "value": True} in entry["permissions"]
