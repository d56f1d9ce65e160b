"""Who comes in by a passkey, and who does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

pytest.importorskip("webauthn")

from factory_assets.serving.http import limits
from factory_assets.web.door import lockout
from factory_resources.security import challenges, passkey_proofs
from factory_resources.security.passkey_proofs import (
    RelyingParty,
    creation_options,
    verify_registration,
)
from factory_resources.security.passkeys import Passkey, Passkeys
from tests.authenticator import Authenticator
from tests.factory_assets.web.door.conftest import ADDRESS, PEOPLE, FrontDoor
from tests.factory_assets.web.pages.markup import mistakes_of

Declare = Callable[[str], None]

SITE = "http://localhost:3000"

_CHALLENGE = b"c" * 32


def register(door: FrontDoor, person: str, **device: Any) -> tuple[Authenticator, Passkey]:
    """Return a device with a passkey of a person, which counts."""
    made = Authenticator(SITE, **device)
    site = RelyingParty("localhost", SITE)
    answer = made.create(creation_options(site, person, _CHALLENGE, ()))
    passkey = verify_registration(answer, site, _CHALLENGE, (), person=person, name="laptop")
    Passkeys(door.home).add(passkey)
    return made, passkey


@pytest.fixture
def jane(door: FrontDoor, declare_people: Declare) -> Authenticator:
    declare_people(PEOPLE)
    return register(door, "jane")[0]


@pytest.fixture
def browser(door: FrontDoor) -> TestClient:
    return door.browser(SITE)


def ask(browser: TestClient) -> str:
    """Return what the browser is asked to let sign."""
    answer = browser.post("/login/passkey/options", headers={"origin": SITE})
    assert answer.status_code == 200
    return answer.text


def send(browser: TestClient, credential: str, **form: str) -> Any:
    """Send a device's answer."""
    form |= {"credential": credential}
    return browser.post("/login/passkey", data=form, headers={"origin": SITE})


def test_a_passkey_lets_its_person_in(
    door: FrontDoor, browser: TestClient, jane: Authenticator
) -> None:
    answer = send(browser, jane.get(ask(browser)), next="/dagster/assets")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dagster/assets")
    assert "jane ['approver', 'engineer']" in browser.get("/").text
    [entry] = door.entries("login")
    assert entry.method == "passkey"
    assert Passkeys(door.home).of("jane")[0].sign_count == 2


def test_the_challenge_is_known_to_its_browser_for_two_minutes(browser: TestClient) -> None:
    answer = browser.post("/login/passkey/options", headers={"origin": SITE})
    cookie = set(answer.headers["set-cookie"].split("; "))
    assert {"HttpOnly", "Max-Age=120", "Path=/login/passkey", "SameSite=strict"} <= cookie
    assert answer.headers["cache-control"] == "no-store"


def test_an_answer_counts_once(door: FrontDoor, browser: TestClient, jane: Authenticator) -> None:
    credential = jane.get(ask(browser))
    cookie = dict(browser.cookies)
    assert send(browser, credential).status_code == 303
    replayed = door.browser(SITE)
    replayed.cookies.update({name: cookie[name] for name in cookie})
    assert send(replayed, credential).status_code == 401
    # Nor does it with another challenge.
    ask(replayed)
    assert send(replayed, credential).status_code == 401
    assert replayed.get("/dagster").status_code == 401


def test_an_answer_counts_for_the_browser_that_asked(
    door: FrontDoor, browser: TestClient, jane: Authenticator
) -> None:
    credential = jane.get(ask(browser))
    thief = door.browser(SITE)
    assert send(thief, credential).status_code == 401
    ask(thief)
    assert send(thief, credential).status_code == 401
    assert send(browser, credential).status_code == 303


def test_an_answer_counts_for_two_minutes(
    browser: TestClient, jane: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    credential, now = jane.get(ask(browser)), challenges.time.monotonic()
    monkeypatch.setattr(challenges.time, "monotonic", lambda: now + 121)
    late = send(browser, credential)
    assert late.status_code == 401
    assert "took longer than two minutes" in late.text


def test_an_answer_on_another_page_lets_nobody_in(
    door: FrontDoor, browser: TestClient, jane: Authenticator
) -> None:
    jane.origin = "http://evil.example"
    assert send(browser, jane.get(ask(browser))).status_code == 401
    assert [entry.reason for entry in door.entries("refused")] == ["wrong login"]


@pytest.mark.parametrize("headers", [{}, {"origin": "http://evil.example"}, {"origin": "null"}])
def test_a_form_of_another_site_logs_nobody_in(
    browser: TestClient, jane: Authenticator, headers: dict[str, str]
) -> None:
    credential = jane.get(ask(browser))
    answer = browser.post("/login/passkey", data={"credential": credential}, headers=headers)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_another_persons_passkey_lets_in_as_nobody_else(
    door: FrontDoor, browser: TestClient, jane: Authenticator
) -> None:
    tom, _ = register(door, "tom")
    [janes] = Passkeys(door.home).of("jane")
    for claims in ({"id": janes.id}, {"id": janes.id, "userHandle": janes.user}):
        assert send(browser, tom.get(ask(browser), claims=claims)).status_code == 401
    assert send(browser, tom.get(ask(browser))).status_code == 303
    assert "tom ['auditor']" in browser.get("/").text


def test_a_removed_passkey_lets_nobody_in(
    door: FrontDoor, browser: TestClient, jane: Authenticator
) -> None:
    Passkeys(door.home).remove("jane")
    answer = send(browser, jane.get(ask(browser)))
    assert answer.status_code == 401
    assert "not known here" in answer.text


@pytest.mark.parametrize("people", ["jane:\n  roles: []\n", "tom:\n  roles: [auditor]\n", ""])
def test_a_person_without_roles_does_not_come_in(
    browser: TestClient, jane: Authenticator, declare_people: Declare, people: str
) -> None:
    declare_people(people)
    assert send(browser, jane.get(ask(browser))).status_code == 401
    assert browser.get("/").status_code == 401


def test_a_machine_without_people_lets_nobody_in_by_a_passkey(
    door: FrontDoor, browser: TestClient
) -> None:
    device, _ = register(door, "jane")
    assert send(browser, device.get(ask(browser))).status_code == 401
    assert "passkey" not in browser.get("/login").text


def test_a_device_that_does_not_verify_its_person_lets_nobody_in(
    browser: TestClient, jane: Authenticator
) -> None:
    jane.verified = False
    assert send(browser, jane.get(ask(browser))).status_code == 401


def test_a_device_that_counts_backwards_lets_nobody_in(
    door: FrontDoor, browser: TestClient, jane: Authenticator
) -> None:
    assert send(browser, jane.get(ask(browser))).status_code == 303
    [credential] = jane.credentials.values()
    credential.count = 0
    assert send(browser, jane.get(ask(browser))).status_code == 401
    assert Passkeys(door.home).of("jane")[0].sign_count == 2


def test_a_device_that_does_not_count_lets_its_person_in(
    door: FrontDoor, browser: TestClient, declare_people: Declare
) -> None:
    declare_people(PEOPLE)
    device, _ = register(door, "jane", counts=False)
    for _ in range(2):
        assert send(browser, device.get(ask(browser))).status_code == 303


def test_damaged_passkeys_are_one_line_and_passwords_still_count(
    door: FrontDoor,
    browser: TestClient,
    jane: Authenticator,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (door.home.path / "secrets" / "passkeys.json").write_text("[1", encoding="utf-8")
    answer = send(browser, jane.get(ask(browser)))
    assert answer.status_code == 503
    assert len(answer.text.splitlines()) == 1
    assert "logs/door.log" in answer.text
    assert "passkeys.json" not in answer.text
    assert "passkeys.json: the passkeys were changed and cannot be read" in caplog.text
    assert door.log_in(door.browser(), "jane").status_code == 303


def test_the_passkeys_of_a_person_are_locked_after_five_failures_and_no_password_is(
    door: FrontDoor, browser: TestClient, jane: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    right, jane.origin = jane.origin, "http://evil.example"
    monkeypatch.setattr(limits.RateLimit, "take", lambda limit: 0.0)
    for _ in range(5):
        assert send(browser, jane.get(ask(browser))).status_code == 401
    jane.origin = right
    locked = send(browser, jane.get(ask(browser)))
    assert locked.status_code == 429
    assert 50 < int(locked.headers["retry-after"]) <= 60
    assert door.log_in(door.browser(), "jane").status_code == 303
    now = lockout.time.monotonic()
    monkeypatch.setattr(lockout.time, "monotonic", lambda: now + 61)
    assert send(browser, jane.get(ask(browser))).status_code == 303


def test_passkeys_are_checked_a_few_times_a_second(
    browser: TestClient, jane: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = limits.time.monotonic()
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    codes = []
    for _ in range(7):
        ask(browser)
        codes.append(send(browser, "{}").status_code)
    assert codes == [401] * 5 + [429] * 2


def test_the_login_offers_passkeys_at_a_host_name_only(
    door: FrontDoor, browser: TestClient, jane: Authenticator
) -> None:
    here, elsewhere = browser.get("/login"), door.browser().get("/login")
    assert mistakes_of(here.text) == mistakes_of(elsewhere.text) == []
    assert "Log in with a passkey" in here.text
    assert '<script src="/passkey.js" defer></script>' in here.text
    policy = here.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= {*policy}
    assert "Passkeys work only if you open this page by a host name" in elsewhere.text
    assert "script" not in elsewhere.text
    assert "script" not in elsewhere.headers["content-security-policy"]
    refused = door.browser().post("/login/passkey/options", headers={"origin": ADDRESS})
    assert refused.status_code == 404


def test_without_the_extra_no_page_mentions_passkeys(
    browser: TestClient, jane: Authenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(passkey_proofs, "find_spec", lambda name: None)
    page = browser.get("/login")
    assert "asskey" not in page.text
    assert "script" not in page.headers["content-security-policy"]
    answer = browser.post("/login/passkey/options", headers={"origin": SITE})
    assert answer.status_code == 404


def test_the_script_is_a_file_of_the_factory(browser: TestClient) -> None:
    script = browser.get("/passkey.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert script.headers["x-content-type-options"] == "nosniff"
    assert "http" not in script.text
