"""What a person sees of themselves, and the rules that all pages follow."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product

import pytest

from factory_assets.web.pages import rendering
from factory_resources.home.home import PROJECT, Home
from factory_resources.security.request_guard import STRICTER
from factory_resources.security.sessions import Sessions
from factory_resources.security.tokens import Tokens
from tests.factory_assets.web.pages.conftest import TOKEN, Browse
from tests.factory_assets.web.pages.markup import mistakes_of, text_of

STYLE = (PROJECT / "factory_assets/web/pages/templates/style.css").read_text(encoding="utf-8")


def test_sessions_are_listed_and_can_be_ended(home: Home, browse: Browse) -> None:
    sessions = Sessions(home)
    _, first = sessions.begin("jane", "password", browser='Firefox"><script>')
    sessions.begin("tom", "password", browser="another person's")
    html = browse(home).get("/me").text
    assert mistakes_of(html) == []
    assert 'Firefox"><script>' in text_of(html)
    assert "another person" not in html
    assert f'name="session" value="{first.sha256}"' in html
    assert re.search(r'aria-label="End the session that began \d{4}-\d\d-\d\d \d\d:\d\d"', html)
    assert html.count(f'name="form_token" value="{TOKEN}"') == html.count('action="/logout"') == 2


def test_engineers_see_the_tokens_and_others_do_not(home: Home, browse: Browse) -> None:
    tokens = Tokens(home)
    text = tokens.new("shop", ["apples", "pears"], valid=timedelta(days=3), rate=2.5)
    tokens.new("old", ["apples"], valid=timedelta(days=-1))
    tokens.new("gone", ["apples"], valid=timedelta(days=1))
    tokens.revoke("gone")
    html = browse(home, "jane", "engineer").get("/me").text
    assert mistakes_of(html) == []
    assert "shop apples, pears valid" in text_of(html)
    assert "old apples expired" in text_of(html)
    assert "gone apples revoked" in text_of(html)
    assert text not in html
    assert "shop" not in browse(home, "tom", "auditor").get("/me").text


def test_pages_load_nothing_and_run_nothing(home: Home, browse: Browse) -> None:
    for path in ("/", "/me", "/nothing"):
        headers = browse(home).get(path).headers
        policy = headers[STRICTER.decode()]
        assert "default-src 'none'" in policy
        assert "script" not in policy
        assert headers["cache-control"] == "no-store"
    assert "url(" not in STYLE
    assert "@import" not in STYLE


def test_other_methods_get_a_page_too(home: Home, browse: Browse) -> None:
    answer = browse(home).post("/me", data={})
    assert answer.status_code == 405
    assert mistakes_of(answer.text) == []


@pytest.mark.parametrize(
    ("sent_to", "shows"),
    [
        ("/me/passkeys", "/me"),
        ("/me/passkeys/remove", "/me"),
        ("/approvals/apples/1/passkey", "/approvals/apples/1"),
    ],
)
def test_the_address_to_which_a_form_was_sent_leads_to_its_page(
    home: Home, browse: Browse, sent_to: str, shows: str
) -> None:
    """A browser is there after a passkey decided or was refused."""
    assert browse(home).get(sent_to).url.path == shows


@pytest.mark.parametrize("theme", [0, 1])
def test_text_has_enough_contrast(theme: int) -> None:
    """WCAG 2.2, 1.4.3: 4.5 for text; 1.4.11: 3 for the borders of controls."""
    pairs = re.findall(r"--(\w+): light-dark\(#(\w{6}), #(\w{6})\)", STYLE)
    colours = {name: both[theme] for name, *both in pairs}
    for text, ground in product(("ink", "soft", "link", "good", "bad"), ("ground", "card")):
        assert _contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def _contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour, by the formula of WCAG 2.2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (99, "99 s"), (720, "12 min"), (12_600, "3.5 h")]
)
def test_durations_are_short(seconds: float, text: str) -> None:
    assert rendering.duration(seconds) == text


def test_a_database_that_is_away_is_no_fault_of_the_factory(
    home: Home, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browse(home)
    monkeypatch.setenv("FACTORY_DATABASE_URL", "postgresql://factory@127.0.0.1:1/factory")
    page = client.get("/me")
    assert page.status_code == 503
    assert "Not possible now" in page.text
    assert "the database of FACTORY_DATABASE_URL cannot be used" in page.text
