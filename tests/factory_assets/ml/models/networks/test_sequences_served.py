"""A network over series from ingest to scoring a new file, evaluated at each series' last row."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pv
import pytest

from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Champion
from factory_assets.serving.batch import predict
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.clean import clean
from factory_assets.stages.evaluate import evaluate
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_assets.stages.train import train
from factory_resources.errors import ContractError
from factory_resources.home.home import Home
from factory_resources.instance import prepare
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.ml.models.cases import SEQUENCES, series, serve

pytestmark = pytest.mark.slow

SPEC: dict[str, Any] = {
    "purpose": "test",
    "ingest": {
        "source": {"files": "rows.csv"},
        "contract": [
            {"name": "unit", "type": "string", "nullable": False},
            {"name": "cycle", "type": "int64", "nullable": False},
            {"name": "heat", "type": "float64", "range": [-100, 200]},
            {"name": "wear", "type": "float64"},
            {"name": "colour", "type": "string"},
            {"name": "y", "type": "float64", "nullable": False},
        ],
    },
    "split": {"group": "unit", "test": 0.2, "validation": 0.2},
    "train": {"target": "y", "exclude": ("cycle",), "model": SEQUENCES["gru"]},
    "evaluate": {
        "last": {"by": "unit", "order": "cycle"},
        "asymmetry": {"early": 300.0, "late": 200.0},
        "gates": [{"metric": "asymmetric_score", "at_most": 1000}],
    },
}


class Factory:
    """A deployed champion and the results of the stages before it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        prepare(self.home)
        self.pipeline = Pipeline("p", PipelineSpec.model_validate(SPEC), folder)
        self.source = series(60, 1, "regression").drop_columns(["_file", "_row"])
        pv.write_csv(self.source, folder / "rows.csv")
        cleaned = clean(self.pipeline, ingest(self.pipeline, self.home), self.home)
        parts = split(self.pipeline, cleaned, self.home)
        candidate = train(self.pipeline, parts, self.home)
        self.verdict: EvaluationResult = evaluate(
            self.pipeline, parts, candidate, self.home, champion=None
        )
        self.test = read_arrow(parts.test, self.home)
        self.champion: Champion = serve(self.pipeline, parts, candidate, self.verdict, self.home)

    def predict(self, table: pa.Table) -> pa.Table:
        pv.write_csv(table, self.folder / "new.csv")
        return predict(self.pipeline, self.folder / "new.csv", self.home)


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Factory:
    return Factory(tmp_path_factory.mktemp("series"))


def test_evaluate_and_deploy_use_the_last_row_of_each_series(factory: Factory) -> None:
    units = len(factory.test["unit"].unique())
    assert factory.champion.compared_rows == factory.verdict.predictions.rows == units < 20
    assert factory.champion.max_difference <= 1e-5
    assert factory.verdict.metrics["r2"] > 0.7
    assert factory.verdict.metrics["asymmetric_score"] < 100


def test_scores_of_a_file_match_the_predictions_of_evaluate(factory: Factory) -> None:
    """The file has the rows in another order; each prediction uses its own series."""
    evaluated = read_arrow(factory.verdict.predictions, factory.home).to_pandas()
    rows = factory.test.drop_columns(["_file", "y"])
    order = np.random.default_rng(0).permutation(rows.num_rows)
    scored = factory.predict(rows.drop_columns("_row").take(order)).to_pandas()
    by_row = dict(zip(rows["_row"].to_numpy()[order], scored["prediction"], strict=True))
    again = np.array([by_row[row] for row in evaluated["_row"]])
    np.testing.assert_allclose(again, evaluated["prediction"], atol=0.02)


def test_a_quarantined_row_is_missing_from_the_windows_after_it(factory: Factory) -> None:
    rows = factory.source.sort_by([("unit", "ascending"), ("cycle", "ascending")])
    longest = rows["unit"].to_pandas().mode()[0]
    one = rows.filter(pa.array([unit == longest for unit in rows["unit"].to_pylist()]))
    assert one.num_rows > 8
    heat = one["heat"].to_pylist()
    heat[5] = 500.0
    broken = one.set_column(one.column_names.index("heat"), "heat", pa.array(heat))
    whole, without = factory.predict(broken), factory.predict(one.take([0, 1, 2, 3, 4, 6, 7]))
    assert whole["reason"].to_pylist()[5] == "range:heat"
    assert whole["prediction"].to_pylist()[5] is None
    expected = without["prediction"].to_pylist()
    assert whole["prediction"].to_pylist()[6:8] == pytest.approx(expected[5:7], abs=1e-3)


def test_scoring_requires_the_column_that_orders_a_series(factory: Factory) -> None:
    with pytest.raises(ContractError, match="no column 'cycle'"):
        factory.predict(factory.source.drop_columns("cycle"))
