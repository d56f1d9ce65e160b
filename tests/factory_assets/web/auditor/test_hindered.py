"""The auditor's pages on a full disk, and of a home that this user may not read."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from factory_resources.home.home import Home
from factory_resources.sources.files.discovery import sha256_of
from tests.disks import small_disk
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.factory_assets.web.auditor.conftest import Audited
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.ordinary_user import by_ordinary_user

pytestmark = pytest.mark.slow


def _pages(audited: Audited) -> list[str]:
    data = audited.factory.defs / "apples" / "data.csv"
    return [
        "/audit",
        "/audit/apples",
        "/audit/apples/1",
        "/audit/apples/diff?from=1&to=2",
        f"/audit/answers/{audited.answer}",
        f"/audit/answers/{audited.answer}/proof.json",
        f"/audit/files/{sha256_of(data, 'data.csv')}?line=5",
        "/audit/search?q=apples",
        "/audit/ai-act/apples@1",
        "/audit/entries/3",
        "/audit/entries/3.json",
        "/audit/entries/3.tlog-proof",
        "/audit/checkpoint",
        "/audit/verify",
    ]


def test_pages_are_read_on_a_full_disk(audited: Audited, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 256 << 20) as disk:
        home = Home(Path(shutil.copytree(audited.home.path, disk.folder / "home")))
        with disk.filled(0):
            with pytest.raises(OSError, match="No space left"):
                (home.path / "tried").write_bytes(bytes(10_000))
            (home.path / "tried").unlink(missing_ok=True)
            client = client_of(app_of(home), "tom", ("auditor",))
            for path in _pages(audited):
                page = client.get(path)
                assert page.status_code in (200, 303), (path, text_of(page.text))
            for file in ("evidence.zip", "dossier.json"):
                page = client.get(f"/audit/apples/1/{file}")
                assert page.status_code >= 400
                assert mistakes_of(page.text) == []
                assert "No space left" in text_of(page.text)
        assert client.get("/audit/apples/1/evidence.zip").status_code == 200


_BY_ANOTHER = """\
import sys
from pathlib import Path
from factory_resources.home.home import Home
from tests.factory_assets.web.auditor.clients import app_of, client_of
client = client_of(app_of(Home(Path(sys.argv[1]))), "tom", ("auditor",))
for path in sys.argv[2:]:
    text, status = (page := client.get(path)).text, page.status_code
    print(status, "apples" in text, text.count("<h1>"), "Traceback" in text)
"""


def test_a_home_that_this_user_may_not_read_is_said_on_each_page(
    changed: Audited, tmp_path: Path
) -> None:
    root = changed.factory.root
    for folder in (*tmp_path.parents, tmp_path, root):
        if folder.stat().st_mode & 0o005 != 0o005 and folder != folder.parent:
            folder.chmod(0o755)
    changed.home.path.chmod(0o700)
    pages = _pages(changed)
    command = [sys.executable, "-c", _BY_ANOTHER, str(changed.home.path), *pages]
    done = subprocess.run(
        by_ordinary_user(command), capture_output=True, text=True, timeout=120, check=False
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(pages), done.stderr[-2000:]
    for path, line in zip(pages, lines, strict=True):
        status, tells, headings, traces = line.split()
        assert int(status) >= 400, path
        assert (tells, headings, traces) == ("False", "1", "False"), path
