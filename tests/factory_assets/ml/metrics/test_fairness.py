"""Fairness metrics, compared with fairlearn and with numbers worked out by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from factory_assets.components.metadata.evaluation import fairness, slices
from factory_assets.data.privacy.sensitive_columns import sensitive_misuses
from factory_assets.ml.evaluation.gates import judge
from factory_assets.ml.evaluation.test_set import group_rows
from factory_assets.ml.metrics.bootstrap import bootstrap_intervals
from factory_assets.ml.metrics.fairness import (
    RATES,
    Grouping,
    group_rates,
    rate_groups,
    rate_ratio,
    wilson,
)
from factory_assets.ml.metrics.metrics import ScoredRows
from factory_assets.results.evaluation import EvaluationResult, Group, Slice
from factory_assets.spec import Evaluate
from factory_resources.errors import DataError, DeclarationError
from factory_resources.home.home import Home
from tests.data_stages import pipeline as declared
from tests.factory_assets.ml.evaluation.cases import evaluating, judging
from tests.factory_assets.ml.models.cases import KINDS, parts

METRICS = (
    "selection_rate_difference",
    "selection_rate_ratio",
    "equal_opportunity_difference",
    "false_positive_rate_difference",
)


def drawn(rows: int = 400, min_rows: int = 1) -> tuple[list[Grouping], ScoredRows]:
    """Draw predictions whose rates differ between the groups of two columns."""
    chance = np.random.default_rng(0)
    sex, race = chance.integers(0, 2, rows), chance.integers(0, 4, rows)
    truth = chance.integers(0, 2, rows)
    yes = np.clip(0.2 + 0.3 * truth + 0.1 * race + 0.1 * chance.normal(size=rows), 0, 1)
    groupings = [
        Grouping("sex", ("f", "m"), sex),
        Grouping("race", ("a", "b", "c", "d"), race),
    ]
    outputs = np.stack([1 - yes, yes], axis=1)
    return groupings, ScoredRows(
        "binary", truth, outputs, groups=rate_groups(groupings, truth, min_rows)
    )


def test_rates_and_gaps_match_fairlearn() -> None:
    from fairlearn import metrics as fl

    groupings, scored = drawn()
    theirs: dict[str, Any] = {
        "selection_rate": fl.selection_rate,
        "true_positive_rate": fl.true_positive_rate,
        "false_positive_rate": fl.false_positive_rate,
    }
    result = group_rates(groupings, scored.groups, scored.predicted)
    gaps: dict[str, list[float]] = {name: [] for name in METRICS}
    for grouping in groupings:
        given = {
            "y_true": scored.truth,
            "y_pred": scored.predicted,
            "sensitive_features": grouping.codes,
        }
        frame = fl.MetricFrame(metrics=theirs, **given)
        for code, name in enumerate(grouping.names):
            group = next(g for g in result if (g.column, g.value) == (grouping.column, name))
            assert group.rows == (grouping.codes == code).sum()
            for rate in RATES:
                assert group.rates[rate].value == pytest.approx(frame.by_group.loc[code, rate])
        gaps["selection_rate_difference"].append(fl.demographic_parity_difference(**given))
        gaps["selection_rate_ratio"].append(fl.demographic_parity_ratio(**given))
        gaps["equal_opportunity_difference"].append(fl.equal_opportunity_difference(**given))
        gaps["false_positive_rate_difference"].append(fl.false_positive_rate_difference(**given))
    expected = {name: max(g) if "ratio" not in name else min(g) for name, g in gaps.items()}
    assert scored.metrics(METRICS) == pytest.approx(expected)


def test_wilson_matches_other_implementations() -> None:
    """The values of statsmodels and R's binom for 8 of 10 and for shares of 0 and 1."""
    assert wilson(8, 10) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)
    assert wilson(0, 20) == pytest.approx((0.0, 0.1611252), abs=1e-6)
    assert wilson(20, 20) == pytest.approx((0.8388748, 1.0), abs=1e-6)


def test_groups_of_few_rows_are_listed_but_not_compared() -> None:
    codes = np.array([0] * 40 + [1] * 40 + [2] * 3)
    truth = np.array(([1] * 20 + [0] * 20) * 2 + [1] * 3)
    predicted = np.array([1] * 30 + [0] * 10 + [1] * 10 + [0] * 30 + [1] * 3)
    outputs = np.eye(2)[predicted]
    groupings = [Grouping("race", ("a", "b", "rare"), codes)]
    scored = ScoredRows("binary", truth, outputs, groups=rate_groups(groupings, truth, 20))
    assert scored.metrics(METRICS) == pytest.approx(
        {
            "selection_rate_difference": 0.5,
            "selection_rate_ratio": 1 / 3,
            "equal_opportunity_difference": 0.5,
            "false_positive_rate_difference": 0.5,
        }
    )
    rare = group_rates(groupings, scored.groups, predicted)[2]
    assert (rare.value, rare.rows, rare.rates) == ("rare", 3, {})
    # With a minimum of 21, the 40 rows of a group are enough, its 20 positives are not.
    strict = ScoredRows("binary", truth, outputs, groups=rate_groups(groupings, truth, 21))
    assert set(strict.metrics(METRICS)) == {"selection_rate_difference", "selection_rate_ratio"}


def test_ratio_is_one_if_no_row_is_selected() -> None:
    codes = (np.array([0, 0, 1, 1]),)
    assert rate_ratio(np.zeros(4), codes) == 1.0
    assert rate_ratio(np.array([0, 0, 1, 1]), codes) == 0.0
    assert rate_ratio(np.ones(4), (np.zeros(4, int),)) is None


def test_gaps_have_intervals_like_every_metric() -> None:
    _, scored = drawn()
    names = ("equal_opportunity_difference",)
    low, high = bootstrap_intervals(scored, names, resamples=100, seed=0)[names[0]]
    assert low < scored.metrics(names)[names[0]] < high


def test_a_missing_value_is_a_group() -> None:
    table = pa.table({"race": ["b", None, "b", "a", ""]})
    result = group_rows(table, "race")
    assert dict(zip(result.names, range(4), strict=True)) == {
        "b": result.codes[0],
        "(missing)": result.codes[1],
        "a": result.codes[3],
        "": result.codes[4],
    }
    with pytest.raises(DataError, match=r"evaluate\.protected.*did you mean 'race'"):
        group_rows(table, "rase")


@pytest.mark.slow
def test_a_gate_fails_on_a_gap_between_groups(home: Home, tmp_path: Path) -> None:
    """Rows with `open` true are positive more often."""
    gate = {"metric": "selection_rate_difference", "at_most": 0.05}
    pipeline = evaluating(tmp_path, KINDS["linear"], {"protected": "open", "gates": [gate]})
    test_set, trained = judging(pipeline, parts(home), home)
    metrics = test_set.score_model(trained).metrics()
    test_set.require_defined(metrics)
    (result,) = judge(pipeline.spec.evaluate.conditions, metrics, {}, None)
    assert result.name == "selection_rate_difference_at_most"
    assert not result.passed
    small = evaluating(
        tmp_path, KINDS["linear"], {"protected": "open", "min_rows": 5000, "gates": [gate]}
    )
    test_set, trained = judging(small, parts(home), home)
    with pytest.raises(DataError, match="two groups with 5000 applicable rows each"):
        test_set.require_defined(test_set.score_model(trained).metrics())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks_have_no_protected_groups(task: str, home: Home, tmp_path: Path) -> None:
    pipeline = evaluating(tmp_path, KINDS["linear"], {"protected": "colour"})
    with pytest.raises(DeclarationError, match=f"between two classes; this target is {task}"):
        judging(pipeline, parts(home, task, 120), home)


def test_a_gate_on_a_gap_needs_protected_columns_and_the_test_rows() -> None:
    gate = {"metric": "equal_opportunity_difference", "at_most": 0.1}
    with pytest.raises(ValidationError, match="needs `protected`"):
        Evaluate.model_validate({"gates": [gate]})
    with pytest.raises(ValidationError, match="is computed on the test rows"):
        Evaluate.model_validate(
            {"protected": "sex", "folds": 5, "gates": [{**gate, "of": "folds"}]}
        )


def test_a_protected_column_must_not_be_sensitive(tmp_path: Path) -> None:
    pipeline = declared(
        tmp_path,
        ingest={
            "source": {"files": "data.csv"},
            "contract": [
                {"name": "sex", "type": "string", "sensitive": "personal"},
                {"name": "y", "type": "int64"},
            ],
        },
        train={"target": "y", "model": {"kind": "linear"}},
        evaluate={"protected": ["sex"]},
    )
    assert [where for where, _ in sensitive_misuses(pipeline)] == ["evaluate.protected"]


def shown(**changes: Any) -> EvaluationResult:
    return EvaluationResult.model_construct(
        headline="f1",
        metrics={"f1": 0.5, "equal_opportunity_difference": 0.25},
        intervals={"equal_opportunity_difference": (0.125, 0.5)},
        **changes,
    )


def test_rates_are_shown_with_their_intervals() -> None:
    rate = {"value": 0.5, "low": 0.25, "high": 0.75, "rows": 40}
    groups = (
        Group.model_validate({"column": "s", "value": "f", "rows": 80, "rates": {RATES[1]: rate}}),
        Group(column="s", value="m", rows=3, rates={}),
    )
    text = fairness(shown(groups=groups))
    assert "| s | f | 80 | 0.5 (0.25 to 0.75) of 40 |" in text
    assert "| s | m | 3 | too few |" in text
    assert "| equal_opportunity_difference | 0.25 | 0.125 to 0.5 |" in text
    assert "f1" not in text


def test_slices_of_few_rows_are_marked_too_few() -> None:
    many = Slice(column="s", value="a", rows=100, metrics={"f1": 0.5, "accuracy": 0.75})
    few = Slice(column="s", value="b", rows=3, metrics={})
    text = slices(shown(slices=(many, few)))
    assert "| s | a | 100 | 0.5 | 0.75 |" in text
    assert "| s | b | 3 | too few | too few |" in text
    assert "| s | b | 3 | too few |" in slices(shown(slices=(few,)))
