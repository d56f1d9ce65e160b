"""Leaks in Dagster and at the command line: a check that blocks, warns, or does not exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.definitions import build_defs
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.pipelines import declare

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = np.random.default_rng(1)
    heat = chance.normal(size=600).round(3)
    y = (heat + chance.normal(0, 0.5, 600) > 0).astype(int)
    (tmp_path / "ovens").mkdir()
    rows = [f"{h},{2 * t},{t}" for h, t in zip(heat, y, strict=True)]
    (tmp_path / "ovens" / "data.csv").write_text("\n".join(["heat,twice,y", *rows]) + "\n")
    return tmp_path / "ovens"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _declare(folder: Path, **leaks: Any) -> None:
    train = {"target": "y", "model": {"kind": "linear"}, "leaks": leaks}
    source = {"source": {"files": "data.csv"}}
    declare(folder, {"purpose": "Tell hot ovens", "ingest": source, "train": train})


def _materialise(folder: Path, home: Home, instance: dg.DagsterInstance) -> Any:
    prepare(home)
    job = build_defs([folder], resource_overrides={"home": home}).resolve_job_def(folder.name)
    return job.execute_in_process(instance=instance, raise_on_error=False)


def _checks(result: Any) -> dict[str, Any]:
    return {check.check_name: check for check in result.get_asset_check_evaluations()}


def test_the_leak_check_blocks_warns_or_is_absent(
    folder: Path, home: Home, instance: dg.DagsterInstance
) -> None:
    _declare(folder)
    blocked = _materialise(folder, home, instance)
    assert not blocked.success
    made = {event.asset_key.path[-1] for event in blocked.get_asset_materialization_events()}
    assert made == {"ingest", "clean", "split"}
    check = _checks(blocked)["leaks"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert check.description.startswith(
        "'twice' alone predicts 'y' (AUC 1.000); add to train.exclude"
    )
    assert check.metadata["AUC of twice alone"].value == 1
    _declare(folder, action="warn")
    warned = _materialise(folder, home, instance)
    assert warned.success
    check = _checks(warned)["leaks"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    _declare(folder, allow={"twice": "a second thermometer"})
    allowed = _checks(_materialise(folder, home, instance))["leaks"]
    assert allowed.passed
    assert "(a second thermometer)" in allowed.description
    _declare(folder, action="off")
    assert "leaks" not in _checks(_materialise(folder, home, instance))


def test_the_command_reports_leaks_in_one_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from factory_resources.errors import FactoryError

    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home" / "dagster"))
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    _declare(folder)
    console = Console(record=True, width=120)
    with pytest.raises(FactoryError) as error:
        run(RunSelection(["ovens"]), console)
    assert error.value.exit_code == 2
    assert str(error.value).startswith(
        "ovens/train: 'twice' alone predicts 'y' (AUC 1.000); add to "
    )
    # Training is refused even if it is the only requested stage.
    with pytest.raises(FactoryError, match="'twice' alone predicts 'y'"):
        run(RunSelection(["ovens"], stages=["train"]), console)
    _declare(folder, action="warn")
    run(RunSelection(["ovens"]), console)
    assert "ovens · train     warning: 'twice' alone predicts 'y'" in console.export_text()
