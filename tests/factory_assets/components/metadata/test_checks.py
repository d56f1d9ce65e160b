"""The checks of stages in Dagster: they pass or fail with numbers, and block later stages."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from factory_assets.audit.trace.trace import trace
from factory_assets.definitions import build_defs
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from tests.ledger import problems
from tests.pipelines import declare

_COLUMNS = [
    {"name": "mail", "type": "string"},
    {"name": "size", "type": "float64", "range": [0, None]},
]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


def _run(folder: Path, home: Home, instance: dg.DagsterInstance, contract: Any) -> Any:
    ingest = {"source": {"files": "data.csv"}, "contract": contract}
    return _run_declared(folder, home, instance, {"purpose": "Sizes", "ingest": ingest})


def _run_declared(folder: Path, home: Home, instance: dg.DagsterInstance, declared: Any) -> Any:
    declare(folder, declared)
    prepare(home)
    job = build_defs([folder], resource_overrides={"home": home}).resolve_job_def(folder.name)
    return job.execute_in_process(instance=instance, raise_on_error=False)


def _data(folder: Path, rows: int = 300, shift: float = 0) -> None:
    folder.mkdir(exist_ok=True)
    lines = [f"a{i}@example.org,{i % 10 + shift}" for i in range(rows)]
    (folder / "data.csv").write_text("\n".join(["mail,size", *lines, "b@example.org,-1"]) + "\n")


def test_every_check_has_a_result(tmp_path: Path, home: Home, instance: Any) -> None:
    folder = tmp_path / "sizes"
    _data(folder)
    contract = {"columns": _COLUMNS, "rows": {"at_least": 10}, "unchecked": "Read by the lab"}
    result = _run(folder, home, instance, contract)
    found = {
        check.check_name: check
        for check in result.get_asset_check_evaluations()
        if check.asset_key.path[-1] == "ingest"
    }
    assert result.success
    assert {name: check.passed for name, check in found.items()} == {
        "contract": True,
        "row_count": True,
        "drift": True,
        "personal_data": False,
        "offsets": True,
        "copies": True,
    }
    assert found["contract"].metadata["broke range:size"].value == 1
    assert found["row_count"].metadata["rows"].value == 300
    assert found["personal_data"].severity == dg.AssetCheckSeverity.WARN
    assert "'mail'" in found["personal_data"].description
    assert "example.org" not in found["personal_data"].description
    [ingested] = result.asset_materializations_for_node("sizes__ingest")
    assert ingested.metadata["promised, not checked"].value == "- Read by the lab"


def test_blocking_checks_stop_the_run_and_warnings_do_not(
    tmp_path: Path, home: Home, instance: Any
) -> None:
    folder = tmp_path / "sizes"
    _data(folder)
    assert _run(folder, home, instance, {"columns": _COLUMNS}).success
    _data(folder, shift=50)
    limited = {"columns": _COLUMNS, "distribution": {"limit": 0.5}}
    refused = _run(folder, home, instance, limited)
    assert not refused.success
    assert [key.path[-1] for key in _materialised(refused)] == []
    drift = next(c for c in refused.get_asset_check_evaluations() if c.check_name == "drift")
    assert not drift.passed
    assert drift.metadata["largest index"].value > 0.5
    assert "'size' median" in drift.description
    # Without a limit the same is a warning.
    warned = _run(folder, home, instance, {"columns": _COLUMNS})
    assert warned.success
    drift = next(c for c in warned.get_asset_check_evaluations() if c.check_name == "drift")
    assert (drift.passed, drift.severity) == (False, dg.AssetCheckSeverity.WARN)


@pytest.mark.slow
def test_a_gate_may_name_any_group(tmp_path: Path, home: Home, instance: Any) -> None:
    """Dagster and MLflow take only some characters in the names of checks and metrics."""
    folder, groups = tmp_path / "incomes", ("R&D, Süd", "a/../b")
    folder.mkdir()
    rows = [f'{i % 7},"{groups[i % 2]}",{"<=" if i % 7 < 3 else ">"}50K' for i in range(200)]
    (folder / "data.csv").write_text("\n".join(["age,site,income", *rows]) + "\n")
    declared = {
        "purpose": "Incomes",
        "ingest": {"source": {"files": "data.csv"}},
        "train": {
            "target": "income",
            "model": {"kind": "linear"},
            "uncertainty": {"by": "site"},
            "leaks": {"action": "off"},
        },
        "evaluate": {
            "gates": [{"metric": "coverage", "group": group, "at_least": 0.1} for group in groups]
        },
    }
    result = _run_declared(folder, home, instance, declared)
    assert result.success
    gates = [c for c in result.get_asset_check_evaluations() if "coverage" in c.check_name]
    assert len({check.check_name for check in gates}) == 2
    assert all(check.passed for check in gates)
    found = trace("incomes@1", home, folders={"incomes": folder})
    assert found.problems == ()
    assert problems(home) == []


def _materialised(result: Any) -> list[dg.AssetKey]:
    return [event.asset_key for event in result.get_asset_materialization_events()]
