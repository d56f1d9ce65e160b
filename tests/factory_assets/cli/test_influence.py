"""`factory influence`: both lists with the lines of their rows, and the cases that it refuses."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_assets.cli.wrapping import WIDTH
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.results.base import result_as
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.record_graph import RecordGraph
from factory_resources.erasure.manifest import manifest_file
from factory_resources.home.home import Home
from tests.data_stages import rows as rows_of
from tests.erasures import note_erased
from tests.pipelines import declare

pytestmark = pytest.mark.slow

STAGES = ("ingest", "clean", "split", "train", "evaluate")

WRONG = (30, 75, 111)
"""Records with the wrong label."""


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
        "train": {
            "target": "label",
            "model": {
                "kind": "auto",
                "members": [{"kind": "linear"}, {"kind": "extra_trees", "trees": 10}],
            },
        },
        "evaluate": {
            "importances": 0,
            "bootstrap": 0,
            "influence": {"seeds": 1, "subsets": 8, "rows": 5, "at_least": at_least},
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
    """The folder of a pipeline that has run up to evaluate."""
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


def influence(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["influence", *arguments])


def influence_report(*arguments: str) -> dict[str, Any]:
    result = influence(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.output))


def test_listed_rows_are_those_of_the_source_file(folder: Path) -> None:
    report = influence_report("fruit@1", "--row", "1", "--top", "5")
    lines = (folder / "data.csv").read_text().splitlines()
    assert report["said"] in {"good", "bad"}
    assert report["lds"] > 0.3
    assert len(report["rows"]) == 5
    sizes = [abs(row["score"]) for row in report["rows"]]
    assert sizes == sorted(sizes, reverse=True)
    for row in report["rows"]:
        assert row["lines"] == [row["record"] + 1] * 2
        assert lines[row["record"]].endswith(f",{row['label']}")
        assert row["source"].endswith("data.csv")


def test_rows_that_decided_and_were_learned_from_are_listed_with_their_lines(folder: Path) -> None:
    report = influence_report("fruit@1", "--suspicious", "--top", "128")
    assert report["training_rows"] == len(report["rows"]) == 112 + 16
    lines = (folder / "data.csv").read_text().splitlines()
    for row in report["rows"]:
        assert lines[row["record"]].endswith(f",{row['label']}")
    assert len({row["record"] for row in report["rows"]}) == 128


def test_wrongly_labelled_similar_rows_have_a_negative_score(folder: Path) -> None:
    """The row of the file is as large as wrongly labelled ones, which lower its prediction."""
    (folder / "new.csv").write_text("size,weight\n2.4,0.0\n")
    report = influence_report(
        "fruit@1", "--file", str(folder / "new.csv"), "--row", "1", "--top", "100"
    )
    assert (report["said"], report["about"]) == ("good", "row 1 of new.csv")
    score = {row["record"]: row["score"] for row in report["rows"]}
    lines = (folder / "data.csv").read_text().splitlines()
    opposing = [r for r in WRONG if r in score and lines[r].startswith("2.5")]
    assert opposing
    assert all(score[record] < 0 for record in opposing)


def test_wrong_labels_are_suspicious() -> None:
    report = influence_report("fruit@1", "--suspicious")
    first = [row["record"] for row in report["rows"]]
    in_training = [record for record in WRONG if record in first]
    assert in_training
    assert set(first[: len(in_training)]) == set(in_training)


def test_text_fits_a_terminal_and_shows_no_input(folder: Path) -> None:
    for arguments in (["--row", "2"], ["--suspicious"]):
        result = influence("fruit@1", *arguments)
        assert result.exit_code == 0
        assert max(map(len, result.output.splitlines())) <= WIDTH
        assert "data.csv, line" in result.output
        assert "claimed" in result.output or "labels to look at" in result.output
        for line in (folder / "data.csv").read_text().splitlines()[1:]:
            assert line.split(",")[0] not in result.output.replace("+", " ").split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fruit@1"], "needs either --row or --suspicious"),
        (["fruit@1", "--row", "1", "--suspicious"], "needs either --row or --suspicious"),
        (["fruit@9", "--row", "1"], "fruit has no version 9"),
        (["fruit/clean", "--row", "1"], "is not a model version"),
        (["fruit@1", "--row", "100000"], "there is no row 100000"),
        (["fruit@1", "--row", "many"], "is not a row number"),
        (["fruit@1", "--row", "100000", "--file", "FOLDER/data.csv"], "there is no row 100000"),
    ],
)
def test_a_wrong_request_is_one_line(arguments: list[str], message: str, folder: Path) -> None:
    result = influence(*(word.replace("FOLDER", str(folder)) for word in arguments))
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert message in line


def test_refuses_if_the_measured_score_is_low_or_missing(folder: Path) -> None:
    home = Home(folder.parent.parent / "home")
    strict = attributes(1.0, sensitive="personal")
    unmeasured = attributes(sensitive="personal")
    del unmeasured["evaluate"]["influence"]
    for declared, message in ((strict, "below 1; declare"), (unmeasured, "was not measured")):
        declared["train"]["seed"] = 5 if declared is strict else 6
        pipeline = declare(folder, declared)
        for stage in STAGES[3:]:
            outcome = run_stage(StageRequest(pipeline, stage, home, "run"))
        version = outcome.value.candidate.version  # type: ignore[attr-defined]
        result = influence(f"fruit@{version}", "--row", "1")
        assert result.exit_code == 2
        [line] = result.output.strip().splitlines()
        assert message in line
    declare(folder, attributes(sensitive="personal"))


def test_a_record_of_the_split_that_is_missing_is_one_line(folder: Path, tmp_path: Path) -> None:
    [record] = (folder.parent.parent / "home" / "records/fruit/split").glob("*.json")
    record.rename(tmp_path / record.name)
    result = influence("fruit@1", "--row", "1")
    (tmp_path / record.name).rename(record)
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert "fruit@1: the record of the split that it learned from is missing" in line


def test_a_version_whose_files_an_erasure_removed_is_one_line(folder: Path) -> None:
    home = Home(folder.parent.parent / "home")
    manifest = note_erased(home, {}, pipeline="fruit", gone=(1,))
    result = influence("fruit@1", "--row", "1")
    manifest_file(home, manifest.id).unlink()
    assert result.exit_code == 2
    [line] = result.output.strip().splitlines()
    assert "fruit@1: files of it were removed when somebody was erased" in line
    assert line.endswith("train a new version: factory run fruit")


@pytest.mark.long
def test_what_is_declared_today_does_not_change_the_list(folder: Path) -> None:
    """Words have statistics, of other folds for each row: how they were drawn counts, not how they
    would be drawn today.

    The members of a zip have their digest in common: each row is that of its own member."""
    chance, home = np.random.default_rng(0), Home(folder.parent.parent / "home")
    words, noise = chance.integers(70, size=700), chance.normal(size=700)
    size = chance.normal(size=70)[words] + noise / 4
    rows = [f"w{word},{s:.4f}" for word, s in zip(words, size, strict=True)]
    shops = folder.parent / "shops"
    shops.mkdir()
    members = {"north": ["word,size", *rows[:350]], "south": ["word,size", *rows[350:]]}
    with zipfile.ZipFile(shops / "data.zip", "w") as archive:
        for name, lines in members.items():
            archive.writestr(f"{name}.csv", "\n".join(lines) + "\n")
    sources = {name: {"files": "data.zip", "member": f"{name}.csv"} for name in members}
    train = {"target": "size", "exclude": ["side"], "model": {"kind": "linear"}}
    declared: dict[str, Any] = {
        "purpose": "Sizes by word",
        "ingest": {"sources": sources, "label": "side"},
        "train": {**train, "leaks": {"action": "off"}},
        "evaluate": attributes()["evaluate"],
    }
    pipeline = declare(shops, declared)
    for stage in STAGES:
        run_stage(StageRequest(pipeline, stage, home, "run"))
    report = influence_report("shops@1", "--row", "1")
    for row in report["rows"]:
        line = members[Path(row["source"]).stem][row["record"]]
        assert float(line.split(",")[1]) == float(row["label"])
    _require_explained_by_member(RecordGraph.of(home), shops)
    for today in ({"seed": 5}, {"target": "width"}):
        declare(shops, {**declared, "train": {**declared["train"], **today}})
        assert influence_report("shops@1", "--row", "1") == report
    declare(shops, {**declared, "split": {"group": "owner"}})
    assert influence_report("shops@1", "--row", "1") == report


def _require_explained_by_member(history: RecordGraph, shops: Path) -> None:
    """Require that rows with one number in two members are told apart, by number and by name."""
    [verdict] = history.of_stage("shops", "evaluate")
    [split] = history.of_stage("shops", "split")
    test = rows_of(result_as(SplitResult, split).test, history.home, "side", "_row")
    stored = rows_of(result_as(EvaluationResult, verdict).predictions, history.home)
    place = {(row["side"], row["_row"]): number for number, row in enumerate(test)}
    twice = next(number for side, number in place if ("south", number) in place and side == "north")
    for side in ("north", "south"):
        expected = f"{stored[place[side, twice]]['prediction']:.4g}"
        named = str(shops / "data.zip" / f"{side}.csv")
        for row in (str(place[side, twice] + 1), f"{named}:{twice}"):
            said = influence_report("shops@1", "--row", row)["said"]
            assert f"{float(said):.4g}" == expected
