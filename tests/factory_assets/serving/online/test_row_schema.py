"""Columns of any name in their source, or of the same one, are served like others."""

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.oip import metadata
from factory_assets.serving.http.openapi import openapi
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.serving.cases import Deployed, served_by

ODD_NAMES = ('Rohr 1/2"', "a\\b", "Härte\n[HRC]")


def served_with(folder: Path, *contract: dict[str, Any]) -> tuple[ServedModel, Deployed]:
    """Return a model of these inputs, all of which are numbers, and its pipeline."""
    names = list(dict.fromkeys(column["from"] for column in contract))
    chance = np.random.default_rng(1)
    values = chance.normal(size=(80, len(names))).tolist()
    rows = [dict(zip(names, row, strict=True)) for row in values]
    lines = [json.dumps({**row, "label": sum(row.values())}) + "\n" for row in rows]
    (folder / "rows.jsonl").write_text("".join(lines))
    columns = [*contract, {"name": "label", "type": "float64"}]
    deployed = Deployed(
        folder,
        {
            "purpose": "test",
            "ingest": {"source": {"files": "rows.jsonl"}, "contract": columns},
            "train": {"target": "label", "seed": 3, "model": {"kind": "linear"}},
        },
    )
    return served_by(deployed), deployed


@pytest.mark.parametrize(
    "contract",
    [
        *([{"name": "a", "from": name, "type": "float64"}] for name in ODD_NAMES),
        [
            {"name": "a", "from": "x", "type": "float64"},
            {"name": "b", "from": "x", "type": "float64"},
        ],
    ],
)
def test_a_column_gets_the_answer_of_a_file_whatever_its_name_in_the_source(
    contract: list[dict[str, Any]], tmp_path: Path
) -> None:
    served, deployed = served_with(tmp_path, *contract)
    row = {contract[0]["from"]: 0.25}
    body = msgspec.json.encode([row])
    request, _ = read_rows(body, served.decoder, Limits())
    answer = served.score(request.objects()).outputs[0]
    [filed] = deployed.predict("new.jsonl", json.dumps(row) + "\n")
    assert answer == filed["prediction"]
    described = openapi({"p": served})["components"]["schemas"]
    assert any(schema.get("required") == [*row] for schema in described.values())
    assert [one["name"] for one in metadata(served, [served])["inputs"]] == [*row]
