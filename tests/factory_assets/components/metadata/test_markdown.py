"""Data on the asset pages is shown as plain text, whatever it contains."""

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.components.metadata.evaluation import verdict
from factory_assets.components.metadata.markdown import column, mlflow_links, portfolio, table
from factory_assets.results.evaluation import AnswersCompared, EvaluationResult, GateResult
from factory_assets.results.model import Candidate, Champion, Portfolio, PortfolioMember
from factory_assets.spec import IDENTITY
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot
from tests.pipelines import APPLES, declare

HOSTILE = st.text(st.sampled_from("|\\`<>[]()!&#*_\n\r\t\u2028\u202e\x1b\x00 ab"), max_size=45)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("<script>alert(1)</script>", "&lt;script>alert(1)&lt;/script>"),
        ("![x](http://127.0.0.1/x.png)", "!\\[x](http://127.0.0.1/x.png)"),
        ("a | b\n| c |", "a \\| b \\| c \\|"),
        ("`code` &lt;b&gt;", "'code' &amp;lt;b&amp;gt;"),
        ("\x1b[2J\u202eabc\r", " \\[2J abc "),
        (None, ""),
        (0.1, "0.1"),
        ("x" * 41, "x" * 39 + "…"),
    ],
)
def test_a_cell_is_escaped_and_shortened(value: object, shown: str) -> None:
    assert table(["a"], [[value]]).splitlines()[2] == f"| {shown} |"


def test_each_column_of_the_identity_of_a_row_is_described(tmp_path: Path) -> None:
    pipeline = declare(tmp_path / "apples", APPLES)
    described = [column(pipeline, name) for name in IDENTITY]
    assert described == [
        "The source that the row comes from, by its SHA-256.",
        "The number of its record there, from 1 on.",
    ]


@given(st.lists(st.lists(HOSTILE, min_size=2, max_size=2), max_size=4), HOSTILE)
def test_no_cell_breaks_out_of_the_table(rows: list[list[str]], name: str) -> None:
    lines = table([name, "b"], rows).split("\n")
    assert len(lines) == len(rows) + 2
    for line in lines:
        assert line.isprintable()
        # Without escaped characters, only the three bars of two columns remain.
        plain = re.sub(r"\\.", "", line)
        assert plain.count("|") == 3
        assert not {"<", "[", "`"} & set(plain)


def test_links_to_mlflow_hold_at_every_address_of_the_front_door() -> None:
    champion = Champion.model_construct(model="apples", version=3, run_id="0123456789abcdef")
    run, version = re.findall(r"\]\((.*?)\)", mlflow_links(champion))
    assert run == "/mlflow/#/runs/0123456789abcdef"
    assert version == "/mlflow/#/models/apples/versions/3"


def test_members_are_listed_from_the_best_below_their_picture(tmp_path: Path) -> None:
    figures = (
        ("linear", 0.8, 0.01, 0.25),
        ("mlp", 0.9, None, 0.75),
        ("extra_trees", None, None, 0),
    )
    members = tuple(
        PortfolioMember(kind=kind, value=value, sd=sd, weight=weight)
        for kind, value, sd, weight in figures
    )
    tried = Portfolio(
        metric="roc_auc",
        higher_is_better=True,
        rows=1234,
        folds=5,
        members=members,
        value=0.92,
        sd=0.02,
    )
    candidate = Candidate.model_construct(model="apples", version=3)
    picture, told, leaderboard = portfolio(candidate, tried, Home(tmp_path)).split("\n\n")
    encoded = picture.partition("base64,")[2].rstrip(")")
    assert base64.b64decode(encoded).startswith(b"\x89PNG")
    assert told == (
        "2 of 3 members kept: mlp 75 %, linear 25 %. "
        "Judged on 1,234 rows that no member had learned from."
    )
    assert leaderboard.splitlines()[2:] == [
        "| blend | 0.92 ± 0.02 |  |",
        "| mlp | 0.9 | 75% |",
        "| linear | 0.8 ± 0.01 | 25% |",
        "| extra_trees | undefined | 0% |",
    ]


def test_an_evaluation_shows_values_of_the_data_as_text() -> None:
    link = "[yes](http://127.0.0.1)"
    gate = GateResult(
        name="coverage_at_least",
        metric="coverage",
        value=0.9,
        bound=0.8,
        passed=True,
        explanation=f"coverage of {link}",
    )
    answers = AnswersCompared(chosen=3, digest="0", ends=None, reason=f"no class {link}")
    value = EvaluationResult.model_construct(
        candidate=Candidate.model_construct(classes=("no", link), threshold=0.5),
        headline="coverage",
        predictions=Snapshot.model_construct(files=()),
        metrics={"coverage": 0.9},
        intervals={},
        baselines={},
        champion=None,
        gates=(gate,),
        answers=answers,
    )
    lines = [line for line in verdict(value).splitlines() if "yes" in line]
    assert len(lines) == 3
    assert all(r"\[yes](http" in line for line in lines)
