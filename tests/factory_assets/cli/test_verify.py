"""`factory verify`: databases on a server, and the declarations that the ledger names."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from factory_assets.cli import verify as verify_command
from factory_assets.cli.verify import verify
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.base import digest
from factory_assets.results.stages import STAGES
from factory_resources.home.home import Home
from factory_resources.ledger.entries import StageComputed
from factory_resources.ledger.ledger import Ledger
from factory_resources.outcomes.engines import open_outcomes
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from tests.data_stages import pipeline
from tests.disks import closed_disk
from tests.engines import ON_POSTGRES
from tests.factory_resources.outcomes.samples import record_some
from tests.factory_resources.prediction_log.homes import fill
from tests.factory_resources.prediction_log.homes import log as log
from tests.postgres import Postgres


@ON_POSTGRES
def test_answers_on_a_server_are_compared_by_who_has_its_address(
    log: PredictionLog,
    home: Home,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    fill(log, PredictionIds(), [3, 2])
    assert verify(None, {}, as_json=False) == 0
    assert "5 answers in the database" in capsys.readouterr().out
    with PredictionLog(home) as again:
        assert len([*again.every("apples", bytes(16))]) == 5, "verifying changed the server"
    log.database.run("DELETE FROM prediction WHERE block = 1 AND leaf = 1")
    assert verify(None, {}, as_json=False) == 1
    assert "1 of the 3 records of block" in capsys.readouterr().out


@ON_POSTGRES
def test_outcomes_on_a_server_are_compared_too(
    home: Home, engine: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    Ledger(home).begin()
    record_some(home, [3])
    assert verify(None, {}, as_json=False) == 0
    assert "3 outcomes" in capsys.readouterr().out
    with open_outcomes(home) as store:
        store.database.run("UPDATE outcome SET value = '9' WHERE number = 2")
    assert verify(None, {}, as_json=False) == 1
    assert "outcome 2" in capsys.readouterr().out


@pytest.mark.parametrize("prepared_engine", ["postgres"], indirect=True)
def test_an_alias_that_was_moved_on_a_server_is_told(
    home: Home,
    postgres: Postgres,
    prepared_engine: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    Ledger(home).begin()
    assert verify(None, {}, as_json=False) == 0
    assert "aliases are not compared" not in capsys.readouterr().out
    insert = (
        "INSERT INTO mlflow.registered_models (name, workspace) VALUES ('apples', 'default')",
        "INSERT INTO mlflow.registered_model_aliases (name, alias, version, workspace) "
        "VALUES ('apples', 'champion', 1, 'default')",
    )
    postgres.execute(*insert, database=os.environ["FACTORY_DATABASE_URL"])
    assert verify(None, {}, as_json=False) == 1
    said = capsys.readouterr().out
    assert "MLflow's alias apples@champion names version 1, the ledger says none" in said


def test_a_home_on_a_disk_that_cannot_be_written_is_verified(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    Ledger(home).begin()
    with PredictionLog(home) as log:
        fill(log, PredictionIds(), [3, 2])
    with closed_disk(home.path):
        assert verify(None, {}, as_json=False) == 0
    assert "5 answers in the database" in capsys.readouterr().out


def test_what_runs_write_meanwhile_is_no_problem(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    (tmp_path / "d.csv").write_text("x,y\n1,0\n2,1\n")
    rules, verifier = iter(("x > 0", "x > 1", "x < 9")), verify_command._verifier

    def write() -> None:
        made = pipeline(tmp_path, files="d.csv", clean={"where": {"large": next(rules)}})
        for stage in STAGES[:2]:
            run_stage(StageRequest(made, stage, home, "run"))

    def disturbed(words: list[str]) -> subprocess.CompletedProcess[str]:
        if not calls:
            write()
        calls.append(words)
        return verifier(words)

    write()
    calls: list[list[str]] = []
    monkeypatch.setattr(verify_command, "_verifier", disturbed)
    assert verify(None, {}, as_json=False) == 0
    assert (len(calls), "problem" in capsys.readouterr().out) == (2, False)
    # If somebody is always at work, a note says so.
    monkeypatch.setattr(verify_command, "_ATTEMPTS", 1)
    calls.clear()
    assert verify(None, {}, as_json=True) == 1
    said = json.loads(capsys.readouterr().out)
    assert "which has no entry" in said["problems"][0]["what"]
    assert "came meanwhile" in said["notes"][-1]["what"]


def test_a_declaration_that_was_removed_is_told(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    (tmp_path / "d.csv").write_text("x,y\n1,0\n2,1\n")
    folder = home.path / "declarations" / "p"
    stored: list[Path] = []
    for rule in ("x > 0", "x > 1", "x < 9"):
        made = pipeline(tmp_path, files="d.csv", clean={"where": {"large": rule}})
        for stage in STAGES[:2]:
            run_stage(StageRequest(made, stage, home, f"run with {rule}"))
        stored += {*folder.iterdir()}.difference(stored)
    first, second, _ = stored
    assert verify(None, {}, as_json=False) == 0
    assert "declarations" not in capsys.readouterr().out
    kept = second.read_bytes()
    second.unlink()
    assert verify(None, {}, as_json=False) == 1
    out = capsys.readouterr().out
    assert f"declarations/p/{second.name}: is missing" in out
    assert first.name not in out
    # As in a home from before declarations were stored.
    second.write_bytes(kept)
    first.unlink()
    assert verify(None, {}, as_json=False) == 0
    assert "declarations: 1 of the oldest are not here" in capsys.readouterr().out
    shutil.rmtree(folder)
    assert verify(None, {}, as_json=False) == 0
    assert "declarations: 3 of the oldest are not here" in capsys.readouterr().out


def test_a_record_that_a_kill_left_beside_the_one_before_is_no_change(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    Ledger(home).begin()
    for run in ("one", "two"):
        record = Record(
            pipeline="p",
            stage="ingest",
            key=digest({}),
            value={},
            data_version=digest({}),
            run_id=run,
            seconds=0.0,
            megabytes=0.0,
            finished="",
        )
        entry = StageComputed(
            subject=StageComputed.subject_of(record=record.name),
            sha256=Records(home).save(record),
            pipeline="p",
            stage="ingest",
            key=record.key,
            run=run,
            components={},
            inputs={},
            tables={},
        )
        Ledger(home).append([entry])
    assert [*home.records.rglob("*.new")]
    assert verify(None, {}, as_json=False) == 0, capsys.readouterr().out
