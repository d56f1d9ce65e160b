"""The auditor's pages: what they show, to whom, and that nothing on them is taken for markup."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from typing import Any

import html5lib
import pytest

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.execution.rollout import Ending, Rollout, ended_entry
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.report import Alarm, MonitorReport, ReportedChange
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.web.access_log import AccessLog
from factory_assets.web.auditor import difference, reading
from factory_resources.home.home import Home
from factory_resources.ledger.entries import AccessRefused
from factory_resources.ledger.factory_verify import (
    InclusionProof,
    LogCheckpoint,
    PredictionProof,
    SignedNote,
)
from factory_resources.ledger.keys import LogKey
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.rollout_entries import RolloutStarted
from factory_resources.sources.files.discovery import sha256_of
from factory_resources.tracking.registry import Registry
from tests.factory_assets.web.auditor.conftest import HOSTILE, Audited, Browse
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.ledger import ledger_entries
from tests.pipelines import write_apples

pytestmark = pytest.mark.slow

LARGEST = 150_000
"""Bytes of a page."""


def _digest(audited: Audited, name: str = "apples/data.csv") -> str:
    return sha256_of(audited.factory.defs / name, name)


def _show(client: Any, path: str, status: int = 200) -> str:
    """Return the source of a page without mistakes."""
    answer = client.get(path)
    assert answer.status_code == status, text_of(answer.text)
    assert mistakes_of(answer.text) == []
    html5lib.HTMLParser(strict=True).parse(answer.text)
    assert len(answer.content) < LARGEST
    assert "script-src" not in answer.headers["factory-policy"]
    assert "<script" not in answer.text
    return str(answer.text)


def _entries(home: Home) -> list[Any]:
    AccessLog(home).flush()
    return ledger_entries(home)


def _last_number(home: Home, kind: str) -> int:
    return max(n for n, entry in enumerate(_entries(home)) if entry.kind == kind)


def test_the_start_names_risk_champion_verdict_and_what_is_open(
    audited: Audited, browse: Browse
) -> None:
    text = text_of(_show(browse(audited.home, "auditor"), "/audit"))
    assert "apples Tell good from bad minimal version 1 since" in text
    assert "version 2 waits for 1 approver" in text
    assert "that a person must answer" in text
    assert "no witness is declared" in text


@pytest.mark.parametrize("role", ["auditor", "engineer", "approver"])
def test_everybody_with_a_role_may_read(audited: Audited, browse: Browse, role: Any) -> None:
    assert "Audit" in _show(browse(audited.home, role), "/audit/apples/1")


@pytest.mark.parametrize(
    "path", ["/audit", "/audit/apples/1", "/audit/verify", "/audit/apples/1/evidence.zip"]
)
def test_others_are_refused_and_it_is_entered(changed: Audited, browse: Browse, path: str) -> None:
    assert "needs the role auditor" in _show(browse(changed.home), path, 403)
    AccessLog(changed.home).flush()
    refused = [one for one in _entries(changed.home) if isinstance(one, AccessRefused)]
    assert [(one.reason, one.operation) for one in refused] == [("not allowed", f"GET {path}")]


def test_a_ledger_of_one_entry_has_a_page(
    home: Home, tmp_path: Path, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    begin_ledger(home)
    text = text_of(_show(browse(home, "auditor"), "/audit"))
    assert "1 entry in the ledger" in text
    assert "from a ledger of 1 entry;" in text


def test_the_time_line_has_all_of_each_version(audited: Audited, browse: Browse) -> None:
    text = text_of(_show(browse(audited.home, "auditor"), "/audit/apples"))
    assert text.index("version 2 20") < text.index("version 1 20")
    assert "average_precision 0.9" in text
    assert "approved 20" in text
    assert "to now" in text


def test_the_time_line_has_pages(
    audited: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 1)
    client = browse(audited.home, "auditor")
    first, second = (_show(client, f"/audit/apples?page={n}") for n in (1, 2))
    assert 'href="/audit/apples/2"' in first
    assert 'href="/audit/apples/1"' not in first
    assert 'href="/audit/apples/1"' in second
    assert "Page 2 of 2" in text_of(second)
    assert "the last one is page 2" in text_of(_show(client, "/audit/apples?page=3", 404))
    assert "there is no page 99999" in text_of(_show(client, "/audit?page=99999", 404))


def test_a_version_shows_everything_on_record(audited: Audited, browse: Browse) -> None:
    source = _show(browse(audited.home, "auditor"), "/audit/apples/1")
    text = text_of(source)
    assert "No gate is declared" in text
    assert "3 given, including those removed or erased since" in text
    assert _digest(audited) in text
    assert "size feature \N{EN DASH} size" in text
    assert "Python 3." in text
    assert not re.search(r"\b1 threads", text)
    assert "approved by jane" in text
    assert "apples@1 is the first" in text
    assert r"Reason <script>alert(1)</script> & \u202e better" in text
    assert source.count("<svg") == 2
    assert 'href="/audit/apples/1/evidence.zip"' in source
    assert "No slice is declared" in text


def test_a_source_that_changed_between_two_versions_is_not_called_gone(
    changed: Audited, browse: Browse
) -> None:
    write_apples(changed.factory.defs / "apples", 410)
    changed.factory.run()
    text = text_of(_show(browse(changed.home, "auditor"), "/audit/apples/diff?from=2&to=3"))
    assert "ingest the source changed (data.csv)" in text


def test_a_champion_that_was_stopped_is_not_shown_as_if_it_served(
    changed: Audited, browse: Browse
) -> None:
    client = browse(changed.home, "auditor")
    pages = ("/audit/apples", "/audit/apples/1")
    assert not [page for page in pages if "stopped since" in text_of(_show(client, page))]
    for act, is_stopped in (("stop", True), ("resume", False)):
        code, text = changed.factory.factory(act, "apples", "--reason", "odd", by="jane")
        assert code == 0, text
        for page in pages:
            assert ("to now, stopped since 20" in text_of(_show(client, page))) is is_stopped


def test_a_version_that_rolled_out_beside_the_champion_is_shown_so(
    changed: Audited, browse: Browse
) -> None:
    started = RolloutStarted(
        subject=RolloutStarted.subject_of(pipeline="apples"),
        pipeline="apples",
        version=2,
        record="none",
        graph="0" * 64,
        champion=1,
        mode="canary",
        share=3_000,
        seconds=60,
        answers=100,
    )
    [number] = Ledger(changed.home).append([started])
    ended = ended_entry(Rollout(number, started), Ending("rolled back", "it is slow"))
    Ledger(changed.home).append([ended])
    client = browse(changed.home, "auditor")
    for page in ("/audit/apples", "/audit/apples/2"):
        text = text_of(_show(client, page))
        assert re.search(r"canary since \d{4}.* rolled back \d{4}", text), text


def test_the_last_look_at_a_version_is_shown_after_looks_at_another_one(
    audited: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = MonitorReport.model_construct(
        version=1,
        number=3,
        time="2026-11-29T18:21:27+00:00",
        rows=150,
        evidence=1.5e18,
        findings=(
            ReportedChange(
                column="size", what="missing", evidence=9.0, effect=0.5, words="more gaps", since=2
            ),
        ),
        alarms=(Alarm(kind="silence", what="no answer since May", remedy="ask who calls"),),
    )
    later = look.model_copy(update={"version": 2, "number": 4, "rows": 9})
    monkeypatch.setattr(Looks, "newest_first", lambda _: iter([later, look]))
    text = text_of(_show(browse(audited.home, "auditor"), "/audit/apples/1"))
    assert "150 rows, evidence of drift more than 1,000,000 days." in text
    assert "size (missing): more gaps; effect 0.50" in text
    assert "alarm: silence no answer since May; ask who calls" in text


def test_a_version_shows_every_entry_about_it(changed: Audited, browse: Browse) -> None:
    code, said = changed.factory.factory("stop", "apples", "--reason", "odd", by="jane")
    assert code == 0, said
    source = _show(browse(changed.home, "auditor"), "/audit/apples/1")
    shown = source[source.index("Entries about it") :]
    about = {
        number: entry.kind
        for number, entry in enumerate(_entries(changed.home))
        if getattr(entry, "version", None) == 1
    }
    assert {"champion", "serving"} <= {*about.values()}
    assert all(f'href="/audit/entries/{number}"' in shown for number in about)
    assert "serving: stopped" in text_of(shown)


def test_a_changed_statement_is_told(changed: Audited, browse: Browse) -> None:
    client, page = browse(changed.home, "auditor"), "/audit/apples/1"
    assert "its signature holds" in text_of(_show(client, page))
    [statement] = (changed.home.path / "statements" / "apples").glob("*.json")
    content = json.loads(statement.read_bytes())
    content["payload"] = f"A{content['payload'][1:]}"
    statement.chmod(0o600)
    statement.write_text(json.dumps(content))
    text = text_of(_show(client, page))
    assert "it was CHANGED" in text
    assert "alert(1)" not in text
    statement.unlink()
    assert "it is gone" in text_of(_show(client, page))


def test_an_act_that_nobody_signed_is_not_shown_as_signed(changed: Audited, browse: Browse) -> None:
    factory = changed.factory
    assert factory.factory("stop", "apples", "--reason", "odd", by="jane")[0] == 0
    factory.declare(approval=None)
    assert factory.factory("resume", "apples", "--reason", "mended")[0] == 0
    client = browse(changed.home, "auditor")
    source = _show(client, "/audit/apples/1")
    text = text_of(source[source.index('id="decisions"') :])
    assert "stopped by jane When" in text
    assert text.count("its signature holds") == 2
    assert "resumed, signed by nobody When" in text
    assert "as entered; nobody has to sign it while no approval is declared" in text
    assert "cannot be told" not in text
    text = text_of(_show(client, f"/audit/answers/{changed.answer}"))
    assert "stopped jane, approver odd" in text
    assert "resumed, signed by nobody \N{EN DASH} mended" in text
    code, text = factory.factory("trace", changed.answer, "--no-verify")
    assert code == 0, text
    assert "stopped by jane (approver): odd" in text
    assert "resumed, signed by nobody: mended" in text


def test_slices_fairness_and_robustness_are_shown(audited: Audited, browse: Browse) -> None:
    text = text_of(_show(browse(audited.home, "auditor"), "/audit/apples/2"))
    assert "passed roc_auc" in text
    assert "verdict: passed" in text
    assert "colour = red" in text
    assert "colour = green 18 too few rows" in text
    assert "noise of 0.1 standard deviations" in text
    assert "Nobody signed a decision about it" in text


def test_a_version_tells_what_its_evaluation_warned_of(
    audited: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = property(lambda _: ("70 % of the decisions are right; <b> would be more",))
    monkeypatch.setattr(EvaluationResult, "warnings", told)
    page = _show(browse(audited.home, "auditor"), "/audit/apples/1")
    assert "Warning:</strong> 70 % of the decisions are right; &lt;b&gt; would be more." in page


def test_two_versions_are_compared(audited: Audited, browse: Browse) -> None:
    client = browse(audited.home, "auditor")
    text = text_of(_show(client, "/audit/apples/diff?from=1&to=2"))
    assert "From apples@1 to apples@2" in text
    assert "train train.seed 7 → 9" in text
    assert "clean none" in text
    assert "weights.safetensors the same" in text
    assert text_of(_show(client, "/audit/apples/diff"))[:40] == text[:40]
    _show(client, "/audit/apples/diff?from=1&to=77", 404)
    _show(client, "/audit/search/diff?from=x", 404)


def test_a_file_that_one_version_has_is_not_called_missing(
    audited: Audited, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifests = {1: {"model.json": "a", "estimator.skops": "b"}, 2: {"model.json": "c", "w": "d"}}
    monkeypatch.setattr(difference, "_manifest", lambda line, *_: manifests[line.version])
    text = text_of(_show(browse(audited.home, "auditor"), "/audit/apples/diff?from=1&to=2"))
    assert "estimator.skops only in version 1 model.json other bytes w only in version 2" in text


def test_files_that_changed_are_not_compared(changed: Audited, browse: Browse) -> None:
    version = Registry(changed.home).version("apples", 2)
    manifest = version.files / "manifest.json"
    manifest.chmod(0o600)
    manifest.write_text("{}")
    text = text_of(_show(browse(changed.home, "auditor"), "/audit/apples/diff"))
    assert "apples@2: its files are gone, or not those that were trained" in text
    manifest.unlink()
    assert "its files are gone" in _show(browse(changed.home, "auditor"), "/audit/apples/diff")


def test_the_ai_act_is_shown_with_evidence_entries_and_gaps(
    audited: Audited, browse: Browse
) -> None:
    client = browse(audited.home, "auditor")
    source = _show(client, "/audit/ai-act/apples")
    text = text_of(source)
    assert "It claims no conformity" in text
    assert "Version apples@1" in text
    for point in ("annex-iv.1a", "article.15", "article.10.2"):
        assert f'<tr id="{point}' in source
    assert '<a href="#metrics">metrics</a>' in source
    assert '<h3 id="metrics">' in source
    assert "gap: slices" in text
    assert "open What is the system meant for" in text
    evaluated = max(
        n
        for n, one in enumerate(_entries(audited.home))
        if one.kind == "stage"
        and one.stage == "evaluate"
        and n < _last_number(audited.home, "champion")
    )
    assert "yes" in text
    assert not {"None", "True", "False"} & {*text.split()}
    assert "Rows Count Computed Proof" in text
    assert not re.search(r"\d{4}-\d\d-\d\dT", text)
    assert f'href="/audit/entries/{evaluated}"' in source.partition('<h3 id="metrics">')[2]
    assert "Version apples@2" in text_of(_show(client, "/audit/ai-act/apples@2"))
    assert "gap: slices" not in text_of(_show(client, "/audit/ai-act/apples@2"))
    for wrong in ("apples@x", "apples@77", "nothing", "search@1", "%3Cb%3E"):
        _show(client, f"/audit/ai-act/{wrong}", 404)


def test_an_answer_leads_to_its_version_its_proof_and_its_sources(
    audited: Audited, browse: Browse
) -> None:
    client, page = browse(audited.home, "auditor"), f"/audit/answers/{audited.answer}"
    source = _show(client, page)
    text = text_of(source)
    assert "by <b>night</b> (plain)" in text
    assert "size 0.2" in text
    assert f"name commitment {'5e' * 32} note missing" in text
    assert "prediction good probabilities bad: 0.25, good: 0.75" in text
    assert "at that time champion since" in text
    assert ("used for training" in text, "learned from" in text) == (True, False)
    assert "the record leads to its root" in text
    assert "approved jane, approver" in text
    assert "not agree" not in text
    assert f'href="/audit/files/{_digest(audited)}"' in source
    assert 'href="/audit/apples/1"' in source
    proof = PredictionProof.parse(client.get(f"{page}/proof.json").content)
    blocks = [one.model_dump() for one in _entries(audited.home) if one.kind == "predictions"]
    assert proof.verify(blocks)


def test_an_answer_that_is_not_on_record_says_what_may_be(audited: Audited, browse: Browse) -> None:
    client = browse(audited.home, "auditor")
    other = "0" if audited.answer[-7] != "0" else "1"
    missing = f"{audited.answer[:-7]}{other}{audited.answer[-6:]}"
    assert "there is no prediction" in _show(client, f"/audit/answers/{missing}", 404)
    proof = PredictionProof.parse(client.get(f"/audit/answers/{missing}/proof.json").content)
    blocks = [one.model_dump() for one in _entries(audited.home) if one.kind == "predictions"]
    assert (proof.record, proof.verify(blocks)) == (None, False)
    assert "not the id of a prediction" in _show(client, "/audit/answers/<b>", 404)


def _asked(number: int) -> str:
    """Return how the row of a source that a link leads to begins."""
    marked = 'id="asked" class="asked" tabindex="-1" aria-current="true"'
    return f'<tr {marked}><th scope="row">{number}</th>'


def test_a_source_is_shown_around_a_line(audited: Audited, browse: Browse) -> None:
    lines = (audited.factory.defs / "apples" / "data.csv").read_text().splitlines()
    page = f"/audit/files/{_digest(audited)}?line=30"
    source = _show(browse(audited.home, "auditor"), page)
    for number in (10, 50):
        row = f'<th scope="row">{number}</th><td>{html.escape(lines[number - 1])}</td>'
        assert row in source
    assert f'<th scope="row">9</th><td>{lines[8]}' not in source
    assert _asked(30) in source
    assert ">After</a>" in source
    page = f"/audit/files/{_digest(audited)}?line="
    last = _show(browse(audited.home, "auditor"), f"{page}{len(lines)}")
    assert _asked(len(lines)) in last
    assert ">After</a>" not in last, "it would lead to a page without lines"
    assert "It has no such row" in _show(browse(audited.home, "auditor"), f"{page}9999")


def test_a_source_that_changed_is_not_shown(changed: Audited, browse: Browse) -> None:
    client, page = browse(changed.home, "auditor"), f"/audit/files/{_digest(changed)}"
    file = changed.factory.defs / "apples" / "data.csv"
    text = file.read_text()
    file.write_text(text.replace("red", "crimson", 1))
    shown = text_of(_show(client, page))
    assert "was changed since: it has sha256:" in shown
    assert "crimson" not in shown
    file.unlink()
    assert "is not there any more" in _show(client, page)


def test_a_row_that_a_request_does_not_have_is_not_proven(audited: Audited, browse: Browse) -> None:
    other = f"{audited.answer[:-1]}{int(audited.answer[-1], 16) ^ 1:x}"
    page = browse(audited.home, "auditor").get(f"/audit/answers/{other}/proof.json")
    assert page.status_code == 404
    assert "there is no row 2: its request has 1 row" in text_of(page.text)


def test_a_version_with_many_digits_is_named_as_it_was_written(
    audited: Audited, browse: Browse
) -> None:
    page = _show(browse(audited.home, "auditor"), f"/audit/apples/{'9' * 23}", 404)
    assert f"apples has no version {'9' * 23}" in text_of(page)


def test_a_pipeline_that_never_ran_is_listed_without_a_page(
    changed: Audited, browse: Browse
) -> None:
    shutil.copytree(changed.factory.defs / "apples", changed.factory.defs / "pears")
    source = _show(browse(changed.home, "auditor"), "/audit")
    assert 'href="/audit/pears"' not in source
    row = source.partition('<th scope="row">pears')[2].partition("</tr>")[0]
    assert "no result on record" in row
    assert "nothing" not in row


@pytest.mark.parametrize("digest", ["0" * 64, "A" * 64, "..%2f..%2fetc%2fpasswd", "x", "%00"])
def test_only_sources_of_a_record_are_shown(audited: Audited, browse: Browse, digest: str) -> None:
    _show(browse(audited.home, "auditor"), f"/audit/files/{digest}", 404)


def test_sensitive_columns_of_a_source_are_hidden(audited: Audited, browse: Browse) -> None:
    """A record has two lines, so that line 7 is in the third one, after the header."""
    client, digest = browse(audited.home, "auditor"), _digest(audited, f"search/{HOSTILE}")
    source = _show(client, f"/audit/files/{digest}?line=7")
    assert "secret-" not in source
    text = text_of(source)
    assert "sensitive are hidden: name" in text
    assert "3 3 hidden <i>n3</i>" in text
    assert _asked(3) in source
    assert "<script>" not in source
    assert HOSTILE in text
    by_row = _show(client, f"/audit/files/{digest}?line=7&row=5")
    assert _asked(5) in by_row


def test_a_file_of_a_pipeline_that_is_not_declared_any_more_is_not_shown(
    changed: Audited, browse: Browse
) -> None:
    digest = _digest(changed, f"search/{HOSTILE}")
    (changed.factory.defs / "search" / "defs.yaml").unlink()
    source = _show(browse(changed.home, "auditor"), f"/audit/files/{digest}?row=3")
    assert "secret-" not in source
    assert "<i>n3" not in html.unescape(source)


def test_a_pipeline_may_be_called_like_a_page(audited: Audited, browse: Browse) -> None:
    client = browse(audited.home, "auditor")
    assert 'href="/audit/-/search"' in _show(client, "/audit")
    assert "search" in text_of(_show(client, "/audit/-/search"))


def test_the_search_leads_to_the_only_hit(audited: Audited, browse: Browse) -> None:
    client = browse(audited.home, "auditor")
    graph = next(one for one in _entries(audited.home) if one.kind == "export").graph
    leaf = _show(client, "/audit/entries/4").partition('<dd class="digest">')[2][:64]
    for wanted, href in {
        audited.answer: f"/audit/answers/{audited.answer}",
        "apples@2": "/audit/apples/2",
        "apples@champion": "/audit/apples/1",
        "apples": "/audit/apples",
        "7": "/audit/entries/7",
        "Entry 7": "/audit/entries/7",
        # Pages divide numbers from 1,000 on so.
        "entry 0,007": "/audit/entries/7",
        "data.csv": f"/audit/files/{_digest(audited)}",
        leaf: "/audit/entries/4",
        f"sha256:{leaf[:9]}": "/audit/entries/4",
        leaf.upper(): "/audit/entries/4",
        "APPLES@2": "/audit/apples/2",
    }.items():
        found = client.get("/audit/search", params={"q": wanted})
        assert (found.status_code, found.headers.get("location")) == (303, href), wanted
    listed = _show(client, f"/audit/search?q={graph}")
    assert f'href="/audit/entries/{_last_number(audited.home, "champion")}"' in listed


def test_the_search_lists_the_entries_about_a_person(audited: Audited, browse: Browse) -> None:
    client = browse(audited.home, "auditor")
    entries = _entries(audited.home)
    [jane] = [one for one in entries if one.kind == "person" and one.roles == ("approver",)]
    for wanted in ("jane", "JANE", jane.keys[0]):
        answer = client.get("/audit/search", params={"q": wanted})
        assert f"/audit/entries/{entries.index(jane)}" in answer.text
        assert f"/audit/entries/{_last_number(audited.home, 'approval')}" in answer.text


@pytest.mark.parametrize("wanted", ["", "nothing@7", '"><script>x</script>', "%", "é" * 3_000])
def test_what_is_not_found_is_told_with_what_can_be(
    audited: Audited, browse: Browse, wanted: str
) -> None:
    answer = browse(audited.home, "auditor").get("/audit/search", params={"q": wanted})
    assert answer.status_code == 200
    assert mistakes_of(answer.text) == []
    assert "What can be found" in text_of(answer.text)


def test_an_entry_has_its_bytes_and_a_proof_that_holds(audited: Audited, browse: Browse) -> None:
    client, number = browse(audited.home, "auditor"), 4
    source = _show(client, f"/audit/entries/{number}")
    with Ledger(audited.home).reading() as log:
        body = log.body(number)
    shown = html.unescape(source.partition('<pre tabindex="0">')[2].partition("</pre>")[0])
    assert json.loads(shown) == json.loads(body)
    assert "T" not in text_of(source).partition("Entered ")[2].partition(" Leaf hash")[0]
    proof = InclusionProof.parse(client.get(f"/audit/entries/{number}.tlog-proof").content)
    note = SignedNote.parse(client.get("/audit/checkpoint").content)
    assert note.time_of(LogKey.load(audited.home).verifier) is not None
    assert proof.index == number
    assert proof.proves(body, LogCheckpoint.parse(note.text))
    assert client.get(f"/audit/entries/{number}.json").content == body
    assert f'href="/audit/entries/{number}.json"' in source


@pytest.mark.parametrize(
    "path",
    [
        "/audit/nothing",
        "/audit/apples/77",
        "/audit/apples/99999999999999999999999",
        "/audit/entries/99999999999999999999999",
        pytest.param(f"/audit/entries/{'9' * 5_000}", id="an entry of 5,000 digits"),
        pytest.param(f"/audit/apples/{'9' * 5_000}", id="a version of 5,000 digits"),
        "/audit/entries/x",
        "/audit/APPLES",
        "/audit/apples/1/nothing",
        "/audit/-/%3Cscript%3E",
        "/audit/77/evidence.zip",
        "/audit/apples/77/evidence.zip",
    ],
)
def test_what_is_not_there_is_told_on_a_page(audited: Audited, browse: Browse, path: str) -> None:
    _show(browse(audited.home, "auditor"), path, 404)


def test_a_new_entry_is_on_the_next_page(changed: Audited, browse: Browse) -> None:
    client = browse(changed.home, "auditor")
    assert "waits for 1 approver" in text_of(_show(client, "/audit"))
    changed.factory.approve()
    text = text_of(_show(client, "/audit"))
    assert "waits" not in text
    assert "version 2 since" in text
    assert "(after the answer) replaced by version 2" in text_of(
        _show(client, f"/audit/answers/{changed.answer}")
    )
