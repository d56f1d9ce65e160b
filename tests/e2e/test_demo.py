"""The demo end to end: both shipped pipelines from source to champion, by the real command."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from factory_assets.results.stages import RESULT_TYPES, STAGES, Stage
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.commands import forked
from tests.e2e.conftest import Demo

pytestmark = pytest.mark.slow
SHIPPED = ("machine_failure", "tumour_diagnosis")


def test_prints_one_row_for_each_pipeline_and_the_next_steps(demo: Demo) -> None:
    for name in SHIPPED:
        rows = [line for line in demo.output.splitlines() if name in line and "·" not in line]
        assert any("v1" in line for line in rows), demo.output
    assert "make up" in demo.output


@pytest.mark.parametrize("name", SHIPPED)
def test_rows_are_conserved_from_stage_to_stage(demo: Demo, name: str) -> None:
    def value(stage: Stage) -> Any:
        record = Records(Home(demo.home)).latest(name, stage)
        assert record is not None
        return RESULT_TYPES[stage].model_validate(record.value)

    ingested, cleaned, parts = value("ingest"), value("clean"), value("split")
    assert ingested.rows_read == ingested.snapshot.rows + ingested.quarantined_rows
    clean_rows = cleaned.snapshot.rows
    assert clean_rows == parts.train.rows + parts.validation.rows + parts.test.rows
    dropped = cleaned.quarantined_rows + cleaned.duplicates
    assert cleaned.rows_in == clean_rows + dropped == ingested.snapshot.rows


@pytest.mark.parametrize("name", SHIPPED)
def test_the_model_passes_its_gates_and_beats_the_trivial_baseline(demo: Demo, name: str) -> None:
    evaluation = Records(Home(demo.home)).latest(name, "evaluate").value
    assert all(gate["passed"] for gate in evaluation["gates"])
    assert len(evaluation["gates"]) >= 2
    trivial = evaluation["baselines"]["trivial"]
    assert evaluation["metrics"]["roc_auc"] > trivial["roc_auc"] + 0.3


def test_the_model_of_high_risk_waits_for_a_person(demo: Demo) -> None:
    registry = Registry(Home(demo.home))
    assert registry.champion("machine_failure") == 1
    assert registry.champion("tumour_diagnosis") is None
    assert "tumour_diagnosis@1 waits for 1 approver since" in demo.output
    assert "factory key new jane --role approver" in demo.output
    done = demo.factory("predict", "tumour_diagnosis", "new.csv")
    assert done.returncode == 2
    assert "has no champion yet" in done.stderr


def test_a_second_run_computes_nothing(demo: Demo) -> None:
    def keys() -> dict[str, str]:
        return {
            str(path): path.read_text()
            for path in (demo.home / "records").rglob("*.json")
            if path.parent.parent.name != "runs"
        }

    before = keys()
    again = forked(demo.home)("run", *SHIPPED)
    assert again.returncode == 0, again.stderr
    lines = [line for line in again.stdout.splitlines() if " · " in line]
    reused = [line for line in lines if line.endswith("reused")]
    assert len(reused) == len(SHIPPED) * len(STAGES)
    others = [line for line in lines if line not in reused]
    assert sum("nothing changed since" in line for line in others) == len(SHIPPED), again.stdout
    assert sum("waits for 1 approver" in line for line in others) == 1, again.stdout
    assert len(others) == len(SHIPPED) + 1, again.stdout
    assert keys() == before


def test_a_moved_home_is_reused(demo: Demo, tmp_path: Path) -> None:
    moved = shutil.copytree(demo.home, tmp_path / "moved")
    again = forked(moved)("run", "tumour_diagnosis")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("reused") >= len(STAGES)


def test_artifacts_contain_no_pickle(demo: Demo) -> None:
    suspicious = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib"}
    assert [p for p in (demo.home / "artifacts").rglob("*") if p.suffix in suspicious] == []


def test_predicts_with_the_version_that_a_person_approved(demo: Demo, tmp_path: Path) -> None:
    import sklearn.datasets

    (tmp_path / "defs").mkdir()
    factory = forked(
        shutil.copytree(demo.home, tmp_path / "home"),
        FACTORY_DEFS=str(tmp_path / "defs"),
        XDG_CONFIG_HOME=str(tmp_path / "config"),
        FACTORY_PASSPHRASE="correct horse",
    )
    for arguments in (
        ("key", "new", "jane", "--role", "approver"),
        ("approve", "tumour_diagnosis", "--reason", "as good as the literature"),
        ("verify",),
    ):
        done = factory(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
    frame = sklearn.datasets.load_breast_cancer(as_frame=True).data
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    frame.head(20).to_csv(tmp_path / "new.csv", index=False)
    done = factory("predict", "tumour_diagnosis", tmp_path / "new.csv", "--out", tmp_path / "o.csv")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert len(lines) == 21
    assert lines[0].startswith('"_row","model","version","prediction"')
    assert lines[1].split(",")[3] == '"malignant"'


def test_dagster_has_the_metadata_of_the_runs(demo: Demo) -> None:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(demo.home / "dagster")) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey([SHIPPED[0], "evaluate"]))
        metadata = event.asset_materialization.metadata
        assert 0 < metadata["average_precision"].value <= 1
        assert any("data:image/png;base64," in str(value.value) for value in metadata.values())
        assert instance.telemetry_enabled is False


def test_records_are_plain_json(demo: Demo) -> None:
    pointers = list((demo.home / "records").glob("*/latest/*.json"))
    assert len(pointers) == len(SHIPPED) * len(STAGES)
    for pointer in pointers:
        assert set(json.loads(pointer.read_text())) == {"key"}
