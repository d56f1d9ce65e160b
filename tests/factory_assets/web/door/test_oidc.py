"""Who comes in through the identity provider, and who does not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from factory_assets.serving.http import limits
from factory_assets.serving.http.listen import Listen
from factory_assets.web.door.address import DoorAddress, require_allowed
from factory_resources.errors import DeclarationError, RefusedError
from factory_resources.security import openid
from tests.factory_assets.web.door.conftest import ADDRESS, PEOPLE, FrontDoor
from tests.identity_provider import CLIENT, SECRET, IdentityProvider, running_provider

Declare = Callable[[str], None]


@pytest.fixture
def there() -> Iterator[IdentityProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture
def open_door(
    door: FrontDoor,
    there: IdentityProvider,
    declare_people: Declare,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FrontDoor]:
    """A door that knows the provider, for jane and tom."""
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    declare_people(PEOPLE)
    _declare(tmp_path, there.issuer)
    made = FrontDoor(door.home)
    yield made
    made.disk_thread.shutdown()
    made.passwords.shutdown()


def _declare(folder: Path, issuer: str) -> None:
    oidc = f"issuer: '{issuer}', client: {CLIENT}, secret: OIDC_SECRET"
    (folder / "defs" / "factory.yaml").write_text(f"login: {{oidc: {{{oidc}}}}}\n")


def _out(browser: TestClient, after: str = "/") -> str:
    """Press the button; return where the provider sends the browser back to."""
    out = browser.get(f"/login/oidc/start?next={after}")
    assert out.status_code == 303
    back = httpx.get(out.headers["location"], trust_env=False).headers["location"]
    assert back.startswith(f"{ADDRESS}/login/oidc?code=")
    return back


def _refusals(door: FrontDoor) -> list[tuple[str, str | None]]:
    return [(entry.reason, entry.operation) for entry in door.entries("refused")]


def test_a_person_comes_in_and_only_people_yaml_says_what_they_may(
    open_door: FrontDoor, there: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    there.person |= {"roles": ["auditor", "approver"], "groups": ["admin"]}
    browser = open_door.browser()
    assert f"Log in with 127.0.0.1:{there.port}" in browser.get("/login").text
    back = _out(browser, "/dagster/runs")
    entered = browser.get(back, headers={"sec-fetch-site": "cross-site"})
    assert (entered.status_code, entered.headers["location"]) == (303, "/dagster/runs")
    assert "jane ['approver', 'engineer']" in browser.get("/").text
    assert [entry.method for entry in open_door.entries("login")] == ["oidc"]
    assert _refusals(open_door) == []
    stored = b"".join(
        path.read_bytes() for path in open_door.home.path.rglob("*") if path.is_file()
    )
    code = parse_qs(urlsplit(back).query)["code"][0]
    # What this browser asks the door may be logged too, by its own library.
    told = [line for line in caplog.text.splitlines() if "HTTP Request: GET" not in line]
    for secret in (SECRET, code):
        assert secret.encode() not in stored
        assert secret not in "\n".join(told)


def test_the_cookie_of_an_attempt_is_short_and_only_for_the_way_back(open_door: FrontDoor) -> None:
    browser = open_door.browser()
    answer = browser.get("/login/oidc/start")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("factory_3000_oidc=")
    wanted = {"HttpOnly", "SameSite=lax", "Path=/login/oidc", "Max-Age=300"}
    assert wanted <= set(cookie.split("; "))
    given = parse_qs(urlsplit(answer.headers["location"]).query)
    assert given["redirect_uri"] == [f"{ADDRESS}/login/oidc"]
    assert given["code_challenge_method"] == ["S256"]
    text = browser.cookies["factory_3000_oidc"]
    assert text not in answer.headers["location"]


def test_an_answer_counts_once(open_door: FrontDoor) -> None:
    browser = open_door.browser()
    back, cookie = _out(browser), browser.cookies["factory_3000_oidc"]
    assert browser.get(back).headers["location"] == "/"
    assert "factory_3000_oidc" not in browser.cookies
    thief = open_door.browser()
    thief.cookies.set("factory_3000_oidc", cookie)
    answer = thief.get(back)
    assert answer.status_code == 401
    assert "was used before" in answer.text
    assert thief.get("/dagster").status_code == 401
    assert ("wrong login", "login by oidc") in _refusals(open_door)


def test_an_answer_counts_in_the_browser_that_asked(
    open_door: FrontDoor, there: IdentityProvider
) -> None:
    """Else somebody could make others work in their name, or use a code that they saw."""
    mine, other, none = (open_door.browser() for _ in range(3))
    back = _out(mine)
    _out(other)
    for browser in (other, none):
        assert browser.get(back).status_code == 401
        assert browser.get("/dagster").status_code == 401
    assert "/token" not in there.asked
    assert mine.get(back).status_code == 303


def test_an_answer_that_comes_late_does_not_count(
    open_door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = open_door.browser()
    back, now = _out(browser), openid.time.monotonic()
    monkeypatch.setattr(openid.time, "monotonic", lambda: now + 301)
    assert browser.get(back).status_code == 401


def test_a_forged_token_lets_nobody_in(
    open_door: FrontDoor, there: IdentityProvider, caplog: pytest.LogCaptureFixture
) -> None:
    there.sign = there.sign_with_other_key
    browser = open_door.browser()
    answer = browser.get(_out(browser))
    assert answer.status_code == 401
    assert "is not valid" in answer.text
    assert browser.get("/dagster").status_code == 401
    assert _refusals(open_door)[0] == ("wrong login", "login by oidc")
    assert "bad_signature" in caplog.text


@pytest.mark.parametrize(
    ("people", "claim", "status"),
    [
        (PEOPLE, "jane", 303),
        (PEOPLE, "Jane", 403),
        (PEOPLE, "mallory", 403),
        (PEOPLE + "mallory:\n  roles: []\n", "mallory", 403),
        (PEOPLE + "  oidc: Tom.Smith@example\n", "Tom.Smith@example", 303),
        (PEOPLE + "  oidc: Tom.Smith@example\n", "tom", 403),
    ],
)
def test_people_yaml_says_who_comes_in(
    open_door: FrontDoor,
    there: IdentityProvider,
    declare_people: Declare,
    people: str,
    claim: str,
    status: int,
) -> None:
    declare_people(people)
    there.person["preferred_username"] = claim
    browser = open_door.browser()
    answer = browser.get(_out(browser))
    assert answer.status_code == status
    assert browser.get("/dagster").status_code == (200 if status == 303 else 401)
    if status == 403:
        assert f"You are &#39;{claim}&#39; at 127.0.0.1" in answer.text
        assert _refusals(open_door)[0] == ("wrong login", "login by oidc")
        assert "factory_3000=" not in answer.headers["set-cookie"]


@pytest.mark.parametrize(
    ("error", "told"), [("access_denied", "(access_denied)"), ("<b>", "did not log you in.")]
)
def test_whom_the_provider_refuses_is_told_so(open_door: FrontDoor, error: str, told: str) -> None:
    browser = open_door.browser()
    state = parse_qs(urlsplit(_out(browser)).query)["state"][0]
    answer = browser.get("/login/oidc", params={"error": error, "state": state})
    assert answer.status_code == 401
    assert told in answer.text
    assert _refusals(open_door) == [("wrong login", "login by oidc")]


def test_without_the_provider_passwords_still_work(
    open_door: FrontDoor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _declare(tmp_path, "http://127.0.0.1:1")
    away = FrontDoor(open_door.home)
    browser = away.browser()
    answer = browser.get("/login/oidc/start")
    assert answer.status_code == 503
    assert "127.0.0.1:1 cannot log you in now. Use a password" in answer.text
    assert "cannot be reached" in caplog.text
    assert away.log_in(browser, "jane").status_code == 303
    assert _refusals(away) == []
    away.disk_thread.shutdown()
    away.passwords.shutdown()


def test_a_missing_secret_is_told_to_who_runs_the_factory(
    open_door: FrontDoor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("OIDC_SECRET")
    browser = open_door.browser()
    answer = browser.get(_out(browser))
    assert answer.status_code == 503
    assert "OIDC_SECRET" not in answer.text
    assert "secret OIDC_SECRET is not set" in caplog.text


def test_logins_are_begun_a_few_times_a_second(
    open_door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = limits.time.monotonic()
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    browser = open_door.browser()
    codes = [browser.get("/login/oidc/start").status_code for _ in range(22)]
    assert codes == [303] * 20 + [429] * 2


def test_another_name_of_the_door_leads_to_the_one_that_the_provider_knows(
    open_door: FrontDoor,
) -> None:
    browser = open_door.browser("http://localhost:3000")
    answer = browser.get("/login/oidc/start?next=/me")
    assert answer.headers["location"] == f"{ADDRESS}/login/oidc/start?next=/me"
    answer = browser.get("/login/oidc/start?next=//evil.example")
    assert answer.headers["location"] == f"{ADDRESS}/login/oidc/start?next=/"


def test_nobody_is_asked_and_nothing_offered_if_it_is_not_declared(
    door: FrontDoor, declare_people: Declare
) -> None:
    declare_people(PEOPLE)
    browser = door.browser()
    assert "/login/oidc" not in browser.get("/login").text
    assert browser.get("/login/oidc/start").status_code == 401


def test_without_people_nobody_is_sent_to_the_provider(
    open_door: FrontDoor, there: IdentityProvider, tmp_path: Path
) -> None:
    (tmp_path / "defs" / "people.yaml").unlink()
    answer = open_door.browser().get("/login/oidc/start")
    assert "factory login" in answer.text
    assert there.asked == []


def test_other_machines_may_come_if_people_log_in_at_the_provider(
    door: FrontDoor, tmp_path: Path
) -> None:
    (tmp_path / "defs" / "people.yaml").write_text(PEOPLE)
    address = DoorAddress(Listen("0.0.0.0", 3000, behind_proxy=True), ("factory.example",))
    with pytest.raises(RefusedError, match="a password of somebody"):
        require_allowed(address, door.home)
    _declare(tmp_path, "https://id.example")
    require_allowed(address, door.home)


def test_a_missing_package_is_told_with_the_extra(
    door: FrontDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _declare(tmp_path, "https://id.example")
    monkeypatch.delitem(sys.modules, "factory_assets.web.door.oidc", raising=False)
    monkeypatch.delitem(sys.modules, "factory_resources.security.openid", raising=False)
    monkeypatch.setitem(sys.modules, "authlib.integrations.base_client", None)
    with pytest.raises(DeclarationError, match=r"pip install '\.\[oidc\]'"):
        FrontDoor(door.home)
