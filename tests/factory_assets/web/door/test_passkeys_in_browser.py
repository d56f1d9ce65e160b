"""A person adds a passkey in a real browser with a virtual device, and logs in by it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("webauthn")

from factory_resources.security.passkeys import Passkeys
from tests.factory_assets.web.door.conftest import PASSWORD, PEOPLE, FrontDoor

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def served(door: FrontDoor, declare_people: Callable[[str], None]) -> Iterator[int]:
    """The port of a door with the factory's own pages."""
    declare_people(PEOPLE)
    with door.served() as port:
        yield port


def test_a_person_adds_a_passkey_and_logs_in_by_it(door: FrontDoor, served: int, tab: Page) -> None:
    site = f"http://localhost:{served}"
    tab.goto(f"{site}/login?next=/me")
    tab.get_by_label("Name").fill("jane")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Log in", exact=True).click()
    tab.wait_for_url(f"{site}/me")

    def add(name: str) -> None:
        tab.get_by_label("Name of a new passkey").fill(name)
        tab.get_by_role("button", name="Add a passkey").click()

    add("my laptop")
    tab.get_by_role("rowheader", name="my laptop").wait_for()
    add("my laptop again")
    tab.get_by_text("This device has a passkey of yours already.").wait_for()
    assert len(Passkeys(door.home).of("jane")) == 1

    tab.get_by_role("button", name="Log out").click()
    tab.wait_for_url(f"{site}/login")
    tab.goto(f"{site}/login?next=/me")
    tab.get_by_role("button", name="Log in with a passkey").click()
    tab.wait_for_url(f"{site}/me")
    assert tab.get_by_role("heading", level=1).inner_text() == "jane"
    assert [entry.method for entry in door.entries("login")] == ["password", "passkey"]

    tab.get_by_role("button", name="Remove the passkey my laptop").click()
    tab.get_by_text("You have none.").wait_for()
    tab.get_by_role("button", name="Log out").click()
    tab.get_by_role("button", name="Log in with a passkey").click()
    tab.get_by_role("alert").wait_for()
    assert "not known here" in tab.get_by_role("alert").inner_text()


def test_at_an_address_or_without_script_the_password_still_works(served: int, tab: Page) -> None:
    site = f"http://127.0.0.1:{served}"
    tab.goto(f"{site}/login?next=/me")
    assert tab.get_by_role("button").all_inner_texts() == ["Log in"]
    tab.get_by_label("Name").fill("jane")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Log in", exact=True).click()
    tab.get_by_text("A passkey belongs to a host name").wait_for()
    assert tab.context.browser is not None
    plain = tab.context.browser.new_context(java_script_enabled=False).new_page()
    plain.goto(f"http://localhost:{served}/login")
    assert not plain.get_by_text("Log in with a passkey").is_visible()
    plain.get_by_label("Name").fill("tom")
    plain.get_by_label("Password").fill(PASSWORD)
    plain.get_by_role("button", name="Log in", exact=True).click()
    plain.wait_for_url(f"http://localhost:{served}/")
