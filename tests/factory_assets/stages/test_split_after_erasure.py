"""Once a row is erased, the other rows stay in their parts, but for one at each cut."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.data import IngestResult, SplitResult
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from tests.data_stages import pipeline, rows
from tests.erasures import note_erased
from tests.long_run import one_in

pytestmark = pytest.mark.slow

RULES: dict[str, tuple[dict[str, Any], int]] = {
    "at random": ({}, 2),
    "at random within classes": ({"stratify": "y"}, 4),
    "by group": ({"group": "who"}, 0),
    "by time": ({"time": "day"}, 2),
    "as given": ({"given": {"column": "site", "test": ["c"], "validation": ["b"]}}, 0),
}
"""Each rule with the number of cuts, at each of which one row may move."""


def _run(declared: Pipeline, home: Home) -> tuple[IngestResult, dict[tuple[str, int], str]]:
    """Return what was read, and the part of each row."""
    ingested, _, split = (
        run_stage(StageRequest(declared, stage, home, "run")).value
        for stage in ("ingest", "clean", "split")
    )
    assert isinstance(ingested, IngestResult)
    assert isinstance(split, SplitResult)
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return ingested, {
        (row["_file"], row["_row"]): part
        for part, snapshot in parts.items()
        for row in rows(snapshot, home, "_file", "_row")
    }


@pytest.mark.parametrize("rule", one_in(2, RULES))
def test_other_rows_stay_in_their_parts(rule: str, tmp_path: Path, home: Home) -> None:
    settings, cuts = RULES[rule]
    lines = [
        f"{i % 2},w{i // 4},2024-0{i // 28 + 1}-{i % 28 + 1:02},{'aabc'[i % 4]}" for i in range(120)
    ]
    (tmp_path / "data.csv").write_text("\n".join(["y,who,day,site", *lines]) + "\n")
    declared = pipeline(tmp_path, files="data.csv", split=settings)
    ingested, before = _run(declared, home)
    [source] = ingested.sources
    for number in (1, 61, 120):
        note_erased(home, {source.sha256: [number]})
        _, after = _run(declared, home)
        assert before.keys() - after.keys() == {(source.sha256, number)}
        moved = [row for row, part in after.items() if part != before[row]]
        assert len(moved) <= cuts, moved
        before = after
