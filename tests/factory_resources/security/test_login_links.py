"""The links by which the machine's owner logs in count once, and for ten minutes."""

import pytest

from factory_resources.home.home import Home
from factory_resources.security import login_links
from factory_resources.security.login_links import VALID, LoginLinks


def test_a_link_counts_once_and_for_ten_minutes(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, now = LoginLinks(home), login_links.time.time()
    first, second = links.new(), links.new()
    assert links.use(first)
    assert not links.use(first)
    monkeypatch.setattr(login_links.time, "time", lambda: now + VALID + 1)
    assert not links.use(second)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": null}', '{"a": "soon"}'])
def test_a_damaged_file_keeps_nobody_from_a_new_link(home: Home, content: str) -> None:
    file = home.path / "secrets" / "login_links.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    links = LoginLinks(home)
    assert not links.use("a")
    assert links.use(links.new())


def test_a_link_made_by_a_clock_that_was_ahead_does_not_count(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    links, now = LoginLinks(home), login_links.time.time()
    monkeypatch.setattr(login_links.time, "time", lambda: now + 24 * 3600)
    token = links.new()
    monkeypatch.setattr(login_links.time, "time", lambda: now)
    assert not links.use(token)
