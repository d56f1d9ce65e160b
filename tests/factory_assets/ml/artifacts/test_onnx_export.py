"""Statistics of the target in the exported graph: the same outputs, whatever the words."""

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

MEMBERS = [KINDS["linear"], KINDS["lightgbm"], {**KINDS["tabm"], "epochs": 1}]

MODELS: dict[str, dict[str, Any]] = {
    "linear": KINDS["linear"],
    "mlp": {**KINDS["mlp"], "epochs": 2},
    "auto": {"kind": "auto", "members": MEMBERS},
}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("kind", MODELS)
def test_words_give_the_same_outputs_in_the_graph(kind: str, task: str, tmp_path: Path) -> None:
    declared = pipeline(tmp_path, MODELS[kind], categorical=("town",))
    home = Home(tmp_path / "home")
    trained = fit(declared, towns(3000, 1, task), towns(300, 2, task), home).trained
    assert any(trained.features.statistics_places())
    probe = towns(400, 3, task)
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
