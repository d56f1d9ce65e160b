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
from factory_assets.serving.online.row_schema import RowSchema
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import Ingest
from factory_resources.sql.scalar.values import UndecidedError
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


def _decoded(column: dict[str, Any], value: object, missing: tuple[str, ...] = ()) -> object:
    """Return a value of JSON as it is decoded, or `engine` if only the engine may decide."""
    contract = [{"name": "x", **column}]
    ingest = Ingest.model_validate(
        {"source": {"files": "x.csv"}, "contract": contract, "missing": [*missing]}
    )
    schema = RowSchema.of(ingest.contract.columns, ingest)
    if schema is None:
        return "engine"
    try:
        row = schema.decoder.decode(json.dumps({"x": value}).encode())
        return schema.values(row)[0]
    except (msgspec.ValidationError, UndecidedError):
        return "engine"


_REQUIRED = {"nullable": False}


@pytest.mark.parametrize(
    ("column", "value", "missing", "decoded"),
    [
        ({"type": "float64"}, 2**53 - 1, (), 2.0**53 - 1),
        ({"type": "float64"}, 2**53, (), "engine"),
        ({"type": "float64"}, -(2**53), (), "engine"),
        ({"type": "float64", "range": [0, 5]}, 5, (), 5.0),
        ({"type": "float64", "range": [0, 5]}, 5.1, (), "engine"),
        ({"type": "float64"}, -1, ("-1",), None),
        ({"type": "float64", **_REQUIRED}, -1, ("-1",), "engine"),
        ({"type": "float64", "values": [1, 2]}, 2, ("1",), 2.0),
        ({"type": "float64", "values": [1, 2]}, 1, ("1",), None),
        ({"type": "float64", "values": [1, 2], **_REQUIRED}, 1, ("1",), "engine"),
        ({"type": "float64", "values": [1, 2]}, 3, (), "engine"),
        ({"type": "int64"}, 2**53 - 1, (), 2**53 - 1),
        ({"type": "int64"}, 2**53, (), "engine"),
        ({"type": "int64", "range": [0.5, 5.5]}, 0, (), "engine"),
        ({"type": "int64", "range": [0.5, 5.5]}, 1, (), 1),
        ({"type": "int64", "range": [0.5, 5.5]}, 6, (), "engine"),
        ({"type": "string"}, "a", (), "a"),
        ({"type": "string"}, " a", (), "engine"),
        ({"type": "string"}, "a\0b", (), "engine"),
        ({"type": "string"}, "a", ("0",), "a"),
        ({"type": "string"}, "00", ("0",), "engine"),
        ({"type": "string"}, "n/a", ("n/a",), None),
        ({"type": "string", **_REQUIRED}, "n/a", ("n/a",), "engine"),
        ({"type": "string", "length": [2, 3]}, "a", (), "engine"),
        ({"type": "string", "length": [2, 3]}, "abc", (), "abc"),
        ({"type": "string", "values": ["a", "n/a"]}, "a", ("n/a",), "a"),
        ({"type": "string", "values": ["a", "n/a"]}, "n/a", ("n/a",), "engine"),
        ({"type": "string", "values": ["a", " b"]}, "a", (), "engine"),
        ({"type": "string", "values": ["a", "1"]}, "a", ("0",), "engine"),
        ({"type": "bool"}, True, (), True),
        ({"type": "bool"}, True, ("0",), "engine"),
        ({"type": "date"}, "3001-09-09", (), "engine"),
        ({"type": "date"}, "2001-09-09", (), 999_993_600.0),
        ({"type": "date"}, "2001-09-0\u0669", (), "engine"),
        ({"type": "date"}, "2001-09-31", (), "engine"),
        ({"type": "date", "range": ["2000-01-01", None]}, "2001-09-09", (), "engine"),
        ({"type": "timestamp"}, "2001-09-09 01:46:40", (), 1e9),
        ({"type": "timestamp", "timezone": "Asia/Tokyo"}, "2001-09-09", (), "engine"),
    ],
)
def test_what_is_not_certain_is_left_to_the_engine(
    column: dict[str, Any], value: object, missing: tuple[str, ...], decoded: object
) -> None:
    assert _decoded(column, value, missing) == decoded
