"""A prediction server among clients that send nonsense, slowly, or too much at once."""

import http.client
import json
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.approvals import Factory
from tests.long_run import in_long, one_in
from tests.malformed_requests import HOST, malformed, post
from tests.random_examples import examples
from tests.serving import PredictionServer, serving

pytestmark = pytest.mark.slow

ROW = {"size": 3.5, "colour": "red"}

BODY = json.dumps(ROW).encode()

WHOLE = post("/predict/apples", BODY)

GROWTH = 45_000_000
"""Bytes that a warm server may grow."""


def limited(**limits: float) -> str:
    """Return code for the server's process that sets limits."""
    given = ", ".join(f"{name}={value}" for name, value in limits.items())
    return f"""
from dataclasses import replace
from factory_assets.serving.http import server
from factory_assets.serving.http.limits import Limits
serve = server.serve
def limited(home, names, listen, started, labelled):
    serve(home, names, replace(listen, limits=Limits({given})), started, labelled)
server.serve = limited
"""


@pytest.fixture(scope="module")
def server(made: Factory) -> Iterator[PredictionServer]:
    with serving(made.home.path) as running:
        yield running


def opened(server: PredictionServer, timeout: float = 20) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=timeout)


def answer_of(connection: socket.socket) -> tuple[int, bytes]:
    """Return status and body of the next answer on a connection."""
    reply = http.client.HTTPResponse(connection)
    reply.begin()
    return reply.status, reply.read()


def received(connection: socket.socket) -> bytes:
    """Return everything until the server closes the connection."""
    parts = []
    try:
        while part := connection.recv(1 << 16):
            parts.append(part)
    except ConnectionError:
        pass
    return b"".join(parts)


def require_right(server: PredictionServer, expected: dict[str, float]) -> None:
    reply = server.ask("/predict/apples", ROW)
    assert reply.status == 200, reply.body
    assert reply.json["probabilities"] == expected


def answers_to(server: PredictionServer, sent: bytes, is_whole: bool) -> bytes:
    """Send the bytes; return what was answered, of what is not whole only what came at once."""
    with opened(server) as connection:
        try:
            connection.sendall(sent)
            if is_whole:
                connection.settimeout(20)
                return connection.recv(1 << 16)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(0.02)
            return connection.recv(1 << 16)
        except OSError:
            return b""


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.long)])
def test_no_request_is_a_fault_of_the_server(count: int, server: PredictionServer) -> None:
    expected = server.ask("/predict/apples", ROW).json["probabilities"]
    for one in malformed(1, 160):
        answers_to(server, one.sent, one.is_whole)
    before = server.memory()
    silent = []
    for number, one in enumerate(malformed(count, count)):
        answer = answers_to(server, one.sent, one.is_whole)
        statuses = re.findall(rb"^HTTP/1\.1 (\d{3}) ", answer, re.MULTILINE)
        assert not [status for status in statuses if status >= b"500"], (one.kind, one.sent, answer)
        if one.is_whole and not statuses:
            silent.append(one)
        if number % 20 == 0:
            require_right(server, expected)
    assert silent == []
    require_right(server, expected)
    assert server.memory() - before < GROWTH
    faults = [line for line in server.log if '"error"' in line or "Traceback" in line]
    assert faults == []


def test_what_the_description_admits_is_answered_as_described(server: PredictionServer) -> None:
    import schemathesis
    from schemathesis.checks import CHECKS, load_all_checks
    from schemathesis.generation import GenerationMode

    load_all_checks()
    names = ["not_a_server_error", "response_schema_conformance", "content_type_conformance"]
    checks = CHECKS.get_by_names(["status_code_conformance", *names])
    schema = schemathesis.openapi.from_dict(server.ask("/openapi.json").json)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert {operation.path for operation in operations} == {"/predict/apples", "/feedback"}
    strategies = [
        operation.as_strategy(generation_mode=mode)
        for operation in operations
        for mode in GenerationMode
    ]

    @given(case=st.one_of(strategies))
    @settings(max_examples=examples(100), suppress_health_check=[*HealthCheck], database=None)
    def ask(case: Any) -> None:
        reply = case.call(base_url=f"http://{server.address}")
        case.validate_response(reply, checks=checks)

    ask()


def test_each_body_that_is_refused_can_be_read_about(server: PredictionServer) -> None:
    """Also a large one, whose sender is not done when the answer comes."""
    for path, more, status in (
        ("/predict/pears", {}, 404),
        ("/predict/apples", {"content-encoding": "gzip"}, 415),
        ("/predict/apples", {"origin": "http://evil.example"}, 403),
        ("/predict/apples", {}, 413),
        ("/docs", {}, 405),
    ):
        reply = server.ask(path, b" " * 12_000_000, headers=more)
        assert reply.status == status
        assert reply.json["error"]


def test_a_connection_goes_on_after_a_body_that_was_not_wanted(server: PredictionServer) -> None:
    with opened(server) as connection:
        unknown = post("/predict/pears", b" " * 50_000)
        connection.sendall(unknown[:500])
        assert answer_of(connection)[0] == 404
        connection.sendall(unknown[500:])
        connection.sendall(WHOLE)
        assert answer_of(connection)[0] == 200


def test_who_asks_for_another_protocol_is_told(server: PredictionServer) -> None:
    headers = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AA"}
    reply = server.ask("/predict/apples", ROW, headers=headers)
    assert reply.status == 400
    assert "without the header Upgrade" in reply.json["error"]


@pytest.fixture(scope="module")
def small(made: Factory) -> Iterator[PredictionServer]:
    """A server that is not patient, and answers four at once."""
    limits = limited(seconds=1.0, idle=2, concurrent=4, headers=4_000, body=100_000)
    with serving(made.home.path, code=limits) as running:
        yield running


SLOW = {
    "nothing": [],
    "part of a head": [WHOLE[:30]],
    "a head without an end": [WHOLE[: WHOLE.index(b"\r\n\r\n")]],
    "a head, byte by byte": [WHOLE[i : i + 1] for i in range(60)],
    "no body": [WHOLE[: -len(BODY)]],
    "part of a body": [WHOLE[:-3]],
    "a body, byte by byte": [post("/predict/apples", BODY + b" " * 60)[:-60], *[b" "] * 50],
    "a second head": [WHOLE, WHOLE[:30]],
    "a body behind its answer": [post("/predict/pears", b" " * 60)[:-60], *[b" "] * 50],
    "a body without an end": [
        b"POST /predict/apples HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n",
        *[b"1\r\n \r\n"] * 60,
    ],
}


@pytest.mark.parametrize("kind", one_in(3, SLOW))
def test_a_slow_sender_is_cut_off(kind: str, small: PredictionServer) -> None:
    begun = time.monotonic()
    with opened(small, timeout=20) as connection:
        try:
            for part in SLOW[kind]:
                connection.sendall(part)
                time.sleep(0.05)
        except ConnectionError:
            pass
        received(connection)
    # Otherwise the connection would have timed out; how long it took says something of the machine.
    assert time.monotonic() - begun >= 0.9
    assert small.ask("/predict/apples", ROW).status == 200


@pytest.mark.parametrize("kind", ["part of a body", *in_long(["no body"])])
def test_a_slow_body_is_named(kind: str, small: PredictionServer) -> None:
    with opened(small) as connection:
        connection.sendall(b"".join(SLOW[kind]))
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 1 s" in answer


def test_a_head_without_a_limit_is_cut_off(small: PredictionServer) -> None:
    with opened(small) as connection:
        try:
            connection.sendall(b"GET /docs HTTP/1.1\r\n" + HOST)
            for number in range(100_000):
                connection.sendall(b"X-%d: 1\r\n" % number)
        except ConnectionError:
            return
    raise AssertionError("it was read to its end")


def test_a_body_without_a_limit_is_cut_off(small: PredictionServer) -> None:
    head = b"POST /predict/apples HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n"
    with opened(small) as connection:
        try:
            connection.sendall(head)
            for _ in range(10_000):
                connection.sendall(b"10000\r\n" + bytes(0x10000) + b"\r\n")
        except ConnectionError:
            return
    raise AssertionError("it was read to its end")


def test_idle_connections_keep_nobody_from_being_answered(server: PredictionServer) -> None:
    expected = server.ask("/predict/apples", ROW).json["probabilities"]
    with ExitStack() as stack:
        for number in range(500):
            connection = stack.enter_context(opened(server))
            if number % 2:
                connection.sendall(WHOLE[:30])
        for _ in range(20):
            require_right(server, expected)


def test_of_more_connections_than_allowed_the_silent_ones_are_closed(made: Factory) -> None:
    with (
        serving(made.home.path, code=limited(connections=20, seconds=60)) as server,
        ExitStack() as stack,
    ):
        silent = [stack.enter_context(opened(server)) for _ in range(20)]
        for connection in silent[:10]:
            connection.sendall(WHOLE[:30])
        for _ in range(5):
            last = stack.enter_context(opened(server))
            last.sendall(WHOLE)
            assert answer_of(last)[0] == 200
        assert sum(map(is_closed, silent)) == 5


def is_closed(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_too_many_requests_at_once_are_told_when_to_come_again(made: Factory) -> None:
    with serving(made.home.path, code=limited(concurrent=4)) as server:
        with ExitStack() as stack:
            held = [stack.enter_context(opened(server)) for _ in range(4)]
            for connection in held:
                connection.sendall(WHOLE[: -len(BODY)])
            # Of a request that is read before theirs nothing can be said: ask until it is refused.
            replies = [server.ask("/predict/apples", ROW) for _ in range(20)]
            assert replies[-1].status == 429
            assert int(replies[-1].headers["retry-after"]) >= 1
            assert "too many requests at once" in replies[-1].json["error"]
            assert server.ask("/predict/apples", b" " * 1_000_000).status == 429
            for connection in held:
                connection.sendall(BODY)
                assert answer_of(connection)[0] == 200
        assert server.ask("/predict/apples", ROW).status == 200


def test_a_queue_for_the_engine_does_not_grow(made: Factory) -> None:
    text = {**ROW, "size": "3.5"}
    with serving(made.home.path, code=limited(waiting=2)) as server:
        expected = server.ask("/predict/apples", text).json["probabilities"]
        with ThreadPoolExecutor(16) as pool:
            replies = [*pool.map(lambda _: server.ask("/predict/apples", text), range(100))]
        assert {reply.status for reply in replies} == {200, 429}
        for reply in replies:
            if reply.status == 200:
                assert reply.json["probabilities"] == expected
            else:
                assert "wait for the engine" in reply.json["error"]
                assert int(reply.headers["retry-after"]) >= 1
        require_right(server, expected)
