"""The summary table: right numbers, readable in 100 columns and without colour."""

import io
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from factory_assets.cli.summary import Summary, summary_table
from factory_assets.execution.costs import CostTotal
from factory_assets.results.base import StageResult
from factory_assets.results.data import CleanResult, IngestResult
from factory_assets.results.evaluation import (
    EvaluationResult,
    FoldMetric,
    Folds,
    GateResult,
    MetricDifference,
)
from factory_assets.results.model import Candidate, Champion, Portfolio, PortfolioMember
from factory_assets.results.stages import Stage
from factory_resources.tables.snapshot import Snapshot, TableFile


def snapshot(rows: int) -> Snapshot:
    return Snapshot(
        table="p/t",
        files=(TableFile(sha256="d", rows=rows, bytes=1),),
        columns={"a": "BIGINT"},
    )


INGESTED = IngestResult(
    snapshot=snapshot(99_990),
    quarantine=snapshot(10),
    sources=(),
    rows_read=100_000,
    quarantined={"range": 10},
)

CLEANED = CleanResult(
    snapshot=snapshot(99_980),
    quarantine=snapshot(2),
    rows_in=99_990,
    quarantined={"positive": 2},
    duplicates=8,
)

CANDIDATE = Candidate(
    model="p",
    version=4,
    run_id="r",
    kind="mlp",
    task="binary",
    target="y",
    classes=("a", "b"),
    numeric=("x",),
    categorical=(),
    digest="d",
    history=(),
    best_epoch=None,
    threshold=0.5,
    validation={},
    rows=10,
    parameters=3,
)


def gate(name: str, passed: bool) -> GateResult:
    return GateResult(
        name=f"roc_auc_{name}",
        metric="roc_auc",
        value=0.9,
        bound=0.8,
        passed=passed,
        explanation="why",
    )


def verdict(*gates: GateResult) -> EvaluationResult:
    return EvaluationResult(
        candidate=CANDIDATE,
        headline="roc_auc",
        metrics={"roc_auc": 0.91234},
        intervals={"roc_auc": (0.88, 0.94)},
        baselines={"trivial": {"roc_auc": 0.5}, "linear": {"roc_auc": 0.7}},
        champion=None,
        champion_version=None,
        gates=gates,
        slices=(),
        predictions=snapshot(10),
        pictures={},
    )


def champion(version: int) -> Champion:
    return Champion(
        model="p",
        version=version,
        run_id="r",
        replaced=None,
        onnx_sha256="s",
        max_difference=0.0,
        compared_rows=1,
    )


def summary(values: dict[Stage, StageResult], **more: Any) -> Summary:
    given = {"seconds": 12.34, "megabytes": 812.6, "reused": 0, **more}
    return Summary.from_values("machine_failure", values, **given)


WHOLE: dict[Stage, StageResult] = {
    "ingest": INGESTED,
    "clean": CLEANED,
    "train": CANDIDATE,
    "evaluate": verdict(gate("at_least", True), gate("no_worse_than_champion", True)),
    "deploy": champion(4),
}


def drawn(*rows: Summary, width: int = 100) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(summary_table(rows, width))
    return stream.getvalue()


def test_rows_are_conserved_in_the_summary() -> None:
    found = summary(WHOLE)
    assert (found.rows_in, found.rows_clean) == (100_000, 99_980)
    assert (found.rows_quarantined, found.duplicates) == (12, 8)
    assert found.rows_clean is not None
    assert found.rows_in == found.rows_clean + 12 + 8


def test_the_members_of_a_blend_are_named_by_their_weight() -> None:
    shares = (("linear", 0.4), ("mlp", 0.6), ("extra_trees", 0.0))
    members = tuple(
        PortfolioMember(kind=kind, value=0.9, sd=None, weight=weight) for kind, weight in shares
    )
    portfolio = Portfolio(
        metric="f1",
        higher_is_better=True,
        rows=10,
        folds=5,
        members=members,
        value=0.91,
        sd=0.01,
    )
    trained = CANDIDATE.model_copy(update={"portfolio": portfolio})
    found = summary({**WHOLE, "train": trained})
    assert found.members == "2 of 3 members kept: mlp 60 %, linear 40 %"
    assert summary(WHOLE).members is None


def test_primary_metric_with_interval_and_baseline() -> None:
    found = summary(WHOLE)
    assert (found.metric, found.value, found.interval, found.linear) == (
        "roc_auc",
        0.91234,
        (0.88, 0.94),
        0.7,
    )


def test_a_metric_of_decisions_is_also_shown_at_half() -> None:
    judged = verdict().model_copy(update={"at_half": {"f1": 0.71}})
    values: dict[Stage, StageResult] = {"train": CANDIDATE, "evaluate": judged}
    assert "at .5" not in drawn(summary(values))
    by_f1 = judged.model_copy(update={"headline": "f1", "metrics": {"f1": 0.8}})
    assert "at .5: 0.710" in drawn(summary({**values, "evaluate": by_f1}))


def test_small_and_large_errors_have_digits_to_compare() -> None:
    """The errors of a concentration, and of a turnover."""
    judged = verdict().model_copy(
        update={
            "headline": "rmse",
            "metrics": {"rmse": 2.3456e-5},
            "intervals": {"rmse": (2.0e-5, 2.75e-5)},
            "baselines": {"linear": {"rmse": 3.1e12}},
        }
    )
    shown = drawn(summary({"train": CANDIDATE, "evaluate": judged}))
    assert "2.35e-05, linear 3.1e+12" in shown
    assert "95%: 2e-05 to 2.75e-05" in shown


def test_decisions_worse_than_the_majority_are_told() -> None:
    judged = verdict()
    values: dict[Stage, StageResult] = {"train": CANDIDATE, "evaluate": judged}
    assert "majority" not in drawn(summary(values))
    metrics = {**judged.metrics, "accuracy": 0.6}
    for constant, told in ((0.61, True), (0.6, False)):
        baselines = {"trivial": {"accuracy": constant}}
        found = judged.model_copy(update={"metrics": metrics, "baselines": baselines})
        text = drawn(summary({**values, "evaluate": found}))
        assert ("accuracy below that of" in text and "always the majority" in text) == told


def test_a_model_that_chance_may_explain_is_told() -> None:
    judged = verdict()
    values: dict[Stage, StageResult] = {"train": CANDIDATE, "evaluate": judged}
    assert "constant guess" not in drawn(summary(values))
    for low, told in ((0.01, False), (-0.01, True)):
        gain = MetricDifference(value=0.1, low=low, high=0.2, rows=90)
        found = judged.model_copy(update={"over_trivial": gain})
        text = drawn(summary({**values, "evaluate": found}))
        assert ("not shown to be better" in text and "than a constant guess" in text) == told
    for rows in (9, 10):
        file = judged.predictions.files[0].model_copy(update={"rows": rows})
        few = judged.predictions.model_copy(update={"files": (file,)})
        found = judged.model_copy(update={"predictions": few})
        assert ("constant guess" in drawn(summary({**values, "evaluate": found}))) == (rows < 10)


def test_folds_are_shown_below_the_test_metric() -> None:
    metrics = {"roc_auc": FoldMetric(values=(0.8, 0.9), pooled=0.84)}
    folds = Folds(count=2, rows=90, metrics=metrics)
    judged = verdict().model_copy(update={"folds": folds})
    found = summary({"train": CANDIDATE, "evaluate": judged})
    assert found.folds == pytest.approx((2, 0.85, 0.005**0.5))
    assert "2 folds: 0.850 ± 0.071" in drawn(found)
    assert "folds" not in drawn(summary(WHOLE))
    undefined = judged.model_copy(update={"headline": "f1"})
    assert summary({"train": CANDIDATE, "evaluate": undefined}).folds is None


@pytest.mark.parametrize(
    ("gates", "deployed", "words", "model"),
    [
        ((), 4, "none", "v4 champion"),
        ((gate("at_least", True),), 4, "1/1 passed", "v4 champion"),
        ((gate("at_least", True),), None, "1/1 passed", "v4 candidate"),
        ((gate("at_least", True),), 3, "1/1 passed", "v4 candidate"),
        # The former champion stays.
        (
            (gate("at_least", True), gate("no_worse_than_champion", False)),
            3,
            "failed:\nroc_auc no worse than champion",
            "v4 refused",
        ),
    ],
)
def test_gates_and_status_of_the_model(
    gates: tuple[GateResult, ...], deployed: int | None, words: str, model: str
) -> None:
    values: dict[Stage, StageResult] = {"train": CANDIDATE, "evaluate": verdict(*gates)}
    if deployed:
        values["deploy"] = champion(deployed)
    found = summary(values)
    assert (found.gates, found.model) == (words, model)


def test_a_run_that_stopped_early_has_a_partial_row() -> None:
    found = summary({"ingest": INGESTED})
    assert (found.rows_in, found.rows_clean, found.rows_quarantined) == (100_000, None, 10)
    assert (found.gates, found.model, found.metric) == ("-", "-", None)
    assert summary({"train": CANDIDATE}).model == "v4 candidate"
    assert "12.3 s" in drawn(summary({}))


def test_table_is_complete_without_colour() -> None:
    text = drawn(summary(WHOLE, reused=5))
    for part in (
        "machine_failure",
        "100,000 in",
        "99,980 clean",
        "12 quarantined",
        "8 duplicates",
        "0.912, linear 0.700",
        "95%: 0.880 to 0.940",
        "2/2 passed",
        "v4",
        "champion",
        "12.3 s",
        "813 MB",
        "5 reused",
    ):
        assert part in text
    assert "\x1b" not in text


def test_energy_carbon_and_what_reuse_saved() -> None:
    text = drawn(
        summary(
            WHOLE,
            reused=2,
            made=CostTotal(1.0, 0.01234, 0.0059),
            saved=CostTotal(9.0, 1234.5, None),
        )
    )
    for part in ("12.3 mWh", "5.9 mg CO2e", "2 reused", "saved 1.23 kWh"):
        assert part in text
    unknown = drawn(summary(WHOLE, made=CostTotal(1.0, 0.5, None)))
    assert "500 mWh" in unknown
    assert "CO2e" not in unknown
    assert "saved" not in unknown


def test_table_fits_100_columns_whatever_the_names() -> None:
    cost = CostTotal(1.0, 123.4, 56.7)
    long = replace(
        summary(WHOLE, reused=1, made=cost, saved=cost),
        pipeline="p" * 64,
        rows_in=20_000_000,
        rows_quarantined=10_000_000,
        metric="average_precision",
        gates="failed:\naverage_precision no worse than champion",
    )
    text = drawn(summary(WHOLE), long)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert text.count("p") >= 64
    for part in ("10,000,000 quarantined", "average_precision", "0.912, linear 0.700", "813 MB"):
        assert part in text


def test_names_are_not_read_as_markup() -> None:
    assert "[red]x[/red]" in drawn(replace(summary(WHOLE), pipeline="[red]x[/red]"))


def test_nothing_is_cut_off_in_80_columns() -> None:
    text = drawn(summary(WHOLE, reused=5), width=80)
    assert "…" not in text
    for part in ("99,980 clean", "0.912, linear 0.700", "2/2 passed", "champion", "813 MB"):
        assert part in text


@pytest.mark.parametrize("width", [40, 60, 76, 80, 100])
def test_a_narrow_terminal_loses_nothing(width: int) -> None:
    cost = CostTotal(1.0, 0.01234, 0.0059)
    rows = [
        replace(
            summary(WHOLE, reused=5, made=cost, saved=cost),
            pipeline=pipeline,
            metric="average_precision",
        )
        for pipeline in ("apples", "tumour_diagnosis")
    ]

    def told(width: int) -> list[str]:
        return sorted(drawn(*rows, width=width).replace("─", "").replace("\n", "").replace(" ", ""))

    assert told(width) == told(200)
