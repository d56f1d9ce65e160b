"""Declared uncertainty, from `factory run` to a served answer, its log, trace and proof."""

import copy
import csv
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_assets.serving.edge import score as program
from factory_resources.home.home import PROJECT
from tests.approvals import Factory
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.serving import SOON, PredictionServer, serving
from tests.waiting import wait_until

pytestmark = pytest.mark.slow

VERIFIER = str(PROJECT / "factory_resources" / "ledger" / "factory_verify.py")

ROWS = [{"size": 0.5 + i / 2, "colour": ("red", "green")[i % 2]} for i in range(14)]


@pytest.fixture(scope="module")
def uncertain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    factory = Factory(tmp_path_factory.mktemp("uncertain"))
    folder = factory.defs / "apples"
    write_apples(folder)
    declared: dict[str, Any] = copy.deepcopy(APPLES)
    declared["train"]["uncertainty"] = {"coverage": 0.8, "by": "colour", "abstain": True}
    declared["split"] = {"validation": 0.3}
    declared["evaluate"]["gates"] = [{"metric": "coverage", "at_least": 0.6}]
    declare(folder, declared)
    with pytest.MonkeyPatch.context() as patch:
        enter(factory.root, patch)
        run(RunSelection(["apples"]), Console(file=io.StringIO(), width=200))
        yield factory


@pytest.fixture(scope="module")
def server(uncertain: Factory) -> Iterator[PredictionServer]:
    with serving(uncertain.home.path, code=SOON) as running:
        yield running


def test_an_answer_its_trace_and_its_proof_have_the_same_set(
    uncertain: Factory, server: PredictionServer, tmp_path: Path
) -> None:
    answer = server.ask("/predict/apples", ROWS).json
    assert answer["coverage"] == 0.8
    assert {one["abstained"] for one in answer["predictions"]} == {True, False}
    chosen = next(one for one in answer["predictions"] if one["abstained"])
    code, text = uncertain.factory("trace", chosen["id"], "--json")
    assert code == 0, text
    traced = json.loads(text)["output"]
    for name in ("prediction", "set", "abstained"):
        assert traced[name] == chosen[name]
    printed = uncertain.factory("trace", chosen["id"])[1]
    assert f"output    set = {chosen['set']!r}" in printed
    assert "output    abstained = True" in printed
    proof = tmp_path / "proof.json"
    wait_until(
        lambda: uncertain.factory("answers", "prove", chosen["id"], "--out", str(proof))[0] == 0,
        seconds=40,
    )
    home = shutil.copytree(uncertain.home.path, tmp_path / "copy")
    done = subprocess.run(
        [sys.executable, VERIFIER, str(home), "--prediction", str(proof)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "was answered as the proof says" in done.stdout


def test_a_pack_answers_the_same_and_its_log_comes_home_with_it(
    uncertain: Factory, server: PredictionServer, tmp_path: Path
) -> None:
    folder = tmp_path / "pack"
    code, text = uncertain.factory("pack", "--edge", "apples", "--out", str(folder))
    assert code == 0, text
    with program.Model(str(folder)) as model:
        found = model.predict(ROWS)
    for packed, served in zip(
        found, server.ask("/predict/apples", ROWS).json["predictions"], strict=True
    ):
        assert {**packed, "id": served["id"]} == served
    code, text = uncertain.factory("ingest-log", str(folder))
    assert code == 0, text
    code, text = uncertain.factory("trace", found[3]["id"], "--json")
    assert code == 0, text
    traced = json.loads(text)
    assert traced["protocol"] == "edge"
    assert traced["output"]["set"] == found[3]["set"]
    assert traced["output"]["abstained"] == found[3]["abstained"]


def test_a_file_and_the_dossier_tell_the_same(
    uncertain: Factory, server: PredictionServer, tmp_path: Path
) -> None:
    file, out = tmp_path / "new.jsonl", tmp_path / "scored.csv"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    code, text = uncertain.factory("predict", "apples", str(file), "--out", str(out))
    assert code == 0, text
    with out.open(newline="") as lines:
        scored = [*csv.DictReader(lines)]
    found = server.ask("/predict/apples", ROWS).json["predictions"]
    for row, one in zip(scored, found, strict=True):
        assert row["abstained"] == str(one["abstained"]).lower()
        assert [name for name in ("bad", "good") if row[f"set_{name}"] == "true"] == one["set"]
    code, text = uncertain.factory("dossier", "apples@1", "--format", "json")
    assert code == 0, text
    assert "declared coverage of sets or intervals" in text
    assert "coverage_red" in text
