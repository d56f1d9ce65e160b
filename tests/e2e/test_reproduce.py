"""`factory reproduce` trains a version again: the same bytes, or a report of the differences."""

import json
import os
import shutil
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from factory_assets.audit.reproduce import Reproduction
from factory_assets.cli.main import main
from factory_assets.cli.reproduce import reproduction_text
from factory_resources.home.home import Home
from tests.commands import command, forked
from tests.pipelines import APPLES, declare, write_apples

pytestmark = pytest.mark.slow
NET = """
import torch
from lightning.pytorch import LightningModule

class Net(LightningModule):
    def __init__(self, numeric, categories, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(numeric, outputs)

    def forward(self, numbers, codes):
        return self.layer(numbers) * 1.0
"""
Done = subprocess.CompletedProcess[str]


def _declare(root: Path, **train: Any) -> None:
    """Declare one pipeline for each kind of model, so that one run serves all tests."""
    models: dict[str, dict[str, Any]] = {
        "nets": {"python": "net:Net", "epochs": 3, "ensemble": 2},
        "trees": {"kind": "random_forest", "trees": 5},
    }
    for name, model in models.items():
        (root / "defs" / name).mkdir(parents=True, exist_ok=True)
        write_apples(root / "defs" / name, rows=120)
        (root / "defs" / name / "net.py").write_text(NET)
        attributes = {**APPLES, "train": {"target": "label", "model": model, "seed": 4, **train}}
        declare(root / "defs" / name, {**attributes, "evaluate": {}})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with declarations and a home in which they were trained."""
    root = tmp_path_factory.mktemp("reproduce")
    _declare(root)
    done = _factory(root, "run", "nets", "trees", "--stages", "ingest,clean,split,train")
    assert done.returncode == 0, done.stderr
    return root


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    """A copy of declarations and home that a test may change."""
    return shutil.copytree(trained, tmp_path / "copy")


def _factory(root: Path, *arguments: str) -> Done:
    return forked(root / "home", FACTORY_DEFS=str(root / "defs"))(*arguments)


def _new_process(root: Path, *arguments: str, **variables: str) -> Done:
    return command(root / "home", FACTORY_DEFS=str(root / "defs"), **variables)(*arguments)


def _json(root: Path, name: str) -> tuple[int, dict[str, Any]]:
    done = _factory(root, "reproduce", name, "--json")
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def _versions(root: Path) -> list[Any]:
    with sqlite3.connect(Home(root / "home").mlflow_database) as database:
        return [
            *database.execute("SELECT name, version FROM model_versions ORDER BY name, version"),
            *database.execute("SELECT run_uuid FROM runs"),
        ]


def test_the_same_environment_gives_an_identical_model(trained: Path) -> None:
    before = _versions(trained)
    done = _new_process(trained, "reproduce", "nets@1")
    assert done.returncode == 0, done.stdout + done.stderr
    first, last = done.stdout.strip().splitlines()
    same = "code, libraries and machine are the same as in the original training"
    assert first == f"nets@1: {same}"
    assert last.startswith("nets@1: identical, sha256:")
    code, report = _json(trained, "trees@1")
    assert (code, report["identical"], report["environment"], report["files"]) == (0, True, [], [])
    assert report["digest_now"] == report["digest_recorded"]
    assert (report["format"], report["version"]) == ("factory.reproduce", 1)
    assert _versions(trained) == before
    assert not list((trained / "home" / "tmp").glob("*-*/*"))


@pytest.mark.long
def test_uses_the_recorded_declaration_and_reports_another_library(
    copy: Path, tmp_path: Path
) -> None:
    _declare(copy, seed=5, exclude=["colour"])
    other = tmp_path / "site" / "numpy-9.9.9.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 9.9.9\n")
    paths = os.pathsep.join([str(other.parent), os.environ.get("PYTHONPATH", "")])
    done = _new_process(copy, "reproduce", "trees@1", PYTHONPATH=paths)
    assert done.returncode == 0, done.stdout + done.stderr
    first, changed, last = done.stdout.strip().splitlines()
    assert "the environment differs from the original training; training anyway" in first
    assert changed.startswith("  library numpy: ")
    assert changed.endswith(", now 9.9.9")
    assert "identical" in last


@pytest.mark.long
def test_changed_code_is_reported_with_every_changed_weight(copy: Path) -> None:
    (copy / "defs" / "nets" / "net.py").write_text(NET.replace("* 1.0", "* 1.5"))
    code, report = _json(copy, "nets@1")
    assert (code, report["identical"]) == (1, False)
    [changed] = report["environment"]
    assert changed["what"] == "net:Net"
    [weights] = [file for file in report["files"] if file["name"] == "weights.safetensors"]
    places = {place["at"]: place["difference"] for place in weights["places"]}
    layers = [f"members.{i}.layer" for i in (0, 1)]
    assert set(places) == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}
    assert all(0 < difference < 10 for difference in places.values())
    assert "log_loss" in {metric["metric"] for metric in report["metrics"]}
    text = reproduction_text(Reproduction.model_validate(report))
    assert "nets@1: DIFFERS" in text
    assert "members.0.layer.weight: largest difference" in text
    assert max(map(len, text.splitlines())) <= 100


def test_missing_or_changed_rows_are_an_error_of_one_line(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [rows] = (copy / "home" / "tables" / "trees" / "split_train").glob("*.parquet")
    content = bytearray(rows.read_bytes())
    content[len(content) // 2] ^= 1
    rows.unlink()
    _one_line(copy, "trees@1", "the training rows of trees@1 were removed", monkeypatch)
    rows.write_bytes(content)
    _one_line(copy, "trees@1", "is not what was written", monkeypatch)


def _one_line(root: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(root / "home"))
    monkeypatch.setenv("FACTORY_DEFS", str(root / "defs"))
    done = CliRunner().invoke(main, ["reproduce", name])
    assert done.exit_code == 2, done.output
    [line] = done.output.splitlines()
    assert line.startswith("error: ")
    assert message in line


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("trees@7", "trees has no version 7; its versions are 1"),
        ("apples@1", "there is no model 'apples'"),
        ("trees/clean", "'trees/clean' is not a model version; write pipeline@3"),
    ],
)
def test_a_wrong_name_is_an_error_of_one_line(
    trained: Path, name: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _one_line(trained, name, message, monkeypatch)
