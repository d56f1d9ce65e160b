"""What a version has cost: every stage that made it, once, however often it was reused."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from factory_assets.execution.costs import CostTotal, stage_costs
from factory_assets.execution.requests import StageRequest, StageRun
from factory_assets.execution.runner import run_stage
from factory_assets.results.model import Candidate
from factory_assets.results.stages import STAGES
from factory_assets.spec import Pipeline
from factory_resources.errors import SettingError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.metering import interrupted
from factory_resources.metering.meter import Cost
from factory_resources.tracking.record import Record
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.killed_steps import KillPoint, run_killed
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow


def _run(pipeline: Pipeline, home: Home, run: str) -> dict[str, StageRun]:
    return {stage: run_stage(StageRequest(pipeline, stage, home, run)) for stage in STAGES}


def _apples(folder: Path, seed: int) -> Pipeline:
    attributes = copy.deepcopy(APPLES)
    attributes["train"]["seed"] = seed
    return declare(folder / "apples", attributes)


def test_a_version_has_cost_what_made_it(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_GRID_G_PER_KWH", "100")
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    prepare(home)
    first = _run(_apples(tmp_path, 1), home, "r1")
    again = _run(_apples(tmp_path, 2), home, "r2")
    assert [s for s in STAGES if again[s].reused] == ["ingest", "clean", "split"]
    registry = Registry(home)
    for outcomes in (first, again):
        candidate = outcomes["train"].value
        assert isinstance(candidate, Candidate)
        records = [outcomes[stage].record for stage in STAGES]
        whole = sum(record.wh for record in records)
        assert whole > 0
        total = outcomes["deploy"].version
        assert total
        assert total.wh == pytest.approx(whole)
        assert total.co2e == pytest.approx(whole / 10)
        tags = registry.version_tags("apples", candidate.version)
        assert float(tags["factory.energy_wh"]) == pytest.approx(whole)
        assert float(tags["factory.co2e_g"]) == pytest.approx(whole / 10)
        assert tags["factory.energy_method"] == "; ".join(dict.fromkeys(r.method for r in records))
        metrics = registry.client.get_run(candidate.run_id).data.metrics
        assert metrics["energy_wh"] == pytest.approx(whole)
        assert metrics["co2e_g"] == pytest.approx(whole / 10)
        for stage in ("train", "evaluate", "deploy"):
            assert metrics[f"{stage}_energy_wh"] == pytest.approx(outcomes[stage].record.wh)
            assert metrics[f"{stage}_seconds"] == pytest.approx(outcomes[stage].record.seconds)


def _train_with_a_quick_clock(root: Path) -> None:
    interrupted.STORE_INTERVAL = 0.01
    _run(_apples(root, 1), Home(root / "home"), "killed")


def test_a_training_that_was_killed_counts_with_the_one_that_goes_on(tmp_path: Path) -> None:
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    home = Home(tmp_path / "home")
    prepare(home)
    trained = KillPoint("factory_assets.execution.provenance", "store_provenance")
    run_killed(_train_with_a_quick_clock, tmp_path, step=trained)
    [file] = home.checkpoints.glob("apples/*.cost")
    spent = TypeAdapter(Cost).validate_json(file.read_bytes())
    assert spent.cpu_seconds > 0
    large = replace(spent, seconds=1e6, cpu_seconds=2e6, wh=3e6)
    file.write_bytes(TypeAdapter(Cost).dump_json(large))
    outcomes = _run(_apples(tmp_path, 1), home, "resumed")
    record = outcomes["train"].record
    assert (record.seconds > 1e6, record.cpu_seconds > 2e6, record.wh > 3e6) == (True,) * 3
    assert outcomes["deploy"].version
    assert outcomes["deploy"].version.wh > 3e6
    assert outcomes["evaluate"].record.wh < 1e6
    assert not [*home.checkpoints.glob("apples/*")]


def test_a_malformed_setting_stops_before_anything_runs(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    monkeypatch.setenv("FACTORY_GRID_G_PER_KWH", "green")
    with pytest.raises(SettingError):
        run_stage(StageRequest(_apples(tmp_path, 1), "ingest", home, "r"))
    assert not home.tables.exists()


def test_a_record_from_before_is_read_and_its_carbon_unknown(home: Home) -> None:
    old = {
        "pipeline": "p",
        "stage": "clean",
        "key": "k",
        "value": {},
        "data_version": "d",
        "run_id": "r",
        "seconds": 2.0,
        "megabytes": 1.0,
        "wh": 0.5,
        "method": "RAPL",
        "finished": "2026-01-01T00:00:00+00:00",
    }
    home.write_atomic(home.records / "p" / "clean" / "k.json", json.dumps(old).encode())
    record = Records(home).find("p", "clean", "k")
    assert record
    assert (record.wh, record.co2e, record.cpu_seconds) == (0.5, None, None)
    new = Record(**{**old, "grid": 100.0})
    known = {"clean_seconds": 2.0, "clean_energy_wh": 0.5}
    assert (stage_costs(record), stage_costs(new)) == (known, {**known, "clean_co2e_g": 0.05})
    assert CostTotal.of([record, new]) == CostTotal(4.0, 1.0, None, ("RAPL",))
    assert CostTotal.of([new, new]) == CostTotal(4.0, 1.0, 0.1, ("RAPL",))
