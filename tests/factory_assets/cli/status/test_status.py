"""`factory status` of real homes: what it tells, its JSON, its exit codes."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_assets.cli.schema import output_schema_text
from factory_assets.cli.status.reading import read_status
from factory_assets.cli.status.report import FactoryStatus
from factory_assets.monitoring.alerts import settle_alarms
from factory_assets.monitoring.report import Alarm
from factory_assets.spec.settings import AlertChannel
from factory_resources.erasure.manifest import intent_file
from factory_resources.errors import ContractError
from factory_resources.home.database import chosen_database, engine
from factory_resources.home.home import PROJECT, Home
from factory_resources.home.serving_faults import write_serving_faults
from factory_resources.instance import prepare
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.keys import key_file
from factory_resources.ledger.ledger import Ledger
from factory_resources.ledger.watch_entries import AlarmsChanged
from factory_resources.tracking.registry import Registry
from tests.approvals import Factory, copy_factory, make_factory
from tests.disks import closed_disk
from tests.engines import ENGINES, copied_database, prepared_database
from tests.long_run import in_long
from tests.sensor_ticks import add_tick
from tests.watched import look

pytestmark = pytest.mark.slow

_SCHEMA = PROJECT / "docs" / "status.schema.json"


@pytest.fixture(scope="module", params=[ENGINES[0], *in_long(ENGINES[1:])])
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Factory]:
    """A factory in which version 1 waits."""
    with prepared_database(request) as address:
        yield make_factory(tmp_path_factory.mktemp("made") / "root", address)


@pytest.fixture
def apples(
    made: Factory,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Factory]:
    """A copy of it for one test."""
    with copied_database(request, made.database) as address:
        yield copy_factory(made, tmp_path / "factory", monkeypatch, address)


def _status(apples: Factory) -> tuple[int, dict[str, Any]]:
    code, text = apples.factory("status", "--json")
    found = json.loads(text)
    jsonschema.Draft202012Validator(json.loads(_SCHEMA.read_text())).validate(found)
    return code, found


def _needs(found: dict[str, Any]) -> list[str]:
    return [need["what"] for need in found["needs"]]


def _declare(apples: Factory, **sections: Any) -> None:
    file = apples.defs / "apples" / "defs.yaml"
    document = yaml.safe_load(file.read_text())
    document["attributes"] |= sections
    file.write_text(yaml.safe_dump(document))


def test_published_schema_is_current() -> None:
    assert _SCHEMA.read_text() == output_schema_text(FactoryStatus), (
        "run: factory schema status > docs/status.schema.json"
    )


def test_every_part_of_a_status_is_in_the_schema_as_required() -> None:
    required = set(json.loads(output_schema_text(FactoryStatus))["required"])
    assert required == set(FactoryStatus.model_fields)


def test_an_empty_home_is_well_and_stays_empty(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    done = CliRunner().invoke(main, ["status"])
    assert done.exit_code == 0, done.output
    assert "All is well." in done.output
    assert "nothing has run in this home (FACTORY_HOME names another)" in done.output
    assert not home.path.exists(), "looking changed the home"


def test_a_waiting_candidate_and_a_lost_alias_need_a_person(apples: Factory) -> None:
    code, found = _status(apples)
    assert (code, _needs(found)) == (1, ["approval"])
    assert "apples@1 waits for 1 approver since" in found["needs"][0]["details"][0]
    assert [run["state"] for run in found["night"]] == ["succeeded"]
    assert found["serving"] == 0
    apples.approve()
    code, found = _status(apples)
    assert (code, found["needs"], found["serving"]) == (0, [], 1)
    assert "All is well." in apples.factory("status")[1]
    Registry(apples.home).client.delete_registered_model_alias("apples", "champion")
    code, found = _status(apples)
    assert (code, _needs(found)) == (1, ["alias moved"])
    assert "is gone, but the ledger says that version 1 serves" in found["needs"][0]["details"][0]


def test_a_champion_that_was_deleted_in_mlflow_is_told(apples: Factory) -> None:
    apples.approve()
    Registry(apples.home).client.delete_model_version("apples", "1")
    code, found = _status(apples)
    assert (code, _needs(found)) == (1, ["champion missing"])
    [detail] = found["needs"][0]["details"]
    assert "version 1 serves, but MLflow does not have it any more" in detail
    assert "train another version: factory run apples" in detail
    deleted = "version 1 of model 'apples' was deleted in MLflow; if it served, let another"
    code, text = apples.factory("predict", "apples", apples.data)
    assert (code, deleted in text) == (2, True), text
    with Path(apples.data).open("a") as file:
        file.write("3.5,red,bad\n")
    code, text = apples.factory("run", "apples")
    assert (code, "waits for 1 approver" in text) == (0, True), text
    apples.declare(gates=[])
    code, text = apples.factory("run", "apples")
    assert (code, "the champion cannot be judged" in text) == (1, True), text
    assert f"v1: {deleted}" in text
    apples.declare()
    apples.factory("run", "apples")
    apples.approve("apples@2")
    assert "champion missing" not in _needs(_status(apples)[1])


def test_a_champion_whose_declaration_was_removed_is_told(apples: Factory) -> None:
    assert _status(apples)[1]["undeclared"] == []
    declared, away = apples.defs / "apples", apples.defs / "pears"
    declared.rename(away)
    assert _status(apples)[1]["undeclared"] == [], "a version that waits does not serve"
    away.rename(declared)
    apples.approve()
    declared.rename(away)
    assert _status(apples)[1]["undeclared"] == ["apples"]
    assert "undeclared apples: no declaration here, but served" in apples.factory("status")[1]
    away.rename(declared)
    assert apples.factory("stop", "apples", "--reason", "retired", by="jane")[0] == 0
    declared.rename(away)
    assert _status(apples)[1]["undeclared"] == []


def test_runs_that_go_on_and_wait_are_told(apples: Factory) -> None:
    prepare(apples.home)
    for status, tags in (
        (dg.DagsterRunStatus.STARTED, {"factory/person": "bob"}),
        (dg.DagsterRunStatus.STARTED, {"factory/process": "1 1 another-boot"}),
        (dg.DagsterRunStatus.NOT_STARTED, {"dagster/schedule_name": "apples_schedule"}),
    ):
        with dg.DagsterInstance.from_config(str(apples.home.dagster)) as instance:
            run = dg.DagsterRun(
                "apples",
                run_id=str(uuid.uuid4()),
                status=status,
                tags=tags,
                asset_selection=frozenset({dg.AssetKey(["pears", "train"])}),
            )
            instance.run_storage.add_run(run)
    found = _status(apples)[1]
    assert [(one["by"], one["is_alive"]) for one in found["running"]] == [
        ("bob", True),
        ("factory run", False),
    ]
    assert [(one["by"], one["pipelines"]) for one in found["queued"]] == [
        ("schedule apples_schedule", ["pears"])
    ]


def test_a_failed_run_needs_a_person_however_long_ago_it_was(apples: Factory) -> None:
    apples.approve()
    (apples.defs / "apples" / "data.csv").write_text("weight\n1\n")
    with pytest.raises(ContractError):
        apples.run()
    assert _needs(_status(apples)[1]) == ["last run failed"]
    later = read_status(apples.home, datetime.now(UTC) + timedelta(days=9))
    assert [need.what for need in later.needs] == ["last run failed"]


def test_a_failed_run_needs_a_person_until_another_has_ended(apples: Factory) -> None:
    apples.approve()
    apples.add_run("apples", dg.DagsterRunStatus.FAILURE)
    apples.add_run("apples", dg.DagsterRunStatus.NOT_STARTED)
    apples.add_run("apples", dg.DagsterRunStatus.STARTED)
    code, found = _status(apples)
    assert (code, _needs(found)) == (1, ["last run failed"])
    assert [run["state"] for run in found["night"]] == ["failed"]
    later = read_status(apples.home, datetime.now(UTC) + timedelta(days=9))
    assert [need.what for need in later.needs] == ["last run failed"]
    apples.add_run("apples", dg.DagsterRunStatus.SUCCESS)
    assert _status(apples)[1]["needs"] == []


def test_a_killed_run_needs_a_person_unless_it_is_retried(apples: Factory) -> None:
    apples.approve()
    apples.add_run("apples", dg.DagsterRunStatus.SUCCESS)
    apples.add_run("apples", dg.DagsterRunStatus.FAILURE, **{"dagster/will_retry": "true"})
    code, found = _status(apples)
    assert (code, [run["state"] for run in found["night"]]) == (0, ["succeeded"])
    apples.add_run("apples", dg.DagsterRunStatus.FAILURE, **{"dagster/will_retry": "false"})
    assert _needs(_status(apples)[1]) == ["last run failed"]


def test_a_look_that_failed_or_that_nobody_starts_needs_a_person(apples: Factory) -> None:
    apples.approve()
    _declare(apples, watch={"look": {"enabled": False}})
    assert _status(apples)[1]["needs"] == []
    _declare(apples, watch={})
    [need] = _status(apples)[1]["needs"]
    assert (need["what"], need["details"]) == ("not up", ["1 schedule is on; start it: factory up"])
    apples.add_run("apples_monitor", dg.DagsterRunStatus.FAILURE)
    [need] = [need for need in _status(apples)[1]["needs"] if need["what"] != "not up"]
    assert (need["what"], need["pipeline"]) == ("last look failed", "apples")
    text = apples.factory("status")[1]
    assert "(the last run and look of each pipeline in 24 hours)" in text, text


def test_the_next_runs_are_those_of_schedules_that_are_on(apples: Factory) -> None:
    apples.approve()
    _declare(apples, schedule={"cron": "0 2 * * *", "timezone": "Europe/Berlin"})
    assert _status(apples)[1]["next"] == []
    schedule = {"cron": "0 2 * * *", "timezone": "Europe/Berlin", "enabled": True}
    _declare(apples, schedule=schedule)
    found = read_status(apples.home, datetime(2126, 7, 1, 12, tzinfo=UTC))
    assert [(one.pipeline, one.at) for one in found.next] == [("apples", "2126-07-02T00:00:00Z")]
    assert [need.what for need in found.needs if need.pipeline is None] == ["not up"]
    # With a table of carbon it is the best hour of the window; a changed file counts at once.
    window = {"within": "22:00-06:00", "prefer": "lowest_carbon", "timezone": "Europe/Berlin"}
    carbon = apples.defs / "carbon.yaml"
    _declare(apples, schedule={**window, "enabled": True, "carbon": {"file": "../carbon.yaml"}})
    for best in (3, 23):
        daily = [100 if hour == best else 400 for hour in range(24)]
        table = {"source": "a meter", "timezone": "Europe/Berlin", "daily": daily}
        carbon.write_text(yaml.safe_dump(table))
        found = read_status(apples.home, datetime(2126, 7, 1, 12, tzinfo=UTC))
        at = {3: "2126-07-02T01:00:00Z", 23: "2126-07-01T21:00:00Z"}[best]
        assert [(one.pipeline, one.at) for one in found.next] == [("apples", at)]


def test_a_schedule_that_a_person_switched_off_has_no_next_run(apples: Factory) -> None:
    schedule = {"cron": "0 2 * * *", "enabled": True}
    _declare(apples, schedule=schedule)
    prepare(apples.home)
    code = """
import dagster as dg
from factory_assets.definitions import defs
from dagster._core.test_utils import create_test_daemon_workspace_context as context
from dagster._core.workspace.load_target import ModuleTarget
with dg.DagsterInstance.get() as instance, context(
    ModuleTarget("factory_assets.definitions", None, None, "factory"), instance
) as workspace:
    [location] = workspace.create_request_context().code_locations
    [repository] = location.get_repositories().values()
    instance.stop_schedule(
        *(lambda s: (s.get_remote_origin_id(), s.selector_id, s))(
            repository.get_schedule("apples_schedule")
        )
    )
"""
    done = apples.start(code=code)
    text = done.communicate(timeout=120)[0]
    assert done.returncode == 0, text
    assert _status(apples)[1]["next"] == []


def test_an_open_alarm_needs_a_person(apples: Factory) -> None:
    apples.approve()
    _declare(apples, watch={})
    found = _status(apples)[1]
    watched = {one["pipeline"]: one for one in found["watched"]}
    assert watched["apples"] == {"pipeline": "apples", "last_look": None, "alarms": []}
    entry = AlarmsChanged(
        subject=AlarmsChanged.subject_of(pipeline="apples"),
        pipeline="apples",
        version=1,
        look=1,
        report="0" * 64,
        open=("drift",),
    )
    Ledger(apples.home).append([entry])
    found = _status(apples)[1]
    assert _needs(found) == ["alarm: drift", "not up"]
    assert {one["pipeline"]: one["alarms"] for one in found["watched"]}["apples"] == ["drift"]


def test_a_training_that_was_put_off_waits(apples: Factory) -> None:
    apples.approve()
    add_tick(apples.home, "apples_retrain", "drift: 2 trainings this week, and no more are allowed")
    _declare(apples, watch={})
    assert _status(apples)[1]["waiting"] == []
    _declare(apples, watch={"retrain": {"after": ["drift"]}})
    assert _status(apples)[1]["waiting"] == [
        {
            "pipeline": "apples",
            "version": None,
            "text": "training put off: drift: 2 trainings this week, and no more are allowed",
            "role": "",
        }
    ]
    text = " ".join(apples.factory("status")[1].split())
    assert "waiting apples training put off: drift: 2 trainings this week, and no more" in text
    add_tick(apples.home, "apples_retrain", "drift since 2026-11-30 18:07 UTC: trained already")
    assert _status(apples)[1]["waiting"] == []


def test_an_alert_that_no_channel_took_needs_a_person(apples: Factory) -> None:
    apples.approve()
    _declare(apples, watch={})
    pager = Path(apples.home.path, "pager")
    channels = [AlertChannel.model_validate({"command": [str(pager)]})]
    drift = Alarm(kind="drift", what="size: median 5 to 6", remedy="train again")
    settle_alarms(look(apples.home, 1, drift, pipeline="apples"), channels, apples.home)
    needs = _status(apples)[1]["needs"]
    assert [one["what"] for one in needs] == ["alarm: drift", "alert not sent: drift", "not up"]
    assert f"command {pager}: " in needs[1]["details"][0]
    assert "No such file" in needs[1]["details"][0]
    pager.write_text("#!/bin/sh\n")
    pager.chmod(0o700)
    settle_alarms(look(apples.home, 2, drift, pipeline="apples"), channels, apples.home)
    assert _needs(_status(apples)[1]) == ["alarm: drift", "not up"]
    (apples.home.watch / "apples" / "alarms.json").write_text("{")
    [_, need, _] = _status(apples)[1]["needs"]
    assert (need["what"], need["pipeline"]) == ("alerts", "apples")
    assert "move the file away" in need["details"][0]


def test_a_mistake_in_a_declaration_is_told_and_forgotten_when_it_is_corrected(
    apples: Factory,
) -> None:
    apples.approve()
    file = apples.defs / "apples" / "defs.yaml"
    right = file.read_text()
    assert _needs(_status(apples)[1]) == []
    file.write_text(right.replace("purpose", "purpse"))
    assert _needs(_status(apples)[1]) == ["declaration"]
    file.write_text(right)
    assert _needs(_status(apples)[1]) == []


def test_an_erasure_that_was_killed_needs_a_person(apples: Factory) -> None:
    intent = intent_file(apples.home, str(uuid.uuid4()))
    intent.parent.mkdir(parents=True)
    intent.write_text("{}")
    code, found = _status(apples)
    [need] = [one for one in found["needs"] if one["what"] == "erasure not finished"]
    assert (code, "factory forget --resume" in need["details"][0]) == (1, True)


def test_answers_that_were_lost_need_a_person_until_the_damaged_file_is_removed(
    apples: Factory,
) -> None:
    damaged = apples.home.path / "predictions" / "journal" / "x.damaged"
    damaged.parent.mkdir(parents=True, exist_ok=True)
    damaged.write_bytes(b"")
    code, found = _status(apples)
    [need] = [one for one in found["needs"] if one["what"] == "answers lost"]
    assert code == 1
    assert str(damaged) in need["details"][0]
    damaged.unlink()
    assert "answers lost" not in _needs(_status(apples)[1])
    # Nothing is cut off one that was complete: it is restored, or moved away, by a person.
    sealed = damaged.with_suffix(".sealed")
    sealed.write_bytes(b"changed by the disk")
    code, found = _status(apples)
    [need] = [one for one in found["needs"] if one["what"] == "answers damaged"]
    assert code == 1
    assert need["details"][0].startswith(
        f"{sealed}: a segment of the prediction journal is damaged"
    )
    sealed.unlink()
    assert "answers damaged" not in _needs(_status(apples)[1])


def test_a_disk_that_cannot_be_written_needs_a_person(apples: Factory) -> None:
    apples.approve()
    with closed_disk(apples.home.path):
        code, found = _status(apples)
    assert (code, _needs(found)) == (1, ["disk read-only"])


def test_a_disk_without_inodes_needs_a_person_however_much_is_free(
    apples: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples.approve()
    whole = os.statvfs

    def without_inodes(path: Path) -> os.statvfs_result:
        *before, _, flag, longest = whole(path)[:10]
        return os.statvfs_result((*before, 0, flag, longest))

    monkeypatch.setattr(os, "statvfs", without_inodes)
    code, found = _status(apples)
    assert (code, _needs(found)) == (1, ["no inode left"])
    assert "remove files from that disk" in found["needs"][0]["details"][0]


def test_a_disk_below_what_is_kept_free_needs_a_person(
    apples: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    apples.approve()
    monkeypatch.setenv("FACTORY_DISK_KEEP", "900000TB")
    found = _status(apples)[1]
    assert (_needs(found), found["disk"]["keep"]) == (["disk full"], 9 * 10**17)
    assert "no new run starts" in apples.factory("status")[1]


def test_when_the_disk_is_full_is_reckoned_from_what_was_free_before(apples: Factory) -> None:
    apples.approve()
    now = datetime.now(UTC)
    free = _status(apples)[1]["disk"]["free"]
    before = [((now - timedelta(days=2)).isoformat(timespec="seconds"), 2 * free)]
    (apples.home.path / "disk.json").write_text(json.dumps(before))
    code, found = _status(apples)
    disk = found["disk"]
    assert disk["grows_per_day"] == pytest.approx(free / 2, rel=0.05)
    assert disk["days_left"] == pytest.approx(2 * (disk["free"] - disk["keep"]) / free, rel=0.05)
    assert (code, _needs(found)) == (1, ["disk"])


def test_the_last_backup_is_told(apples: Factory) -> None:
    before = _status(apples)[1]
    assert before["backup"] is None
    size, subject = before["entries"], BackupMade.subject_of()
    entry = BackupMade(subject=subject, manifest="0" * 64, size=size, files=4, bytes=5, time="2026")
    Ledger(apples.home).append([entry])
    backup = _status(apples)[1]["backup"]
    assert backup == {"at": "2026", "entries": size, "files": 4, "bytes": 5}
    assert "1 entry of the ledger is newer" in CliRunner().invoke(main, ["status"]).output


def test_a_wrong_setting_is_one_line_and_exit_code_2(apples: Factory) -> None:
    (apples.defs / "factory.yaml").write_text("disk: {keep: much}\n")
    done = CliRunner().invoke(main, ["status"])
    assert done.exit_code == 2
    assert "factory.yaml:1: disk.keep" in done.output
    assert len(done.output.splitlines()) == 1


def test_an_unchanged_factory_is_told_without_dagster_or_declarations(apples: Factory) -> None:
    apples.approve()
    apples.factory("status")
    code = """
import sys
from factory_assets.cli.main import main
try:
    main(["status"])
except SystemExit as end:
    assert end.code == 0
loaded = {name.partition(".")[0] for name in sys.modules}
assert not loaded & {"dagster", "mlflow", "pandas", "cryptography", "yaml"}, loaded
assert "factory_assets.spec" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "All is well." in done.stdout


def test_a_home_without_the_key_of_its_ledger_needs_a_person(
    apples: Factory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_file(apples.home)
    key.unlink()
    code, found = _status(apples)
    [need] = [one for one in found["needs"] if one["what"] == "ledger key missing"]
    assert code == 1
    assert need["details"][0].startswith(f"nothing can run: {key} is missing; copy it from the ")
    if engine() == "postgresql":
        # A forgotten FACTORY_HOME: the database has all, and nothing in this folder can run.
        other = tmp_path / "other"
        monkeypatch.setenv("FACTORY_HOME", str(other))
        code, found = _status(apples)
        assert (code, _needs(found)) == (1, ["ledger key missing"])
        assert not other.exists()
        with chosen_database(None):
            Ledger(Home(other)).begin()
        assert _needs(_status(apples)[1]) == ["database of another factory"]


def test_a_key_that_is_open_to_other_users_or_damaged_needs_a_person(apples: Factory) -> None:
    key = key_file(apples.home)
    key.chmod(0o640)
    code, found = _status(apples)
    [need] = [one for one in found["needs"] if one["what"] == "ledger key open"]
    assert code == 1
    assert need["details"][0].startswith(f"nothing can run: {key}: other users can read the key")
    key.chmod(0o600)
    assert "ledger key open" not in _needs(_status(apples)[1])
    content = key.read_bytes()
    key.write_bytes(content[:-40])
    code, found = _status(apples)
    [need] = [one for one in found["needs"] if one["what"] == "ledger key damaged"]
    assert code == 1
    assert need["details"][0].startswith(
        f"nothing new can be entered in the ledger: {key}: the key of the ledger cannot be read "
        "(it is damaged); restore it"
    )
    key.write_bytes(content)
    assert "ledger key damaged" not in _needs(_status(apples)[1])


def test_a_clock_behind_the_last_act_needs_a_person(apples: Factory) -> None:
    """It is that of 1970 after a boot, or was ahead, and schedules wait until then."""
    ahead = datetime.now(UTC) + timedelta(hours=1)
    late, newer = (
        BackupMade(
            time=f"{time:%Y-%m-%dT%H:%M:%SZ}",
            subject=BackupMade.subject_of(),
            manifest="0" * 64,
            size=1,
            files=1,
            bytes=1,
        )
        for time in (ahead, ahead - timedelta(minutes=58))
    )
    Ledger(apples.home).append([late, newer])
    code, found = _status(apples)
    [need] = [one for one in found["needs"] if one["what"] == "clock"]
    assert code == 1
    assert f"the ledger has an entry of {ahead:%Y-%m-%d %H:%M} UTC" in need["details"][0]
    Ledger(apples.home).append([newer] * 99)
    assert "clock" not in _needs(_status(apples)[1])


def test_a_champion_that_a_running_server_could_not_load_needs_a_person(apples: Factory) -> None:
    write_serving_faults(apples.home, {"apples": "its graph was changed"})
    code, found = _status(apples)
    assert code == 1
    [need] = [one for one in found["needs"] if one["what"] == "champion not served"]
    assert (need["pipeline"], need["details"]) == ("apples", ["its graph was changed"])
