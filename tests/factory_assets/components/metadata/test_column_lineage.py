"""Dagster's column lineage of ingest, clean and split names columns of upstream assets."""

from pathlib import Path
from typing import Any

import dagster as dg

from factory_assets.components.metadata.stages import describe
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.stages import Stage
from factory_resources.home.home import Home
from tests.pipelines import declare, write_apples


def _deps(
    root: Path, name: str, attributes: dict[str, Any], stages: tuple[Stage, ...]
) -> dict[Stage, dict[str, set[str]]]:
    """Stage to column to the columns it depends on, each with its asset."""
    pipeline = declare(root / name, {"purpose": name, **attributes})
    found: dict[Stage, dict[str, set[str]]] = {}
    for stage in stages:
        call = StageRequest(pipeline, stage, Home(root / "home"), "run")
        metadata, _ = describe(call, run_stage(call))
        again, _ = describe(call, run_stage(call))
        assert again.get("dagster/column_lineage") == metadata.get("dagster/column_lineage")
        lineage = metadata.get("dagster/column_lineage")
        if isinstance(lineage, dg.TableColumnLineage):
            found[stage] = {
                column: {f"{d.asset_key.to_user_string()}.{d.column_name}" for d in deps}
                for column, deps in lineage.deps_by_column.items()
            }
    return found


def test_lineage_leads_from_split_to_the_sources(tmp_path: Path) -> None:
    (tmp_path / "apples").mkdir()
    write_apples(tmp_path / "apples")
    found = _deps(
        tmp_path,
        "apples",
        {
            "ingest": {"source": {"files": "data.csv"}},
            "clean": {"where": {"positive": "size > 0"}, "derive": {"area": "Size * size"}},
            "train": {"target": "label", "model": {"kind": "linear"}},
        },
        ("ingest", "clean", "split"),
    )
    assert found == {
        "clean": {
            **{name: {f"apples/ingest.{name}"} for name in ("size", "colour", "label")},
            "area": {"apples/ingest.size"},
        },
        "split": {name: {f"apples/clean.{name}"} for name in ("size", "colour", "label", "area")},
    }
    other = _deps(
        tmp_path,
        "juice",
        {
            "ingest": {
                "source": {"pipeline": "apples"},
                "contract": [{"name": "surface", "from": "area"}],
            }
        },
        ("ingest", "clean"),
    )
    assert other == {
        "ingest": {"surface": {"apples/clean.area"}},
        "clean": {"surface": {"juice/ingest.surface"}},
    }
