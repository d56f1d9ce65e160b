"""The auditor's pages as the front door's process runs them: without numpy, pandas and pyarrow."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from factory_resources.sources.files.discovery import sha256_of
from tests.factory_assets.web.auditor.conftest import HOSTILE, Audited

pytestmark = pytest.mark.slow

PROGRAM = """\
import json, sys
from pathlib import Path
from factory_assets.web.door.refused_imports import WITHOUT, refuse_imports
refuse_imports()
from factory_resources.home.home import Home
from tests.factory_assets.web.auditor.clients import app_of, client_of
client = client_of(app_of(Home(Path(sys.argv[1]))), "tom", ["auditor"])
pages = {path: client.get(path) for path in json.load(sys.stdin)}
for path, page in pages.items():
    assert not path.startswith("/audit/files/") or "<td>" in page.text, page.text
found = [page.status_code for page in pages.values()]
assert not WITHOUT & sys.modules.keys()
print(json.dumps(found))
"""


def test_every_page_is_there(audited: Audited) -> None:
    files = [
        sha256_of(audited.factory.defs / name, name)
        for name in ("apples/data.csv", f"search/{HOSTILE}")
    ]
    paths = [
        "/audit",
        "/audit/apples",
        "/audit/apples/2",
        "/audit/apples/diff",
        f"/audit/answers/{audited.explained}",
        f"/audit/answers/{audited.answer}/proof.json",
        *(f"/audit/files/{digest}?line=3" for digest in files),
        "/audit/search?q=jane",
        "/audit/entries/5",
        "/audit/ai-act/apples",
        "/audit/apples/1/evidence.zip",
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(audited.home.path)],
        input=json.dumps(paths),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [200] * len(paths)
