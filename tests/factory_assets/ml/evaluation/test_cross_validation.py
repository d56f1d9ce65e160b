"""Cross-validation: how folds are drawn, that no model judges its training rows, and figures."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from factory_assets.components.metadata.evaluation import folds as markdown
from factory_assets.execution.cache_key import relevant_spec
from factory_assets.ml.evaluation.cross_validation import (
    FoldRows,
    cross_validate,
    divide_rows,
    fold_figures,
    sample_units,
)
from factory_assets.ml.evaluation.gates import judge
from factory_assets.ml.features.target import Target
from factory_assets.ml.training.inner_folds import stratified_ranks
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import Folds
from factory_assets.spec import Evaluate, PipelineSpec, SplitRule
from factory_resources.errors import DataError
from factory_resources.home.home import Home
from tests.factory_assets.ml.evaluation.cases import evaluating, judging, with_spec
from tests.factory_assets.ml.models.cases import (
    KINDS,
    SEQUENCES,
    TASKS,
    keep,
    parts,
    pipeline,
    rows,
    series,
)

FOREST = {"kind": "random_forest", "trees": 30}


@examples(
    st.lists(st.integers(0, 3), min_size=2, max_size=80), st.integers(2, 10), st.integers(0, 9)
)
def test_deal_spreads_rows_and_classes(classes: list[int], count: int, seed: int) -> None:
    strata = np.array(classes)
    ranks = stratified_ranks(strata, np.arange(len(strata)), seed)
    assert sorted(ranks) == list(range(len(strata)))
    for code in set(classes):
        counts = np.bincount(ranks[strata == code] % count, minlength=count)
        assert counts.max() - counts.min() <= 1


@examples(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=2, max_size=80))
def test_deal_keeps_groups_whole_and_spreads_rare_classes(pairs: list[tuple[int, int]]) -> None:
    unit, strata = (np.array(column) for column in zip(*pairs, strict=True))
    ranks = stratified_ranks(strata, unit, 0)
    assert {tuple(pair) for pair in zip(unit, ranks, strict=True)} == {
        (int(u), int(ranks[unit == u][0])) for u in set(unit)
    }
    rarest = int(np.bincount(strata, minlength=2).argmin())
    with_rare = {int(u) for u in unit[strata == rarest]}
    counts = np.bincount([ranks[unit == u][0] % 3 for u in with_rare], minlength=3)
    assert counts.max() - counts.min() <= 1


def test_deal_depends_only_on_the_seed() -> None:
    strata, unit = np.zeros(50, int), np.arange(50)
    np.testing.assert_array_equal(
        stratified_ranks(strata, unit, 4), stratified_ranks(strata, unit, 4)
    )
    assert (stratified_ranks(strata, unit, 4) != stratified_ranks(strata, unit, 5)).any()


@pytest.mark.parametrize(("count", "share", "expected"), [(100, 0.1, 10), (5, 0.1, 1), (7, 0.5, 4)])
def test_drawn_spaces_a_share_evenly(count: int, share: float, expected: int) -> None:
    sample = sample_units(np.arange(count), share)
    assert sample.sum() == expected
    assert np.diff(np.flatnonzero(sample), append=count).max() <= 1 / share


def judged(declared: Any, split: SplitResult, home: Home) -> Folds:
    folds = cross_validate(*_arguments(declared, split, home))
    assert folds is not None
    return folds


def _arguments(declared: Any, split: SplitResult, home: Home) -> Any:
    test_set, trained = judging(declared, split, home)
    return test_set, split, trained, home


def thirds(home: Home, table: pa.Table) -> SplitResult:
    """Cut the table in three."""
    third = table.num_rows // 3
    names = ("train", "validation", "test")
    return SplitResult(
        **{n: keep(home, n, table.slice(i * third, third)) for i, n in enumerate(names)}
    )


def test_numbers_below_zero_are_no_unknown_classes(home: Home, tmp_path: Path) -> None:
    table = rows(60, 1, "regression")
    low = pa.array(table["y"].to_numpy() - 5000)
    split = thirds(home, table.set_column(table.column_names.index("y"), "y", low))
    target = Target(column="y", task="regression", classes=(), mean=-4000.0, sd=100.0)
    declared = evaluating(tmp_path, {"kind": "linear"}, {"folds": 3})
    given = FoldRows(
        parts=(split.train, split.validation, split.test),
        target=target,
        model=declared.spec.training.model,
    )
    divided = divide_rows(declared, given, home)
    assert np.bincount(divided.fold_of).tolist() == [20, 20, 20]


@pytest.mark.slow
def test_no_model_judges_a_row_that_it_was_trained_on(home: Home, tmp_path: Path) -> None:
    """A forest memorises its training rows; random labels of other rows it cannot predict."""
    table = rows(300, 1)
    chance = np.random.default_rng(0).integers(0, 2, 300)
    table = table.set_column(table.column_names.index("y"), "y", pa.array(chance))
    declared = evaluating(tmp_path, FOREST, {"folds": 5}, categorical=[])
    folds = judged(declared, thirds(home, table), home)
    assert folds.rows == 300
    mean, pooled = folds.metrics["roc_auc"].mean, folds.metrics["roc_auc"].pooled
    # Four standard errors of a chance AUC over 300 rows.
    assert mean == pytest.approx(0.5, abs=0.13)
    assert pooled == pytest.approx(0.5, abs=0.13)


@pytest.mark.slow
def test_a_group_stays_in_one_fold(home: Home, tmp_path: Path) -> None:
    """All rows of a group share label and pulse, so folds that split groups would leak labels."""
    chance = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 6)
    label = chance.integers(0, 2, 60)[group]
    pulse = chance.normal(0, 1, 60)[group]
    identity = {"_file": ["f"] * 360, "_row": np.arange(1, 361)}
    table = pa.table({**identity, "patient": group, "pulse": pulse, "y": label})
    split = thirds(home, table)
    by_row = evaluating(tmp_path, FOREST, {"folds": 5}, exclude=["patient"])
    by_group = with_spec(by_row, split=SplitRule(group="patient"))
    # Four standard errors of a chance AUC over 60 groups.
    assert judged(by_group, split, home).metrics["roc_auc"].mean == pytest.approx(0.5, abs=0.3)
    assert judged(by_row, split, home).metrics["roc_auc"].mean > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_pooled_metrics_are_those_of_all_rows(task: str, home: Home, tmp_path: Path) -> None:
    """200 rows in 5 folds of 40: the mean over rows equals the mean over folds."""
    declared = evaluating(tmp_path, KINDS["linear"], {"folds": 5})
    folds = judged(declared, parts(home, task, 120), home)
    assert folds.count == 5
    assert folds.rows == 200
    names = ("mae",) if task == "regression" else ("accuracy", "log_loss")
    for name in names:
        assert folds.metrics[name].pooled == pytest.approx(folds.metrics[name].mean)
    if task == "regression":
        mse = np.square(folds.metrics["rmse"].values)
        assert folds.metrics["rmse"].pooled == pytest.approx(np.sqrt(mse.mean()))
    for metric in folds.metrics.values():
        assert metric.sd == pytest.approx(np.std(metric.values, ddof=1))
    assert Folds.model_validate_json(folds.model_dump_json()) == folds


@pytest.mark.slow
def test_folds_of_a_linear_model_agree_with_scikit_learn(home: Home, tmp_path: Path) -> None:
    """Folds by scikit-learn's own splitter differ only by chance."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    split = parts(home, "binary", 600)
    declared = evaluating(tmp_path, KINDS["linear"], {"folds": 10}, exclude=["colour"])
    ours = judged(declared, split, home).metrics["roc_auc"]
    table = pa.concat_tables([rows(600, 1), rows(200, 2), rows(200, 3)])
    heat = table["heat"].to_numpy()
    missing = np.isnan(heat)
    x = np.column_stack(
        [
            np.where(missing, np.nanmedian(heat), heat) / 10,
            missing,
            table["wear"].to_numpy(),
            table["open"].to_numpy(zero_copy_only=False),
        ]
    )
    theirs = cross_val_score(
        LogisticRegression(max_iter=1000),
        x,
        table["y"].to_numpy(),
        cv=StratifiedKFold(10, shuffle=True, random_state=0),
        scoring="roc_auc",
    )
    assert ours.mean == pytest.approx(theirs.mean(), abs=2 * theirs.std() / np.sqrt(10))
    assert ours.sd == pytest.approx(theirs.std(ddof=1), rel=1)


@pytest.mark.slow
def test_a_series_stays_in_one_fold(home: Home, tmp_path: Path) -> None:
    table = series(12, 1)
    split = SplitResult(
        train=keep(home, "train", table),
        validation=keep(home, "validation", _renamed(series(4, 2), "b")),
        test=keep(home, "test", _renamed(series(4, 3), "c")),
    )
    model = {**SEQUENCES["gru"], "epochs": 1}
    folds = judged(evaluating(tmp_path, model, {"folds": 2}), split, home)
    assert folds.rows == sum(part.rows for part in (split.train, split.validation, split.test))
    assert len(folds.metrics["roc_auc"].defined) == 2


def _renamed(table: pa.Table, prefix: str) -> pa.Table:
    names = [prefix + name for name in table["unit"].to_pylist()]
    return table.set_column(table.column_names.index("unit"), "unit", [names])


@pytest.mark.slow
def test_only_the_last_row_of_each_unit_is_judged(home: Home, tmp_path: Path) -> None:
    table = series(90, 1)
    declared = evaluating(
        tmp_path, KINDS["linear"], {"folds": 3, "last": {"by": "unit", "order": "cycle"}}
    )
    declared = with_spec(declared, split=SplitRule(group="unit"))
    folds = judged(declared, thirds(home, table.sort_by("unit")), home)
    # Cutting the table in three may cut two units, but the folds cover all rows.
    assert folds.rows == 90


@pytest.mark.slow
def test_folds_are_deterministic_and_depend_on_the_seed(home: Home, tmp_path: Path) -> None:
    split = parts(home, "binary", 150)
    declared = evaluating(tmp_path, KINDS["mlp"], {"folds": 2})
    other = with_spec(declared, split=SplitRule(seed=1))
    first = judged(declared, split, home)
    assert judged(declared, split, home) == first
    assert judged(other, split, home) != first


@pytest.mark.slow
def test_progress_names_each_fold(home: Home, tmp_path: Path) -> None:
    split = parts(home, "binary", 60)
    declared = evaluating(tmp_path, KINDS["linear"], {"folds": 2})
    lines: list[str] = []
    cross_validate(*_arguments(declared, split, home), lines.append)
    assert lines == ["fold 1 of 2", "fold 2 of 2"]
    without_folds = with_spec(declared, evaluate=Evaluate())
    assert cross_validate(*_arguments(without_folds, split, home)) is None


@pytest.mark.slow
def test_too_few_groups_and_too_rare_classes_are_rejected(home: Home, tmp_path: Path) -> None:
    declared = evaluating(tmp_path, KINDS["linear"], {"folds": 20})
    grouped = with_spec(declared, split=SplitRule(group="colour"))
    with pytest.raises(DataError, match="20 folds need at least 20 rows or groups; there are 4"):
        judged(grouped, parts(home, "binary", 60), home)
    table = rows(90, 1, "multiclass")
    names = table["y"].to_pylist()
    once = table.set_column(table.column_names.index("y"), "y", [["lone", *names[1:]]])
    with pytest.raises(DataError, match="class 'lone' of target 'y' has too few rows"):
        judged(declared, thirds(home, once), home)


def spec(**changes: Any) -> dict[str, Any]:
    return {
        "purpose": "test",
        "ingest": {"source": {"files": "rows.csv"}},
        "train": {"target": "y", "model": KINDS["linear"]},
        **changes,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": {"time": "day"}, "evaluate": {"folds": 5}}, "rows that are later"),
        (
            {"split": {"given": {"column": "part", "test": "t"}}, "evaluate": {"folds": 5}},
            "parts that the data itself names",
        ),
        (
            {"evaluate": {"gates": [{"metric": "f1", "of": "folds", "at_least": 0.5}]}},
            "needs `folds`",
        ),
        (
            {
                "evaluate": {
                    "folds": 5,
                    "gates": [{"metric": "f1", "of": "folds", "better_than": "trivial"}],
                }
            },
            "compares with a constant",
        ),
        ({"evaluate": {"folds": 1}}, "greater than or equal to 2"),
        (
            {
                "train": {"target": "y", "model": {"kind": "mlp"}, "budget": {"minutes": 1}},
                "evaluate": {"folds": 5},
            },
            "which train.budget does not count",
        ),
    ],
)
def test_meaningless_folds_are_rejected(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PipelineSpec.model_validate(spec(**changes))


def test_split_seed_is_in_the_cache_key_of_evaluate_only_with_folds(tmp_path: Path) -> None:
    plain = pipeline(tmp_path, KINDS["linear"])
    declared = evaluating(tmp_path, KINDS["linear"], {"folds": 5})
    other = with_spec(declared, split=SplitRule(seed=1))
    assert relevant_spec(declared, "train") == relevant_spec(plain, "train")
    assert relevant_spec(declared, "evaluate") != relevant_spec(plain, "evaluate")
    assert relevant_spec(declared, "evaluate") != relevant_spec(other, "evaluate")
    assert relevant_spec(plain, "evaluate") == relevant_spec(
        with_spec(plain, split=SplitRule(seed=1)), "evaluate"
    )


FOLDS = Folds.model_validate(
    {
        "count": 3,
        "rows": 90,
        "metrics": {
            "roc_auc": {"values": (0.8, None, 0.9), "pooled": 0.84},
            "f1": {"values": (0.5, 0.6, 0.7), "pooled": None},
        },
    }
)


@pytest.mark.parametrize(("bound", "passed"), [(0.85, True), (0.86, False)])
def test_gate_of_the_folds_compares_their_mean(bound: float, passed: bool) -> None:
    gates = Evaluate.model_validate(
        {
            "folds": 3,
            "gates": [
                {"metric": "roc_auc", "of": "folds", "at_least": bound},
                {"metric": "roc_auc", "at_least": 0.1},
                {"metric": "brier", "of": "folds", "at_most": 1},
                {"metric": "f1", "of": "folds", "at_least": 0.5},
            ],
        }
    ).conditions
    of_folds, of_test, undefined, of_all = judge(gates, {"roc_auc": 0.2}, {}, None, FOLDS)
    assert of_folds.name == "roc_auc_folds_at_least"
    assert of_folds.passed is passed
    assert of_folds.value == pytest.approx(0.85)
    assert "roc_auc (mean of the folds) 0.85" in of_folds.explanation
    assert of_folds.explanation.endswith("; it is defined in 2 of 3 folds")
    assert of_all.explanation == "f1 (mean of the folds) 0.6 reaches 0.5"
    assert of_test.passed
    assert of_test.value == 0.2
    assert not undefined.passed
    assert undefined.explanation == "brier is undefined in every fold"


def test_fold_figures_are_named_and_tabulated() -> None:
    assert fold_figures(None) == {}
    assert fold_figures(FOLDS) == pytest.approx(
        {
            "cv_roc_auc_mean": 0.85,
            "cv_roc_auc_sd": np.std([0.8, 0.9], ddof=1),
            "cv_roc_auc_pooled": 0.84,
            "cv_f1_mean": 0.6,
            "cv_f1_sd": 0.1,
        }
    )
    shown = markdown(FOLDS)
    assert "| roc_auc | 0.85 | 0.0707107 | 2 | 0.84 |" in shown
    assert "| f1 | 0.6 | 0.1 | 3 |  |" in shown
