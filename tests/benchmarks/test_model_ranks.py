"""Arithmetic of the model comparison: figures, ranks, wins, the choice by validation rows."""

from dataclasses import replace

import pytest

from benchmarks.modelling.groups import GroupCounts
from benchmarks.modelling.ranks import (
    BEST_KIND,
    best_kind,
    differences,
    figures,
    mean_ranks,
    ranks,
    spread,
    wins,
)
from benchmarks.modelling.records import Record
from benchmarks.modelling.report import Report


def _record(
    contestant: str, seed: int, fold: int, value: float | None, validation: float | None = None
) -> Record:
    metrics = {} if value is None else {"roc_auc": value}
    return Record("heart", contestant, seed, fold, metrics, validation, cpu=2.0, wall=3.0)


def test_figure_of_a_seed_is_the_mean_of_its_folds() -> None:
    records = [
        _record("linear", 0, 0, 0.8),
        _record("linear", 0, 1, 0.9),
        _record("linear", 1, 0, 0.7),
        _record("linear", 1, 1, 0.7),
    ]
    found = figures(records, "roc_auc")
    assert found["linear"] == pytest.approx([0.85, 0.7])
    assert spread(found["linear"]) == pytest.approx(0.1060660)
    assert spread([0.5]) is None


def test_no_figure_without_an_answer_on_every_fold() -> None:
    records = [
        _record("linear", 0, 0, 0.8),
        _record("linear", 0, 1, 0.8),
        _record("AutoGluon", 0, 0, 0.9),
        _record("AutoGluon", 0, 1, None),
    ]
    assert figures(records, "roc_auc").keys() == {"linear"}


def test_equal_figures_share_ranks_and_who_has_none_is_last() -> None:
    found = {"a": [0.9], "b": [0.8], "c": [0.9]}
    assert ranks(found, ["a", "b", "c", "d"], "roc_auc") == {"a": 1.5, "b": 3, "c": 1.5, "d": 4}
    assert ranks(found, ["a", "b"], "rmse") == {"a": 2, "b": 1}


def test_mean_rank_is_over_problems_best_first() -> None:
    problems = {
        "heart": ("roc_auc", {"a": [0.9, 0.9], "b": [0.8, 0.8]}),
        "cars": ("rmse", {"a": [3.0], "b": [2.0]}),
        "wages": ("rmse", {"a": [3.0], "b": [2.0]}),
    }
    assert mean_ranks(problems, ["a", "b"]) == pytest.approx({"b": 4 / 3, "a": 5 / 3})
    assert [*mean_ranks(problems, ["a", "b"])] == ["b", "a"]


def test_differences_are_positive_where_the_first_is_better() -> None:
    found = {"a": [0.9, 0.8], "b": [0.8, 0.9]}
    assert differences(found, "a", "b", "roc_auc") == pytest.approx([0.1, -0.1])
    assert differences(found, "a", "b", "rmse") == pytest.approx([-0.1, 0.1])
    assert differences(found, "a", "c", "rmse") == []


def test_wins_count_problems_and_seeds_without_ties() -> None:
    problems = {
        "heart": ("roc_auc", {"a": [0.9, 0.8, 0.7], "b": [0.8, 0.8, 0.9]}),
        "cars": ("rmse", {"a": [1.0, 1.0], "b": [2.0, 3.0]}),
    }
    counted = wins(problems, "a", "b")
    assert (counted.won, counted.of) == (3, 4)
    low, high = counted.interval
    assert low == pytest.approx(0.3006, abs=1e-4)
    assert high == pytest.approx(0.9544, abs=1e-4)
    assert wins(problems, "a", "c").of == 0


def test_best_kind_is_chosen_by_validation_rows_alone() -> None:
    records = [
        _record("linear", 0, 0, 0.95, validation=0.7),
        _record("mlp", 0, 0, 0.6, validation=0.8),
        _record("linear", 0, 1, 0.5, validation=0.9),
        _record("mlp", 0, 1, 0.9, validation=0.8),
        _record("LightGBM", 0, 1, 1.0),
    ]
    chosen = best_kind(records, ["linear", "mlp"], "roc_auc")
    assert [record.metrics["roc_auc"] for record in chosen] == [0.6, 0.5]
    assert [record.cpu for record in chosen] == [4.0, 4.0]
    assert {record.contestant for record in chosen} == {BEST_KIND}
    losses = best_kind(records, ["linear", "mlp"], "log_loss")
    assert [record.metrics["roc_auc"] for record in losses] == [0.95, 0.9]


def test_report_shows_the_coverage_of_the_factory_s_models() -> None:
    records = [
        replace(_record("linear", seed, 0, 0.9), metrics={"roc_auc": 0.9, "coverage": covered})
        for seed, covered in enumerate([0.88, 0.92])
    ]
    text = Report.of([*records, _record("LightGBM", 0, 0, 0.91)], ["heart"]).markdown()
    assert "| problem | linear |\n| --- | --- |\n| heart | 0.9000 ± 0.0283 |" in text


def test_report_counts_the_rows_of_a_group_over_folds() -> None:
    records = [
        replace(_record("linear", 0, 0, 0.9), groups={"f": GroupCounts(10, 9, 5)}),
        replace(_record("linear", 0, 1, 0.9), groups={"f": GroupCounts(30, 27, 25)}),
        replace(_record("linear", 0, 1, 0.9), groups={"m": GroupCounts(4, 4, 3)}),
    ]
    text = Report.of(records, ["heart"]).markdown()
    lines = "| heart: f | 40 | 0.9000 / 0.7500 |\n| heart: m | 4 | 1.0000 / 0.7500 |"
    assert f"| group | rows | linear |\n| --- | --- | --- |\n{lines}" in text


def test_report_judges_the_declared_model_and_names_who_was_absent() -> None:
    records = [_record(name, 0, 0, 0.91) for name in ("declared", "LightGBM")]
    report = Report.of(records, ["heart"])
    assert not report.missed
    text = report.markdown()
    assert "| heart: roc_auc | 0.9100 | 0.905 | 0.912 | yes |" in text
    assert "contains the truth" not in text
    assert "| AutoGluon | not measured | not measured |" in text
    assert Report.of([_record("declared", 0, 0, 0.9)], ["heart"]).missed
