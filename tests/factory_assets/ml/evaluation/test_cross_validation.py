"""Cross-validation: how folds are dealt, that no model judges rows it has seen, what is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from pydantic import ValidationError

from factory_assets.components.metadata.evaluation import folds as in_words
from factory_assets.execution.cache_key import relevant_spec
from factory_assets.ml.evaluation.cross_validation import cross_validate, deal, drawn, fold_figures
from factory_assets.ml.evaluation.gates import judge
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
def test_folds_hold_every_row_once_and_the_classes_in_proportion(
    classes: list[int], count: int, seed: int
) -> None:
    strata = np.array(classes)
    ranks = deal(strata, np.arange(len(strata)), seed)
    assert sorted(ranks) == list(range(len(strata)))
    for code in set(classes):
        held = np.bincount(ranks[strata == code] % count, minlength=count)
        assert held.max() - held.min() <= 1


@examples(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 1)), min_size=2, max_size=80))
def test_groups_stay_whole_and_rare_classes_are_spread(given: list[tuple[int, int]]) -> None:
    unit, strata = (np.array(column) for column in zip(*given, strict=True))
    ranks = deal(strata, unit, 0)
    assert {tuple(pair) for pair in zip(unit, ranks, strict=True)} == {
        (int(u), int(ranks[unit == u][0])) for u in set(unit)
    }
    rarest = int(np.bincount(strata, minlength=2).argmin())
    with_rare = {int(u) for u in unit[strata == rarest]}
    held = np.bincount([ranks[unit == u][0] % 3 for u in with_rare], minlength=3)
    assert held.max() - held.min() <= 1


def test_dealing_is_by_the_seed_alone() -> None:
    strata, unit = np.zeros(50, int), np.arange(50)
    np.testing.assert_array_equal(deal(strata, unit, 4), deal(strata, unit, 4))
    assert (deal(strata, unit, 4) != deal(strata, unit, 5)).any()


@pytest.mark.parametrize(("count", "share", "held"), [(100, 0.1, 10), (5, 0.1, 1), (7, 0.5, 4)])
def test_a_share_is_drawn_evenly(count: int, share: float, held: int) -> None:
    found = drawn(np.arange(count), share)
    assert found.sum() == held
    assert np.diff(np.flatnonzero(found), append=count).max() <= 1 / share


def judged(made: Any, given: SplitResult, home: Home) -> Folds:
    found = cross_validate(*_opened(made, given, home))
    assert found is not None
    return found


def _opened(made: Any, given: SplitResult, home: Home) -> Any:
    judgement, trained = judging(made, given, home)
    return judgement, given, trained, home


def thirds(home: Home, table: pa.Table) -> SplitResult:
    """The table cut in three."""
    third = table.num_rows // 3
    names = ("train", "validation", "test")
    return SplitResult(
        **{n: keep(home, n, table.slice(i * third, third)) for i, n in enumerate(names)}
    )


@pytest.mark.slow
def test_no_model_judges_a_row_that_it_has_seen(home: Home, tmp_path: Path) -> None:
    """A forest knows its own rows by heart; of labels by chance it must know nothing of others."""
    table = rows(300, 1)
    chance = np.random.default_rng(0).integers(0, 2, 300)
    table = table.set_column(table.column_names.index("y"), "y", pa.array(chance))
    made = evaluating(tmp_path, FOREST, {"folds": 5}, categorical=[])
    found = judged(made, thirds(home, table), home)
    assert found.rows == 300
    mean, pooled = found.metrics["roc_auc"].mean, found.metrics["roc_auc"].pooled
    # Four standard errors of an AUC of 300 rows around chance.
    assert mean == pytest.approx(0.5, abs=0.13)
    assert pooled == pytest.approx(0.5, abs=0.13)


@pytest.mark.slow
def test_groups_do_not_straddle_the_folds(home: Home, tmp_path: Path) -> None:
    """The label is the group's, and a number names the group: folds of rows would know it all."""
    chance = np.random.default_rng(0)
    group = np.repeat(np.arange(60), 6)
    label = chance.integers(0, 2, 60)[group]
    table = pa.table(
        {
            "_file": ["f"] * 360,
            "_row": np.arange(1, 361),
            "patient": group,
            "pulse": chance.normal(0, 1, 60)[group],
            "y": label,
        }
    )
    given = thirds(home, table)
    by_row = evaluating(tmp_path, FOREST, {"folds": 5}, exclude=["patient"])
    by_group = with_spec(by_row, split=SplitRule(group="patient"))
    # Four standard errors of an AUC of 60 groups around chance.
    assert judged(by_group, given, home).metrics["roc_auc"].mean == pytest.approx(0.5, abs=0.3)
    assert judged(by_row, given, home).metrics["roc_auc"].mean > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_pooled_is_of_all_rows_at_once(task: str, home: Home, tmp_path: Path) -> None:
    """200 rows in 5 folds of 40: a mean over rows is the mean over folds."""
    made = evaluating(tmp_path, KINDS["linear"], {"folds": 5})
    found = judged(made, parts(home, task, 120), home)
    assert found.count == 5
    assert found.rows == 200
    names = ("mae",) if task == "regression" else ("accuracy", "log_loss")
    for name in names:
        assert found.metrics[name].pooled == pytest.approx(found.metrics[name].mean)
    if task == "regression":
        mse = np.square(found.metrics["rmse"].values)
        assert found.metrics["rmse"].pooled == pytest.approx(np.sqrt(mse.mean()))
    for metric in found.metrics.values():
        assert metric.sd == pytest.approx(np.std(metric.values, ddof=1))
    assert Folds.model_validate_json(found.model_dump_json()) == found


@pytest.mark.slow
def test_folds_of_a_linear_model_are_those_of_scikit_learn(home: Home, tmp_path: Path) -> None:
    """The same folds by scikit-learn's own splitter differ by chance only."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    given = parts(home, "binary", 600)
    made = evaluating(tmp_path, KINDS["linear"], {"folds": 10}, exclude=["colour"])
    ours = judged(made, given, home).metrics["roc_auc"]
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
def test_series_stay_whole(home: Home, tmp_path: Path) -> None:
    table = series(12, 1)
    given = SplitResult(
        train=keep(home, "train", table),
        validation=keep(home, "validation", _renamed(series(4, 2), "b")),
        test=keep(home, "test", _renamed(series(4, 3), "c")),
    )
    model = {**SEQUENCES["gru"], "epochs": 1}
    found = judged(evaluating(tmp_path, model, {"folds": 2}), given, home)
    assert found.rows == sum(part.rows for part in (given.train, given.validation, given.test))
    assert len(found.metrics["roc_auc"].defined) == 2


def _renamed(table: pa.Table, prefix: str) -> pa.Table:
    names = [prefix + name for name in table["unit"].to_pylist()]
    return table.set_column(table.column_names.index("unit"), "unit", [names])


@pytest.mark.slow
def test_the_last_row_of_each_unit_is_judged(home: Home, tmp_path: Path) -> None:
    table = series(90, 1)
    made = evaluating(
        tmp_path, KINDS["linear"], {"folds": 3, "last": {"by": "unit", "order": "cycle"}}
    )
    made = with_spec(made, split=SplitRule(group="unit"))
    found = judged(made, thirds(home, table.sort_by("unit")), home)
    # Cutting the table in three may cut two units, but folds are of all rows.
    assert found.rows == 90


@pytest.mark.slow
def test_same_in_same_out_and_another_seed_draws_others(home: Home, tmp_path: Path) -> None:
    given = parts(home, "binary", 150)
    made = evaluating(tmp_path, KINDS["mlp"], {"folds": 2})
    other = with_spec(made, split=SplitRule(seed=1))
    first = judged(made, given, home)
    assert judged(made, given, home) == first
    assert judged(other, given, home) != first


@pytest.mark.slow
def test_progress_says_which_fold(home: Home, tmp_path: Path) -> None:
    given = parts(home, "binary", 60)
    made = evaluating(tmp_path, KINDS["linear"], {"folds": 2})
    said: list[str] = []
    cross_validate(*_opened(made, given, home), said.append)
    assert said == ["fold 1 of 2", "fold 2 of 2"]
    assert cross_validate(*_opened(with_spec(made, evaluate=Evaluate()), given, home)) is None


@pytest.mark.slow
def test_too_few_groups_and_too_rare_classes_are_told(home: Home, tmp_path: Path) -> None:
    made = evaluating(tmp_path, KINDS["linear"], {"folds": 20})
    grouped = with_spec(made, split=SplitRule(group="colour"))
    with pytest.raises(DataError, match="20 folds need as many rows or groups; there are 4"):
        judged(grouped, parts(home, "binary", 60), home)
    table = rows(90, 1, "multiclass")
    names = table["y"].to_pylist()
    once = table.set_column(table.column_names.index("y"), "y", [["lone", *names[1:]]])
    with pytest.raises(DataError, match="class 'lone' of target 'y' has too few rows"):
        judged(made, thirds(home, once), home)


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
        ({"split": {"time": "day"}, "evaluate": {"folds": 5}}, "rows that come after"),
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
def test_what_would_tell_nothing_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        PipelineSpec.model_validate(spec(**changes))


def test_the_key_holds_how_folds_are_drawn_and_nothing_trains_for_them(tmp_path: Path) -> None:
    plain = pipeline(tmp_path, KINDS["linear"])
    made = evaluating(tmp_path, KINDS["linear"], {"folds": 5})
    other = with_spec(made, split=SplitRule(seed=1))
    assert relevant_spec(made, "train") == relevant_spec(plain, "train")
    assert relevant_spec(made, "evaluate") != relevant_spec(plain, "evaluate")
    assert relevant_spec(made, "evaluate") != relevant_spec(other, "evaluate")
    assert relevant_spec(plain, "evaluate") == relevant_spec(
        with_spec(plain, split=SplitRule(seed=1)), "evaluate"
    )


FOUND = Folds.model_validate(
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
def test_a_gate_of_the_folds_asks_their_mean(bound: float, passed: bool) -> None:
    gates = Evaluate.model_validate(
        {
            "folds": 3,
            "gates": [
                {"metric": "roc_auc", "of": "folds", "at_least": bound},
                {"metric": "roc_auc", "at_least": 0.1},
                {"metric": "brier", "of": "folds", "at_most": 1},
            ],
        }
    ).gates
    of_folds, of_test, undefined = judge(gates, {"roc_auc": 0.2}, {}, None, FOUND)
    assert of_folds.name == "roc_auc_folds_at_least"
    assert of_folds.passed is passed
    assert of_folds.value == pytest.approx(0.85)
    assert "roc_auc (mean of the folds) 0.85" in of_folds.explanation
    assert of_test.passed
    assert of_test.value == 0.2
    assert not undefined.passed
    assert undefined.explanation == "brier is undefined in every fold"


def test_figures_are_logged_and_shown_by_what_they_are() -> None:
    assert fold_figures(None) == {}
    assert fold_figures(FOUND) == pytest.approx(
        {
            "cv_roc_auc_mean": 0.85,
            "cv_roc_auc_sd": np.std([0.8, 0.9], ddof=1),
            "cv_roc_auc_pooled": 0.84,
            "cv_f1_mean": 0.6,
            "cv_f1_sd": 0.1,
        }
    )
    shown = in_words(FOUND)
    assert "| roc_auc | 0.85 | 0.0707107 | 2 | 0.84 |" in shown
    assert "| f1 | 0.6 | 0.1 | 3 |  |" in shown
