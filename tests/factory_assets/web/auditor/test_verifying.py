"""An auditor verifies in the browser, and takes evidence home."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from factory_assets.spec.people import Role
from factory_assets.web.auditor import verification, version_files
from factory_assets.web.auditor.computing_turns import ComputingTurns
from factory_assets.web.auditor.version_files import VersionFileMaker
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger import factory_verify
from factory_resources.ledger.factory_verify import LogCheckpoint, SignedNote
from factory_resources.ledger.ledger import Ledger
from tests.factory_assets.web.auditor.clients import TOKEN, app_of, as_visitor
from tests.factory_assets.web.auditor.conftest import Audited, Browse
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.long_run import in_long
from tests.loopback_servers import served_app

pytestmark = pytest.mark.slow


def _verify(client: Any) -> str:
    answer = client.post("/audit/verify", data={"form_token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/audit/verify")
    for _ in range(20):
        shown = client.get("/audit/verify")
        assert mistakes_of(shown.text) == []
        if "A verification has been running" not in shown.text:
            return text_of(shown.text)
        # Another one would begin only if this one had ended.
        client.post("/audit/verify", data={"form_token": TOKEN})
    raise AssertionError("it did not end")


def test_what_holds_and_what_was_changed_is_told(changed: Audited, browse: Browse) -> None:
    client = browse(changed.home, "auditor")
    assert "Nothing was verified here yet" in text_of(client.get("/audit/verify").text)
    assert client.get("/audit/verify/checkpoint").status_code == 404
    assert client.get("/audit/verify/result.json").status_code == 404
    assert "Nothing was verified here yet" in text_of(client.get("/audit").text)
    text = _verify(client)
    assert "All holds." in text
    assert ": all holds" in text_of(client.get("/audit/apples/1").text)
    assert "entries 3" in text
    with Ledger(changed.home).reading() as log:
        size = log.size
    note = SignedNote.parse(client.get("/audit/verify/checkpoint").content)
    assert LogCheckpoint.parse(note.text).size == size
    assert json.loads(client.get("/audit/verify/result.json").content)["holds"] is True

    [table, *_] = sorted(changed.home.tables.glob("apples/clean/*.parquet"))
    content = bytearray(table.read_bytes())
    content[40] ^= 1
    table.chmod(0o600)
    table.write_bytes(content)
    text = _verify(client)
    assert "It does not hold." in text
    assert "factory verify lists" not in text
    assert re.search(rf"entry \d+, tables/apples/clean/{table.name}: \w", text), text
    for page in ("/audit", "/audit/apples/1", f"/audit/answers/{changed.answer}"):
        shown = client.get(page)
        assert mistakes_of(shown.text) == []
        assert "it does not hold" in text_of(shown.text)
        assert 'href="/audit/verify"' in shown.text


def test_problems_that_are_not_shown_are_counted(
    changed: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verification, "_PROBLEMS", 2)
    for table in changed.home.tables.glob("*/*/*.parquet"):
        table.unlink()
    client = browse(changed.home, "auditor")
    text = _verify(client)
    found = json.loads(client.get("/audit/verify/result.json").content)
    assert len(found["problems"]) == 2
    assert f"And {found['more']} more: factory verify lists up to 1,000." in text
    assert found["more"] > 2


def test_problems_that_the_verifier_only_counts_are_counted(
    changed: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems = [{"what": "is missing", "entry": n, "file": ""} for n in range(1000)]
    found = {"holds": False, "problems": problems, "unlisted_problems": 4_000}

    def verified(words: list[str], _: Home) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(words, 1, json.dumps(found), "")

    monkeypatch.setattr(verification, "run_factory", verified)
    assert "And 4,800 more: factory verify lists up to 1,000." in _verify(
        browse(changed.home, "auditor")
    )


def test_a_verification_without_a_result_says_why(
    changed: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise StorageError("the disk is full", remedy="free space")

    monkeypatch.setattr(verification, "run_factory", full)
    assert "without a result: the disk is full; free space" in _verify(
        browse(changed.home, "auditor")
    )


@pytest.mark.parametrize(
    ("ending", "said"),
    [
        ("kill -9 $$", "it ended with code -9"),
        (
            "echo 'error: No space left on device; free space' >&2; exit 2",
            "No space left on device",
        ),
    ],
)
def test_a_verification_that_was_cut_off_says_neither_that_all_holds_nor_that_it_does_not(
    changed: Audited,
    browse: Browse,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    ending: str,
    said: str,
) -> None:
    client = browse(changed.home, "auditor")
    assert "All holds." in _verify(client)
    before = client.get("/audit/verify/result.json").content
    script = tmp_path / "cut-off"
    script.write_text(f"#!/bin/sh\n{ending}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    text = _verify(client)
    assert f"The last verification ended without a result: {said}" in text
    assert "It does not hold" not in text
    assert client.get("/audit/verify/result.json").content == before
    for page in ("/audit", "/audit/apples/1", f"/audit/answers/{changed.answer}"):
        shown = text_of(client.get(page).text)
        assert "The last verification ended without a result" in shown
        assert "all holds" not in shown


def test_a_form_of_another_site_verifies_nothing(changed: Audited, browse: Browse) -> None:
    client = browse(changed.home, "auditor")
    for form in ({}, {"form_token": "0" * 64}):
        assert client.post("/audit/verify", data=form).status_code == 403
    assert "Nothing was verified" in text_of(client.get("/audit/verify").text)


def test_evidence_is_verified_elsewhere(audited: Audited, browse: Browse, tmp_path: Path) -> None:
    answer = browse(audited.home, "auditor").get("/audit/apples/1/evidence.zip")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-disposition"].endswith('"apples-1-evidence.zip"')
    assert not [*audited.home.tmp.glob("*/evidence.zip")], "the archive stays behind"
    (tmp_path / "evidence.zip").write_bytes(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        verifier = Path(factory_verify.__file__)
        assert archive.read(verifier.name) == verifier.read_bytes()
        archive.extract(verifier.name, tmp_path)
    done = subprocess.run(
        [sys.executable, "-I", verifier.name, "evidence.zip"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.rstrip().endswith("all holds")


@pytest.mark.parametrize("part", ["bytes=x", *in_long(["bytes=999999999-", "lines=1-2"])])
def test_a_part_that_is_asked_for_in_vain_leaves_no_archive_behind(
    part: str, audited: Audited, browse: Browse
) -> None:
    path, headers = "/audit/apples/1/dossier.json", {"range": part}
    answer = browse(audited.home, "auditor").get(path, headers=headers)
    assert answer.status_code in (400, 416)
    assert not [*audited.home.tmp.glob("*/dossier.json")]


def test_a_dossier_is_taken_home_and_verified(
    audited: Audited, browse: Browse, tmp_path: Path
) -> None:
    client = browse(audited.home, "auditor")
    page = client.get("/audit/apples/1").text
    files = {
        form: client.get(f"/audit/apples/1/dossier.{form}") for form in ("pdf", "html", "json")
    }
    for form, answer in files.items():
        assert f'href="/audit/apples/1/dossier.{form}"' in page
        assert answer.status_code == 200, answer.text
        sent = f'attachment; filename="apples-1-dossier.{form}"'
        assert answer.headers["content-disposition"] == sent
    assert files["pdf"].content.startswith(b"%PDF-")
    assert "Technical documentation of apples@1" in files["html"].text
    (tmp_path / "dossier.json").write_bytes(files["json"].content)
    command = ["--dossier", str(tmp_path / "dossier.json"), str(audited.home.path)]
    assert factory_verify.main(command) == 0


def test_evidence_that_cannot_be_made_says_why(changed: Audited, browse: Browse) -> None:
    [record, *_] = sorted(changed.home.records.glob("apples/train/*.json"))
    record.chmod(0o600)
    record.write_bytes(record.read_bytes() + b" ")
    found = [
        browse(changed.home, "auditor").get(f"/audit/apples/{version}/evidence.zip")
        for version in (1, 2)
    ]
    assert 404 in {answer.status_code for answer in found}
    [text] = [text_of(answer.text) for answer in found if answer.status_code == 404]
    assert "the ledger has no entry of records/apples/train" in text
    assert text.count("shows what does not hold") == 1
    assert not [*changed.home.tmp.glob("*/evidence.zip")]


def test_one_file_is_made_at_a_time(audited: Audited) -> None:
    turns = ComputingTurns("another file is being made", 0.01)
    maker = VersionFileMaker(audited.home, turns)
    with turns.turn(), pytest.raises(StorageError, match="another file"):
        maker.make("apples@1", "evidence.zip")


def test_files_that_are_waited_for_keep_no_page_from_being_made(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, done = threading.Event(), threading.Event()

    def slow(*_: object) -> subprocess.CompletedProcess[str]:
        begun.set()
        done.wait(20)
        return subprocess.CompletedProcess([], 2, "", "error: too late")

    monkeypatch.setattr(version_files, "run_factory", slow)
    roles: tuple[Role, ...] = ("auditor",)
    with served_app(as_visitor(app_of(audited.home), "tom", roles)) as port:

        def ask(path: str) -> int:
            try:
                with urlopen(f"http://127.0.0.1:{port}{path}", timeout=30) as answer:
                    return int(answer.status)
            except HTTPError as error:
                return error.code

        with ThreadPoolExecutor(50) as pool:
            asked = [pool.submit(ask, "/audit/apples/1/dossier.json") for _ in range(50)]
            try:
                assert begun.wait(10)
                asking = pool.submit(ask, "/audit/apples")
                assert asking.result(timeout=10) == 200
            finally:
                done.set()
        assert [one.result() for one in asked].count(503) == 45
