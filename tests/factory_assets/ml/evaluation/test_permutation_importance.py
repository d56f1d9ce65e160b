"""Permutation importances against scikit-learn, for columns of every kind and for series."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from factory_assets.components.metadata.evaluation import importances as markdown
from factory_assets.ml.artifacts.trained_model import TrainedModel
from factory_assets.ml.evaluation import permutation_importance
from factory_assets.ml.evaluation.permutation_importance import (
    MAX_ROWS,
    MIN_ROWS,
    MOST_INPUTS,
    _columns,
    _rows,
    importances,
)
from factory_assets.ml.features.arrays import Arrays
from factory_assets.ml.features.features import Category, Features, Number
from factory_assets.ml.features.images import Picture
from factory_assets.ml.features.target_statistics import TargetStatistics
from factory_assets.ml.features.times import TimeNumber
from factory_assets.ml.metrics.metrics import PRIMARY_METRIC
from factory_assets.ml.plots.evaluation import plot_importances
from factory_assets.results.data import SplitResult
from factory_assets.results.evaluation import Importance, Importances
from factory_assets.spec import SplitRule
from factory_resources.home.home import Home
from tests.factory_assets.ml.evaluation.cases import evaluating, judging, with_spec
from tests.factory_assets.ml.models.cases import KINDS, SEQUENCES, keep, parts, series
from tests.factory_assets.ml.plots.test_plots import ODD, require_picture
from tests.long_run import in_long

pytestmark = pytest.mark.slow


class Wrapped:
    """The model with the interface of a scikit-learn estimator: a frame in, outputs out."""

    def __init__(self, trained: TrainedModel) -> None:
        self.trained = trained

    def fit(self, x: Any, y: Any) -> "Wrapped":
        return self

    def predict(self, frame: pd.DataFrame) -> Any:
        return self.trained.outputs(pa.Table.from_pandas(frame, preserve_index=False))


@pytest.mark.parametrize("task", ["binary", "regression", *in_long(["multiclass"])])
def test_importances_agree_with_scikit_learn(task: str, home: Home, tmp_path: Path) -> None:
    from sklearn.inspection import permutation_importance

    declared = evaluating(tmp_path, KINDS["linear"], {"importances": 40})
    test_set, trained = judging(declared, parts(home, task, 450), home)
    result = importances(test_set, trained)
    assert result is not None
    assert (result.rows, result.repeats, result.metric) == (
        150,
        40,
        PRIMARY_METRIC[test_set.candidate.task],
    )

    def score(model: Wrapped, frame: pd.DataFrame, _: Any) -> float:
        outputs = model.predict(frame)
        value = test_set.score(outputs, trained.description.threshold).metrics()[result.metric]
        return -value if result.metric == "rmse" else value

    frame = test_set.rows.select(list(trained.features.columns)).to_pandas()
    theirs = permutation_importance(
        Wrapped(trained), frame, test_set.truth, scoring=score, n_repeats=40, random_state=0
    )
    ours = {one.column: one for one in result.columns}
    for i, name in enumerate(frame.columns):
        # Five standard errors of the difference of two means of forty.
        tolerance = 5 * (2 / 40) ** 0.5 * max(theirs.importances_std[i], 1e-9)
        assert ours[name].mean == pytest.approx(theirs.importances_mean[i], abs=tolerance), name
        assert ours[name].sd == pytest.approx(theirs.importances_std[i], rel=0.6, abs=1e-9), name
    means = [one.mean for one in result.columns]
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("kind", ["mlp", *in_long(["auto"])])
def test_importances_are_deterministic_and_do_not_change_the_rows(
    kind: str, home: Home, tmp_path: Path
) -> None:
    declared = evaluating(tmp_path, KINDS[kind], {})
    test_set, trained = judging(declared, parts(home, count=120), home)
    before = trained.outputs(test_set.test)
    assert importances(test_set, trained) == importances(test_set, trained)
    np.testing.assert_array_equal(trained.outputs(test_set.test), before)


@pytest.mark.parametrize("kind", ["mlp", "auto"])
def test_importances_do_not_depend_on_how_many_rows_are_predicted_at_once(
    kind: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declared = evaluating(tmp_path, KINDS[kind], {})
    test_set, trained = judging(declared, parts(home, count=120), home)
    predicted, predict = list[int](), TrainedModel.outputs_of

    def counted(model: TrainedModel, arrays: Arrays) -> Any:
        predicted.append(len(arrays))
        return predict(model, arrays)

    monkeypatch.setattr(TrainedModel, "outputs_of", counted)
    together = importances(test_set, trained)
    assert together is not None
    rows = together.rows
    assert predicted == [rows, 4 * 3 * rows]
    predicted.clear()
    values = 5 * rows * (trained.features.width + len(trained.features.categorical))
    monkeypatch.setattr(permutation_importance, "MAX_STACKED_VALUES", values)
    in_parts = importances(test_set, trained)
    assert in_parts is not None
    assert predicted == [rows, 5 * rows, 5 * rows, 2 * rows]
    for one, other in zip(together.columns, in_parts.columns, strict=True):
        assert one.column == other.column
        assert (one.mean, one.sd) == pytest.approx((other.mean, other.sd), abs=1e-6)


def test_importances_are_none_if_not_declared_or_undefined(home: Home, tmp_path: Path) -> None:
    declared = evaluating(tmp_path, KINDS["linear"], {"importances": 0})
    test_set, trained = judging(declared, parts(home, count=120), home)
    assert importances(test_set, trained) is None
    declared = evaluating(tmp_path, KINDS["linear"], {})
    test_set, trained = judging(declared, parts(home, count=120), home)
    assert importances(test_set, trained) is not None
    positive = test_set.truth == 1
    one_class = replace(test_set, places=test_set.places[positive], truth=test_set.truth[positive])
    assert importances(one_class, trained) is None
    declared = evaluating(tmp_path, KINDS["linear"], {}, exclude=["wear", "colour", "open"])
    assert importances(*judging(declared, parts(home, count=120), home)) is None


def test_columns_of_a_series_are_shuffled_in_the_whole_table(home: Home, tmp_path: Path) -> None:
    """Heat and colour of the last rows determine the target; wear and the cycle do not."""
    declared = with_spec(
        evaluating(tmp_path, {**SEQUENCES["tcn"], "epochs": 20}, {"importances": 5}),
        split=SplitRule(group="unit"),
    )
    split = SplitResult(
        train=keep(home, "train", series(60, 1)),
        validation=keep(home, "validation", series(20, 2)),
        test=keep(home, "test", series(30, 3)),
    )
    test_set, trained = judging(declared, split, home)
    result = importances(test_set, trained)
    assert result is not None
    assert {one.column for one in result.columns[:2]} == {"heat", "colour"}
    assert "unit" not in {one.column for one in result.columns}
    assert result.columns[1].mean > 0.05
    assert result.columns[2].mean < 0.03


def test_every_array_column_belongs_to_one_input() -> None:
    """An indicator belongs to its number, statistics to their category, pixels to their picture; a
    distance belongs to both of its times."""
    scale: dict[str, Any] = {"median": 0.0, "mean": 0.0, "sd": 1.0}
    statistics = TargetStatistics(
        words=("y",),
        means=((0.2, 0.3),),
        prior=(0.1, 0.2),
        shares=(1.0, 1.0),
        scales=((0.0, 1.0), (0.0, 1.0)),
    )
    features = Features(
        numeric=(
            Number(name="a", indicator=True, **scale),
            Number(name="b", indicator=False, **scale),
            Number(name="c", indicator=True, **scale),
        ),
        categorical=(
            Category(name="d", vocabulary=("x",), statistics=statistics),
            Category(name="f", vocabulary=("x",)),
        ),
        constant=(),
        ignored=(),
        picture=Picture(name="e", height=2, width=1, colours=1),
        times=(
            TimeNumber(name="", indicator=True, column="t", part="month", since=None, **scale),
            TimeNumber(name="", indicator=False, column="t", part=None, since="u", **scale),
        ),
    )
    columns = {one.name: (one.numbers, one.codes) for one in _columns(features)}
    assert columns == {
        "a": ((0, 7), ()),
        "b": ((1,), ()),
        "c": ((2, 8), ()),
        "t": ((3, 9, 4), ()),
        "u": ((4,), ()),
        "d": ((5, 6), (0,)),
        "f": ((), (1,)),
        "e": ((10, 11), ()),
    }
    assert set(columns) == set(features.columns)


@pytest.mark.parametrize(
    ("inputs", "window", "rows"),
    [(5, 1, MAX_ROWS), (50, 1, 333), (400, 1, MIN_ROWS), (10, 50, MIN_ROWS)],
)
def test_number_of_rows_is_bounded(inputs: int, window: int, rows: int) -> None:
    class Features:
        columns = ("x",) * inputs
        series = type("S", (), {"window": window})() if window > 1 else None

    assert _rows(1_000_000, 3, Features()) == rows  # type: ignore[arg-type]
    assert _rows(100, 3, Features()) == 100  # type: ignore[arg-type]


def test_importances_are_plotted_and_tabulated() -> None:
    columns = tuple(
        Importance(column=f"{ODD}{i}", mean=1 / (i + 1), sd=0.01) for i in range(MOST_INPUTS)
    )
    result = Importances(metric="f1", rows=150, repeats=3, inputs=45, columns=columns)
    require_picture(plot_importances(result))
    text = markdown(result)
    assert "first 20 of 45 inputs" in text
    assert "150 test rows" in text
    assert "| 0.5 | 0.01 |" in text
