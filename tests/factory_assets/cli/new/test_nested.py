"""`factory new` on columns whose values hold several values, or that a table cannot have."""

import json
import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_assets.cli.new.new import new
from factory_assets.declarations.loader import load_pipeline
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import drafted

_VALUES: list[tuple[object, str]] = [
    *(({"a": 1}, "jsonl"), ([1], "jsonl"), ({}, "jsonl"), ([], "jsonl")),
    *(({"a": 1}, "parquet"), ([1], "parquet")),
]


@pytest.mark.parametrize(("value", "kind"), _VALUES)
def test_nested_values_are_no_inputs_however_few_there_are(
    value: object, kind: str, tmp_path: Path
) -> None:
    chance = random.Random(3)
    other = [2] if isinstance(value, list) else {"a": 2}
    rows = [
        {"o": chance.choice([value, other, None]), "x": chance.random(), "y": i % 2}
        for i in range(90)
    ]
    file = tmp_path / f"data.{kind}"
    if kind == "jsonl":
        file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    made = new("drafted", source=file, target="y", folder=tmp_path / "defs")
    spec = load_pipeline(made.path.parent).spec
    assert spec.training.exclude == ("o",)
    assert spec.evaluate.slices == ()


def test_columns_that_a_table_cannot_have_are_left_out_and_named(
    tmp_path: Path, home: Home
) -> None:
    count = 90
    table = pa.table(
        {
            "d": pa.array(range(count), pa.duration("us")),
            "picture": pa.array([b"\xff\xd8"] * count),
            "place": pa.array(["Köln".encode(), b"Bonn", None] * (count // 3)),
            "x": [i * 7 % 11 for i in range(count)],
            "y": [i // 3 % 2 for i in range(count)],
        }
    )
    for number in range(2):
        pq.write_table(table, tmp_path / f"{number}.parquet")
    source = tmp_path / "*.parquet"
    made = new("drafted", source=source, target="y", folder=tmp_path / "defs")
    text = made.path.read_text()
    assert "# column d is not read: it holds durations, which would be bare numbers" in text
    assert "# column picture is not read: it holds bytes that are no text" in text
    drawn = load_pipeline(made.path.parent)
    result = ingest(drawn, home)
    assert set(result.snapshot.columns) == {"place", "x", "y", "_file", "_row"}
    assert set(column(result.snapshot, home, "place")) == {"Köln", "Bonn", None}


def test_few_intervals_in_brackets_are_an_input(tmp_path: Path) -> None:
    rows = "".join(f'"[{i % 3}, {i % 3 + 1}]",{i * 7 % 11},{i // 3 % 2}\n' for i in range(90))
    assert drafted(tmp_path, "range,x,y\n" + rows, "y").spec.training.exclude == ()


def test_nested_values_are_not_guessed_as_the_target(tmp_path: Path) -> None:
    rows = [{"a": i % 7, "spam": i % 3 == 0, "to": ["x"] * (i % 2 + 1)} for i in range(90)]
    (tmp_path / "mails.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    made = new("drafted", source=tmp_path / "mails.jsonl", folder=tmp_path / "defs")
    assert made.target == "a"
