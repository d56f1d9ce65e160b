"""A person signs an approval in a real browser by the passkey of a virtual device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("webauthn")

from factory_resources.security.passwords import Passwords
from factory_resources.security.personal_keys import public_file
from factory_resources.tracking.registry import Registry
from tests.approvals import Factory, make_factory
from tests.factory_assets.web.door.conftest import PASSWORD, FrontDoor
from tests.ledger import problems
from tests.pipelines import enter

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """A factory in which version 1 waits; jane, who may approve, has a password."""
    factory = make_factory(tmp_path / "root")
    enter(factory.root, monkeypatch)
    Passwords(factory.home).set("jane", PASSWORD)
    return factory


def test_a_version_that_waits_serves_once_a_passkey_signed(waiting: Factory, tab: Page) -> None:
    assert "apples@1 waits for 1 approver" in waiting.run()
    with FrontDoor(waiting.home).served() as port:
        site = f"http://localhost:{port}"
        tab.goto(f"{site}/login?next=/me")
        tab.get_by_label("Name").fill("jane")
        tab.get_by_label("Password").fill(PASSWORD)
        tab.get_by_role("button", name="Log in", exact=True).click()
        tab.get_by_label("Name of a new passkey").fill("my laptop")
        tab.get_by_role("button", name="Add a passkey").click()
        line = tab.locator("pre", has_text="- passkey localhost ").inner_text()

        tab.get_by_role("link", name="apples@1").click()
        tab.get_by_text("Your passkeys log you in, and do not sign").wait_for()
        assert tab.locator("pre", has_text="- passkey ").inner_text().strip() == line.strip()
        assert tab.get_by_role("button", name="Approve with a passkey").count() == 0
        own = public_file(waiting.key("jane")).read_text().strip()
        waiting.people(jane={"keys": [own, line.strip().removeprefix("- ")]})

        tab.reload()
        tab.get_by_label("Reason, which is part of what you sign").fill("as good as it gets")
        tab.get_by_role("button", name="Approve with a passkey").click()
        tab.get_by_text("apples@1 was approved by jane").wait_for()
        tab.goto(f"{site}/me")
        tab.get_by_text("You sign decisions with the passkey my laptop.").wait_for()
    assert Registry(waiting.home).alias("apples") == 1
    assert "waits" not in waiting.run()
    assert problems(waiting.home) == []
