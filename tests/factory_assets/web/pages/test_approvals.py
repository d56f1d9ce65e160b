"""The page of a candidate: what it shows to whom, and which signed decisions it takes."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest

from factory_assets.audit.approval_view import approval_text
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.decisions import waiting_candidate
from factory_assets.web.access_log import AccessLog
from factory_resources.home.home import Home
from factory_resources.ledger.keys import key_file
from tests.approvals import Factory
from tests.factory_assets.web.pages.conftest import TOKEN, Browse
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.ledger import ledger_entries

pytestmark = pytest.mark.slow

PAGE = "/approvals/apples/1"


def _signed(apples: Factory, by: str = "jane", act: str = "approve", version: int = 1) -> str:
    """Return a signed decision as `--save` writes it."""
    file = apples.root / f"{by}.json"
    code, text = apples.factory(
        act, f"apples@{version}", "--reason", "<b>good</b>", "--save", str(file), by=by
    )
    assert code == 0, text
    return file.read_text()


def _kinds(home: Home) -> list[str]:
    """Return the kinds of all entries, what was counted included."""
    AccessLog(home).flush()
    return [entry.kind for entry in ledger_entries(home)]


def _refusals(home: Home) -> list[Any]:
    entries = ledger_entries(home)
    return [entry for entry in entries if entry.kind == "refused"]


def test_it_shows_all_that_is_signed_and_what_to_run(apples: Factory, browse: Browse) -> None:
    html = browse(apples.home).get(PAGE).text
    assert mistakes_of(html) == []
    pipeline = load_pipeline(apples.defs / "apples")
    signed = approval_text(pipeline, waiting_candidate(pipeline, 1, apples.home), apples.home)
    assert " ".join(signed.split()) in text_of(html)
    before = text_of(html).partition("The text that is signed")[0]
    assert "average_precision (primary) 0." in before
    assert (
        "Data: 200 rows read; in quarantine 0 by ingest and 0 by clean; 0 duplicates left out"
        in before
    )
    assert "factory approve apples@1 --reason" in text_of(html)


def test_auditors_and_engineers_look_and_get_no_form(apples: Factory, browse: Browse) -> None:
    for role in ("auditor", "engineer"):
        html = browse(apples.home, "tom", role).get(PAGE).text
        assert mistakes_of(html) == []
        assert "needs the role approver" in html
        assert "<textarea" not in html


@pytest.mark.parametrize("way", ["file", "text"])
def test_a_signed_approval_is_entered_after_the_act_and_serves(
    apples: Factory, browse: Browse, way: str
) -> None:
    content, client = _signed(apples), browse(apples.home)
    form = {"form_token": TOKEN}
    if way == "file":
        files = {"file": ("jane.json", content.encode(), "application/json")}
        answer = client.post(PAGE, data=form, files=files)
    else:
        answer = client.post(PAGE, data={**form, "statement": content})
    assert answer.status_code == 200, text_of(answer.text)
    assert mistakes_of(answer.text) == []
    assert "apples@1 was approved by jane" in text_of(answer.text)
    assert _kinds(apples.home)[-3:] == ["action", "approval", "champion"]
    assert "serves version 1" in text_of(client.get("/").text)
    again = client.get(PAGE)
    assert again.status_code == 409
    assert mistakes_of(again.text) == []
    assert "Not possible apples@1: it serves already" in text_of(again.text)


def test_what_is_approved_of_a_stopped_pipeline_serves_once_it_is_resumed(
    apples: Factory, browse: Browse
) -> None:
    apples.approve()
    assert apples.factory("stop", "apples", "--reason", "odd answers", by="jane")[0] == 0
    apples.declare(seed=11)
    assert "apples@2 waits for 1 approver" in apples.run()
    content = _signed(apples, version=2)
    form = {"form_token": TOKEN, "statement": content}
    answer = browse(apples.home).post("/approvals/apples/2", data=form)
    said = text_of(answer.text)
    assert "and serves, once it is resumed: factory resume apples." in said, said


def test_a_signed_refusal_is_entered_too(apples: Factory, browse: Browse) -> None:
    form = {"form_token": TOKEN, "statement": _signed(apples, act="refuse")}
    answer = browse(apples.home).post(PAGE, data=form)
    assert "apples@1 was refused by jane" in text_of(answer.text)
    assert "Nothing waits" in text_of(browse(apples.home).get("/").text)


def test_others_than_approvers_are_refused_and_it_is_entered(
    apples: Factory, browse: Browse
) -> None:
    content = _signed(apples)
    client = browse(apples.home, "eve", "engineer", "auditor")
    answer = client.post(PAGE, data={"form_token": TOKEN, "statement": content})
    assert answer.status_code == 403
    assert "Only a person with the role approver" in text_of(answer.text)
    [refused] = _refusals(apples.home)
    assert (refused.reason, refused.operation) == ("not allowed", "decide apples@1")
    assert "approval" not in _kinds(apples.home)


@pytest.mark.parametrize("token", [None, "", "0" * 64, "ä"])
def test_a_form_of_another_site_is_refused(
    apples: Factory, browse: Browse, token: str | None
) -> None:
    form = {"statement": _signed(apples)} | ({} if token is None else {"form_token": token})
    answer = browse(apples.home).post(PAGE, data=form)
    assert answer.status_code == 403
    assert mistakes_of(answer.text) == []
    [refused] = _refusals(apples.home)
    assert refused.reason == "another site"
    assert "approval" not in _kinds(apples.home)


def test_who_may_not_approve_may_not_by_another_hand(apples: Factory, browse: Browse) -> None:
    """An approver enters what eve signed, who is an engineer."""
    form = {"form_token": TOKEN, "statement": _signed(apples, by="eve")}
    answer = browse(apples.home).post(PAGE, data=form)
    assert answer.status_code == 422
    assert "eve does not have the role approver" in text_of(answer.text)
    assert "approval" not in _kinds(apples.home)


def test_who_may_decide_is_declared(apples: Factory, browse: Browse) -> None:
    apples.declare(approval={"by": "engineer"})
    html = browse(apples.home).get(PAGE).text
    assert "needs the role engineer" in html
    assert "<textarea" not in html
    form = {"form_token": TOKEN, "statement": _signed(apples, by="eve")}
    refused = browse(apples.home).post(PAGE, data=form)
    assert refused.status_code == 403
    assert "Only a person with the role engineer" in text_of(refused.text)
    engineer = browse(apples.home, "eve", "engineer")
    assert "<textarea" in engineer.get(PAGE).text
    assert "apples@1 was approved by eve" in text_of(engineer.post(PAGE, data=form).text)


_PAYLOAD = b64encode(b'{"predicate":{"decision":"approved"}}').decode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "Choose the file of the signed decision"),
        ("x", "not a signed decision"),
        ("null", "not a signed decision"),
        ("[" * 100_000, "not a signed decision"),
        ('{"payload": "%%%"}', "not a signed decision"),
        (json.dumps({"payload": _PAYLOAD}), "nobody in people.yaml signed it"),
        ("\x00\ud83d".encode("utf-8", "replace").decode(), "not a signed decision"),
    ],
)
def test_what_is_no_decision_is_one_line(
    apples: Factory, browse: Browse, content: str, said: str
) -> None:
    answer = browse(apples.home).post(PAGE, data={"form_token": TOKEN, "statement": content})
    assert answer.status_code == 422
    assert mistakes_of(answer.text) == []
    assert said in text_of(answer.text)
    assert "approval" not in _kinds(apples.home)


def test_a_damaged_upload_is_refused(apples: Factory, browse: Browse) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "text/plain"):
        headers = {"content-type": kind}
        answer = browse(apples.home).post(PAGE, content=b"--x\r\n\r\n\xff--x", headers=headers)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/approvals/nothing/1", 404),
        ("/approvals/apples/99", 404),
        ("/approvals/apples/99999999999999999999", 404),
        pytest.param(f"/approvals/apples/{'9' * 5_000}", 404, id="5,000 digits"),
        ("/approvals/apples/x", 404),
        ("/approvals/tumour_diagnosis/1", 404),
        ("/nothing", 404),
    ],
)
def test_what_is_not_there_is_told_on_a_page(
    apples: Factory, browse: Browse, path: str, status: int
) -> None:
    answer = browse(apples.home).get(path)
    assert answer.status_code == status
    assert mistakes_of(answer.text) == []


def test_a_ledger_that_cannot_be_written_lets_nothing_happen(
    apples: Factory, browse: Browse
) -> None:
    content, client = _signed(apples), browse(apples.home)
    key_file(apples.home).rename(apples.root / "away")
    answer = client.post(PAGE, data={"form_token": TOKEN, "statement": content})
    assert answer.status_code == 503
    assert mistakes_of(answer.text) == []
    assert not {"action", "approval"} & {*_kinds(apples.home)}
