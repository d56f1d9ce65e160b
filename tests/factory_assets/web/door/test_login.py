"""Who comes in: by a link, by a password, and who does not."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from typing import Any

import pytest

from factory_assets.serving.http import limits
from factory_assets.web.door import lockout
from factory_assets.web.door.login import form_token, local_path
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.security.login_links import LoginLinks
from factory_resources.security.sessions import Sessions
from tests.factory_assets.web.door.conftest import ADDRESS, PASSWORD, PEOPLE, FrontDoor

Declare = Callable[[str], None]


def test_a_link_lets_the_owner_in_once(door: FrontDoor) -> None:
    link = f"/login?token={LoginLinks(door.home).new()}"
    mine, other = door.browser(), door.browser()
    # As programs do that look whether a link is dangerous.
    looked = other.head(link)
    assert (looked.status_code, dict(other.cookies)) == (200, {})
    entered = mine.get(link)
    assert (entered.status_code, entered.headers["location"]) == (303, "/")
    assert f"/dagster {getpass.getuser()} ['approver', 'auditor', 'engineer']" in (
        mine.get("/dagster").text
    )
    again = other.get(link)
    assert again.status_code == 401
    assert "used before" in again.text
    assert other.get("/dagster").status_code == 401
    assert [entry.method for entry in door.entries("login")] == ["link"]
    assert [entry.operation for entry in door.entries("refused")] == ["link", "GET /dagster"]


def test_a_link_lets_in_the_account_whatever_the_environment_says(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = getpass.getuser()
    for name in ("LOGNAME", "USER"):
        monkeypatch.setenv(name, "somebody_else")
    browser = door.browser()
    browser.get(f"/login?token={LoginLinks(door.home).new()}")
    assert f"/dagster {account} [" in browser.get("/dagster").text


def test_a_link_ends_after_ten_minutes(door: FrontDoor, monkeypatch: pytest.MonkeyPatch) -> None:
    token = LoginLinks(door.home).new()
    from factory_resources.security import login_links

    now = login_links.time.time()
    monkeypatch.setattr(login_links.time, "time", lambda: now + 601)
    assert door.browser().get(f"/login?token={token}").status_code == 401


@pytest.mark.parametrize("also", ["", f"me:\n  roles: []\n  account: {getpass.getuser()}\n"])
def test_a_link_of_an_owner_who_is_nobody_lets_nobody_in(
    door: FrontDoor, declare_people: Declare, also: str
) -> None:
    declare_people(PEOPLE + also)
    answer = door.browser().get(f"/login?token={LoginLinks(door.home).new()}")
    assert answer.status_code == 403
    assert f"account: {getpass.getuser()}" in answer.text


def test_a_link_lets_in_the_person_with_the_account(
    door: FrontDoor, declare_people: Declare
) -> None:
    declare_people(f"tom:\n  roles: [auditor]\n  account: {getpass.getuser()}\n")
    browser = door.browser()
    browser.get(f"/login?token={LoginLinks(door.home).new()}")
    assert "tom ['auditor']" in browser.get("/mlflow").text


@pytest.mark.parametrize("typed", ["jane", "jane "])
def test_a_password_lets_a_person_in(door: FrontDoor, declare_people: Declare, typed: str) -> None:
    """The keyboards of phones end a word by a blank."""
    declare_people(PEOPLE)
    browser = door.browser()
    answer = door.log_in(browser, typed, next="/dagster/assets")
    assert (answer.status_code, answer.headers["location"]) == (303, "/dagster/assets")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("factory_3000=")
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; "))
    assert "jane ['approver', 'engineer']" in browser.get("/").text
    [entry] = door.entries("login")
    assert (entry.method, entry.roles) == ("password", ("approver", "engineer"))
    assert "jane" not in entry.model_dump_json()


@pytest.mark.parametrize(
    ("name", "password"),
    [("jane", "wrong"), ("jane", ""), ("nobody", PASSWORD), ("", ""), ("jane\0", PASSWORD)],
)
def test_a_wrong_login_is_refused_and_does_not_tell_who_exists(
    door: FrontDoor, declare_people: Declare, name: str, password: str
) -> None:
    declare_people(PEOPLE)
    answer = door.log_in(door.browser(), name, password)
    assert answer.status_code == 401
    assert "The name or the password is wrong." in answer.text
    assert "set-cookie" not in answer.headers
    assert [entry.reason for entry in door.entries("refused")] == ["wrong login"]


@pytest.mark.parametrize(
    "people", ["tom:\n  roles: [auditor]\n", PEOPLE.replace("[engineer, approver]", "[]")]
)
def test_a_right_password_of_whoever_has_no_role_is_as_a_wrong_one(
    door: FrontDoor, declare_people: Declare, people: str
) -> None:
    for text in (PEOPLE, people):
        declare_people(text)
    answer = door.log_in(door.browser(), "jane")
    assert (answer.status_code, "set-cookie" in answer.headers) == (401, False)
    assert "The name or the password is wrong." in answer.text


def test_a_form_of_too_many_fields_is_as_an_empty_one(
    door: FrontDoor, declare_people: Declare
) -> None:
    declare_people(PEOPLE)
    for more, status in ((18, 303), (19, 401)):
        fields = {f"field{number}": "" for number in range(more)}
        assert door.log_in(door.browser(), "jane", **fields).status_code == status


def test_who_is_not_in_the_ledger_does_not_come_in(
    door: FrontDoor, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people(PEOPLE)

    def refuse(*_: object) -> None:
        raise StorageError("the disk is full", remedy="free some")

    monkeypatch.setattr(door.log, "started", refuse)
    answer = door.log_in(door.browser(), "jane")
    assert (answer.status_code, "set-cookie" in answer.headers) == (503, False)
    assert Sessions(door.home).of("jane") == ()


def test_a_name_that_was_locked_during_the_check_is_locked(
    door: FrontDoor, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people(PEOPLE)
    login = door.app._app._login  # type: ignore[attr-defined]

    def check(name: str, password: str) -> bool:
        for _ in range(6):
            login._lockout.failed(name)
        return True

    monkeypatch.setattr(login._passwords, "is_right", check)
    answer = door.log_in(door.browser(), "jane")
    assert (answer.status_code, "set-cookie" in answer.headers) == (429, False)


def test_whose_roles_are_withdrawn_during_the_login_is_refused(
    door: FrontDoor, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people(PEOPLE)

    def withdraw(home: Home) -> None:
        declare_people(PEOPLE.replace("[engineer, approver]", "[]"))

    monkeypatch.setattr("factory_assets.web.door.login.enter_people", withdraw)
    answer = door.log_in(door.browser(), "jane")
    assert answer.status_code == 403
    assert "You no longer have access to this factory." in answer.text
    assert "set-cookie" not in answer.headers
    assert Sessions(door.home).of("jane") == ()
    assert [entry.reason for entry in door.entries("refused")] == ["wrong login"]
    assert door.entries("login") == []


def test_a_name_is_locked_after_five_failures(
    door: FrontDoor, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people(PEOPLE)
    browser = door.browser()
    login = door.app._app._login  # type: ignore[attr-defined]
    monkeypatch.setattr(login._checks, "take", lambda: 0.0)
    for _ in range(5):
        assert door.log_in(browser, "jane", "wrong").status_code == 401
    locked = door.log_in(browser, "jane")
    assert locked.status_code == 429
    assert 50 < int(locked.headers["retry-after"]) <= 60
    assert door.log_in(door.browser(), "tom").status_code == 303
    now = lockout.time.monotonic()
    monkeypatch.setattr(lockout.time, "monotonic", lambda: now + 61)
    assert door.log_in(browser, "jane").status_code == 303
    reasons = {entry.reason: entry.count for entry in door.entries("refused")}
    assert reasons == {"wrong login": 4, "locked out": 1}


def test_passwords_are_checked_a_few_times_a_second(
    door: FrontDoor, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people(PEOPLE)
    browser, now = door.browser(), limits.time.monotonic()
    monkeypatch.setattr(limits.time, "monotonic", lambda: now)
    codes = [door.log_in(browser, f"name{i}", "wrong").status_code for i in range(8)]
    assert codes == [401] * 5 + [429] * 3


def test_a_form_of_another_site_logs_nobody_in(door: FrontDoor, declare_people: Declare) -> None:
    declare_people(PEOPLE)
    form = {"name": "jane", "password": PASSWORD}
    for origin in ({}, {"origin": "http://evil.example"}, {"origin": "null"}):
        answer = door.browser().post("/login", data=form, headers=origin)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert {entry.reason for entry in door.entries("refused")} == {"another site"}


def test_a_session_that_the_browser_brought_is_not_used(
    door: FrontDoor, declare_people: Declare
) -> None:
    declare_people(PEOPLE)
    browser = door.browser()
    browser.cookies.set("factory_3000", "chosen-by-somebody-else")
    answer = door.log_in(browser, "jane")
    assert "chosen-by-somebody-else" not in answer.headers["set-cookie"]
    fixed = door.browser()
    fixed.cookies.set("factory_3000", "chosen-by-somebody-else")
    assert fixed.get("/dagster").status_code == 401


def test_a_login_ends_the_browsers_former_session(door: FrontDoor, declare_people: Declare) -> None:
    declare_people(PEOPLE)
    browser = door.browser()
    door.log_in(browser, "jane")
    former = browser.cookies["factory_3000"]
    door.log_in(browser, "tom")
    old = door.browser()
    old.cookies.set("factory_3000", former)
    assert old.get("/dagster").status_code == 401
    assert len(door.entries("logout")) == 1


def test_a_stranger_is_not_told_what_is_wrong_with_the_file_of_people(
    door: FrontDoor, declare_people: Declare, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare_people("jane:\n  roles: [king]\n")
    for ask in (lambda: door.browser().get("/login"), lambda: door.log_in(door.browser(), "tom")):
        answer = ask()
        assert answer.status_code == 503
        assert "logs/door.log" in answer.text
        assert "jane" not in answer.text
        assert "people.yaml" not in answer.text
    monkeypatch.setattr(door.app._app, "_peer", lambda scope: os.geteuid())
    assert "jane.roles.0: 'king' is not valid" in door.browser().get("/login").text


def test_logging_out_ends_the_session_for_good(door: FrontDoor, declare_people: Declare) -> None:
    declare_people(PEOPLE)
    browser = door.browser()
    door.log_in(browser, "jane")
    text = browser.cookies["factory_3000"]
    for form in ({}, {"form_token": "0" * 64}, {"form_token": "é"}):
        refused = browser.post("/logout", data=form, headers={"origin": ADDRESS})
        assert refused.status_code == 403
    done = browser.post(
        "/logout", data={"form_token": form_token(text)}, headers={"origin": ADDRESS}
    )
    assert (done.status_code, done.headers["location"]) == (303, "/login")
    stolen = door.browser()
    stolen.cookies.set("factory_3000", text)
    assert stolen.get("/dagster").status_code == 401


def test_a_person_ends_another_session_of_their_own_only(
    door: FrontDoor, declare_people: Declare
) -> None:
    declare_people(PEOPLE)
    first, second, other = door.browser(), door.browser(), door.browser()
    door.log_in(first, "jane")
    door.log_in(second, "jane")
    door.log_in(other, "tom")
    sessions = Sessions(door.home)
    [toms], janes = sessions.of("tom"), sessions.of("jane")
    token = form_token(second.cookies["factory_3000"])

    def end(session: str) -> Any:
        form = {"form_token": token, "session": session}
        return second.post("/logout", data=form, headers={"origin": ADDRESS})

    assert end(toms.sha256).status_code == 303
    assert other.get("/").status_code == 200
    end(janes[1].sha256)
    assert first.get("/").status_code == 401
    assert second.get("/").status_code == 200


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "javascript:x", "", "x", "/a\nb"],
)
def test_a_login_leads_to_a_page_behind_this_door_only(path: str) -> None:
    assert local_path(path) == "/"
    assert local_path("/dagster/assets?x=//y") == "/dagster/assets?x=//y"


def test_another_user_of_the_machine_uses_no_link_of_the_owner(
    door: FrontDoor, monkeypatch: pytest.MonkeyPatch
) -> None:
    login = door.app._app._login  # type: ignore[attr-defined]
    monkeypatch.setattr(login, "_peer", lambda scope: os.geteuid() + 4711)
    answer = door.browser().get(f"/login?token={LoginLinks(door.home).new()}")
    assert answer.status_code == 403
    assert "Another user" in answer.text
