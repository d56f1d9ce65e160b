"""Verdicts, end to end through the real stages on small data."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from factory_assets.components.metadata import evaluation
from factory_assets.ml.artifacts.onnx_model import load_served
from factory_assets.ml.evaluation import baselines
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import EvaluationResult, GateResult
from factory_assets.results.model import Candidate
from factory_assets.spec import Pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.evaluate import evaluate
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_assets.stages.train import train
from factory_resources.errors import (
    DataError,
    DeclarationError,
    ModelError,
    RefusedError,
    StorageError,
)
from factory_resources.home.home import Home
from factory_resources.tables.snapshot import Snapshot, TableFile, read_arrow
from factory_resources.tracking.registry import Registry
from tests.factory_assets.ml.metrics.cases import classification_metrics, regression_metrics
from tests.factory_assets.ml.models.cases import serve
from tests.pipelines import declare

pytestmark = pytest.mark.slow

GATES = [
    {"metric": "roc_auc", "at_least": 0.6},
    {"metric": "roc_auc", "better_than": "trivial"},
    {"metric": "roc_auc", "no_worse_than": "champion", "margin": 0.02},
]


@dataclass(frozen=True)
class Case:
    """A pipeline that has come as far as its candidate."""

    pipeline: Pipeline
    parts: SplitResult
    candidate: Candidate
    home: Home

    def judge(self, champion: int | None = None, **changes: Any) -> EvaluationResult:
        pipeline = changed(self.pipeline, evaluate=changes) if changes else self.pipeline
        return evaluate(pipeline, self.parts, self.candidate, self.home, champion=champion)


def changed(pipeline: Pipeline, **sections: Mapping[str, Any]) -> Pipeline:
    """The pipeline with some keys of its declaration replaced."""
    spec = pipeline.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)
    for name, section in sections.items():
        spec[name] = {**spec.get(name, {}), **section}
    return Pipeline(pipeline.name, type(pipeline.spec).model_validate(spec), pipeline.folder)


def write_pears(folder: Path, rows: int = 600) -> None:
    """Size tells the label half of the time, and the weight exactly up to noise."""
    generator = np.random.default_rng(0)
    size = generator.normal(5, 2, rows)
    good = generator.random(rows) < 1 / (1 + np.exp(5 - size))
    weight = 30 * size + generator.normal(0, 10, rows)
    tree = np.arange(rows) // 10
    lines = (
        f"{s:.3f},{'ABC'[i % 3]},{t},{i % 10},{w:.3f},{'good' if g else 'bad'}"
        for i, (s, t, w, g) in enumerate(zip(size, tree, weight, good, strict=True))
    )
    header = "size,site,tree,day,weight,label"
    (folder / "data.csv").write_text("\n".join([header, *lines]) + "\n")


PEARS: dict[str, Any] = {
    "purpose": "Tell good pears from bad",
    "ingest": {"source": {"files": "data.csv"}},
    "split": {"stratify": "label"},
    "train": {"target": "label", "exclude": ["weight", "tree"], "model": {"kind": "linear"}},
    "evaluate": {"gates": GATES, "slices": ["site"], "bootstrap": 60},
}
WEIGHTS: dict[str, Any] = {
    **PEARS,
    "split": {},
    "train": {"target": "weight", "exclude": ["label", "tree"], "model": {"kind": "linear"}},
    "evaluate": {"gates": [{"metric": "rmse", "at_most": 15}], "bootstrap": 60, "clip": 150},
}


def prepare(folder: Path, home: Home, attributes: dict[str, Any]) -> Case:
    pipeline = declare(folder, copy.deepcopy(attributes))
    if not (folder / "data.csv").exists():
        write_pears(folder)
    parts = split(pipeline, clean(pipeline, ingest(pipeline, home), home), home)
    return Case(pipeline, parts, train(pipeline, parts, home), home)


@pytest.fixture(scope="module")
def pears(tmp_path_factory: pytest.TempPathFactory) -> Case:
    root = tmp_path_factory.mktemp("pears")
    return prepare(root / "pears", Home(root / "home"), PEARS)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Case:
    root = tmp_path_factory.mktemp("weights")
    return prepare(root / "weights", Home(root / "home"), WEIGHTS)


@pytest.fixture(scope="module")
def verdict(pears: Case) -> EvaluationResult:
    return pears.judge()


def gate(verdict: EvaluationResult, name: str) -> GateResult:
    return next(gate for gate in verdict.gates if gate.name == name)


def test_metrics_are_those_of_the_stored_predictions(
    pears: Case, verdict: EvaluationResult
) -> None:
    stored = read_arrow(verdict.predictions, pears.home)
    test = read_arrow(pears.parts.test, pears.home)
    assert stored.column_names == ["_file", "_row", "truth", "p_0", "p_1"]
    for name, column in (("_file", "_file"), ("_row", "_row"), ("truth", "label")):
        assert stored[name].to_pylist() == test[column].to_pylist()
    outputs = np.stack([stored["p_0"].to_numpy(), stored["p_1"].to_numpy()], axis=1)
    classes = pears.candidate.classes
    codes = np.array([classes.index(name) for name in stored["truth"].to_pylist()])
    again = classification_metrics(codes, outputs, pears.candidate.threshold, classes)
    assert verdict.metrics == pytest.approx(again, rel=1e-9)


def test_verdict_is_complete(pears: Case, verdict: EvaluationResult) -> None:
    assert verdict.passed
    assert verdict.headline == "average_precision"
    assert set(verdict.intervals) == {"average_precision", "roc_auc"}
    for name, (low, high) in verdict.intervals.items():
        assert low < verdict.metrics[name] < high
    assert verdict.baselines["trivial"]["roc_auc"] == 0.5
    # The candidate is the linear model itself.
    assert verdict.baselines["linear"] == verdict.metrics
    assert [s.value for s in verdict.slices] == sorted("ABC", key=_rows_of(verdict), reverse=True)
    assert sum(s.rows for s in verdict.slices) == pears.parts.test.rows
    assert all({"average_precision", "accuracy"} == set(s.metrics) for s in verdict.slices)
    for path in verdict.pictures.values():
        assert (pears.home.pictures / path).read_bytes().startswith(b"\x89PNG")
    assert set(verdict.pictures) >= {"ROC curve", "calibration", "slices"}
    assert EvaluationResult.model_validate_json(verdict.model_dump_json()) == verdict


def test_decisions_are_shown_at_the_threshold_and_at_half(
    pears: Case, verdict: EvaluationResult
) -> None:
    stored = read_arrow(verdict.predictions, pears.home)
    outputs = np.stack([stored["p_0"].to_numpy(), stored["p_1"].to_numpy()], axis=1)
    classes = pears.candidate.classes
    codes = np.array([classes.index(name) for name in stored["truth"].to_pylist()])
    half = classification_metrics(codes, outputs, 0.5, classes)
    names = {"accuracy", "balanced_accuracy", "f1", "precision", "recall"}
    assert verdict.at_half == pytest.approx({name: half[name] for name in names})
    high = changed(pears.pipeline, train={"threshold": 0.9})
    candidate = train(high, pears.parts, pears.home)
    strict = evaluate(high, pears.parts, candidate, pears.home, champion=None)
    assert strict.at_half == verdict.at_half
    assert strict.metrics["recall"] < strict.at_half["recall"]
    logged = Registry(pears.home).client.get_run(pears.candidate.run_id).data
    assert logged.metrics["at_half_f1"] == verdict.at_half["f1"]
    assert logged.params["threshold"] == "best f1 on the held-out rows"
    shown = evaluation.verdict(verdict)
    assert f"predicted from a probability of {pears.candidate.threshold:.3g}" in shown
    assert "candidate at .5" in shown


def test_numbers_have_no_threshold(weights: Case) -> None:
    assert weights.judge().at_half == {}


def test_coverage_is_measured_gated_and_shown(pears: Case) -> None:
    gates = [
        {"metric": "coverage", "at_least": 0.6},
        {"metric": "coverage", "group": "A", "at_least": 0.6},
        {"metric": "set_size", "at_most": 1.01},
        {"metric": "abstention_rate", "at_most": 0.9},
    ]
    uncertainty = {"by": "site", "abstain": True}
    declared = changed(
        pears.pipeline, train={"uncertainty": uncertainty}, evaluate={"gates": gates}
    )
    candidate = train(declared, pears.parts, pears.home)
    assert candidate.regions
    assert candidate.regions.rows == pears.parts.train.rows + pears.parts.validation.rows
    case = Case(declared, pears.parts, candidate, pears.home)
    verdict = case.judge()
    found = verdict.metrics
    rows = read_arrow(pears.parts.test, pears.home).select(["label", "site"]).to_pylist()
    outputs = read_arrow(verdict.predictions, pears.home).select(["p_0", "p_1"]).to_pylist()
    limits = {one.group: one.bound for one in candidate.regions.groups}
    covered: dict[str, list[bool]] = {"A": [], "B": [], "C": []}
    for row, p in zip(rows, outputs, strict=True):
        chance = p[f"p_{candidate.classes.index(row['label'])}"]
        covered[row["site"]].append(1 - chance <= (limits[row["site"]] or 1))
    assert found["coverage"] == pytest.approx(np.mean([*chain.from_iterable(covered.values())]))
    for site, hits in covered.items():
        assert found[f"coverage_{site}"] == pytest.approx(np.mean(hits))
    assert found["selective_accuracy"] > found["accuracy"]
    assert 1 < found["set_size"] < 2
    assert [gate.passed for gate in verdict.gates[:4]] == [True, True, False, True]
    assert verdict.gates[1].name == "coverage_A_at_least"
    low, high = verdict.intervals["coverage"]
    assert low < found["coverage"] < high
    assert "coverage_B" in evaluation.verdict(verdict)
    # The model is the same but for its bounds.
    assert candidate.validation == pears.candidate.validation
    missing = [{"metric": "coverage", "group": "Z", "at_least": 0.5}]
    with pytest.raises(DataError, match="coverage_Z is undefined on the 120 judged test rows"):
        case.judge(gates=missing)


def test_width_and_coverage_of_intervals(weights: Case) -> None:
    gates = [{"metric": "interval_width", "at_most": 60}]
    declared = changed(
        weights.pipeline, train={"uncertainty": {"coverage": 0.8}}, evaluate={"gates": gates}
    )
    candidate = train(declared, weights.parts, weights.home)
    verdict = Case(declared, weights.parts, candidate, weights.home).judge()
    # The noise has a standard deviation of 10: 80 % lie within 1.28 of them.
    assert verdict.metrics["interval_width"] == pytest.approx(25.6, rel=0.35)
    assert verdict.metrics["coverage"] == pytest.approx(0.8, abs=0.15)
    assert verdict.gates[0].passed
    assert not {"set_size", "abstention_rate"} & verdict.metrics.keys()


def test_few_held_out_rows_are_told_while_training(weights: Case) -> None:
    lines: list[str] = []
    declared = changed(weights.pipeline, train={"uncertainty": {"coverage": 0.999}})
    candidate = train(declared, weights.parts, weights.home, progress=lines.append)
    [line] = [line for line in lines if line.startswith("uncertainty")]
    told = "uncertainty: 480 held-out rows are too few (a coverage of 0.999 takes 9"
    assert line.startswith(told)
    verdict = Case(declared, weights.parts, candidate, weights.home).judge()
    assert verdict.metrics["coverage"] == 1
    assert "interval_width" not in verdict.metrics


def test_decisions_worse_than_always_the_majority_are_told(pears: Case) -> None:
    assert pears.judge().majority_warning is None
    declared = changed(pears.pipeline, train={"threshold": 0.001})
    candidate = train(declared, pears.parts, pears.home)
    verdict = Case(declared, pears.parts, candidate, pears.home).judge()
    assert verdict.majority_warning
    assert "**Warning**: " in evaluation.verdict(verdict)


@pytest.mark.parametrize(("case", "known"), [("pears", "size"), ("weights", "size")])
def test_a_model_that_chance_may_explain_is_told(
    case: str, known: str, request: pytest.FixtureRequest
) -> None:
    made: Case = request.getfixturevalue(case)
    verdict = made.judge()
    assert verdict.chance_warning is None
    assert verdict.over_trivial
    named, trivial = verdict.headline, verdict.baselines["trivial"]
    gain = verdict.metrics[named] - trivial[named]
    assert verdict.over_trivial.value == pytest.approx(gain)
    excluded = [*made.pipeline.spec.training.exclude, known]
    noise = changed(made.pipeline, train={"exclude": excluded})
    candidate = train(noise, made.parts, made.home)
    verdict = Case(noise, made.parts, candidate, made.home).judge()
    assert verdict.chance_warning
    assert f"{named} is not shown to be better than that of a constant" in verdict.chance_warning
    assert verdict.chance_warning in evaluation.verdict(verdict)


def _rows_of(verdict: EvaluationResult) -> Any:
    return {s.value: s.rows for s in verdict.slices}.__getitem__


def test_same_in_same_out(pears: Case, verdict: EvaluationResult) -> None:
    assert pears.judge() == verdict


def test_mlflow_run_carries_the_verdict(pears: Case, verdict: EvaluationResult) -> None:
    registry = Registry(pears.home)
    run = registry.client.get_run(pears.candidate.run_id)
    found = {k: v for k, v in run.data.metrics.items() if k.startswith("test_")}
    assert found == {f"test_{name}": value for name, value in verdict.metrics.items()}
    assert run.info.status == "FINISHED"
    tags = registry.version_tags(pears.candidate.model, pears.candidate.version)
    assert tags["factory.gates"] == "passed"
    files = registry.run_files(pears.candidate.model, pears.candidate.run_id) / "evaluation"
    gates = json.loads((files / "gates.json").read_text())
    assert [g["name"] for g in gates] == [g.name for g in verdict.gates]
    assert len(list(files.glob("*.png"))) == len(verdict.pictures)


def test_folds_stand_beside_the_test(pears: Case) -> None:
    """They judge all 600 rows, decide a gate of their own, and leave the test's figures alone."""
    gates = [{"metric": "roc_auc", "of": "folds", "at_least": 0.999}, GATES[0]]
    verdict = pears.judge(folds=3, gates=gates)
    assert verdict.folds is not None
    assert verdict.folds.rows == 600
    assert [gate.passed for gate in verdict.gates] == [False, True, True]
    assert verdict.metrics == pears.judge().metrics
    assert set(verdict.intervals) == {"average_precision", "roc_auc"}
    logged = Registry(pears.home).client.get_run(pears.candidate.run_id).data.metrics
    assert logged["cv_roc_auc_mean"] == verdict.gates[0].value
    assert logged["cv_roc_auc_sd"] == verdict.folds.metrics["roc_auc"].sd
    assert EvaluationResult.model_validate_json(verdict.model_dump_json()) == verdict
    before = pears.judge().model_dump(exclude={"folds"})
    assert EvaluationResult.model_validate(before).folds is None


def test_protected_groups_and_small_slices(pears: Case) -> None:
    """The three sites have 40 test rows each, about half of them good."""
    gate = {"metric": "selection_rate_difference", "at_most": 1.0}
    verdict = pears.judge(protected=["site"], min_rows=30, gates=[gate], slices=["site", "day"])
    assert verdict.passed
    assert sorted(group.value for group in verdict.groups) == ["A", "B", "C"]
    assert all("selection_rate" in group.rates for group in verdict.groups)
    rates = [group.rates["selection_rate"].value for group in verdict.groups]
    assert verdict.metrics["selection_rate_difference"] == pytest.approx(max(rates) - min(rates))
    assert {"selection_rate_difference", "selection_rate_ratio"} <= set(verdict.intervals)
    assert "selection_rate_difference" in verdict.baselines["linear"]
    # Ten days have about 12 rows each.
    assert {s.column for s in verdict.slices if s.metrics} == {"site"}
    assert {s.column for s in verdict.slices if not s.metrics} == {"day"}
    assert "slices" not in pears.judge(slices=["day"]).pictures


def test_inputs_are_looked_at(pears: Case, verdict: EvaluationResult) -> None:
    """By default which matter; how they hold out where it is asked for."""
    assert verdict.importances is not None
    assert verdict.importances.columns[0].column == "size"
    assert "importances" in verdict.pictures
    assert verdict.robustness == ()
    files = Registry(pears.home).run_files(pears.candidate.model, pears.candidate.run_id)
    told = json.loads((files / "evaluation" / "importances.json").read_text())
    assert told == verdict.importances.model_dump(mode="json")
    disturbed = pears.judge(robustness={"noise": [1.0], "missing": []}, importances=0)
    assert disturbed.importances is None
    assert not {"importances"} & set(disturbed.pictures)
    assert "robustness" in disturbed.pictures
    (noisy,) = disturbed.robustness
    assert noisy.mean < disturbed.metrics["average_precision"]
    logged = Registry(pears.home).client.get_run(pears.candidate.run_id).data.metrics
    assert logged["robustness_noise_1_average_precision"] == noisy.mean
    assert EvaluationResult.model_validate_json(disturbed.model_dump_json()) == disturbed


def test_a_failed_gate_fails_the_verdict(pears: Case) -> None:
    verdict = pears.judge(gates=[{"metric": "roc_auc", "at_least": 0.999}])
    assert not verdict.passed
    assert "is below 0.999" in verdict.gates[0].explanation
    tags = Registry(pears.home).version_tags(pears.candidate.model, pears.candidate.version)
    assert tags["factory.gates"] == "failed"


def test_linear_baseline_is_fitted_beside_another_model(pears: Case) -> None:
    forest = changed(pears.pipeline, train={"model": {"kind": "random_forest", "trees": 20}})
    candidate = train(forest, pears.parts, pears.home)
    verdict = evaluate(forest, pears.parts, candidate, pears.home, champion=None)
    assert verdict.metrics != verdict.baselines["linear"]
    assert verdict.baselines["linear"] == pytest.approx(pears.judge().metrics)


def test_linear_baseline_of_a_sample_has_the_candidates_positive_class(
    pears: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the class that is the rarer one among the rows that were sampled."""
    forest = changed(pears.pipeline, train={"model": {"kind": "random_forest", "trees": 20}})
    candidate = train(forest, pears.parts, pears.home)

    def mostly_positive(part: Snapshot, home: Home) -> pa.Table:
        rows = read_arrow(part, home)
        kept = pc.or_(pc.equal(rows["label"], candidate.classes[1]), pc.equal(rows["site"], "A"))
        return rows.filter(kept)

    monkeypatch.setattr(baselines, "sample_rows", mostly_positive)
    verdict = evaluate(forest, pears.parts, candidate, pears.home, champion=None)
    assert verdict.baselines["linear"]["roc_auc"] > 0.6


def test_linear_baseline_of_a_sample_has_the_candidates_task(
    weights: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not that of the few whole numbers among the rows that were sampled."""
    model = {"kind": "random_forest", "trees": 20}
    train_section = {"target": "tree", "exclude": ["label"], "model": model}
    forest = changed(weights.pipeline, train=train_section)
    candidate = train(forest, weights.parts, weights.home)

    def few_trees(part: Snapshot, home: Home) -> pa.Table:
        rows = read_arrow(part, home)
        return rows.filter(pc.less(rows["tree"], 15))

    monkeypatch.setattr(baselines, "sample_rows", few_trees)
    verdict = evaluate(forest, weights.parts, candidate, weights.home, champion=None)
    assert candidate.task == "regression"
    assert verdict.baselines["linear"]["rmse"] > 0


def test_linear_baseline_of_a_sample_without_the_rarer_class_is_the_constant_guess(
    pears: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    forest = changed(pears.pipeline, train={"model": {"kind": "random_forest", "trees": 5}})
    candidate = train(forest, pears.parts, pears.home)

    def only_negative(part: Snapshot, home: Home) -> pa.Table:
        rows = read_arrow(part, home)
        return rows.filter(pc.equal(rows["label"], candidate.classes[0]))

    monkeypatch.setattr(baselines, "sample_rows", only_negative)
    verdict = evaluate(forest, pears.parts, candidate, pears.home, champion=None)
    assert verdict.baselines["linear"] == verdict.baselines["trivial"]


def test_champion_is_judged_on_the_same_rows(pears: Case) -> None:
    worse = changed(pears.pipeline, train={"exclude": ["weight", "tree", "size"]})
    candidate = train(worse, pears.parts, pears.home)
    verdict = evaluate(worse, pears.parts, candidate, pears.home, champion=pears.candidate.version)
    assert verdict.champion_version == pears.candidate.version
    assert verdict.champion == pytest.approx(pears.judge().metrics)
    result = gate(verdict, "roc_auc_no_worse_than_champion")
    assert not result.passed
    assert "is worse than the champion's" in result.explanation
    difference = result.difference
    assert difference is not None
    assert difference.value < difference.high < -0.02
    assert difference.rows == verdict.predictions.rows
    shown = Registry(pears.home).client.get_run(candidate.run_id).data.metrics
    assert shown["champion_difference_roc_auc_high"] == pytest.approx(difference.high)
    assert f"90 % interval {difference.low:+.3g} to" in evaluation.verdict(verdict)
    # The other way round the champion is beaten.
    assert pears.judge(champion=candidate.version).passed


def test_the_same_model_again_does_not_differ_from_the_champion(pears: Case) -> None:
    for gates in ([], [{"metric": "log_loss", "no_worse_than": "champion"}]):
        verdict = pears.judge(champion=pears.candidate.version, gates=gates)
        (result,) = verdict.gates
        assert result.passed
        assert result.difference is not None
        found = (result.difference.value, result.difference.low, result.difference.high)
        assert found == (0.0, 0.0, 0.0)


def test_without_intervals_the_values_decide(pears: Case) -> None:
    verdict = pears.judge(champion=pears.candidate.version, bootstrap=0)
    result = gate(verdict, "roc_auc_no_worse_than_champion")
    assert result.passed
    assert result.difference is None
    assert "interval" not in result.explanation


def test_a_worse_model_does_not_replace_a_better_one_by_default(pears: Case) -> None:
    """Once without any gate, once beside another one."""
    worse = changed(pears.pipeline, train={"exclude": ["weight", "tree", "size"]})
    candidate = train(worse, pears.parts, pears.home)
    case = Case(worse, pears.parts, candidate, pears.home)
    for gates in ([], [{"metric": "roc_auc", "at_least": 0.1}]):
        verdict = case.judge(champion=pears.candidate.version, gates=gates)
        result = gate(verdict, "no_worse_than_champion")
        assert (result.metric, result.passed) == ("average_precision", False)
        with pytest.raises(RefusedError, match=r"default gate.*champion: off"):
            serve(worse, pears.parts, candidate, verdict, pears.home)
        assert case.judge(champion=None, gates=gates).passed
    assert case.judge(champion=pears.candidate.version, gates={"champion": "off"}).passed


def test_champion_whose_input_is_gone_fails_its_gate_readably(tmp_path: Path, home: Home) -> None:
    before = prepare(tmp_path / "pears", home, PEARS)
    data = tmp_path / "pears" / "data.csv"
    header, *lines = data.read_text().splitlines()
    data.write_text("\n".join([header.replace("size", "width"), *lines]) + "\n")
    after = prepare(tmp_path / "pears", home, PEARS)
    verdict = after.judge(champion=before.candidate.version)
    result = gate(verdict, "roc_auc_no_worse_than_champion")
    assert not result.passed
    assert "input column 'size' is missing" in result.explanation
    assert verdict.champion is None
    assert verdict.champion_version == before.candidate.version
    assert gate(verdict, "roc_auc_at_least").passed


def test_champion_that_predicts_numbers_where_the_candidate_has_classes_is_told(
    pears: Case,
) -> None:
    """Whole numbers of up to 20 values are classes: one value more, and they are numbers."""
    train_section = {"target": "day", "exclude": ["label"], "leaks": {"action": "off"}}
    counted = changed(pears.pipeline, train=train_section, evaluate={"gates": []}, split={})
    numbers = changed(counted, train={"task": "regression"})
    rival = train(numbers, pears.parts, pears.home)
    candidate = train(counted, pears.parts, pears.home)
    [result] = Case(counted, pears.parts, candidate, pears.home).judge(rival.version).gates
    assert "it predicts numbers, the candidate the classes 0, 1, 2" in result.explanation
    assert "declare train.task, and it stays the same" in result.explanation


def test_champion_of_another_target_or_version_that_is_gone(pears: Case) -> None:
    other = changed(pears.pipeline, train={"target": "site", "exclude": ["label"]})
    rival = train(other, pears.parts, pears.home)
    result = gate(pears.judge(champion=rival.version), "roc_auc_no_worse_than_champion")
    assert not result.passed
    assert "predicts site, not label" in result.explanation
    [negative, positive] = pears.candidate.classes
    turned = changed(pears.pipeline, train={"positive": negative})
    rival = train(turned, pears.parts, pears.home)
    result = gate(pears.judge(champion=rival.version), "roc_auc_no_worse_than_champion")
    assert f"its positive class is {negative}, the candidate's {positive}" in result.explanation
    assert f"declare train.positive: {negative}, and it stays the same" in result.explanation
    kept = changed(pears.pipeline, train={"positive": positive})
    verdict = Case(kept, pears.parts, pears.candidate, pears.home).judge(champion=rival.version)
    result = gate(verdict, "roc_auc_no_worse_than_champion")
    assert f"the candidate's {positive}, as train.positive says" in result.explanation
    result = gate(pears.judge(champion=999), "roc_auc_no_worse_than_champion")
    assert not result.passed
    assert "there is no version 999" in result.explanation


NET = """
import lightning.pytorch as pl
import torch

class Net(pl.LightningModule):
    def __init__(self, numeric, categories, outputs):
        super().__init__()
        self.layer = torch.nn.Linear(numeric, outputs)

    def forward(self, numbers, codes):
        return SIGN * self.layer(numbers)
"""


def test_champion_of_own_code_is_what_was_deployed_not_what_the_code_says_now(
    tmp_path: Path, home: Home
) -> None:
    model = {"python": "net:Net", "learning_rate": 0.1, "epochs": 20}
    own = {**PEARS["train"], "model": model}
    folder = tmp_path / "pears"
    folder.mkdir()
    (folder / "net.py").write_text(NET.replace("SIGN", "1"))
    case = prepare(folder, home, {**PEARS, "train": own})
    first = case.judge()
    serve(case.pipeline, case.parts, case.candidate, first, home)
    (folder / "net.py").write_text(NET.replace("SIGN", "-1"))
    again = train(case.pipeline, case.parts, home)
    verdict = evaluate(case.pipeline, case.parts, again, home, champion=case.candidate.version)
    # Read by the new code, the champion would score at one minus this.
    assert verdict.champion == pytest.approx(first.metrics, rel=1e-3)


def test_champion_of_own_code_may_be_a_forest_whose_served_votes_round(
    tmp_path: Path, home: Home
) -> None:
    forest = {
        "python": "sklearn.ensemble:RandomForestClassifier",
        "args": {"n_estimators": 10, "random_state": 0},
    }
    own = {**PEARS["train"], "model": forest}
    case = prepare(tmp_path / "pears", home, {**PEARS, "train": own})
    first = case.judge()
    serve(case.pipeline, case.parts, case.candidate, first, home)
    version = Registry(home).version(case.candidate.model, case.candidate.version)
    served = load_served(Registry(home), version).outputs(read_arrow(case.parts.test, home))
    assert served.min() < 0
    champion = case.judge(champion=case.candidate.version).champion
    assert champion
    for name in ("log_loss", "brier", "roc_auc"):
        assert champion[name] == pytest.approx(first.metrics[name], abs=1e-3)


def test_a_changed_model_file_is_not_judged(tmp_path: Path, home: Home) -> None:
    case = prepare(tmp_path / "pears", home, PEARS)
    version = Registry(home).version(case.candidate.model, case.candidate.version)
    weights = version.files / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    with pytest.raises(ModelError, match=r"weights\.safetensors"):
        case.judge()


def test_regression(weights: Case) -> None:
    verdict = weights.judge()
    stored = read_arrow(verdict.predictions, weights.home)
    assert stored.column_names == ["_file", "_row", "truth", "prediction"]
    again = regression_metrics(stored["truth"].to_numpy(), stored["prediction"].to_numpy(), 150)
    assert verdict.metrics == pytest.approx(again)
    assert verdict.headline == "rmse"
    assert verdict.passed
    assert verdict.metrics["rmse"] < 15 < verdict.baselines["trivial"]["rmse"]
    training = read_arrow(weights.parts.train, weights.home, ["weight"])["weight"].to_numpy()
    trivial = ((stored["truth"].to_numpy() - training.mean()) ** 2).mean() ** 0.5
    assert verdict.baselines["trivial"]["rmse"] == pytest.approx(trivial)
    distances = abs(stored["truth"].to_numpy() - np.median(training))
    assert verdict.baselines["trivial"]["mae"] == pytest.approx(distances.mean())


def test_by_distance_the_gain_is_over_the_median(weights: Case) -> None:
    verdict = weights.judge(metric="mae", gates=[{"metric": "mae", "better_than": "trivial"}])
    assert verdict.over_trivial
    gain = verdict.metrics["mae"] - verdict.baselines["trivial"]["mae"]
    assert verdict.over_trivial.value == pytest.approx(gain)


def test_last_judges_one_row_a_unit(weights: Case) -> None:
    verdict = weights.judge(last={"by": "tree", "order": "day"})
    stored = read_arrow(verdict.predictions, weights.home)
    test = read_arrow(weights.parts.test, weights.home)
    units = set(test["tree"].to_pylist())
    latest = test.group_by("tree").aggregate([("day", "max")])
    days = dict(zip(*(latest[c].to_pylist() for c in ("tree", "day_max")), strict=True))
    expected = [
        row
        for row, tree, day in zip(
            *(test[c].to_pylist() for c in ("_row", "tree", "day")), strict=True
        )
        if days[tree] == day
    ]
    assert verdict.predictions.rows == len(units)
    assert stored["_row"].to_pylist() == expected


def test_train_opens_no_test_row_and_evaluate_does(tmp_path: Path, home: Home) -> None:
    case = prepare(tmp_path / "pears", home, PEARS)
    case.parts.test.paths(home)[0].unlink()
    again = train(case.pipeline, case.parts, home)
    assert again.digest == case.candidate.digest
    with pytest.raises(StorageError, match="cannot be read"):
        case.judge()


def test_test_rows_change_no_model_and_no_baseline(pears: Case) -> None:
    """Only the truth of the test rows is turned round: the outputs must stay as they are."""

    def turn(table: pa.Table) -> pa.Table:
        other = {"good": "bad", "bad": "good"}
        return with_labels(table, [other[name] for name in table["label"].to_pylist()])

    before = pears.judge()
    after = altered_test(pears, turn).judge()
    assert after.metrics["roc_auc"] == pytest.approx(1 - before.metrics["roc_auc"])
    stored = [read_arrow(v.predictions, pears.home)["p_1"].to_pylist() for v in (before, after)]
    assert stored[0] == stored[1]


def altered_test(case: Case, alter: Callable[[pa.Table], pa.Table]) -> Case:
    """Return the case with other test rows, in a table file of their own."""
    table = alter(read_arrow(case.parts.test, case.home))
    path = case.parts.test.paths(case.home)[0].with_name("altered.parquet")
    pq.write_table(table, path)
    content = path.read_bytes()
    file = TableFile(sha256=sha256(content).hexdigest(), rows=table.num_rows, bytes=len(content))
    path.rename(path.with_name(file.name))
    test = case.parts.test.model_copy(update={"files": (file,)})
    return replace(case, parts=case.parts.model_copy(update={"test": test}))


def with_labels(table: pa.Table, names: list[str]) -> pa.Table:
    return table.set_column(table.column_names.index("label"), "label", [names])


def test_a_class_that_training_never_saw_is_an_error(pears: Case) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        return with_labels(table, ["rotten", "rotten", *table["label"].to_pylist()[2:]])

    case = altered_test(pears, spoil)
    with pytest.raises(
        DataError, match="2 test rows have a class that no training row has: label is rotten"
    ):
        case.judge()


def test_a_metric_of_another_task_is_a_mistake_in_the_declaration(pears: Case) -> None:
    with pytest.raises(DeclarationError, match=r"'rmse' does not fit a binary target.*roc_auc"):
        pears.judge(metric="rmse")


def test_a_metric_that_the_test_rows_do_not_define_is_an_error(pears: Case) -> None:
    case = altered_test(pears, lambda table: table.slice(0, 1))
    with pytest.raises(
        DataError,
        match="average_precision is undefined on the 1 judged test rows; none of them is of class "
        r"'\w+': .*more.* of .*, or choose another metric",
    ):
        case.judge()


@pytest.mark.parametrize(
    ("declared", "remedy"),
    [
        (
            {"gates": {"metric": "asymmetric_score", "at_most": 9.0}, "asymmetry": {"early": 1e-3}},
            "an error is so many times its scale that the score is infinite",
        ),
        ({"metric": "r2"}, "it needs rows that differ in the target"),
    ],
)
def test_a_metric_of_numbers_that_is_undefined_says_what_it_needs(
    weights: Case, declared: dict[str, Any], remedy: str
) -> None:
    case = altered_test(weights, lambda table: table.slice(0, 1))
    with pytest.raises(DataError, match=rf"is undefined on the 1 judged test rows; {remedy}"):
        case.judge(**declared)


def test_a_slice_column_that_is_not_there(pears: Case) -> None:
    with pytest.raises(DataError, match=r"evaluate\.slices.*did you mean 'site'"):
        pears.judge(slices=["sites"])
