"""Values that differ only in case, blanks or Unicode form are told, and one line makes them one."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.cli.new.new import new
from factory_assets.data.split_checks import split_checks
from factory_assets.declarations.loader import load_pipeline
from factory_assets.results.checks import TableCheck
from factory_assets.results.data import SplitResult
from factory_assets.serving.scoring_rows import rows_to_score
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_resources.errors import ExpressionError
from factory_resources.home.home import Home
from tests.data_stages import column, pipeline
from tests.long_run import in_long

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"

BLANK = "\u00a0"


def _write(folder: Path, answers: list[str], colours: list[str]) -> None:
    lines = [f"{i},{colours[i % len(colours)]},{answers[i % len(answers)]}" for i in range(60)]
    (folder / "data.csv").write_text("\n".join(["x,colour,answer", *lines]) + "\n")


def _split(folder: Path, home: Home, **parts: Any) -> tuple[SplitResult, TableCheck]:
    made = pipeline(folder, "answer", **parts)
    result = split(made, clean(made, ingest(made, home), home), home)
    return result, next(check for check in split_checks(made, result) if check.name == "spellings")


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        (["Yes", "no", "yes", "Yes"], "'Yes' (30 rows) and 'yes' (15 rows)"),
        (["yes", "no", f"yes{BLANK}"], r"'yes' (20 rows) and 'yes\xa0' (20 rows)"),
        *in_long(
            [
                (["a b", "no", "a  b", "a b"], "'a b' (30 rows) and 'a  b' (15 rows)"),
                (
                    [COMPOSED, "no", DECOMPOSED, COMPOSED],
                    r"'caf\xe9' (30 rows) and 'cafe\u0301' (15 rows)",
                ),
            ]
        ),
    ],
)
def test_spellings_of_one_label_are_told_with_counts_and_mended_by_the_line_that_is_told(
    answers: list[str], says: str, tmp_path: Path, home: Home
) -> None:
    _write(tmp_path, answers, ["red", "blue", "Red"])
    result, check = _split(tmp_path, home)
    assert (check.passed, check.blocking) == (False, False)
    assert says in check.says
    assert "'colour' spells 1 value in several ways (20 rows" in check.says
    assert check.remedy == "make each one value with clean.unify: [answer, colour]"
    assert check.numbers["rows of 'colour'"] == 20
    mended, check = _split(tmp_path, home, clean={"unify": ["answer", "colour"]})
    assert check.passed, check.says
    assert mended.data_version != result.data_version
    assert len(set(column(mended.train, home, "answer"))) == 2


def test_nothing_is_told_of_other_texts(tmp_path: Path, home: Home) -> None:
    _write(tmp_path, ["Yes", "no", "maybe"], ["red", "blue"])
    result, check = _split(tmp_path, home)
    assert result.spellings == {}
    assert check.passed
    # An excluded column is no category, and the values of a sensitive one are not told.
    _write(tmp_path, ["yes", "no"], ["red", "Red"])
    assert _split(tmp_path, home, **_training(exclude=["colour"]))[1].passed
    contract = [
        {"name": "x", "type": "int64"},
        {"name": "colour", "sensitive": "personal"},
        {"name": "answer"},
    ]
    part = {"source": {"files": "data.csv"}, "contract": contract}
    result, check = _split(tmp_path, home, ingest=part)
    assert check.says == "'colour' spells 1 value in several ways (30 rows)"
    assert result.spellings["colour"].examples == ()
    # Nor are those of one that became sensitive after they were stored.
    declared = pipeline(tmp_path, "answer", ingest=part)
    stored, _ = _split(tmp_path, home)
    assert stored.spellings["colour"].examples
    again = next(check for check in split_checks(declared, stored) if check.name == "spellings")
    assert again.says == check.says


def _training(**keys: Any) -> dict[str, Any]:
    return {"train": {"target": "answer", "model": {"kind": "linear"}, **keys}}


def test_rules_and_duplicates_see_one_spelling(tmp_path: Path, home: Home) -> None:
    (tmp_path / "data.csv").write_text(f"colour,y\nRed,1\n red{BLANK},2\nBLUE,3\n{BLANK},4\n")
    declared = {"unify": ["colour"], "deduplicate": ["colour"], "where": {"known": "colour <> 'x'"}}
    made = pipeline(tmp_path, clean=declared)
    result = clean(made, ingest(made, home), home)
    assert column(result.snapshot, home, "colour") == ["red", "blue", None]
    assert result.duplicates == 1


def test_only_text_can_be_unified(tmp_path: Path, home: Home) -> None:
    (tmp_path / "data.csv").write_text("x,y\n1,1\n2,2\n")
    made = pipeline(tmp_path, clean={"unify": ["x"]})
    ingested = ingest(made, home)
    with pytest.raises(ExpressionError, match=r"clean: unify: column 'x' is BIGINT, not text"):
        clean(made, ingested, home)
    made = pipeline(tmp_path, clean={"unify": ["z"]})
    with pytest.raises(ExpressionError, match="there is no column 'z'"):
        clean(made, ingested, home)


def test_a_declaration_without_it_is_stored_as_before(tmp_path: Path) -> None:
    assert "unify" not in pipeline(tmp_path).spec.clean.model_dump(mode="json")


def test_a_new_declaration_unifies_what_its_file_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "home"))
    _write(tmp_path, ["Yes", "no", "yes"], ["red", "blue", "Red"])
    path = new(
        "answers", source=tmp_path / "data.csv", target="answer", folder=tmp_path / "defs"
    ).path
    made = load_pipeline(path.parent)
    assert made.spec.clean.unify == ("answer", "colour")
    assert made.spec.training.task == "binary"


def test_a_scored_row_gets_the_spelling_of_the_training_rows(tmp_path: Path, home: Home) -> None:
    class Model:
        columns = ("colour",)
        inputs = {"colour": "tensor(string)"}
        booleans = ()
        ingest = pipeline(tmp_path).spec.ingest
        clean = pipeline(tmp_path, clean={"unify": ["answer", "colour"]}).spec.clean

    (tmp_path / "new.csv").write_text(f"colour\nRED\nblue{BLANK}\n")
    rows = rows_to_score(pipeline(tmp_path), Model(), tmp_path / "new.csv", home)
    assert rows.scorable["colour"].to_pylist() == ["red", "blue"]
    assert rows.refused == ()
