"""The main job, whole and real: both shipped pipelines from source to champion, by the command."""

import json
from pathlib import Path
from typing import Any

import pytest

from factory_assets.results.stages import STAGES, VALUES, Stage
from factory_resources.home.home import Home
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.e2e.conftest import Demo

pytestmark = pytest.mark.slow
SHIPPED = ("machine_failure", "tumour_diagnosis")


def test_prints_one_row_a_pipeline_and_what_next(demo: Demo) -> None:
    for name in SHIPPED:
        rows = [line for line in demo.output.splitlines() if name in line and "·" not in line]
        assert any("v1" in line for line in rows), demo.output
    assert "make up" in demo.output


@pytest.mark.parametrize("name", SHIPPED)
def test_conservation(demo: Demo, name: str) -> None:
    def value(stage: Stage) -> Any:
        record = Records(Home(demo.home)).latest(name, stage)
        assert record is not None
        return VALUES[stage].model_validate(record.value)

    ingested, cleaned, parts = value("ingest"), value("clean"), value("split")
    assert ingested.rows_read == ingested.snapshot.rows + ingested.quarantined_rows
    kept = cleaned.snapshot.rows
    assert kept == parts.train.rows + parts.validation.rows + parts.test.rows
    dropped = cleaned.quarantined_rows + cleaned.duplicates
    assert cleaned.rows_in == kept + dropped == ingested.snapshot.rows


@pytest.mark.parametrize("name", SHIPPED)
def test_champion_beats_the_linear_baseline_or_its_gates_say_why(demo: Demo, name: str) -> None:
    verdict = Records(Home(demo.home)).latest(name, "evaluate").value
    assert all(gate["passed"] for gate in verdict["gates"])
    assert len(verdict["gates"]) >= 2
    assert Registry(Home(demo.home)).champion(name) == 1
    trivial = verdict["baselines"]["trivial"]
    assert verdict["metrics"]["roc_auc"] > trivial["roc_auc"] + 0.3


def test_again_nothing_is_computed(demo: Demo) -> None:
    def keys() -> dict[str, str]:
        return {
            str(path): path.read_text()
            for path in (demo.home / "records").rglob("*.json")
            if path.parent.parent.name != "runs"
        }

    before = keys()
    again = demo.factory("run", *SHIPPED)
    assert again.returncode == 0, again.stderr
    lines = [line for line in again.stdout.splitlines() if " · " in line]
    assert len(lines) == len(SHIPPED) * len(STAGES)
    assert all(line.endswith("reused") for line in lines), again.stdout
    assert keys() == before


def test_a_moved_home_still_serves(demo: Demo, tmp_path: Path) -> None:
    from shutil import copytree

    from tests.e2e.conftest import command

    moved = copytree(demo.home, tmp_path / "moved")
    again = command(moved)("run", "tumour_diagnosis")
    assert again.returncode == 0, again.stderr
    assert again.stdout.count("reused") >= len(STAGES)


def test_no_pickle_anywhere(demo: Demo) -> None:
    suspicious = {".pkl", ".pickle", ".pt", ".pth", ".ckpt", ".joblib"}
    assert [p for p in (demo.home / "artifacts").rglob("*") if p.suffix in suspicious] == []


def test_predicts_with_the_champion(demo: Demo, tmp_path: Path) -> None:
    import sklearn.datasets

    frame = sklearn.datasets.load_breast_cancer(as_frame=True).data
    frame.columns = [name.replace(" ", "_") for name in frame.columns]
    frame.head(20).to_csv(tmp_path / "new.csv", index=False)
    done = demo.factory(
        "predict", "tumour_diagnosis", tmp_path / "new.csv", "--out", tmp_path / "o.csv"
    )
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "o.csv").read_text().splitlines()
    assert len(lines) == 21
    assert lines[0].startswith('"_row","model","version","prediction"')
    assert lines[1].split(",")[3] == '"malignant"'


def test_dagster_knows_the_runs(demo: Demo) -> None:
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
