"""An auditor with a browser: from the id of a decision to the line of its source, and home."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from factory_resources.security.passwords import Passwords
from factory_resources.sources.files.discovery import sha256_of
from tests.browser import opened_browser
from tests.factory_assets.web.auditor.conftest import HOSTILE, Audited
from tests.factory_assets.web.door.conftest import PASSWORD, FrontDoor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.browser]

_ALONE = """\
import sys
sys.path[:] = [path for path in sys.path if "packages" not in path] + [sys.argv.pop(1)]
import runpy
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program where of all packages only those of one folder can be imported."""

_TOO_WIDE = """\
() => {
  const width = document.documentElement.clientWidth;
  const captions = [...document.querySelectorAll("caption")];
  const times = [...document.querySelectorAll("time")];
  return [
    ...(document.documentElement.scrollWidth > width
      ? [`${document.documentElement.scrollWidth} px`] : []),
    ...captions.filter((one) => one.clientWidth < width / 2).map((one) => one.textContent),
    ...times.filter((one) => one.getClientRects().length > 1).map((one) => one.textContent),
  ];
}
"""
"""Says how wide a page is that is wider than its window, which captions are narrow, and which times
are on two lines."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with opened_browser() as opened:
        yield opened


@contextmanager
def _logged_in(browser: Browser, audited: Audited) -> Iterator[Page]:
    """Yield a page on which tom, an auditor, has logged in; what its console says fails."""
    Passwords(audited.home).set("tom", PASSWORD)
    audited.factory.people(tom={"roles": ["auditor"], "keys": []})
    with FrontDoor(audited.home).served() as port:
        context = browser.new_context(
            base_url=f"http://127.0.0.1:{port}",
            accept_downloads=True,
        )
        page = context.new_page()
        page.set_default_timeout(60_000)
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto("/login?next=/audit")
        page.get_by_label("Name").fill("tom")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Log in", exact=True).click()
        yield page
        context.close()
        assert said == []


def _cryptography_alone(folder: Path) -> Path:
    """Link `cryptography` and what it needs into a folder."""
    import cryptography

    packages = Path(cryptography.__file__).parents[1]
    folder.mkdir()
    for name in ("cryptography", "cffi", "_cffi_backend*", "pycparser"):
        for path in packages.glob(name):
            (folder / path.name).symlink_to(path)
    return folder


def _verify(folder: Path, archive: str) -> subprocess.CompletedProcess[str]:
    packages = folder / "packages"
    words = [str(packages), "factory_verify.py", archive]
    return subprocess.run(
        [sys.executable, "-I", "-c", _ALONE, *words],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_auditor_finds_a_decision_its_rows_and_a_flipped_byte(
    changed: Audited, browser: Browser, tmp_path: Path
) -> None:
    folder = tmp_path / "auditor"
    folder.mkdir()
    _cryptography_alone(folder / "packages")
    with _logged_in(browser, changed) as page:
        page.get_by_label("Find an answer").fill(changed.explained)
        page.keyboard.press("Enter")
        page.get_by_role("heading", name=f"Answer {changed.explained}").wait_for()
        assert page.get_by_text("the record leads to its root").is_visible()

        page.get_by_role("link", name="Compute them now").click()
        link = page.get_by_role("link", name=re.compile(r"data\.csv, line \d+")).first
        line = int((link.text_content() or "").rpartition(" ")[2])
        assert page.get_by_text(re.compile("scores in units of ")).is_visible()
        link.click()
        row = page.locator(":target")
        text = (changed.factory.defs / "apples" / "data.csv").read_text().splitlines()
        assert row.get_by_role("cell").all_inner_texts() == [text[line - 1]]
        assert row.get_by_role("rowheader").inner_text() == str(line)
        assert row.evaluate("row => getComputedStyle(row.cells[1]).fontWeight") == "700"

        page.go_back()
        page.get_by_role("link", name="apples@2").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="The evidence to take home").click()
        download.value.save_as(folder / "evidence.zip")
    with zipfile.ZipFile(folder / "evidence.zip") as archive:
        archive.extract("factory_verify.py", folder)
    done = _verify(folder, "evidence.zip")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("all holds")
    _flip(folder / "evidence.zip", b'"verdict"')
    done = _verify(folder, "evidence.zip")
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("does not hold")


def _flip(file: Path, near: bytes) -> None:
    """Change one bit of a file, in its first text of this kind."""
    content = bytearray(file.read_bytes())
    content[content.index(near) + len(near) // 2] ^= 1
    file.write_bytes(content)


def test_no_page_has_a_barrier(audited: Audited, browser: Browser) -> None:
    """In dark, only colours differ."""
    from axe_playwright_python.sync_playwright import Axe

    axe = Axe()
    files = [
        sha256_of(audited.factory.defs / name, name)
        for name in ("apples/data.csv", f"search/{HOSTILE}")
    ]
    with _logged_in(browser, audited) as page:
        for path in (
            "/",
            "/audit",
            "/audit/apples",
            "/audit/apples/1",
            "/audit/apples/2",
            "/audit/apples/diff?from=1&to=2",
            f"/audit/answers/{audited.answer}",
            f"/audit/files/{files[0]}?line=9#asked",
            f"/audit/files/{files[1]}?row=9",
            "/audit/search?q=nothing-at-all",
            "/audit/search?q=jane",
            "/audit/entries/7",
            "/audit/verify",
            "/audit/ai-act/apples",
            "/audit/-/search",
        ):
            page.emulate_media(color_scheme="light")
            page.goto(path)
            found = axe.run(page).response["violations"]
            page.emulate_media(color_scheme="dark")
            found += axe.run(page, options={"runOnly": ["color-contrast"]}).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"]) for one in found] == [], path


def test_a_page_is_used_by_keyboard_and_printed(audited: Audited, browser: Browser) -> None:
    with _logged_in(browser, audited) as page:
        page.goto("/audit/apples/1")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
        page.emulate_media(media="print")
        assert not page.get_by_role("navigation", name="Main").is_visible()
        assert page.get_by_text("its checkpoint has the root hash").is_visible()
        target = page.get_by_role("link", name="The evidence to take home")
        after = target.evaluate("link => getComputedStyle(link, '::after').content")
        assert after == '" (" attr(href) ")"' or "/audit/apples/1/evidence.zip" in after
        assert len(page.pdf()) > 10_000


def test_no_page_is_wider_than_its_window(
    audited: Audited, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"a{'_very' * 10}_long_name").mkdir()
    (tmp_path / f"a{'_very' * 10}_long_name" / "defs.yaml").write_text("type: none\n")
    monkeypatch.setenv("FACTORY_DEFS", f"{audited.factory.defs}:{tmp_path}")
    digest = sha256_of(audited.factory.defs / "apples/data.csv", "apples/data.csv")
    windows = ((400, "screen"), (800, "screen"), (1000, "screen"), (1200, "screen"), (794, "print"))
    wide = dict[tuple[str, int], Any]()
    with _logged_in(browser, audited) as page:
        for path in (
            "/audit",
            "/audit/apples",
            "/audit/apples/2",
            "/audit/-/search",
            f"/audit/answers/{audited.answer}",
            f"/audit/files/{digest}?line=9",
            "/audit/search?q=jane",
            f"/audit/search?q={digest}",
            "/audit/entries/7",
            "/audit/verify",
            "/audit/ai-act/apples",
        ):
            page.goto(path)
            for width, media in windows:
                page.set_viewport_size({"width": width, "height": 900})
                page.emulate_media(media=media)  # type: ignore[arg-type]
                if found := page.evaluate(_TOO_WIDE):
                    wide[path, width] = found
    assert wide == {}
