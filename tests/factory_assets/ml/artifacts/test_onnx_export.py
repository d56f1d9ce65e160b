"""Statistics of the target and times in the exported graph: the same outputs for any value."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.onnx_export import export
from factory_assets.ml.artifacts.table_graph import numeric_categories, read_as_numbers
from factory_assets.ml.training.fitting import fit
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import KINDS, TASKS, pipeline, towns
from tests.factory_assets.ml.models.test_kinds import same_everywhere

pytestmark = pytest.mark.slow

START = np.datetime64("2022-01-01T00:00:00")

MEMBERS = [KINDS["linear"], KINDS["lightgbm"], {**KINDS["tabm"], "epochs": 1}]


def dated(table: pa.Table) -> pa.Table:
    """Add when a row was recorded, with gaps and extreme values, and a date of birth."""
    chance = np.random.default_rng(table.num_rows)
    at = START + chance.integers(0, 10**8, table.num_rows).astype("timedelta64[s]")
    at[:2] = np.datetime64("0001-01-01"), np.datetime64("9999-12-31T23:59:59")
    at[2::9] = np.datetime64("NaT")
    born = np.datetime64("1930-01-01") + chance.integers(0, 20_000, table.num_rows)
    return table.append_column("at", pa.array(at)).append_column("born", pa.array(born))


MODELS: dict[str, dict[str, Any]] = {
    "linear": KINDS["linear"],
    "mlp": {**KINDS["mlp"], "epochs": 2},
    "auto": {"kind": "auto", "members": MEMBERS},
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", MODELS)
def test_words_and_times_give_the_same_outputs_in_the_graph(
    kind: str, task: str, tmp_path: Path
) -> None:
    declared = pipeline(tmp_path, MODELS[kind], categorical=("town",))
    home = Home(tmp_path / "home")
    tables = [dated(towns(rows, seed, task)) for seed, rows in ((1, 3000), (2, 300), (3, 400))]
    trained = fit(declared, *tables[:2], home).trained
    assert any(trained.features.statistics_places())
    assert len(trained.features.times) > 5
    probe = tables[2]
    words = [None, "", "never seen", "1e300", "99999999999999999999", "-1"]
    names = [*words, *probe["town"].cast(pa.string()).to_pylist()[len(words) :]]
    hostile = probe.set_column(probe.column_names.index("town"), "town", pa.array(names))
    same_everywhere(trained, tmp_path, task, 1e-5, hostile)


def test_words_that_are_read_as_numbers_have_their_statistics(tmp_path: Path) -> None:
    declared = pipeline(tmp_path, KINDS["linear"], categorical=("town",))
    table = towns(3000, 1)
    trained = fit(declared, table, towns(300, 2), Home(tmp_path / "home")).trained
    words = {c.name: c.words for c in trained.features.categorical}
    words = numeric_categories(table.schema, words)
    assert list(words) == ["town"]
    assert len(words["town"]) > 200
    session = onnxruntime.InferenceSession(read_as_numbers(export(trained), words))
    probe = towns(400, 3)
    read: dict[str, Any] = {
        name: probe[name].cast(pa.float64()).to_numpy()[:, None].astype(np.float32)
        for name in ("heat", "wear")
    }
    read["open"] = probe["open"].cast(pa.float32()).to_numpy()[:, None]
    read["colour"] = np.array([[c or ""] for c in probe["colour"].to_pylist()], dtype=object)
    read["town"] = probe["town"].cast(pa.float64()).to_numpy()[:, None]
    [outputs] = session.run(None, read)
    np.testing.assert_allclose(outputs, trained.outputs(probe), atol=1e-5)
