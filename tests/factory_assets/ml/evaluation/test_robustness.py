"""Noise and gaps: put where they are said to be, by as much; a disturbed model does worse."""

from pathlib import Path

import numpy as np
import pytest

from factory_assets.components.metadata.evaluation import robustness as in_words
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

ASKED = {"robustness": {"noise": [0.2, 2.0], "missing": [0.2, 1.0], "repeats": 4}}


def test_noise_is_a_share_of_the_training_rows_spread(home: Home, tmp_path: Path) -> None:
    judgement, trained = judging(
        evaluating(tmp_path, KINDS["linear"], ASKED), parts(home, count=1500), home
    )
    noisy = with_noise(judgement.test, trained, 0.5, np.random.default_rng(0))
    assert noisy.column_names == judgement.test.column_names
    for number in trained.features.numeric:
        before, after = (t[number.name] for t in (judgement.test, noisy))
        if number.name == "open":
            assert after == before
            continue
        assert after.null_count == before.null_count
        added = (after.to_numpy() - before.to_numpy())[~np.isnan(after.to_numpy())]
        # 500 rows: the sd of a sample is within 4 / sqrt(1,000) of the true one.
        assert added.std() == pytest.approx(0.5 * number.sd, rel=0.13)
        assert abs(added.mean()) < 4 * 0.5 * number.sd / np.sqrt(len(added))
    assert noisy["colour"] == judgement.test["colour"]
    assert noisy["y"] == judgement.test["y"]


def test_gaps_are_a_share_of_every_input(home: Home, tmp_path: Path) -> None:
    judgement, trained = judging(
        evaluating(tmp_path, KINDS["linear"], ASKED), parts(home, count=1500), home
    )
    holed = with_gaps(judgement.test, trained, 0.3, np.random.default_rng(0))
    for name in trained.features.columns:
        before, after = (t[name].null_count / 500 for t in (judgement.test, holed))
        assert after == pytest.approx(before + 0.3 * (1 - before), abs=0.08)
        assert holed[name].type == judgement.test[name].type
    assert holed["y"].null_count == 0


def test_a_disturbed_model_does_worse_and_without_inputs_it_guesses(
    home: Home, tmp_path: Path
) -> None:
    made = evaluating(tmp_path, KINDS["linear"], {"metric": "roc_auc", **ASKED})
    judgement, trained = judging(made, parts(home), home)
    plain = judgement.score_model(trained).metrics()["roc_auc"]
    found = robustness(judgement, trained)
    assert [(one.kind, one.level) for one in found] == [
        ("noise", 0.2),
        ("noise", 2.0),
        ("missing", 0.2),
        ("missing", 1.0),
    ]
    little, much, few, all_gone = (one.mean for one in found)
    assert plain > little > much > 0.5
    assert plain > few > all_gone == 0.5
    assert found[3].sd == 0.0
    assert robustness(judgement, trained) == found


def test_it_is_opt_in(home: Home, tmp_path: Path) -> None:
    made = evaluating(tmp_path, KINDS["linear"], {})
    assert robustness(*judging(made, parts(home, count=120), home)) == ()
    defaults = evaluating(tmp_path, KINDS["linear"], {"robustness": {}})
    found = robustness(*judging(defaults, parts(home, count=120), home))
    assert {one.kind for one in found} == {"noise", "missing"}


def test_what_orders_a_series_is_left_alone(home: Home, tmp_path: Path) -> None:
    made = with_spec(
        evaluating(tmp_path, {**SEQUENCES["gru"], "epochs": 1}, ASKED),
        split=SplitRule(group="unit"),
    )
    table = series(12, 1)
    given = SplitResult(**{n: keep(home, n, table) for n in ("train", "validation", "test")})
    judgement, trained = judging(made, given, home)
    chance = np.random.default_rng(0)
    for disturbed in (
        with_noise(table, trained, 1.0, chance),
        with_gaps(table, trained, 0.9, chance),
    ):
        assert disturbed["cycle"] == table["cycle"]
        assert disturbed["unit"] == table["unit"]
        assert disturbed["heat"] != table["heat"]
    assert len(robustness(judgement, trained)) == 4


def test_it_is_shown() -> None:
    found = (
        Disturbed(kind="noise", level=0.5, mean=0.75, sd=0.01),
        Disturbed(kind="missing", level=0.1, mean=0.8, sd=0.02),
    )
    require_picture(plot_robustness(found, "roc_auc", 0.9))
    require_picture(plot_robustness(found[:1], "roc_auc", 0.9))
    text = in_words(found, "roc_auc", 0.875)
    assert "| noise | 0.5 | 0.75 | 0.01 | -0.125 |" in text
