"""Robustness: where noise and gaps are put and how much, and their effect on the score."""

from pathlib import Path

import numpy as np
import pytest

from factory_assets.components.metadata.evaluation import robustness as markdown
from factory_assets.ml.evaluation.robustness import robustness, with_gaps, with_noise
from factory_assets.ml.plots.evaluation import plot_robustness
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import Disturbed
from factory_assets.spec import SplitRule
from factory_resources.home.home import Home
from tests.factory_assets.ml.evaluation.cases import evaluating, judging, with_spec
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, keep, parts, series
from tests.factory_assets.ml.plots.test_plots import require_picture

pytestmark = pytest.mark.slow

DECLARED = {"robustness": {"noise": [0.2, 2.0], "missing": [0.2, 1.0], "repeats": 4}}


def test_noise_is_scaled_by_the_spread_of_the_training_rows(home: Home, tmp_path: Path) -> None:
    test_set, trained = judging(
        evaluating(tmp_path, KINDS["linear"], DECLARED), parts(home, count=1500), home
    )
    noisy = with_noise(test_set.test, trained, 0.5, np.random.default_rng(0))
    assert noisy.column_names == test_set.test.column_names
    for number in trained.features.numeric:
        before, after = (t[number.name] for t in (test_set.test, noisy))
        if number.name == "open":
            assert after == before
            continue
        assert after.null_count == before.null_count
        added = (after.to_numpy() - before.to_numpy())[~np.isnan(after.to_numpy())]
        # 500 rows: the sd of a sample is within 4 / sqrt(1,000) of the true one.
        assert added.std() == pytest.approx(0.5 * number.sd, rel=0.13)
        assert abs(added.mean()) < 4 * 0.5 * number.sd / np.sqrt(len(added))
    assert noisy["colour"] == test_set.test["colour"]
    assert noisy["y"] == test_set.test["y"]


def test_gaps_cover_the_given_share_of_every_input(home: Home, tmp_path: Path) -> None:
    test_set, trained = judging(
        evaluating(tmp_path, KINDS["linear"], DECLARED), parts(home, count=1500), home
    )
    with_missing = with_gaps(test_set.test, trained, 0.3, np.random.default_rng(0))
    for name in trained.features.columns:
        before, after = (t[name].null_count / 500 for t in (test_set.test, with_missing))
        assert after == pytest.approx(before + 0.3 * (1 - before), abs=0.08)
        assert with_missing[name].type == test_set.test[name].type
    assert with_missing["y"].null_count == 0


def test_more_disturbance_lowers_the_score_down_to_chance(home: Home, tmp_path: Path) -> None:
    declared = evaluating(tmp_path, KINDS["linear"], {"metric": "roc_auc", **DECLARED})
    test_set, trained = judging(declared, parts(home), home)
    plain = test_set.score_model(trained).metrics()["roc_auc"]
    results = robustness(test_set, trained)
    assert [(one.kind, one.level) for one in results] == [
        ("noise", 0.2),
        ("noise", 2.0),
        ("missing", 0.2),
        ("missing", 1.0),
    ]
    little, much, few, all_gone = (one.mean for one in results)
    assert plain > little > much > 0.5
    assert plain > few > all_gone == 0.5
    assert results[3].sd == 0.0
    assert robustness(test_set, trained) == results


def test_robustness_is_computed_only_if_declared(home: Home, tmp_path: Path) -> None:
    declared = evaluating(tmp_path, KINDS["linear"], {})
    assert robustness(*judging(declared, parts(home, count=120), home)) == ()
    defaults = evaluating(tmp_path, KINDS["linear"], {"robustness": {}})
    results = robustness(*judging(defaults, parts(home, count=120), home))
    assert {one.kind for one in results} == {"noise", "missing"}


def test_columns_that_order_a_series_are_not_disturbed(home: Home, tmp_path: Path) -> None:
    declared = with_spec(
        evaluating(tmp_path, {**SEQUENCES["gru"], "epochs": 1}, DECLARED),
        split=SplitRule(group="unit"),
    )
    table = series(12, 1)
    split = SplitResult(**{n: keep(home, n, table) for n in ("train", "validation", "test")})
    test_set, trained = judging(declared, split, home)
    chance = np.random.default_rng(0)
    for disturbed in (
        with_noise(table, trained, 1.0, chance),
        with_gaps(table, trained, 0.9, chance),
    ):
        assert disturbed["cycle"] == table["cycle"]
        assert disturbed["unit"] == table["unit"]
        assert disturbed["heat"] != table["heat"]
    assert len(robustness(test_set, trained)) == 4


def test_robustness_is_plotted_and_tabulated() -> None:
    results = (
        Disturbed(kind="noise", level=0.5, mean=0.75, sd=0.01),
        Disturbed(kind="missing", level=0.1, mean=0.8, sd=0.02),
    )
    require_picture(plot_robustness(results, "roc_auc", 0.9))
    require_picture(plot_robustness(results[:1], "roc_auc", 0.9))
    text = markdown(results, "roc_auc", 0.875)
    assert "| noise | 0.5 | 0.75 | 0.01 | -0.125 |" in text
