"""A column may be called like anything that the split calls its own."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import read_arrow
from tests.pipelines import declare

WORDS = (
    *("part", "place", "rank", "n", "key", "stratum", "groups", "source", "parts", "rows", "value"),
    *("moment", "upto", "tested", "validated"),
)
ROWS = 240


@pytest.mark.parametrize(
    ("way", "target"),
    [
        ({}, "part"),
        ({"stratify": "part"}, "part"),
        ({"stratify": "place"}, "grade"),
        ({"group": "part"}, "grade"),
        ({"group": "key"}, "grade"),
        ({"time": "moment"}, "grade"),
        ({"given": {"column": "part", "test": "p0"}}, "grade"),
        ({"given": {"column": "part", "test": "p0"}, "group": "place"}, "grade"),
        ({"given": {"column": "place", "test": "p0", "validation": "p1"}}, "grade"),
    ],
    ids=str,
)
def test_words_of_the_split_may_name_columns(
    home: Home, tmp_path: Path, way: dict[str, Any], target: str
) -> None:
    folder = tmp_path / "words"
    pipeline = declare(
        folder,
        {
            "purpose": "Split whatever it is called",
            "ingest": {"source": {"files": "data.csv"}},
            "split": way,
            "train": {"target": target, "model": {"kind": "linear"}},
        },
    )
    rows = [[*[f"p{i % 12:x}"] * len(WORDS), "good" if i // 12 % 2 else "bad"] for i in range(ROWS)]
    lines = [",".join(row) for row in [[*WORDS, "grade"], *rows]]
    (folder / "data.csv").write_text("\n".join(lines) + "\n")
    parts = split(pipeline, clean(pipeline, ingest(pipeline, home), home), home)
    assert parts.train.rows + parts.validation.rows + parts.test.rows == ROWS
    for part in (parts.train, parts.validation, parts.test):
        assert {*WORDS, "grade"} < set(read_arrow(part, home).column_names)
