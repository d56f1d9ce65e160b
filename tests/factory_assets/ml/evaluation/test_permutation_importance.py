"""Permutation importances against scikit-learn, for columns of every kind and for series."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from factory_assets.components.metadata.evaluation import importances as in_words
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation.permutation_importance import (
    FEWEST,
    KEPT,
    ROWS,
    _columns,
    _rows,
    importances,
)
from factory_assets.ml.features.features import Category, Features, Number
from factory_assets.ml.features.images import Picture
from factory_assets.ml.metrics.metrics import HEADLINE
from factory_assets.ml.plots.evaluation import plot_importances
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import Importance, Importances
from factory_assets.spec import SplitRule
from factory_resources.home.home import Home
from tests.factory_assets.ml.evaluation.cases import evaluating, judging, with_spec
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, TASKS, keep, parts, series
from tests.factory_assets.ml.plots.test_plots import ODD, require_picture

pytestmark = pytest.mark.slow


class Wrapped:
    """The model as scikit-learn wants it: a frame in, outputs out."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained

    def fit(self, x: Any, y: Any) -> "Wrapped":
        return self

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.trained.outputs(pa.Table.from_pandas(frame, preserve_index=False))


@pytest.mark.parametrize("task", TASKS)
def test_they_are_those_of_scikit_learn(task: str, home: Home, tmp_path: Path) -> None:
    from sklearn.inspection import permutation_importance

    made = evaluating(tmp_path, KINDS["linear"], {"importances": 40})
    judgement, trained = judging(made, parts(home, task, 450), home)
    found = importances(judgement, trained)
    assert found is not None
    assert (found.rows, found.repeats, found.metric) == (
        150,
        40,
        HEADLINE[judgement.candidate.task],
    )

    def score(model: Wrapped, frame: pd.DataFrame, _: Any) -> float:
        outputs = model.predict(frame)
        value = judgement.score(outputs, trained.description.threshold).metrics()[found.metric]
        return -value if found.metric == "rmse" else value

    frame = judgement.rows.select(list(trained.features.columns)).to_pandas()
    theirs = permutation_importance(
        Wrapped(trained), frame, judgement.truth, scoring=score, n_repeats=40, random_state=0
    )
    ours = {one.column: one for one in found.columns}
    for i, name in enumerate(frame.columns):
        # Five standard errors of the difference of two means of forty.
        sure = 5 * (2 / 40) ** 0.5 * max(theirs.importances_std[i], 1e-9)
        assert ours[name].mean == pytest.approx(theirs.importances_mean[i], abs=sure), name
        assert ours[name].sd == pytest.approx(theirs.importances_std[i], rel=0.6, abs=1e-9), name
    means = [one.mean for one in found.columns]
    assert means == sorted(means, reverse=True)


def test_same_in_same_out_and_rows_are_left_as_they_were(home: Home, tmp_path: Path) -> None:
    made = evaluating(tmp_path, KINDS["mlp"], {})
    judgement, trained = judging(made, parts(home, count=120), home)
    before = trained.outputs(judgement.test)
    assert importances(judgement, trained) == importances(judgement, trained)
    np.testing.assert_array_equal(trained.outputs(judgement.test), before)


def test_none_are_asked_for_or_none_are_defined(home: Home, tmp_path: Path) -> None:
    made = evaluating(tmp_path, KINDS["linear"], {"importances": 0})
    judgement, trained = judging(made, parts(home, count=120), home)
    assert importances(judgement, trained) is None
    made = evaluating(tmp_path, KINDS["linear"], {})
    judgement, trained = judging(made, parts(home, count=120), home)
    assert importances(judgement, trained) is not None
    positive = judgement.truth == 1
    one_class = replace(
        judgement, places=judgement.places[positive], truth=judgement.truth[positive]
    )
    assert importances(one_class, trained) is None
    made = evaluating(tmp_path, KINDS["linear"], {}, exclude=["wear", "colour", "open"])
    assert importances(*judging(made, parts(home, count=120), home)) is None


def test_of_a_series_a_column_is_shuffled_in_the_whole_table(home: Home, tmp_path: Path) -> None:
    """Heat and colour of the last rows tell the target; wear and the cycle tell nothing."""
    made = with_spec(
        evaluating(tmp_path, {**SEQUENCES["tcn"], "epochs": 20}, {"importances": 5}),
        split=SplitRule(group="unit"),
    )
    given = SplitResult(
        train=keep(home, "train", series(60, 1)),
        validation=keep(home, "validation", series(20, 2)),
        test=keep(home, "test", series(30, 3)),
    )
    judgement, trained = judging(made, given, home)
    found = importances(judgement, trained)
    assert found is not None
    assert {one.column for one in found.columns[:2]} == {"heat", "colour"}
    assert "unit" not in {one.column for one in found.columns}
    assert found.columns[1].mean > 0.05
    assert found.columns[2].mean < 0.03


def test_every_number_belongs_to_one_input() -> None:
    """An indicator goes with its number, and the pixels with their picture."""
    scale: dict[str, Any] = {"median": 0.0, "mean": 0.0, "sd": 1.0}
    features = Features(
        numeric=(
            Number(name="a", indicator=True, **scale),
            Number(name="b", indicator=False, **scale),
            Number(name="c", indicator=True, **scale),
        ),
        categorical=(Category(name="d", vocabulary=("x",)),),
        constant=(),
        ignored=(),
        picture=Picture(name="e", height=2, width=1, colours=1),
    )
    found = {one.name: (one.numbers, one.codes) for one in _columns(features)}
    assert found == {
        "a": ((0, 3), ()),
        "b": ((1,), ()),
        "c": ((2, 4), ()),
        "d": ((), (0,)),
        "e": ((5, 6), ()),
    }
    assert set(found) == set(features.columns)


@pytest.mark.parametrize(
    ("inputs", "window", "rows"), [(5, 1, ROWS), (50, 1, 333), (400, 1, FEWEST), (10, 50, FEWEST)]
)
def test_work_is_bounded(inputs: int, window: int, rows: int) -> None:
    class Stand:
        columns = ("x",) * inputs
        series = type("S", (), {"window": window})() if window > 1 else None

    assert _rows(1_000_000, 3, Stand()) == rows  # type: ignore[arg-type]
    assert _rows(100, 3, Stand()) == 100  # type: ignore[arg-type]


def test_they_are_shown() -> None:
    columns = tuple(Importance(column=f"{ODD}{i}", mean=1 / (i + 1), sd=0.01) for i in range(KEPT))
    found = Importances(metric="f1", rows=150, repeats=3, inputs=45, columns=columns)
    require_picture(plot_importances(found))
    text = in_words(found)
    assert "first 20 of 45 inputs" in text
    assert "150 test rows" in text
    assert "| 0.5 | 0.01 |" in text
