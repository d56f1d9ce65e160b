"""A served model for the tests of what reads requests and writes answers."""

import json
from typing import Any

import pytest

from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.serving.cases import Deployed, served_by

CONTRACT: list[dict[str, Any]] = [
    {"name": "heat", "from": "Heat [K]", "type": "float64", "unit": "K", "range": [-1000, 1000]},
    {"name": "steps", "type": "int64", "nullable": False},
    {"name": "colour", "type": "string", "values": ["red", "green"]},
    {"name": "code", "type": "string", "sensitive": "personal"},
    {"name": "open", "type": "bool"},
    {"name": "label", "type": "string"},
]


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> ServedModel:
    """A linear model of two classes, with a column of each type; `code` is sensitive."""
    folder = tmp_path_factory.mktemp("served")
    rows = [
        {
            "Heat [K]": i % 17 + i / 100,
            "steps": i % 5,
            "colour": ("red", "green")[i % 2],
            "code": f"c{i % 3}",
            "open": i % 3 == 0,
            "label": "good" if i % 17 > 8 else "bad",
        }
        for i in range(200)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    deployed = Deployed(
        folder,
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.jsonl"}, "contract": CONTRACT},
            "train": {"target": "label", "seed": 3, "model": {"kind": "linear"}},
        },
    )
    return served_by(deployed)
