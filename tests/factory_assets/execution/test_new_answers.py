"""A candidate is also compared with the champion on new answers whose outcomes are known."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from rich.console import Console

from factory_assets.audit.approval_view import _verdict as approval_lines
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.components.metadata import evaluation
from factory_assets.results.base import result_as
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.serving.feedback.table import record_from_table
from factory_resources.errors import RefusedError
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.watched import PUMPS, Watched, copy_watched, lines, make_watched, rows

pytestmark = pytest.mark.slow

GATE = "roc_auc_no_worse_than_champion"

EVALUATE: dict[str, Any] = {
    "gates": [{"metric": "roc_auc", "no_worse_than": "champion"}],
    "importances": 0,
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    return make_watched(tmp_path_factory.mktemp("answered") / "made", evaluate=EVALUATE, watch=None)


@pytest.fixture
def pumps(made: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return copy_watched(made, tmp_path / "factory", monkeypatch)


def flipped(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows of a world in which those pumps fail that did not before."""
    return [{**row, "failed": 1 - row["failed"]} for row in found]


def tell(pumps: Watched, found: list[dict[str, Any]]) -> list[str]:
    """Let the champion answer the rows, and tell what turned out; return the ids."""
    ids = [answer["id"] for answer in pumps.answer(found)]
    outcomes = [row["failed"] for row in found]
    record_from_table("pumps", pa.table({"id": ids, "outcome": outcomes}), pumps.home)
    return ids


def retrain(pumps: Watched, found: list[dict[str, Any]]) -> EvaluationResult:
    """Train on these rows; a candidate that fails its gates is refused."""
    (pumps.folder / "rows.jsonl").write_text(lines(found))
    with suppress(RefusedError):
        run(RunSelection(["pumps"]), Console(quiet=True))
    return verdict(pumps)


def verdict(pumps: Watched) -> EvaluationResult:
    record = Records(pumps.home).latest("pumps", "evaluate")
    assert record is not None
    return result_as(EvaluationResult, record)


def test_a_candidate_that_is_better_on_new_answers_replaces_the_champion(pumps: Watched) -> None:
    """The world has changed, and the candidate knows."""
    ids = tell(pumps, flipped(rows(300, 5)))
    found = retrain(pumps, flipped(rows(1_500, 6)))
    assert found.passed
    assert found.answers is not None
    assert (found.answers.chosen, found.answers.reason) == (300, "")
    assert found.answers.ends == (ids[0], ids[-1])
    assert found.answers.metrics["roc_auc"] > 0.8
    assert found.answers.champion["roc_auc"] < 0.2
    [gate] = found.gates
    assert gate.on_answers is not None
    assert gate.on_answers.low > 0.5
    assert Registry(pumps.home).champion("pumps") == 2
    # What comes later changes nothing: nothing is evaluated again.
    before = Records(pumps.home).latest("pumps", "evaluate")
    tell(pumps, rows(250, 7))
    run(RunSelection(["pumps"]), Console(quiet=True))
    assert Records(pumps.home).latest("pumps", "evaluate") == before


def test_a_candidate_that_is_worse_on_new_answers_is_not_deployed(pumps: Watched) -> None:
    """It is better on its test rows, which are wrong."""
    tell(pumps, rows(300, 5))
    found = retrain(pumps, flipped(rows(1_500, 6)))
    [gate] = found.gates
    assert gate.difference is not None
    assert gate.difference.low > 0.5
    assert gate.on_answers is not None
    assert gate.on_answers.high < -0.5
    assert not found.passed
    assert "new answers, roc_auc" in gate.explanation
    assert Registry(pumps.home).champion("pumps") == 1
    assert "also compared on" in evaluation.verdict(found)
    assert any("also compared on" in line for line in approval_lines(found))


@pytest.mark.long
def test_answers_without_a_protected_column_are_compared(pumps: Watched) -> None:
    derive = {**PUMPS["clean"]["derive"], "age": "CASE WHEN wear > 2 THEN 'old' ELSE 'new' END"}
    train = {**PUMPS["train"], "exclude": ["taken", "age"]}
    evaluate = {**EVALUATE, "protected": "age"}
    pumps.declare(clean={"derive": derive}, train=train, evaluate=evaluate, watch=None)
    tell(pumps, rows(300, 5))
    found = retrain(pumps, flipped(rows(1_500, 6)))
    assert {group.value for group in found.groups} == {"old", "new"}
    assert found.answers is not None
    assert found.answers.reason == ""
    assert found.gates[0].on_answers is not None


def test_too_few_new_answers_give_no_verdict(pumps: Watched) -> None:
    tell(pumps, rows(60, 5))
    found = retrain(pumps, flipped(rows(1_500, 6)))
    assert found.passed
    assert found.answers is not None
    assert "fewer than 200" in found.answers.line
    assert found.gates[0].on_answers is None
    assert "no verdict from 60 new answers" in evaluation.verdict(found)


def test_without_outcomes_the_result_is_as_it_was(made: Watched) -> None:
    content = json.loads(verdict(made).model_dump_json())
    assert "answers" not in content
    record = Records(made.home).latest("pumps", "evaluate")
    assert record is not None
    assert "answers" not in record.parts
    assert "answers" not in record.parts["declaration"]


def test_answers_that_taught_the_candidate_are_left_out(pumps: Watched) -> None:
    tell(pumps, rows(250, 5))
    # What the model did not read was not logged.
    contract = [one for one in PUMPS["ingest"]["contract"] if one["name"] != "taken"]
    both = {"old": {"files": "rows.jsonl"}, "new": {"answers": "pumps"}}
    ingest = {"sources": both, "label": "origin", "contract": contract}
    train = {**PUMPS["train"], "exclude": []}
    pumps.declare(ingest=ingest, train=train, evaluate=EVALUATE, watch=None)
    found = retrain(pumps, rows(1_500, 6))
    assert found.candidate.version == 2
    assert found.answers is None
