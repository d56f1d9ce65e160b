"""Who may ask: tokens with their pipelines and rates, hosts, and pages of other sites."""

from collections.abc import Mapping
from datetime import timedelta

import pytest

from factory_assets.serving.http.access import Access
from factory_assets.serving.http.errors import HttpError
from factory_resources.home.home import Home
from factory_resources.security.tokens import Tokens
from tests.factory_assets.serving.http.cases import line_of

DAY = timedelta(days=1)


def access(home: Home, *, hosts: tuple[str, ...] = (), required: bool = False) -> Access:
    return Access(Tokens(home), hosts=hosts, required=required, protect=lambda _: None)


def bearer(text: str) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {text}".encode()}


def test_without_tokens_everybody_may_ask_on_this_machine(home: Home) -> None:
    assert access(home).caller({}, "apples") == ""
    access(home).require_caller_for_page("/docs", {})


def test_elsewhere_nobody_may_ask_without_a_token(home: Home) -> None:
    with pytest.raises(HttpError) as error:
        access(home, required=True).caller({}, "apples")
    assert "no valid token" in line_of(error, 401)


def test_the_first_token_closes_a_server_that_runs(home: Home) -> None:
    asked = access(home)
    assert asked.caller({}, "apples") == ""
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    with pytest.raises(HttpError) as error:
        asked.caller({}, "apples")
    line_of(error, 401)
    assert asked.caller(bearer(text), "apples") == "line1"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Basic {}", "bearer{}", "{}", "Bearer {} x", "Bearer {}\xff"],
)
def test_what_is_no_token_is_refused(header: str, home: Home) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    headers = {b"authorization": header.format(text).encode("latin-1")}
    with pytest.raises(HttpError) as error:
        access(home).caller(headers, "apples")
    assert text not in line_of(error, 401)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_the_name_of_the_scheme_has_no_case(scheme: str, home: Home) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    assert access(home).caller({b"authorization": f"{scheme} {text}".encode()}, "apples")


def test_a_token_is_for_its_pipelines_only(home: Home) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    with pytest.raises(HttpError) as error:
        access(home).caller(bearer(text), "pears")
    assert "not for 'pears'" in line_of(error, 403)


def test_a_revocation_is_seen_by_a_server_that_runs(home: Home) -> None:
    asked, tokens = access(home), Tokens(home)
    text = tokens.new("line1", ["apples"], valid=DAY)
    assert asked.caller(bearer(text), "apples") == "line1"
    tokens.revoke("line1")
    with pytest.raises(HttpError) as error:
        asked.caller(bearer(text), "apples")
    line_of(error, 401)


def test_each_token_has_its_own_rate(home: Home) -> None:
    asked, tokens = access(home), Tokens(home)
    slow = tokens.new("slow", ["apples"], valid=DAY, rate=0.5)
    other = tokens.new("other", ["apples"], valid=DAY, rate=0.5)
    free = tokens.new("free", ["apples"], valid=DAY)
    assert asked.caller(bearer(slow), "apples") == "slow"
    with pytest.raises(HttpError) as error:
        asked.caller(bearer(slow), "apples")
    assert "0.5 times a second" in line_of(error, 429)
    assert error.value.retry == 2
    assert asked.caller(bearer(other), "apples") == "other"
    assert [asked.caller(bearer(free), "apples") for _ in range(99)] == ["free"] * 99


@pytest.mark.parametrize(
    ("path", "is_open"),
    [
        ("/healthz", True),
        ("/readyz", True),
        ("/v2/health/live", True),
        ("/docs", False),
        ("/metrics", False),
        ("/openapi.json", False),
        ("/healthz/", False),
        ("/healthz/../metrics", False),
        ("", False),
    ],
)
def test_only_health_is_open(path: str, is_open: bool, home: Home) -> None:
    text = Tokens(home).new("line1", ["apples"], valid=DAY)
    asked = access(home)
    asked.require_caller_for_page(path, bearer(text))
    if is_open:
        asked.require_caller_for_page(path, {})
        return
    with pytest.raises(HttpError) as error:
        asked.require_caller_for_page(path, {})
    line_of(error, 401)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({b"host": b"127.0.0.1:80"}, None),
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
    ids=range(11),
)
def test_hosts_and_origins(headers: Mapping[bytes, bytes], status: int | None, home: Home) -> None:
    asked = access(home, hosts=("127.0.0.1", "localhost"))
    if status is None:
        asked.require_origin({}, dict(headers))
        return
    with pytest.raises(HttpError) as error:
        asked.require_origin({}, dict(headers))
    line_of(error, status)
