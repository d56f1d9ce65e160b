"""`factory influence`: rows with their lines, either kind of question, and when it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_assets.cli.shared import WIDTH
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_resources.home.home import Home
from tests.pipelines import declare

pytestmark = pytest.mark.slow

STAGES = ("ingest", "clean", "split", "train", "evaluate")

WRONG = (30, 75, 111)
"""Records whose label is the other one."""


def attributes(at_least: float = 0.0, **column: Any) -> dict[str, Any]:
    return {
        "purpose": "Tell good from bad",
        "ingest": {
            "source": {"files": "data.csv"},
            "contract": [
                {"name": "size", "type": "float64", **column},
                {"name": "weight", "type": "float64"},
                {"name": "label", "type": "string"},
            ],
        },
        "clean": {"where": {"positive": "size > -100"}},
        "train": {"target": "label", "model": {"kind": "linear"}},
        "evaluate": {
            "importances": 0,
            "bootstrap": 0,
            "influence": {"subsets": 8, "rows": 5, "at_least": at_least},
        },
    }


def write(folder: Path) -> None:
    chance = np.random.default_rng(0)
    size, weight = chance.normal(size=(2, 160)).round(4)
    good = size + weight / 2 > 0
    for record in WRONG:
        size[record - 1] = 2.5 if good[record - 1] else -2.5
        good[record - 1] = size[record - 1] < 0
    rows = [f"{s},{w},{'good' if g else 'bad'}" for s, w, g in zip(size, weight, good, strict=True)]
    (folder / "data.csv").write_text("\n".join(["size,weight,label", *rows]) + "\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a pipeline that has run up to evaluate."""
    folder = tmp_path_factory.mktemp("influence") / "defs" / "fruit"
    folder.mkdir(parents=True)
    write(folder)
    pipeline = declare(folder, attributes(sensitive="personal"))
    for stage in STAGES:
        run_stage(StageRequest(pipeline, stage, Home(folder.parent.parent / "home"), "run"))
    return folder


@pytest.fixture(autouse=True)
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(folder.parent.parent / "home"))
    monkeypatch.setenv("FACTORY_DEFS", str(folder.parent))


def ask(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["influence", *arguments])


def listed(*arguments: str) -> dict[str, Any]:
    shown = ask(*arguments, "--json")
    assert shown.exit_code == 0, shown.output
    return dict(json.loads(shown.output))


def test_rows_are_those_of_the_file(folder: Path) -> None:
    found = listed("fruit@1", "--row", "1", "--top", "5")
    lines = (folder / "data.csv").read_text().splitlines()
    assert found["said"] in {"good", "bad"}
    assert found["lds"] > 0.3
    assert len(found["rows"]) == 5
    sizes = [abs(row["score"]) for row in found["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    for row in found["rows"]:
        assert row["lines"] == [row["record"] + 1] * 2
        assert lines[row["record"]].endswith(f",{row['label']}")
        assert row["source"].endswith("data.csv")


def test_labels_that_pull_the_other_way_have_the_other_sign(folder: Path) -> None:
    """A row of a file: as large as the wrong ones, which pull against what is said of it."""
    (folder / "new.csv").write_text("size,weight\n2.4,0.0\n")
    found = listed("fruit@1", "--file", str(folder / "new.csv"), "--row", "1", "--top", "100")
    assert (found["said"], found["about"]) == ("good", "row 1 of new.csv")
    score = {row["record"]: row["score"] for row in found["rows"]}
    lines = (folder / "data.csv").read_text().splitlines()
    against = [r for r in WRONG if r in score and lines[r].startswith("2.5")]
    assert against
    assert all(score[record] < 0 for record in against)


def test_wrong_labels_are_suspicious() -> None:
    found = listed("fruit@1", "--suspicious")
    first = [row["record"] for row in found["rows"]]
    in_training = [record for record in WRONG if record in first]
    assert in_training
    assert set(first[: len(in_training)]) == set(in_training)


def test_text_fits_a_terminal_and_shows_no_input(folder: Path) -> None:
    for arguments in (["--row", "2"], ["--suspicious"]):
        shown = ask("fruit@1", *arguments)
        assert shown.exit_code == 0
        assert max(map(len, shown.output.splitlines())) <= WIDTH
        assert "data.csv, line" in shown.output
        assert "claimed" in shown.output or "labels to look at" in shown.output
        for line in (folder / "data.csv").read_text().splitlines()[1:]:
            assert line.split(",")[0] not in shown.output.replace("+", " ").split()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fruit@1"], "one question at a time"),
        (["fruit@1", "--row", "1", "--suspicious"], "one question at a time"),
        (["fruit@9", "--row", "1"], "fruit has no version 9"),
        (["fruit/clean", "--row", "1"], "is no model version"),
        (["fruit@1", "--row", "100000"], "there is no row 100000"),
        (["fruit@1", "--row", "many"], "is no row"),
        (["fruit@1", "--row", "100000", "--file", "FOLDER/data.csv"], "there is no row 100000"),
    ],
)
def test_what_cannot_be_answered_is_one_line(arguments: list[str], said: str, folder: Path) -> None:
    shown = ask(*(word.replace("FOLDER", str(folder)) for word in arguments))
    assert shown.exit_code == 2
    [line] = shown.output.strip().splitlines()
    assert said in line


def test_a_list_is_refused_where_the_score_is_low_or_missing(folder: Path) -> None:
    home = Home(folder.parent.parent / "home")
    strict = attributes(1.0, sensitive="personal")
    del_ = attributes(sensitive="personal")
    del del_["evaluate"]["influence"]
    for declared, said in ((strict, "below 1"), (del_, "was not measured")):
        declared["train"]["seed"] = 5 if declared is strict else 6
        pipeline = declare(folder, declared)
        for stage in STAGES[3:]:
            outcome = run_stage(StageRequest(pipeline, stage, home, "run"))
        version = outcome.value.candidate.version  # type: ignore[attr-defined]
        shown = ask(f"fruit@{version}", "--row", "1")
        assert shown.exit_code == 2
        [line] = shown.output.strip().splitlines()
        assert said in line
    declare(folder, attributes(sensitive="personal"))
