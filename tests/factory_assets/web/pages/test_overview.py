"""The overview of real homes: empty, broken, waiting, serving, stopped, failed, watched."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import uuid
from contextlib import closing
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster_shared.error import SerializableErrorInfo

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.web.pages.overview import Overview, OverviewProblem
from factory_assets.web.pages.pipeline_state import Trouble
from factory_assets.web.pages.rendering import page
from factory_assets.web.pages.runs import error_text
from factory_assets.web.pages.waits import Wait
from factory_assets.web.visitor import Visitor
from factory_resources.erasure.manifest import intent_file
from factory_resources.errors import ContractError, RefusedError, SourceError
from factory_resources.home.home import Home
from factory_resources.home.serving_faults import write_serving_faults
from factory_resources.ledger import factory_verify as verifier
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.erasure_entries import ErasureListed
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.watch_entries import AlarmsChanged
from tests.approvals import Factory
from tests.factory_assets.web.pages.conftest import SESSION, TOKEN, Browse
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.rollouts import begin_rollout
from tests.sensor_ticks import add_tick

pytestmark = pytest.mark.slow


def _shown(client: Any, path: str = "/") -> str:
    """Return the text of a page without mistakes."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert mistakes_of(answer.text) == []
    return text_of(answer.text)


def _declare_watch(apples: Factory, **watch: Any) -> None:
    """Add `watch` to the declaration."""
    file = apples.defs / "apples" / "defs.yaml"
    document = yaml.safe_load(file.read_text())
    document["attributes"]["watch"] = watch
    file.write_text(yaml.safe_dump(document))


def test_an_empty_home_has_a_page(home: Home, browse: Browse) -> None:
    text = _shown(browse(home))
    assert "There is no ledger yet: nothing has run." in text
    assert "What is wrong Nothing." in text
    assert "Nothing waits for anybody." in text
    assert not home.path.exists(), "looking changed the home"


def test_a_waiting_candidate_is_linked_and_says_who_may_decide(
    apples: Factory, browse: Browse
) -> None:
    client = browse(apples.home)
    text = _shown(client)
    assert "apples@1 waits for 1 approver since" in text
    assert "you may decide" in text
    assert "apples Tell good from bad waits for approval" in text
    assert 'href="/approvals/apples/1"' in client.get("/").text
    assert "you may decide" not in _shown(browse(apples.home, "tom", "auditor"))


def test_what_changes_is_shown_by_pages_that_were_asked_before(
    apples: Factory, browse: Browse
) -> None:
    client = browse(apples.home)
    assert "apples@1 waits" in _shown(client)
    apples.approve()
    text = _shown(client)
    assert "serves version 1 since 20" in text
    assert "average_precision 0." in text
    assert "Nothing waits for anybody." in text
    file = apples.defs / "apples" / "defs.yaml"
    declared = file.read_text()
    file.write_text("type: nothing")
    assert "apples broken version 1 since 20" in _shown(client), "it still answers"
    file.write_text(declared)
    code, said = apples.factory("stop", "apples", "--reason", "odd answers", by="jane")
    assert code == 0, said
    told = "a person stopped it; version 1 serves after: factory resume apples"
    assert f"apples: stopped {told}" in _shown(client)


def test_a_pipeline_without_a_model_is_a_data_product(apples: Factory, browse: Browse) -> None:
    declared = (apples.defs / "pears" / "defs.yaml", apples.defs / "plums" / "defs.yaml")
    ends = ("", "  train: {target: label, model: {kind: linear}}\n")
    for file, end in zip(declared, ends, strict=True):
        file.parent.mkdir()
        file.write_text(
            "type: factory_assets.ModelPipeline\nattributes:\n  purpose: Sort fruit\n"
            f"  ingest: {{source: {{files: x.csv}}}}\n{end}"
        )
    text = _shown(browse(apples.home))
    assert "pears Sort fruit data product" in text
    assert "plums Sort fruit no version serves" in text


def test_a_broken_declaration_is_told_with_its_line_and_breaks_no_other(
    apples: Factory, browse: Browse
) -> None:
    client, broken = browse(apples.home), apples.defs / "pears" / "defs.yaml"
    broken.parent.mkdir()
    broken.write_text("type: factory_assets.ModelPipeline\nattributes: {purpse: x}\n")
    text = _shown(client)
    assert "pears: declaration" in text
    assert "defs.yaml:2" in text
    assert "apples@1 waits" in text
    broken.unlink()
    assert "pears" not in _shown(client)


def test_an_approval_is_missing_less_when_one_of_two_is_given(
    apples: Factory, browse: Browse
) -> None:
    apples.declare(approval={"signatures": 2})
    client = browse(apples.home, "jane", "approver")
    assert "apples@1 waits for 2 approvers" in _shown(client, "/me")
    apples.approve(by="jane")
    assert "apples@1 waits for 1 approver since" in _shown(client)
    assert "What waits for you Nothing." in _shown(client, "/me")
    assert "apples@1" in _shown(browse(apples.home, "bob", "approver"), "/me")


def test_failed_gates_are_told_with_the_gate(apples: Factory, browse: Browse) -> None:
    apples.declare(seed=9, gates=[{"metric": "roc_auc", "at_least": 0.9999}])
    with pytest.raises(RefusedError):
        apples.run()
    text = _shown(browse(apples.home))
    assert "apples: gates failed by version 2 roc_auc 0.99 is below 1" in text
    assert "checks failed: apples/evaluate: gate_roc_auc_at_least What waits" in text


def test_a_failed_run_is_told_with_its_error_and_who_started_it(
    apples: Factory, browse: Browse
) -> None:
    client = browse(apples.home)
    assert "succeeded" in _shown(client)
    (apples.defs / "apples" / "data.csv").write_text("weight\n1\n")
    with pytest.raises(ContractError):
        apples.run()
    text = _shown(client)
    assert "apples: last run failed" in text
    assert "'size'" in text.partition("What waits")[0]
    assert "factory run" in text.partition("Started by")[2]


def test_the_error_of_a_stage_is_told_with_its_place_and_remedy() -> None:
    refused = f"{SourceError('failed with KeyError', where='sizes:rows', remedy='correct it')}"
    cause: SerializableErrorInfo | None = None
    for name, text in (("KeyError", "'size'"), ("SourceError", refused), ("Failure", "a step")):
        cause = SerializableErrorInfo(text, [], name, cause)
    assert cause is not None
    assert error_text(cause) == refused
    assert error_text(SerializableErrorInfo("a person's", [], "Failure")) == "a person's"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("history/runs/*-*.db", "log of one run is damaged"),
        ("*/schedules.db", "Dagster's database is damaged"),
        ("history/*.db", "Dagster's database is damaged"),
    ],
)
def test_what_cannot_be_read_of_dagster_is_a_problem_beside_all_that_can(
    apples: Factory, browse: Browse, files: str, said: str
) -> None:
    _declare_watch(apples, retrain={"after": ["drift"]})
    (apples.defs / "apples" / "data.csv").write_text("weight\n1\n")
    with pytest.raises(ContractError):
        apples.run()
    found = [*apples.home.dagster.glob(files)]
    assert found
    for file in found:
        file.write_bytes(b"x" * 10_000)
    text = _shown(browse(apples.home))
    assert text.count("cannot be read") == 1
    assert said in text
    assert "apples@1 waits for 1 approver" in text
    assert "No run in the last" not in text


def test_a_failed_run_or_look_is_told_until_another_is_over(
    apples: Factory, browse: Browse
) -> None:
    client = browse(apples.home)
    _declare_watch(apples)
    apples.add_run("apples_monitor", dg.DagsterRunStatus.FAILURE)
    apples.add_run("apples", dg.DagsterRunStatus.FAILURE)
    apples.add_run("apples", dg.DagsterRunStatus.NOT_STARTED)
    text = _shown(client)
    assert "apples: last run failed" in text
    assert "apples: last look failed" in text
    apples.add_run("apples_monitor", dg.DagsterRunStatus.SUCCESS)
    apples.add_run("apples", dg.DagsterRunStatus.SUCCESS)
    apples.add_run("apples", dg.DagsterRunStatus.FAILURE, **{"dagster/will_retry": "true"})
    assert "What is wrong Nothing." in _shown(client)


def test_a_failed_run_is_told_however_many_runs_of_others_came_after_it(
    apples: Factory, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a pipeline that runs once a month, its last run is not among the newest ones."""
    monkeypatch.setattr("factory_assets.web.pages.runs._READ", 2)
    _add_runs(apples, dg.DagsterRunStatus.FAILURE, "-30 days")
    client = browse(apples.home)
    assert "apples: last run failed" in _shown(client)
    # They also come between two looks at the page.
    _add_runs(apples, dg.DagsterRunStatus.SUCCESS, "-2 seconds")
    assert "last run failed" not in _shown(client)


def _add_runs(apples: Factory, status: dg.DagsterRunStatus, ago: str) -> None:
    """Add a run of some time ago, and looks at answers after it."""
    apples.add_run("apples", status)
    with closing(sqlite3.connect(apples.home.dagster / "history" / "runs.db")) as database:
        database.execute(
            "UPDATE runs SET create_timestamp = datetime('now', :ago), "
            "update_timestamp = datetime('now', :ago) "
            "WHERE id = (SELECT max(id) FROM runs WHERE pipeline_name = 'apples')",
            {"ago": ago},
        )
        database.commit()
    for _ in range(3):
        apples.add_run("apples_monitor", dg.DagsterRunStatus.SUCCESS)


def test_runs_say_by_whom_they_were_started(apples: Factory, browse: Browse) -> None:
    client = browse(apples.home)
    for tags, by in (
        ({"factory/person": "bob"}, "bob"),
        ({"dagster/schedule_name": "apples_schedule"}, "schedule apples_schedule"),
        ({"dagster/sensor_name": "s", "factory/retrain": "drift"}, "sensor s (drift)"),
    ):
        with dg.DagsterInstance.from_config(str(apples.home.dagster)) as instance:
            instance.run_storage.add_run(
                dg.DagsterRun(
                    "apples",
                    run_id=str(uuid.uuid4()),
                    status=dg.DagsterRunStatus.STARTED,
                    tags=tags,
                    asset_selection=frozenset({dg.AssetKey(["apples", "train"])}),
                )
            )
        # The next row is that of the next pipeline.
        assert f" {by} machine_failure " in _shown(client)


def test_an_open_alarm_is_told(apples: Factory, browse: Browse) -> None:
    apples.approve()
    _declare_watch(apples)
    client = browse(apples.home)
    assert "alarm" not in _shown(client)
    subject = AlarmsChanged.subject_of(pipeline="apples")
    for kinds in (("drift",), ()):
        entry = AlarmsChanged(
            subject=subject, pipeline="apples", version=1, look=1, report="0" * 64, open=kinds
        )
        Ledger(apples.home).append([entry])
        assert ("apples: alarm: drift" in _shown(client)) == bool(kinds)


def test_a_full_disk_and_the_last_backup_are_told(
    apples: Factory, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = browse(apples.home)
    text = _shown(client)
    assert "there is no backup" in text
    assert "disk full" not in text
    subject = BackupMade.subject_of()
    entry = BackupMade(subject=subject, manifest="0" * 64, size=3, files=4, bytes=5)
    Ledger(apples.home).append([entry])
    monkeypatch.setenv("FACTORY_DISK_KEEP", "900000TB")
    text = _shown(client)
    assert f"the last backup is of {entry.time[:16].replace('T', ' ')} UTC" in text
    assert "no new run starts; `factory gc` shows what may be removed" in text


def test_an_erasure_that_was_killed_is_told(apples: Factory, browse: Browse) -> None:
    intent = intent_file(apples.home, str(uuid.uuid4()))
    intent.parent.mkdir(parents=True)
    intent.write_text("{}")
    text = _shown(browse(apples.home))
    assert "erasure not finished" in text
    assert "factory forget --resume" in text


def test_a_manifest_of_an_erasure_that_is_missing_is_told(apples: Factory, browse: Browse) -> None:
    subject, erasure = ErasureListed.subject_of(), str(uuid.uuid4())
    listed = ErasureListed(subject=subject, erasure=erasure, manifest="0" * 64)
    Ledger(apples.home).append([listed])
    text = _shown(browse(apples.home))
    assert "the manifest of an erasure is missing" in text
    assert f"{erasure}.json" in text


def test_a_champion_that_a_running_server_could_not_load_is_told(
    apples: Factory, browse: Browse
) -> None:
    client = browse(apples.home)
    assert "not served" not in _shown(client)
    write_serving_faults(apples.home, {"apples": "its graph was changed"})
    assert "apples: champion not served its graph was changed" in _shown(client)


def test_a_training_that_was_put_off_waits(apples: Factory, browse: Browse) -> None:
    _declare_watch(apples, retrain={"after": ["drift"]})
    add_tick(apples.home, "apples_retrain", "drift since 2026-11-30 18:07 UTC: trained already")
    assert "put off" not in _shown(browse(apples.home))
    add_tick(apples.home, "apples_retrain", "drift: 2 trainings this week, and no more are allowed")
    text = _shown(browse(apples.home))
    assert "training put off: drift: 2 trainings this week, and no more are allowed" in text


def test_a_rollout_says_how_far_it_is(apples: Factory, browse: Browse) -> None:
    apples.declare(approval=None)
    apples.run()
    apples.declare(seed=8, approval=None)
    apples.run()
    begin_rollout(apples)
    assert "apples@2 rolls out to 50 % of the callers" in _shown(browse(apples.home))


def test_a_witness_that_has_seen_nothing_is_a_problem(apples: Factory, browse: Browse) -> None:
    new = [sys.executable, "-I", verifier.__file__, "witness", "new", "w.key", "--name", "w.org/1"]
    key = subprocess.check_output(new, cwd=apples.root, text=True).split()[-1]
    (apples.defs / "factory.yaml").write_text("witness: {required: 1, every: 1d}\n")
    (apples.defs / "witnesses.policy").write_text(f"witness w1 {key}\nquorum w1\n")
    text = _shown(browse(apples.home))
    assert "witness overdue no witness has seen its" in text
    assert "factory ledger request" in text


def test_a_ledger_that_cannot_be_read_is_a_problem_and_no_fault(
    apples: Factory, browse: Browse
) -> None:
    apples.home.ledger.write_bytes(b"no database, but long enough to be looked at as one")
    text = _shown(browse(apples.home))
    assert "cannot be read" in text.partition("What waits")[0]
    told = ("The last runs are unknown.", "What waits It cannot be read now.")
    assert all(one in text for one in (*told, "Pipelines They cannot be read now."))
    untrue = ("0 pipelines", "No run in the last", "Nothing waits", "none yet")
    assert not [one for one in untrue if one in text]


@pytest.mark.parametrize("body", [b"\xff", b"[]", b"{}"])
def test_an_entry_that_was_replaced_is_a_problem_and_no_fault(
    home: Home, browse: Browse, body: bytes
) -> None:
    begin_ledger(home)
    with Ledger(home).reading() as log:
        last = log.size - 1
    with sqlite3.connect(home.ledger) as connection:
        connection.execute("DROP TRIGGER entry_update")
        connection.execute("UPDATE entry SET body = ? WHERE number = ?", (body, last))
    connection.close()
    text = _shown(browse(home))
    assert f"entry {last}" in text.partition("What waits")[0]
    assert "was changed" in text.partition("What waits")[0]


def test_of_many_lines_the_page_says_where_the_others_are() -> None:
    """Of runs and looks that failed, and of versions not served, the table does not tell."""
    names = [f"hall_{number:02d}" for number in range(53)]
    shown = Overview(
        (),
        tuple(OverviewProblem(name, Trouble("last look failed", ())) for name in names),
        tuple(Wait("approval", name, 1, "waits for 1 approver", "approver") for name in names),
        {},
        "",
    )
    visitor = Visitor("jane", frozenset({"approver"}), SESSION)
    answer = page("overview", visitor=visitor, form_token=TOKEN, overview=shown)
    text = text_of(bytes(answer.body).decode())
    assert "And 3 more: factory status --json lists them all." in text
    assert "And 3 more: your page lists those that you may decide about, " in text
    assert "hall_49: last look failed" in text
    assert "hall_50" not in text


def test_hostile_names_are_text(apples: Factory, browse: Browse) -> None:
    file = apples.defs / "apples" / "defs.yaml"
    document = yaml.safe_load(file.read_text())
    document["attributes"]["purpose"] = "</th><script>alert(1)</script>"
    file.write_text(yaml.safe_dump(document))
    (apples.defs / '"><img src=x>').mkdir()
    (apples.defs / '"><img src=x>' / "defs.yaml").write_text("<b>")
    client = browse(apples.home, "<i>jane</i>", "engineer")
    html = client.get("/").text
    assert mistakes_of(html) == []
    assert not [tag for tag in ("<script", "<img", "<b>", "<i>") if tag in html]
    assert "</th><script>alert(1)</script>" in text_of(html)
