"""The shipped pipelines run with `dg.materialize`, as developers of the factory run them."""

from pathlib import Path

import dagster as dg
import pytest

import factory_assets
from factory_assets.definitions import build_defs
from factory_assets.results.stages import STAGES
from factory_resources.home.home import Home
from factory_resources.instance import prepare

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name", [pytest.param("machine_failure", marks=pytest.mark.long), "tumour_diagnosis"]
)
def test_materialises_every_stage_with_its_checks(
    name: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.setenv("DAGSTER_HOME", str(home.dagster))
    prepare(home)
    folder = Path(factory_assets.__file__).parent / "defs" / name
    definitions = build_defs([folder], resource_overrides={"home": home})
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            list(definitions.assets or ()), resources=definitions.resources, instance=instance
        )
    assert result.success
    events = result.get_asset_materialization_events()
    if name == "machine_failure":
        assert events.pop().asset_key.path[-1] == "monitor"
    assert [event.asset_key.path[-1] for event in events] == list(STAGES)
    versions = [e.materialization.tags["dagster/data_version"] for e in events]
    assert len(set(versions)) == len(STAGES)
    checks = result.get_asset_check_evaluations()
    names = {check.check_name for check in checks}
    waits = {"approval"} if name == "tumour_diagnosis" else set()
    assert {check.check_name for check in checks if not check.passed} == waits
    assert {"contract", "conservation", "no_overlap", "parity"} < names
    assert sum(check.startswith("gate_") for check in names) == 3
