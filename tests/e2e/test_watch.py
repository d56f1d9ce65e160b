"""A drift from beginning to end on real patients: trained in Cleveland, asked in Hungary.

It is noticed, people are told, the pipeline trains again with the new hospital, a person approves,
the server takes over, and the way back to the rows is traced. Every process is killed once.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import pytest
import yaml

from factory_assets.declarations.loader import load_pipeline
from factory_assets.definitions import build_defs
from factory_assets.monitoring.alerts import known_alarms
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.watching import watch_once
from factory_resources.home.home import PROJECT
from factory_resources.security.personal_keys import create_key
from factory_resources.tracking.registry import Registry
from tests.approvals import PASSPHRASE, ROLES, Factory
from tests.killed_looks import STEPS, Step
from tests.ledger import problems
from tests.pipelines import enter
from tests.serving import PredictionServer, serving
from tests.sinks import Sink, smtp, webhook

pytestmark = pytest.mark.slow

COLUMNS = (
    *("age", "sex", "cp", "trestbps", "chol", "fbs", "restecg"),
    *("thalach", "exang", "oldpeak", "slope", "ca", "thal", "num"),
)


def patients(file: Path) -> list[dict[str, Any]]:
    """Return the rows of a hospital as a caller sends them, with the truth in `num`."""
    with file.open(newline="") as lines:
        return [
            {name: None if cell == "?" else float(cell) for name, cell in row.items()}
            for row in csv.DictReader(lines, fieldnames=COLUMNS)
        ]


def as_asked(row: dict[str, Any]) -> dict[str, Any]:
    whole = {"sex", "cp", "fbs", "restecg", "exang", "slope", "ca", "thal"}
    return {
        name: int(cell) if name in whole and cell is not None else cell
        for name, cell in row.items()
        if name != "num"
    }


@pytest.fixture
def hospital(real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Factory:
    """The example `heart` with the patients of Cleveland alone; a champion serves."""
    made = Factory(tmp_path / "hospital")
    for name in ROLES:
        create_key(made.key(name), PASSPHRASE.encode())
    folder = made.defs / "heart"
    shutil.copytree(PROJECT / "examples" / "heart", folder)
    document = yaml.safe_load((folder / "defs.yaml").read_text())
    spec = document["attributes"]
    spec["ingest"]["source"] |= {"files": "*.data"}
    del spec["ingest"]["source"]["label"]
    spec["clean"]["derive"] = {"disease": "num > 0"}
    spec["split"] = {"test": 0.25, "validation": 0.15, "stratify": "disease"}
    spec["train"] |= {"exclude": ["num"]}
    spec["evaluate"] = {"metric": "roc_auc", "gates": [{"metric": "roc_auc", "at_least": 0.7}]}
    spec["evaluate"]["gates"] += [{"champion": "off"}] * 0
    spec["watch"] = {
        "false_alarm": "1y",
        "retrain": {"after": ["drift", "outcomes"], "outcomes": 1_000},
    }
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    data = real_data / "heart_disease"
    shutil.copy2(data / "processed.cleveland.data", folder / "cleveland.data")
    enter(made.root, monkeypatch)
    made.people()
    code, text = made.factory("run", "heart")
    assert code == 0, text
    made.approve("heart@1")
    return made


@pytest.fixture
def sinks(hospital: Factory) -> Iterator[tuple[Sink, Sink]]:
    """A webhook and a mailbox, which factory.yaml names."""
    with webhook() as hook, smtp() as mail:
        alerts = [
            {"webhook": {"url": f"http://127.0.0.1:{hook.port}/"}},
            {
                "email": {
                    "to": ["cardiology@example.org"],
                    "sender": "factory@example.org",
                    "host": "127.0.0.1",
                    "port": mail.port,
                    "tls": "none",
                }
            },
        ]
        (hospital.defs / "factory.yaml").write_text(yaml.safe_dump({"alerts": alerts}))
        yield hook, mail


def ask(server: PredictionServer, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ask for each patient; return the answers that were given."""
    reply = server.ask("/predict/heart?partial=true", [as_asked(row) for row in found])
    assert reply.status == 200, reply.body
    answers: list[dict[str, Any]] = reply.json["predictions"]
    return answers


def killed_look(made: Factory, step: Step) -> None:
    """Take a look as a process that is killed after a step, where it comes so far."""
    code = (
        f"from tests.killed_looks import die_after\ndie_after({step!r})\n"
        "from factory_assets.cli.main import main\nmain()"
    )
    subprocess.run(
        [sys.executable, "-c", code, "monitor", "heart"],
        cwd=made.root,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        timeout=300,
        check=False,
    )


def test_a_drift_from_beginning_to_end(
    hospital: Factory, sinks: tuple[Sink, Sink], real_data: Path
) -> None:
    hook, mail = sinks
    home = hospital.home
    hungary = patients(real_data / "heart_disease" / "processed.hungarian.data")
    with serving(home.path) as server:
        answers = ask(server, hungary[:200])
        # Each process of the look dies at another step.
        for step in STEPS:
            killed_look(hospital, step)
        pipeline = load_pipeline(hospital.defs / "heart")
        now = datetime.now(UTC)
        for day in range(1, 4):
            answers += ask(server, hungary[200 + 30 * (day - 1) : 200 + 30 * day])
            wait_until_collected(hospital, len(answers))
            seen = watch_once(pipeline, home, now + timedelta(days=day))
            assert seen.problems == ()
        report = seen.report
        assert report.has("drift"), report.findings
        assert report.version == 1
        told = {one["kind"] for one in hook.received if one["state"] == "open"}
        assert "drift" in told
        # A kill right after sending lets an alert come twice, under the same id.
        assert len({one["id"] for one in hook.received}) == len(told)
        assert any(m["Subject"] == "heart@1: drift alarm" for m in mail.received)

        sent = [
            {"id": answer["id"], "outcome": "true" if row["num"] else "false"}
            for answer, row in zip(answers, hungary, strict=False)
            if answer["prediction"] is not None
        ]
        reply = server.ask("/feedback", sent)
        assert reply.status == 200, reply.body
        later = watch_once(pipeline, home, now + timedelta(days=4)).report
        assert later.real is not None
        assert later.real.labelled == len(sent)
        assert 0.5 < later.real.metrics["roc_auc"].value < 1

        train_again(hospital, real_data)
        assert Registry(home).champion("heart") == 1
        hospital.approve("heart@2")
        assert Registry(home).champion("heart") == 2
        wait_for_version(server, 2)
        # Now patients of both hospitals come, as in training.
        cleveland = patients(real_data / "heart_disease" / "processed.cleveland.data")
        ask(server, Random(7).sample(cleveland + hungary, 150))
        wait_until_collected(hospital, len(answers) + 150)
        calm = watch_once(pipeline, home, now + timedelta(days=5)).report
        assert (calm.version, calm.has("drift")) == (2, False)
    over = [one for one in hook.received if one["state"] == "over"]
    assert {one["kind"] for one in over} >= {"drift"}
    assert [a for a in known_alarms(Looks(home, "heart")).open if a.kind == "drift"] == []
    code, text = hospital.factory("trace", "heart@2")
    assert code == 0, text
    assert "hungary.data" in text
    assert problems(home) == []


def train_again(made: Factory, real_data: Path) -> None:
    """Let the sensor ask for a training, and run it with the new hospital's file."""
    shutil.copy2(
        real_data / "heart_disease" / "processed.hungarian.data", made.defs / "heart/hungary.data"
    )
    definitions = build_defs([made.defs / "heart"])
    sensor = definitions.resolve_sensor_def("heart_retrain")
    with dg.DagsterInstance.get() as instance:
        context = dg.build_sensor_context(instance=instance, definitions=definitions)
        [request] = sensor.evaluate_tick(context).run_requests
        assert request.run_key.startswith("heart:drift-v1-look")
        again = sensor.evaluate_tick(
            dg.build_sensor_context(instance=instance, definitions=definitions)
        )
        # Until it has run, the same key: Dagster starts it once.
        assert [one.run_key for one in again.run_requests] == [request.run_key]
    code, text = made.factory("run", "heart")
    assert code == 0, text


def wait_until_collected(made: Factory, rows: int) -> None:
    import time

    from factory_resources.prediction_log.prediction_log import PredictionLog

    for _ in range(200):
        with PredictionLog(made.home) as log:
            log.collect()
            store = log.database
            found = sum(
                count
                for version in (1, 2)
                for batch in store.answered("heart", version, 0, store.last_block())
                for _, count in batch
            )
        if found >= rows:
            return
        time.sleep(0.2)
    raise AssertionError(f"{found} of {rows} rows were collected")


def wait_for_version(server: PredictionServer, version: int) -> None:
    import time

    for _ in range(100):
        if json.loads(server.ask("/v2/models/heart").body)["versions"] == [str(version)]:
            return
        time.sleep(0.1)
    raise AssertionError("the new version does not serve")
