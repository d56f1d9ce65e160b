"""Who may ask: own users, tokens with their pipelines and rates, hosts, pages of other sites."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest

from factory_assets.serving.http.access import Access
from factory_assets.serving.http.errors import HttpError
from factory_resources.home.home import Home
from factory_resources.security.peer_user import Peer
from factory_resources.security.tokens import Tokens
from tests.factory_assets.serving.http.cases import line_of
from tests.loopback import connected

DAY = timedelta(days=1)


def access(home: Home, *, hosts: tuple[str, ...] = (), required: bool = False) -> Access:
    return Access(Tokens(home), hosts=hosts, required=required)


def bearer(text: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {text}".encode()}


@pytest.fixture
def own() -> Iterator[Peer]:
    """A caller of this process's user."""
    with connected() as both:
        yield Peer(both.server)


@pytest.fixture
def stranger() -> Iterator[Peer]:
    """A caller whom the kernel no longer knows."""
    with connected() as both:
        both.client.close()
        yield Peer(both.server)


def test_without_tokens_the_own_user_may_ask(home: Home, own: Peer) -> None:
    assert access(home).caller({}, "apples", own) == ""
    assert access(home).token({}, own) is None
    reader = access(home).recognize("/docs", {}, own)
    assert reader is not None
    assert reader.may_read("pears")
    reader.require("pears")


def test_without_tokens_nobody_else_may_ask(home: Home, stranger: Peer) -> None:
    asked = access(home)
    for ask in (
        lambda: asked.caller({}, "apples", stranger),
        lambda: asked.token({}, stranger),
        lambda: asked.recognize("/docs", {}, stranger),
    ):
        with pytest.raises(HttpError) as error:
            ask()
        line = line_of(error, 401)
        assert "is not the user of the server" in line
        assert "`factory token new`" in line


def test_a_stranger_with_a_token_may_ask(home: Home, stranger: Peer) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    assert access(home).caller(bearer(text), "apples", stranger) == "line1"


def test_a_valid_token_is_enough_to_know_the_caller(home: Home) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    with connected() as both:
        peer = Peer(both.server)
        access(home).caller(bearer(text), "apples", peer)
        both.client.close()
        # The kernel was not asked while it knew.
        assert not peer.is_own


def test_elsewhere_nobody_may_ask_without_a_token(home: Home, own: Peer) -> None:
    with pytest.raises(HttpError) as error:
        access(home, required=True).caller({}, "apples", own)
    assert "no valid token" in line_of(error, 401)


def test_the_first_token_closes_a_server_that_runs(home: Home, own: Peer) -> None:
    asked = access(home)
    assert asked.caller({}, "apples", own) == ""
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    with pytest.raises(HttpError) as error:
        asked.caller({}, "apples", own)
    line_of(error, 401)
    assert asked.caller(bearer(text), "apples", own) == "line1"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic {}", "bearer{}", "{}", "Bearer {} x", "Bearer {}\xff"],
)
def test_what_is_no_token_is_refused(header: str, home: Home, own: Peer) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    headers = {b"authorization": header.format(text).encode("latin-1")}
    with pytest.raises(HttpError) as error:
        access(home).caller(headers, "apples", own)
    assert text not in line_of(error, 401)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_name_of_the_scheme_has_no_case(scheme: str, home: Home, own: Peer) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    assert access(home).caller({b"authorization": f"{scheme} {text}".encode()}, "apples", own)


def test_a_pipeline_that_a_request_does_not_name_is_not_told(home: Home, own: Peer) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    with pytest.raises(HttpError) as error:
        access(home).caller(bearer(text), "pears", own, is_named=False)
    assert line_of(error, 403) == "the token of 'line1' is not for what is served"


def test_a_token_is_for_its_pipelines_only(home: Home, own: Peer) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    with pytest.raises(HttpError) as error:
        access(home).caller(bearer(text), "pears", own)
    assert "not for 'pears'" in line_of(error, 403)


def test_a_revocation_is_seen_by_a_server_that_runs(home: Home, own: Peer) -> None:
    asked, tokens = access(home), Tokens(home)
    text = tokens.new("line1", ["apples"], valid=DAY)
    assert asked.caller(bearer(text), "apples", own) == "line1"
    tokens.revoke("line1")
    with pytest.raises(HttpError) as error:
        asked.caller(bearer(text), "apples", own)
    line_of(error, 401)


def test_each_token_has_its_own_rate(home: Home, own: Peer) -> None:
    asked, tokens = access(home), Tokens(home)
    slow = tokens.new("slow", ["apples"], valid=DAY, rate=0.5)
    other = tokens.new("other", ["apples"], valid=DAY, rate=0.5)
    free = tokens.new("free", ["apples"], valid=DAY)
    assert asked.caller(bearer(slow), "apples", own) == "slow"
    with pytest.raises(HttpError) as error:
        asked.caller(bearer(slow), "apples", own)
    assert "0.5 times a second" in line_of(error, 429)
    assert error.value.retry == 2
    assert asked.caller(bearer(other), "apples", own) == "other"
    assert [asked.caller(bearer(free), "apples", own) for _ in range(99)] == ["free"] * 99


def test_a_request_that_names_no_pipeline_takes_of_the_rate(home: Home, own: Peer) -> None:
    text = Tokens(home).new("slow", ["apples"], valid=DAY, rate=0.01)
    asked = access(home)
    assert asked.token(bearer(text), own)
    with pytest.raises(HttpError) as error:
        asked.token(bearer(text), own)
    assert "0.01 times a second" in line_of(error, 429)


def test_pages_take_of_the_rate_and_health_does_not(home: Home, own: Peer) -> None:
    text = Tokens(home).new("slow", ["apples"], valid=DAY, rate=0.5)
    asked = access(home)
    for _ in range(3):
        assert asked.recognize("/readyz", bearer(text), own)
    reader = asked.recognize("/metrics", bearer(text), own)
    assert reader is not None
    assert [reader.may_read(name) for name in ("apples", "pears")] == [True, False]
    reader.require("apples")
    with pytest.raises(HttpError) as error:
        reader.require("pears")
    assert line_of(error, 403) == "the token of 'slow' is not for 'pears'"
    with pytest.raises(HttpError) as error:
        asked.recognize("/docs", bearer(text), own)
    assert "0.5 times a second" in line_of(error, 429)


@pytest.mark.parametrize(
    ("path", "is_open"),
    [
        ("/healthz", True),
        ("/readyz", True),
        ("/ping", True),
        ("/v2/health/live", True),
        ("/v2/health/ready", True),
        ("/docs", False),
        ("/metrics", False),
        ("/openapi.json", False),
        ("/healthz/", False),
        ("/healthz/../metrics", False),
        ("", False),
    ],
)
def test_only_health_is_open(path: str, is_open: bool, home: Home, own: Peer) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    asked = access(home)
    assert asked.recognize(path, bearer(text), own)
    if is_open:
        assert not asked.recognize(path, {}, own)
        return
    with pytest.raises(HttpError) as error:
        asked.recognize(path, {}, own)
    line_of(error, 401)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"host": b"127.0.0.1:80"}, None),
        ({b"host": b"LocalHost:80"}, None),
        ({b"host": b"127.0.0.1:80", b"origin": b"http://127.0.0.1:80"}, None),
        ({b"host": b"127.0.0.1:80", b"origin": b"http://127.0.0.1:81"}, 403),
        ({b"host": b"127.0.0.1:80", b"origin": b"null"}, 403),
        ({b"host": b"127.0.0.1:80", b"origin": b""}, 403),
        ({b"host": b"evil.example"}, 403),
        ({b"host": b"127.0.0.1.evil.example"}, 403),
        ({b"host": b"127.0.0.1:80:90"}, 403),
        ({b"host": b"\xff"}, 403),
        ({b"host": b""}, 403),
        ({}, 403),
    ],
    ids=range(12),
)
def test_hosts_and_origins(headers: Mapping[bytes, bytes], status: int | None, home: Home) -> None:
    asked = access(home, hosts=("127.0.0.1", "localhost"))
    if status is None:
        asked.require_origin(dict(headers))
        return
    with pytest.raises(HttpError) as error:
        asked.require_origin(dict(headers))
    line_of(error, status)


def test_where_everybody_has_a_token_any_host_is_that_of_the_server(home: Home) -> None:
    asked = access(home)
    asked.require_origin({b"host": b"factory.example"})
    with pytest.raises(HttpError) as error:
        asked.require_origin({b"host": b"factory.example", b"origin": b"http://evil.example"})
    line_of(error, 403)
