"""The guard in front of a real ASGI server, with requests of an attacker."""

import asyncio
from collections.abc import Iterator
from http.client import HTTPConnection
from unittest.mock import AsyncMock

import pytest
from starlette.testclient import TestClient

from factory_resources.security.request_guard import POLICY, STRICTER, Guard
from tests.loopback_servers import served_app


async def _application(scope, receive, send):  # type: ignore[no-untyped-def]
    if scope["type"] == "lifespan":
        return
    headers = [(b"content-security-policy", b"default-src *"), (b"content-type", b"text/plain")]
    headers += [(b"X-Frame-Options", b"ALLOWALL")]
    headers += [(b"content-security-policy-report-only", b"report-uri https://evil.example")]
    if scope["path"] == "/stricter":
        headers.append((STRICTER, b"default-src 'none'"))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served_app(Guard(_application)) as found:
        yield found


def _request(port: int, method: str, path: str, **headers: str) -> tuple[int, str, str | None]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers={"Host": f"127.0.0.1:{port}", **given})
    response = connection.getresponse()
    return response.status, response.read().decode(), response.getheader("content-security-policy")


def test_the_factorys_own_page_may_read_and_write(port: int) -> None:
    own = f"http://127.0.0.1:{port}"
    assert _request(port, "GET", "/")[:2] == (200, "reached")
    assert _request(port, "POST", "/graphql", Origin=own)[0] == 200
    for host in (f"LocalHost:{port}", f"[::1]:{port}"):
        assert _request(port, "GET", "/", Host=host)[0] == 200
    for path in ("/a%20b", "/?a=b", "/graphql"):
        assert _request(port, "GET", path)[0] == 200
    assert _request(port, "POST", "/", Transfer_Encoding="chunked")[0] == 200
    assert _request(port, "POST", "/graphql?query", Origin=own)[0] == 200


def test_who_follows_a_link_from_another_site_may_read(port: int) -> None:
    foreign = {"Origin": "http://evil.example", "Sec_Fetch_Site": "cross-site"}
    assert _request(port, "GET", "/", **foreign)[0] == 200


def test_a_page_may_load_nothing_from_other_hosts(port: int) -> None:
    assert _request(port, "GET", "/")[2] == POLICY
    assert "http" not in POLICY
    assert "*" not in POLICY
    # What the policy does not name falls back to what is named first.
    assert POLICY.startswith("default-src 'self' ")
    # To these, that does not apply.
    for directive in ("base-uri 'none'", "form-action 'self'", "frame-ancestors 'none'"):
        assert directive in POLICY.split("; ")


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize("host", ["127.0.0.1", "evil.example"])
def test_no_other_site_may_frame_or_read_a_page_or_a_refusal(secure: bool, host: str) -> None:
    guarded = TestClient(Guard(_application, secure=secure), f"http://{host}")
    headers = guarded.get("/").headers
    assert headers.get_list("content-security-policy") == [POLICY]
    assert headers["x-frame-options"] == "DENY"
    assert "content-security-policy-report-only" not in headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers.get("strict-transport-security") == ("max-age=31536000" if secure else None)


def test_a_page_may_have_a_stricter_policy(port: int) -> None:
    headers = TestClient(Guard(_application), "http://127.0.0.1").get("/stricter").headers
    assert headers.get_list("content-security-policy") == ["default-src 'none'"]
    assert (headers["x-frame-options"], headers["content-type"]) == ("DENY", "text/plain")
    assert STRICTER.decode() not in headers


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/", {"Host": "evil.example"}),
        ("POST", "/graphql", {"Origin": "http://evil.example"}),
        ("POST", "/graphql", {"Origin": "null"}),
        ("POST", "/graphql", {"Sec_Fetch_Site": "cross-site"}),
        ("POST", "/graphql", {"Sec_Fetch_Site": "same-site"}),
        ("GET", "/graphql?query=mutation{launchRun}", {}),
        ("GET", "/graphql/?query=mutation{launchRun}", {}),
        ("HEAD", "/graphql?query={version}", {}),
        ("GET", "/graphql?%71uery=mutation{launchRun}", {}),
        ("TRACE", "/", {}),
        ("GET", "//evil.example/", {}),
        ("GET", "/graphql?q&%71%75ery=mutation{launchRun}", {"Sec_Fetch_Site": "cross-site"}),
    ],
)
def test_foreign_requests_and_graphql_by_get_are_refused(
    port: int, method: str, path: str, headers: dict[str, str]
) -> None:
    status, body, _ = _request(port, method, path, **headers)
    assert status == 403
    assert body != "reached"


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1@evil.example", "user:127.0.0.1", "127.0.0.1:x", "evil@127.0.0.1", "::1", "[::1"],
)
def test_a_host_is_a_name_and_a_port(port: int, host: str) -> None:
    assert _request(port, "GET", "/", Host=host)[:2] == (403, "refused: unknown host\n")


def test_a_proxy_that_leaves_out_the_port_of_the_host_is_told_apart(port: int) -> None:
    origin = f"https://127.0.0.1:{port}"
    refused = _request(port, "POST", "/graphql", Host="127.0.0.1", Origin=origin)
    line = f"refused: request from another site, by Origin {origin}, while Host is 127.0.0.1\n"
    assert refused[:2] == (403, line)


def test_a_refusal_repeats_no_more_than_the_beginning_of_what_was_sent(port: int) -> None:
    status, body, _ = _request(port, "POST", "/", Origin=f"http://{'a' * 5_000}.example")
    assert status == 403
    assert body.startswith("refused: request from another site, by Origin http://aaa")
    assert len(body) < 400


def test_an_origin_with_a_user_is_foreign(port: int) -> None:
    origin = f"http://evil@127.0.0.1:{port}"
    assert _request(port, "POST", "/graphql", Origin=origin)[0] == 403
    host = {"Host": f"evil@127.0.0.1:{port}", "Origin": origin}
    assert _request(port, "POST", "/graphql", **host)[0] == 403


@pytest.mark.parametrize(
    ("secure", "origin", "status"),
    [
        (True, "https://factory.example", 200),
        (True, "http://factory.example", 403),
        # Nobody is on the way to the own machine.
        (True, "http://localhost", 200),
        (False, "https://factory.example", 200),
        (False, "http://factory.example", 200),
    ],
)
def test_where_browsers_come_by_tls_a_page_without_it_is_of_another_site(
    secure: bool, origin: str, status: int
) -> None:
    hosts = ("factory.example", "localhost")
    address = origin.replace("https", "http")
    guarded = TestClient(Guard(_application, hosts, secure=secure), address)
    assert guarded.post("/graphql", headers={"origin": origin}).status_code == status


@pytest.mark.parametrize("name", ["Host", "Origin"])
@pytest.mark.parametrize("own_first", [True, False])
def test_two_headers_of_which_one_is_foreign_are_refused(
    port: int, name: str, own_first: bool
) -> None:
    own = f"127.0.0.1:{port}" if name == "Host" else f"http://127.0.0.1:{port}"
    both = [own, "http://evil.example" if name == "Origin" else "evil.example"]
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.putrequest("POST", "/graphql", skip_host=True)
    if name == "Origin":
        connection.putheader("Host", f"127.0.0.1:{port}")
    for value in both if own_first else reversed(both):
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status in (400, 403)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([(b"content-length", b"1"), (b"Transfer-Encoding", b"chunked")], "two lengths of the"),
        ([(b"content-length", b"1"), (b"Content-Length", b"2")], "two content-length headers"),
        ([(b"cookie", b"a=1"), (b"Cookie", b"a=2")], "two cookie headers"),
    ],
)
def test_what_guard_and_application_could_read_in_two_ways_is_refused_and_noted(
    headers: list[tuple[bytes, bytes]], reason: str
) -> None:
    """Some servers refuse it before the guard; it does not rely on that."""
    noted: list[str] = []
    send = AsyncMock()
    guard = Guard(_application, refused=lambda why, scope: noted.append(f"{why} {scope['path']}"))
    scope = {"type": "http", "method": "POST", "path": "/x", "scheme": "http"}
    host = (b"host", b"127.0.0.1")
    asyncio.run(guard({**scope, "headers": [host, *headers]}, AsyncMock(), send))
    start, body = (call.args[0] for call in send.await_args_list)
    assert (start["status"], noted) == (403, ["malformed request /x"])
    assert body["body"].decode().startswith(f"refused: {reason}")


def test_a_websocket_of_a_foreign_page_is_refused(port: int) -> None:
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec_WebSocket_Version": "13"}
    key = {"Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="}
    status = _request(port, "GET", "/graphql", Origin="http://evil.example", **upgrade, **key)[0]
    assert status == 403


async def _scheme(scope, receive, send):  # type: ignore[no-untyped-def]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["scheme"].encode()})


@pytest.mark.parametrize(("secure", "scheme"), [(True, "https"), (False, "http")])
def test_behind_a_proxy_with_tls_an_application_leads_nobody_to_plain_http(
    secure: bool, scheme: str
) -> None:
    guarded = TestClient(Guard(_scheme, secure=secure), "http://127.0.0.1:3000")
    assert guarded.get("/").text == scheme
