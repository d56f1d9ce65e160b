"""Gates: every comparison, for metrics that should be high or low, at and near the bound."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from factory_assets.ml.evaluation.gates import (
    AnswerMetrics,
    ChampionMetrics,
    NotComparable,
    judge,
    judge_default,
)
from factory_assets.results.evaluation import (
    ChampionComparison,
    FoldMetric,
    Folds,
    GateResult,
    MetricDifference,
)
from factory_assets.spec import Gate
from factory_assets.spec.evaluate import Evaluate

BASELINES = {
    "trivial": {"roc_auc": 0.5, "rmse": 10.0},
    "linear": {"roc_auc": 0.7, "rmse": 6.0},
}

CHAMPION = ChampionMetrics({"roc_auc": 0.8, "rmse": 5.0})
ON_NEW_ROWS = ChampionComparison(
    rows=1_060, judged=3_000, metrics={"roc_auc": 0.7}, champion={"roc_auc": 0.75}
)


def one(gate: dict[str, Any], value: float | None, champion: Any = None) -> GateResult:
    declared = Gate(**gate)
    metrics = {} if value is None else {declared.metric: value}
    (result,) = judge([declared], metrics, BASELINES, champion)
    return result


@pytest.mark.parametrize(
    ("gate", "value", "passed"),
    [
        ({"metric": "roc_auc", "at_least": 0.8}, 0.8, True),
        ({"metric": "roc_auc", "at_least": 0.8}, 0.7999, False),
        ({"metric": "rmse", "at_most": 5}, 5.0, True),
        ({"metric": "rmse", "at_most": 5}, 5.01, False),
        ({"metric": "rmse", "at_most": 0}, 0.0, True),
        ({"metric": "rmse", "at_most": 0}, 0.1, False),
        # A sanity bound against the metric's own direction is allowed.
        ({"metric": "roc_auc", "at_most": 0.99}, 0.995, False),
        ({"metric": "rmse", "at_least": 0.1}, 0.05, False),
        ({"metric": "roc_auc", "better_than": "linear"}, 0.71, True),
        ({"metric": "roc_auc", "better_than": "linear"}, 0.7, False),
        ({"metric": "roc_auc", "better_than": "trivial", "margin": 0.25}, 0.75, False),
        ({"metric": "roc_auc", "better_than": "trivial", "margin": 0.25}, 0.76, True),
        ({"metric": "rmse", "better_than": "linear"}, 5.9, True),
        ({"metric": "rmse", "better_than": "linear"}, 6.0, False),
        ({"metric": "rmse", "better_than": "linear", "margin": 1.0}, 5.0, False),
        ({"metric": "rmse", "better_than": "linear", "margin": 1.0}, 4.9, True),
        ({"metric": "roc_auc", "no_worse_than": "champion"}, 0.8, True),
        ({"metric": "roc_auc", "no_worse_than": "champion"}, 0.79, False),
        ({"metric": "roc_auc", "no_worse_than": "champion", "margin": 0.02}, 0.79, True),
        ({"metric": "rmse", "no_worse_than": "champion"}, 5.0, True),
        ({"metric": "rmse", "no_worse_than": "champion"}, 5.1, False),
        ({"metric": "rmse", "no_worse_than": "champion", "margin": 0.5}, 5.5, True),
        ({"metric": "rmse", "no_worse_than": "champion", "margin": 0.5}, 5.6, False),
    ],
)
def test_gate_passes_up_to_its_bound(gate: dict[str, Any], value: float, passed: bool) -> None:
    result = one(gate, value, CHAMPION)
    assert result.passed is passed
    assert result.value == value
    assert result.bound is not None
    assert result.metric == gate["metric"]
    assert "\n" not in result.explanation


def test_values_that_differ_by_rounding_are_equal() -> None:
    below = {"roc_auc": 1 - 2.3e-16}
    for comparison, passed in (
        ({"at_least": 1.0}, True),
        ({"no_worse_than": "champion"}, True),
        ({"better_than": "linear"}, False),
    ):
        gate = Gate(metric="roc_auc", **comparison)
        noise = MetricDifference(value=-2.3e-16, low=-2.3e-16, high=-2.3e-16, rows=9)
        champion = ChampionMetrics({"roc_auc": 1.0}, {"roc_auc": noise})
        (result,) = judge([gate], below, {"linear": {"roc_auc": 1 - 4.5e-16}}, champion)
        assert result.passed is passed, result.explanation
        assert "e-16" not in result.explanation
    (below_by_chance,) = judge(
        [Gate(metric="roc_auc", no_worse_than="champion")],
        {"roc_auc": 0.9},
        {},
        ChampionMetrics(
            {"roc_auc": 1.0},
            {"roc_auc": MetricDifference(value=-0.1, low=-0.2, high=-2.3e-16, rows=9)},
        ),
    )
    assert below_by_chance.passed
    assert not one({"metric": "roc_auc", "at_least": 0.8}, 0.8 - 1e-8).passed
    # Below 0 as well.
    worse_than_nothing = ChampionMetrics({"r2": -0.5})
    gate = {"metric": "r2", "no_worse_than": "champion"}
    assert one(gate, -0.5 - 1e-16, worse_than_nothing).passed
    assert not one(gate, -0.5 - 1e-8, worse_than_nothing).passed


@pytest.mark.parametrize("metric", ["roc_auc", "rmse"])
def test_gate_against_a_missing_champion_passes_and_explains_why(metric: str) -> None:
    result = one({"metric": metric, "no_worse_than": "champion"}, 0.1)
    assert result.passed
    assert result.bound is None
    assert "no champion" in result.explanation


def test_a_champion_that_cannot_be_judged_fails_the_gate() -> None:
    gate = {"metric": "rmse", "no_worse_than": "champion"}
    result = one(gate, 0.1, NotComparable("v3: input column 'a' is missing"))
    assert not result.passed
    assert result.explanation == (
        "the champion cannot be judged on these rows: v3: input column 'a' is missing; "
        "write {champion: off} in place of this gate for one run to replace it"
    )
    other = one({"metric": "rmse", "at_most": 5}, 0.1, NotComparable("v3 predicts y"))
    assert (other.passed, other.explanation) == (True, "rmse 0.1 stays within 5")


@pytest.mark.parametrize(
    ("metric", "metrics", "lacking"),
    [
        ("set_size", {}, "train.uncertainty"),
        ("abstention_rate", {}, "train.uncertainty"),
        ("abstention_rate", {"coverage": 0.9, "set_size": 1.1}, "train.uncertainty.abstain"),
        ("selective_accuracy", {"coverage": 0.9, "set_size": 1.1}, "train.uncertainty.abstain"),
    ],
)
def test_a_champion_without_uncertainty_is_named_as_such(
    metric: str, metrics: dict[str, float], lacking: str
) -> None:
    result = one({"metric": metric, "no_worse_than": "champion"}, 0.2, ChampionMetrics(metrics))
    assert not result.passed
    assert result.explanation == (
        f"the champion has no {metric}: it was trained without {lacking}; "
        "write {champion: off} in place of this gate for one run to replace it"
    )


@pytest.mark.parametrize(
    ("metric", "metrics"),
    [
        ("set_size", {"coverage": 1.0}),
        ("selective_accuracy", {"coverage": 1.0, "abstention_rate": 1.0}),
    ],
)
def test_a_metric_of_the_champion_may_be_undefined(metric: str, metrics: dict[str, float]) -> None:
    gate = {"metric": metric, "no_worse_than": "champion"}
    infinite = one(gate, 1.2, ChampionMetrics(metrics))
    assert not infinite.passed
    assert f"{metric} of the champion is undefined on these test rows" in infinite.explanation


@pytest.mark.parametrize("value", [None, math.nan])
@pytest.mark.parametrize(
    "comparison",
    [
        {"at_least": 0.0},
        {"at_most": 1.0},
        {"better_than": "trivial"},
        {"no_worse_than": "champion"},
    ],
)
def test_undefined_metric_fails_every_gate(comparison: dict[str, Any], value: float | None) -> None:
    result = one({"metric": "roc_auc", **comparison}, value)
    assert not result.passed
    assert "undefined" in result.explanation


@pytest.mark.parametrize("reference", [{}, {"roc_auc": math.nan}])
def test_undefined_metric_of_baseline_or_champion_fails_the_gate(
    reference: dict[str, float],
) -> None:
    gates = [
        Gate(metric="roc_auc", better_than="linear"),
        Gate(metric="roc_auc", no_worse_than="champion"),
    ]
    results = judge(gates, {"roc_auc": 1.0}, {"linear": reference}, ChampionMetrics(reference))
    assert [result.passed for result in results] == [False, False]
    assert all("undefined" in result.explanation for result in results)


@pytest.mark.parametrize(
    ("gate", "value", "words"),
    [
        ({"metric": "roc_auc", "at_least": 0.8}, 0.7312, "roc_auc 0.731 is below 0.8"),
        ({"metric": "roc_auc", "at_least": 0.8}, 0.79999, "roc_auc 0.79999 is below 0.8"),
        ({"metric": "roc_auc", "at_least": 0.8}, 0.9, "roc_auc 0.9 reaches 0.8"),
        ({"metric": "rmse", "at_most": 5}, 4.2, "rmse 4.2 stays within 5"),
        ({"metric": "rmse", "at_most": 5}, 5.2, "rmse 5.2 is above 5"),
        (
            {"metric": "rmse", "better_than": "linear"},
            4.0,
            "rmse 4 beats the linear baseline's 6",
        ),
        (
            {"metric": "rmse", "better_than": "linear", "margin": 2.0},
            5.0,
            "rmse 5 does not beat the linear baseline's 6 (margin 2)",
        ),
        (
            {"metric": "roc_auc", "no_worse_than": "champion"},
            0.85,
            "roc_auc 0.85 is no worse than the champion's 0.8",
        ),
        (
            {"metric": "roc_auc", "no_worse_than": "champion", "margin": 0.005},
            0.79496,
            "roc_auc 0.79496 is worse than the champion's 0.8 (margin 0.005)",
        ),
    ],
)
def test_explanation_is_one_line_with_both_numbers(
    gate: dict[str, Any], value: float, words: str
) -> None:
    assert one(gate, value, CHAMPION).explanation == words


def compared(metric: str, value: float, reach: float, margin: float) -> GateResult:
    """Judge a value that differs from the champion's by more or less than chance."""
    assert isinstance(CHAMPION.metrics[metric], float)
    far = value - CHAMPION.metrics[metric]
    difference = MetricDifference(value=far, low=far - reach, high=far + reach, rows=500)
    champion = ChampionMetrics(CHAMPION.metrics, {metric: difference})
    gate = {"metric": metric, "no_worse_than": "champion", "margin": margin}
    result = one(gate, value, champion)
    assert result.difference == difference
    return result


@pytest.mark.parametrize(("metric", "sign"), [("roc_auc", 1), ("rmse", -1)])
@pytest.mark.parametrize(
    ("far", "reach", "margin", "passed"),
    [
        (0.0, 0.0, 0.0, True),
        (0.1, 0.01, 0.0, True),
        (-0.05, 0.06, 0.0, True),
        (-0.05, 0.04, 0.0, False),
        (-0.05, 0.04, 0.02, True),
        (-0.07, 0.04, 0.02, False),
        (-0.01, 0.0, 0.0, False),
    ],
)
def test_champion_gate_fails_if_the_whole_interval_is_beyond_the_margin(
    metric: str, sign: int, far: float, reach: float, margin: float, passed: bool
) -> None:
    value = CHAMPION.metrics[metric] + sign * far
    assert compared(metric, value, reach, margin).passed is passed


def test_a_wider_margin_or_interval_refuses_no_more() -> None:
    ladder = [0.0, 0.01, 0.03, 0.05, 0.1, 0.3]
    for value in (0.75, 0.79, 0.8, 0.9):
        for other in ladder:
            for steps in (
                [compared("roc_auc", value, reach, other).passed for reach in ladder],
                [compared("roc_auc", value, other, margin).passed for margin in ladder],
            ):
                assert steps == sorted(steps)


def test_explanation_of_a_comparison_has_the_interval() -> None:
    assert compared("roc_auc", 0.79, 0.02, 0.0).explanation == (
        "roc_auc 0.79 is not shown to be worse than the champion's 0.8; "
        "difference -0.01, 90 % interval -0.03 to +0.01"
    )
    assert compared("rmse", 5.5, 0.2, 0.1).explanation == (
        "rmse 5.5 is worse than the champion's 5 (margin 0.1); "
        "difference +0.5, 90 % interval +0.3 to +0.7"
    )


def test_a_gate_without_a_comparison_is_published_without_a_difference() -> None:
    result = one({"metric": "rmse", "at_most": 5}, 4.0, CHAMPION)
    assert "difference" not in result.model_dump()
    assert "difference" in compared("rmse", 5.0, 0.1, 0.0).model_dump()


def test_results_keep_the_order_and_names_of_the_gates() -> None:
    gates = [Gate(metric="rmse", at_most=5), Gate(metric="rmse", better_than="linear")]
    results = judge(gates, {"rmse": 1.0}, BASELINES, None)
    assert [result.name for result in results] == [gate.name for gate in gates]


OWN = {"metric": "rmse", "no_worse_than": "champion", "margin": 3.0}


@pytest.mark.parametrize(
    "gates", [[], [{"metric": "roc_auc", "at_least": 0.5}], {"metric": "roc_auc", "at_least": 0.5}]
)
@pytest.mark.parametrize(
    ("metric", "value", "passed"),
    [("roc_auc", 0.8, True), ("roc_auc", 0.79, False), ("rmse", 5.0, True), ("rmse", 5.1, False)],
)
def test_without_a_champion_gate_the_primary_metric_must_be_no_worse(
    gates: Any, metric: str, value: float, passed: bool
) -> None:
    evaluate = Evaluate.model_validate({"gates": gates})
    (result,) = judge_default(evaluate, metric, {metric: value}, CHAMPION)
    assert (result.name, result.metric) == ("no_worse_than_champion", metric)
    assert result.passed is passed
    assert "(default gate" in result.explanation
    left_out = "`{champion: off}` in `evaluate.gates` leaves it out"
    assert (left_out in result.explanation) is not passed
    (first,) = judge_default(evaluate, metric, {metric: value}, None)
    assert first.passed
    (unlike,) = judge_default(evaluate, metric, {metric: value}, NotComparable("v1 predicts y"))
    assert not unlike.passed
    assert "v1 predicts y" in unlike.explanation


@pytest.mark.parametrize(
    ("gates", "declared"),
    [
        ([OWN], 1),
        ({"champion": "off"}, 0),
        ({"champion": False}, 0),
        ([{"metric": "rmse", "at_most": 9}, {"champion": "off"}], 1),
    ],
)
def test_a_gate_of_ones_own_or_off_replaces_the_default_one(gates: Any, declared: int) -> None:
    evaluate = Evaluate.model_validate({"gates": gates})
    assert len(evaluate.conditions) == declared
    assert judge_default(evaluate, "roc_auc", {"roc_auc": 0.1}, CHAMPION) == ()
    assert Evaluate.model_validate_json(evaluate.model_dump_json()) == evaluate


def test_a_champion_gate_beside_off_is_a_contradiction() -> None:
    with pytest.raises(ValidationError, match="contradicts"):
        Evaluate.model_validate({"gates": [OWN, {"champion": "off"}]})


@pytest.mark.parametrize(
    ("on_rows", "on_answers", "passed"),
    [(0.85, 0.85, True), (0.85, 0.75, False), (0.75, 0.85, False), (0.85, None, True)],
)
def test_a_candidate_is_no_worse_on_test_rows_and_on_new_answers(
    on_rows: float, on_answers: float | None, passed: bool
) -> None:
    mine = {} if on_answers is None else {"roc_auc": on_answers}
    answers = AnswerMetrics(1_060, mine, ChampionMetrics({"roc_auc": 0.8}))
    champion = ChampionMetrics({"roc_auc": 0.8}, answers=answers)
    result = one({"metric": "roc_auc", "no_worse_than": "champion"}, on_rows, champion)
    assert (result.passed, result.value) == (passed, on_rows)
    assert ("; on 1,060 new answers, roc_auc" in result.explanation) is (on_answers is not None)


@pytest.mark.parametrize(
    ("values", "passed", "words"),
    [
        ((0.7, 0.9, 0.86), True, "roc_auc (mean of the folds) 0.82 reaches 0.8"),
        (
            (0.7, None, 0.86),
            False,
            "roc_auc (mean of the folds) 0.78 is below 0.8; it is defined in 2 of 3 folds",
        ),
        ((None, None, None), False, "roc_auc is undefined in every fold"),
    ],
)
def test_a_gate_of_the_folds_is_about_their_mean(
    values: tuple[float | None, ...], passed: bool, words: str
) -> None:
    folds = Folds(count=3, rows=90, metrics={"roc_auc": FoldMetric(values=values, pooled=0.9)})
    gate = Gate(metric="roc_auc", at_least=0.8, of="folds")
    [result] = judge([gate], {"roc_auc": 0.99}, BASELINES, CHAMPION, folds)
    assert (result.passed, result.explanation) == (passed, words)
    [without] = judge([gate], {"roc_auc": 0.99}, BASELINES, CHAMPION)
    assert not without.passed


def test_the_champion_is_compared_on_the_rows_that_are_new_to_both() -> None:
    champion = ChampionMetrics({"roc_auc": 0.75}, compared=ON_NEW_ROWS)
    gate = {"metric": "roc_auc", "no_worse_than": "champion"}
    result = one(gate, 0.9, champion)
    assert (result.passed, result.value, result.bound) == (False, 0.7, 0.75)
    assert result.explanation == (
        "roc_auc 0.7 is worse than the champion's 0.75; compared with the champion on 1,060 of "
        "3,000 test rows: only one of both has learned from the others"
    )
    assert one({**gate, "margin": 0.05}, 0.9, champion).passed
    # Another gate is about all test rows.
    assert one({"metric": "roc_auc", "at_least": 0.8}, 0.9, champion).value == 0.9
    undefined = one({"metric": "rmse", "no_worse_than": "champion"}, 3.0, champion)
    assert (undefined.passed, "undefined" in undefined.explanation) == (False, True)
