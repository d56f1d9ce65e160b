"""Files come and the oldest go, so that all rows are drawn anew: a retrained model still counts."""

import random
from pathlib import Path
from typing import Any

import pytest

from factory_assets.components.metadata.evaluation import verdict
from factory_assets.execution.requests import StageRequest, stages_of
from factory_assets.execution.runner import run_stage
from factory_assets.execution.version_lineage import learned_rows
from factory_assets.results.base import result_as
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_assets.stages.evaluate import evaluate
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, read_arrow
from factory_resources.tracking.records import Records
from factory_resources.tracking.registry import Registry
from tests.erasures import PERSON, erase, home_of, make_people
from tests.pipelines import declare, enter

pytestmark = pytest.mark.slow

# A forest knows the rows that it has learned from by heart.
_DECLARED: dict[str, Any] = {
    "purpose": "Tell good from bad",
    "ingest": {"source": {"files": "*.csv"}},
    "train": {"target": "good", "model": {"kind": "random_forest", "trees": 60}},
    "evaluate": {"bootstrap": 60},
}


def _write(folder: Path, month: int) -> None:
    draw = random.Random(month)
    rows = []
    for _ in range(100):
        size, weight = draw.gauss(0, 1), draw.gauss(0, 1)
        rows.append(f"{size:.5f},{weight:.5f},{int(size + draw.gauss(0, 1) > 0)}")
    (folder / f"2024-{month:02}.csv").write_text("\n".join(["size,weight,good", *rows]) + "\n")


def _run(pipeline: Pipeline, home: Home, run_id: str) -> None:
    for stage in stages_of(pipeline):
        run_stage(StageRequest(pipeline, stage, home, run_id))


def _latest(kind: Any, stage: str, home: Home) -> Any:
    record = Records(home).latest("apples", stage)
    assert record
    return result_as(kind, record)


def _rows(snapshots: tuple[Snapshot, ...], home: Home) -> list[tuple[Any, ...]]:
    names = ["size", "weight", "good"]
    tables = [read_arrow(one, home, names) for one in snapshots]
    return [tuple(row.values()) for table in tables for row in table.to_pylist()]


def test_a_champion_is_not_judged_on_rows_that_it_has_learned_from(tmp_path: Path) -> None:
    folder, home = tmp_path / "apples", Home(tmp_path / "home")
    pipeline = declare(folder, _DECLARED)
    for month in range(1, 6):
        _write(folder, month)
    _run(pipeline, home, "first")
    assert Registry(home).champion("apples") == 1
    (folder / "2024-01.csv").unlink()
    _write(folder, 6)
    _run(pipeline, home, "second")
    assert Registry(home).champion("apples") == 2

    found: EvaluationResult = _latest(EvaluationResult, "evaluate", home)
    parts: SplitResult = _latest(SplitResult, "split", home)
    known = {*_rows(learned_rows("apples", 1, home), home)}
    new = [row not in known for row in _rows((parts.test,), home)]
    assert 20 < sum(new) < 60
    assert found.compared
    assert (found.compared.rows, found.compared.judged) == (sum(new), len(new))
    assert found.champion is None
    [gate] = found.gates
    assert gate.value == found.compared.metrics["average_precision"]
    assert gate.difference
    assert gate.difference.rows == sum(new)
    assert found.compared.line in gate.explanation
    page = verdict(found)
    assert found.compared.line in page
    assert f"| candidate on {sum(new)} rows | champion on {sum(new)} rows |" in page

    # On all test rows, most of which it knows, the champion seems better, and nothing is as good.
    candidate: Candidate = _latest(Candidate, "train", home)
    unfair = evaluate(pipeline, parts, candidate, home, champion=1)
    assert unfair.champion
    assert unfair.champion["average_precision"] > found.compared.champion["average_precision"]
    assert not unfair.passed

    none_left = evaluate(pipeline, parts, candidate, home, champion=1, learned=(parts.test,))
    [gate] = none_left.gates
    assert not gate.passed
    assert "v1 has learned from all of them (default gate" in gate.explanation


def test_rows_of_a_version_that_are_gone_are_not_known(tmp_path: Path) -> None:
    folder, home = tmp_path / "apples", Home(tmp_path / "home")
    pipeline = declare(folder, _DECLARED)
    _write(folder, 1)
    _run(pipeline, home, "first")
    rows = learned_rows("apples", 1, home)
    parts: SplitResult = _latest(SplitResult, "split", home)
    assert rows == (parts.train, parts.validation)
    assert learned_rows("apples", 2, home) == ()
    [file] = parts.validation.paths(home)
    file.unlink()
    assert learned_rows("apples", 1, home) == ()


def test_rows_that_were_not_erased_are_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_people(tmp_path)
    enter(tmp_path, monkeypatch)
    home = home_of(tmp_path)
    before = _numbers(learned_rows("people", 1, home), home)
    assert PERSON in before
    assert erase()
    assert _numbers(learned_rows("people", 1, home), home) == before - {PERSON}


def _numbers(snapshots: tuple[Snapshot, ...], home: Home) -> set[int]:
    return {number for one in snapshots for number in read_arrow(one, home)["nbr"].to_pylist()}
