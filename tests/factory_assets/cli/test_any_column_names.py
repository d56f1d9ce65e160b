"""Columns may be called as those that the factory's own queries make, all of them together."""

import csv
import random
from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from tests.pipelines import declare, enter

pytestmark = pytest.mark.slow

_TEXTS = [
    "text",
    "Asked",
    "name",
    "cell",
    "key",
    "source",
    "groups",
    "matched",
    "one",
    "place",
    "part",
    "value2",
    "k0",
    "c0",
]
_NUMBERS = [
    "n",
    "rank",
    "rows",
    "value",
    "row",
    "number",
    "test",
    "place2",
    "file_index",
    "i",
    "two",
    "whole",
    "tested",
    "r",
    "moment",
]


def _factory(*words: object) -> str:
    done = CliRunner().invoke(main, [*map(str, words)])
    assert done.exit_code == 0, done.output
    return done.output


def test_a_pipeline_of_such_columns_is_drafted_run_traced_watched_and_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, folder = random.Random(1), tmp_path / "defs" / "odd"
    rows = []
    for number in range(1, 121):
        row: dict[str, object] = {name: draw.choice(["red", "green", "blue"]) for name in _TEXTS}
        row |= {name: round(draw.gauss(), 4) for name in _NUMBERS}
        row["label"] = "yes" if float(str(row["value"])) > 0 else "no"
        rows.append({"person": f"Person {number:05}", **row})
    rows[41] |= {"person": "Qwertz Uiopasdf", "text": "läuft nicht rund"}
    folder.mkdir(parents=True)
    for file, part in (("data.csv", rows), ("new.csv", rows[40:50])):
        with (folder / file).open("w") as written:
            writer = csv.DictWriter(written, [*rows[0]])
            writer.writeheader()
            writer.writerows(part)
    kinds = dict.fromkeys(("person", *_TEXTS), "string") | dict.fromkeys(_NUMBERS, "float64")
    contract = [{"name": name, "type": kind} for name, kind in {**kinds, "label": "string"}.items()]
    ingest = {
        "source": {"files": "data.csv"},
        "contract": {"columns": contract, "unique": [["person", "key", "n"]]},
    }
    attributes = {
        "purpose": "Odd names",
        "ingest": ingest,
        "clean": {"where": {"small": "n < 9"}, "deduplicate": ["n", "key"]},
        "split": {"stratify": "name"},
        "train": {"target": "label", "exclude": ["person"], "model": {"kind": "linear"}},
        "watch": {},
    }
    declare(folder, attributes)
    enter(tmp_path, monkeypatch)
    _factory("new", "draft", "--from", folder / "data.csv", "--target", "label")
    assert "120 clean" in _factory("run", "odd")
    _factory("predict", "odd", folder / "new.csv", "--out", tmp_path / "scored.csv")
    _factory("monitor", "odd")
    assert "row 42" in _factory("trace", folder / "data.csv", "--row", 42)
    where = "person = 'Qwertz Uiopasdf' AND \"Asked\" IS NOT NULL"
    told = _factory("forget", "--where", where, "--reason", "request 117", "--yes")
    assert "found none" in told
    _factory("verify")
