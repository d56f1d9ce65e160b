"""Nothing of validation or test rows reaches what is fitted; empty labels teach nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.training.fitting import fit
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import KINDS, parts, pipeline, rows

pytestmark = pytest.mark.slow


def shuffled(table: pa.Table, seed: int) -> pa.Table:
    order = np.random.default_rng(seed).permutation(table.num_rows)
    return table.set_column(table.column_names.index("y"), "y", table["y"].take(order))


@pytest.mark.parametrize("kind", KINDS)
def test_shuffled_labels_score_at_chance(kind: str, home: Home, tmp_path: Path) -> None:
    from sklearn.metrics import roc_auc_score

    training, held = shuffled(rows(2000, 1), 7), shuffled(rows(1000, 2), 8)
    made = pipeline(tmp_path, KINDS[kind])
    # Unshuffled test labels follow four columns, and so does, one way or the other, a smooth model.
    test = shuffled(rows(2000, 3), 9)
    outputs = fit(made, training, held, home).trained.outputs(test)[:, 1]
    # Four standard errors of the AUC of 2,000 rows around chance.
    assert abs(roc_auc_score(test["y"].to_numpy(), outputs) - 0.5) < 0.06


@pytest.mark.parametrize("kind", ["linear", "random_forest"])
def test_validation_rows_teach_nothing(kind: str, home: Home, tmp_path: Path) -> None:
    """Where nothing is stopped early, the validation rows do not change the fitted model at all."""
    made = pipeline(tmp_path, KINDS[kind])
    one = fit(made, rows(600, 1), rows(200, 2), home).trained
    other = fit(made, rows(600, 1), shuffled(rows(300, 9), 1), home).trained
    test = rows(300, 3)
    assert one.features == other.features
    assert one.target == other.target
    np.testing.assert_array_equal(one.outputs(test), other.outputs(test))


@pytest.mark.parametrize("kind", ["gradient_boosting", "mlp"])
def test_preprocessing_is_of_training_rows(kind: str, home: Home, tmp_path: Path) -> None:
    made = pipeline(tmp_path, KINDS[kind])
    one = fit(made, rows(600, 1), rows(200, 2), home).trained
    far = rows(200, 2).set_column(2, "heat", pa.array([1e6] * 200))
    assert one.features == fit(made, rows(600, 1), far, home).trained.features


def test_training_opens_no_test_row(home: Home, tmp_path: Path) -> None:
    given = parts(home)
    given.test.paths(home)[0].unlink()
    assert train(pipeline(tmp_path, KINDS["linear"]), given, home).version == 1
