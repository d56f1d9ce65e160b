"""A prediction server among several users of one machine: who is answered without a token."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.approvals import Factory
from tests.loopback import OTHER, ask, ask_as, needs_root, run_as
from tests.serving import PredictionServer, serving

pytestmark = [pytest.mark.slow, needs_root]

ROW = {"size": 3.5, "colour": "red"}

OUTCOME = {"id": "01a2167c-20e1-76cb-874d-b3de98900000", "outcome": "good"}

TENSORS = {"inputs": []}

PROTECTED: dict[str, Any] = {
    "/predict/apples": ROW,
    "/predict/pears": ROW,
    "/predict/apples?explain=true": ROW,
    "/v2/models/apples/infer": TENSORS,
    "/v2/models/apples/versions/1/infer": TENSORS,
    "/invocations": {"instances": [ROW]},
    "/models/apples/invocations": {"instances": [ROW]},
    "/feedback": OUTCOME,
    "/": None,
    "/metrics": None,
    "/docs": None,
    "/openapi.json": None,
    "/version": None,
    "/v2": None,
    "/v2/models/apples": None,
    "/v2/models/apples/ready": None,
    "/nothing": None,
}
"""Path and body of what is no check of health."""

HEALTH = {
    "/healthz": {"live": True},
    "/readyz": {"ready": True},
    "/v2/health/live": {"live": True},
    "/v2/health/ready": {"ready": True},
}


@pytest.fixture(scope="module")
def server(made: Factory) -> Iterator[PredictionServer]:
    with serving(made.home.path) as running:
        yield running


def requests(**headers: str) -> list[tuple[str, Any, dict[str, str]]]:
    return [(path, body, headers) for path, body in PROTECTED.items()]


def test_another_user_is_refused_everywhere(server: PredictionServer) -> None:
    for (path, _, _), (status, body) in zip(
        requests(), ask_as(OTHER, "127.0.0.1", server.port, requests()), strict=True
    ):
        assert status == 401, (path, body)
        found = json.loads(body)
        line = found.get("error") or found["message"]
        assert "`factory token new`" in line
        assert "\n" not in line


def test_anybody_may_ask_whether_it_is_healthy_and_learns_no_more(server: PredictionServer) -> None:
    asked = [(path, None, {}) for path in HEALTH]
    answers = ask_as(OTHER, "127.0.0.1", server.port, asked)
    assert [json.loads(body) for _, body in answers] == [*HEALTH.values()]
    assert {status for status, _ in answers} == {200}
    assert server.ask("/readyz").json == {"ready": True, "faults": {}}


def test_the_own_user_is_answered(server: PredictionServer) -> None:
    statuses = dict(
        zip(PROTECTED, (a[0] for a in ask("127.0.0.1", server.port, requests())), strict=True)
    )
    assert statuses["/predict/apples"] == statuses["/metrics"] == statuses["/docs"] == 200
    assert 401 not in statuses.values()


def test_another_user_with_a_token_is_answered(made: Factory) -> None:
    token = made.factory("token", "new", "--for", "line1", "--pipelines", "apples")[1].strip()
    bearer = {"authorization": f"Bearer {token}"}
    asked = [(path, PROTECTED[path], bearer) for path in ("/predict/apples", "/metrics", "/docs")]
    try:
        with serving(made.home.path) as running:
            answers = ask_as(OTHER, "127.0.0.1", running.port, [*asked, ("/feedback", OUTCOME, {})])
            assert [status for status, _ in answers] == [200, 200, 200, 401]
    finally:
        (made.home.path / "secrets" / "tokens.json").unlink()


def test_it_is_so_on_ipv6(made: Factory) -> None:
    asked = [("/predict/apples", ROW, {})]
    with serving(made.home.path, "--host", "::1") as running:
        assert ask_as(OTHER, "::1", running.port, asked)[0][0] == 401
        assert ask("::1", running.port, asked)[0][0] == 200


LEAVE = """
for _ in range(20):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
        if sys.argv[3]:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1" + bytes(3) + bytes(4))
        connection.sendall(sys.argv[2].encode())
"""


@pytest.mark.parametrize("reset", ["", "reset"])
def test_who_asks_and_leaves_at_once_is_not_taken_for_root(
    reset: str, server: PredictionServer
) -> None:
    body = json.dumps(ROW)
    head = (
        f"POST /predict/apples HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    before = answered(server)
    run_as(OTHER, LEAVE, str(server.port), head + body, reset)
    assert server.ask("/predict/apples", ROW).status == 200
    assert answered(server) == before + 1


def answered(server: PredictionServer) -> float:
    metrics = server.ask("/metrics").body.decode()
    return sum(map(float, re.findall(r"^factory_requests_total\{.* (\S+)$", metrics, re.MULTILINE)))


def test_another_user_does_not_learn_how_many_pipelines_are_served(tmp_path: Path) -> None:
    asked = [("/invocations", {"instances": [ROW]}, {})]
    with serving(tmp_path / "home") as running:
        assert ask_as(OTHER, "127.0.0.1", running.port, asked)[0][0] == 401
        assert ask("127.0.0.1", running.port, asked)[0][0] == 404


def test_behind_a_proxy_everybody_needs_a_token(made: Factory) -> None:
    code, token = made.factory("token", "new", "--for", "line1", "--pipelines", "apples")
    assert code == 0
    with serving(made.home.path, "--behind-proxy") as running:
        # The proxy passes on by which name callers know it.
        known = {"authorization": f"Bearer {token.strip()}", "host": "factory.example"}
        assert running.ask("/predict/apples", ROW, headers=known).status == 200
        (made.home.path / "secrets" / "tokens.json").unlink()
        assert running.ask("/predict/apples", ROW).status == 401
