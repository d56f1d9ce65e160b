"""Deployed pipelines whose answers get outcomes; each test has a copy of the home."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from factory_resources.home.home import Home
from tests.factory_assets.serving.cases import Deployed

_COLUMNS: list[dict[str, Any]] = [
    {"name": "size", "from": "Size [mm]", "type": "float64"},
    {"name": "machine", "type": "string"},
    {"name": "worker", "type": "string", "sensitive": "personal"},
]

_LABEL = {"name": "label", "from": "Grade", "type": "string"}

_PRICE = {"name": "price", "type": "float64"}


def rows_asked(count: int, start: int = 0) -> list[dict[str, Any]]:
    return [
        {"Size [mm]": i % 7 + i / 100, "machine": f"m{i % 4}", "worker": f"w{i % 3}"}
        for i in range(start, start + count)
    ]


def _deployed(folder: Path, target: dict[str, Any], value: Any) -> Deployed:
    name = target.get("from", target["name"])
    rows = [{**row, name: value(i)} for i, row in enumerate(rows_asked(200))]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Deployed(
        folder,
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.jsonl"}, "contract": [*_COLUMNS, target]},
            "train": {"target": target["name"], "seed": 3, "model": {"kind": "linear"}},
        },
    )


@pytest.fixture(scope="session")
def grading(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A model of two classes."""
    folder = tmp_path_factory.mktemp("grading")
    return _deployed(folder, _LABEL, lambda i: "good" if i % 7 > 3 else "bad")


@pytest.fixture(scope="session")
def pricing(tmp_path_factory: pytest.TempPathFactory) -> Deployed:
    """A model of a number."""
    folder = tmp_path_factory.mktemp("pricing")
    return _deployed(folder, _PRICE, lambda i: i % 7 * 2.5 + i % 3)


def copied(made: Deployed, to: Path) -> Home:
    shutil.copytree(made.home.path, to)
    return Home(to)
