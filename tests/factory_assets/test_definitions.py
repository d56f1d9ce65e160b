"""The code location loads without heavy imports; a broken pipeline does not affect others."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from factory_assets.declarations.loader import pipeline_folders
from factory_assets.definitions import build_defs, defs
from factory_assets.results.stages import STAGES

_HEAVY = ("torch", "lightning", "mlflow", "optuna", "sklearn", "pandas")
_LOAD = f"""
import sys
import factory_assets.definitions
factory_assets.definitions.defs()
heavy = [name for name in {_HEAVY!r} if name in sys.modules]
assert not heavy, heavy
"""


def test_loading_imports_nothing_heavy() -> None:
    subprocess.run([sys.executable, "-c", _LOAD], check=True)


def test_every_shipped_pipeline_is_six_assets_a_job_and_its_checks() -> None:
    definitions = defs()
    keys = {tuple(key.path) for key in definitions.resolve_all_asset_keys()}
    for folder in pipeline_folders():
        assert {(folder.name, stage) for stage in STAGES} <= keys
        assert definitions.resolve_job_def(folder.name)
    assert not [key for key in keys if key[1] == "broken"]


def test_graph_is_as_reviewed(snapshot) -> None:  # type: ignore[no-untyped-def]
    graph = defs().resolve_asset_graph()
    described = {
        key.to_user_string(): {
            "parents": sorted(parent.to_user_string() for parent in graph.get(key).parent_keys),
            "group": graph.get(key).group_name,
            "kinds": sorted(graph.get(key).kinds),
            "owners": sorted(graph.get(key).owners),
            "checks": sorted(check.name for check in graph.get(key).check_keys),
        }
        for key in sorted(graph.get_all_asset_keys())
    }
    assert described == snapshot


def test_broken_pipeline_leaves_the_others_alone(tmp_path: Path) -> None:
    broken = tmp_path / "fraud"
    broken.mkdir()
    (broken / "defs.yaml").write_text("type: factory_assets.ModelPipeline\nattributes: {}\n")
    definitions = build_defs([*pipeline_folders(), broken])
    keys = {key.to_user_string() for key in definitions.resolve_all_asset_keys()}
    assert {"fraud/broken", "machine_failure/deploy"} <= keys
    spec = definitions.resolve_asset_graph().get(dg.AssetKey(["fraud", "broken"]))
    _, _, _, first, *rest = (spec.description or "").splitlines()
    assert "defs.yaml:2" in first
    assert len(rest) > 1, "the page would cut it off"
    assert max(map(len, rest)) <= 80


def test_broken_folders_of_similar_names_leave_the_others_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a-b", "a.b", "a_b", "x_assets"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defs.yaml").write_text("type: nothing")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "assets.py").write_text("import nothing_of_this_name")
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    found = defs()
    found.get_repository_def().load_all_definitions()
    keys = {key.to_user_string() for key in found.resolve_all_asset_keys()}
    assert {"a_b/broken", "x_assets/broken", "machine_failure/deploy"} <= keys
    assert len([key for key in keys if key.endswith("/broken")]) == 5


def test_pipelines_outside_the_repository_are_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = next(f for f in pipeline_folders() if f.name == "tumour_diagnosis")
    outside = tmp_path / "ours" / "second_opinion"
    outside.mkdir(parents=True)
    for file in source.iterdir():
        if file.is_file():
            (outside / file.name).write_bytes(file.read_bytes())
    monkeypatch.setenv("FACTORY_DEFS", os.pathsep.join([str(tmp_path / "ours")]))
    keys = {key.to_user_string() for key in defs().resolve_all_asset_keys()}
    assert "second_opinion/deploy" in keys
    assert "second_opinion/broken" not in keys


def test_workspace_loads_from_any_directory(tmp_path: Path) -> None:
    workspace = Path(__file__).parent.parent.parent / "workspace.yaml"
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(workspace)]
    env = {**os.environ, "DAGSTER_HOME": str(tmp_path)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
