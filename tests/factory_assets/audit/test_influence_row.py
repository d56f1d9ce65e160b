"""A row whose prediction is to be explained is read as the model was trained."""

from pathlib import Path

import pyarrow as pa
import pytest

from factory_assets.audit.influence_row import answered_row, file_row
from factory_assets.audit.prediction import LoggedPrediction
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_assets.stages.train import train
from factory_resources.home.home import Home
from tests.data_stages import pipeline
from tests.factory_assets.ml.features.test_texts import tiny

pytestmark = pytest.mark.slow


def test_sentences_without_a_contract_are_texts_even_if_one_looks_like_a_number(
    tmp_path: Path,
) -> None:
    lines = [f"the pump is {('fine', 'broken')[i % 2]},{i % 7},{i % 2}" for i in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(("note,heat,y", *lines)) + "\n")
    (tmp_path / "one.csv").write_text("note,heat\n1.0,2\n")
    text = {"note": str(tiny(tmp_path / "tiny"))}
    trained = {"target": "y", "text": text, "model": {"kind": "linear"}}
    declared, home = pipeline(tmp_path, train=trained), Home(tmp_path / "home")
    parts = split(declared, clean(declared, ingest(declared, home), home), home)
    model = load_trained(train(declared, parts, home), home, tmp_path)
    found = file_row(declared, model, tmp_path / "one.csv", "1", home)
    expected = model.features.arrays(pa.table({"note": ["1.0"], "heat": [2]}), scaled=True)
    assert found.inputs.numbers.tolist() == expected.numbers.tolist()


def test_a_key_of_an_answer_is_not_needed_to_explain_it(tmp_path: Path) -> None:
    lines = [f"c{i},{i % 7},{i % 2}" for i in range(60)]
    (tmp_path / "data.csv").write_text("\n".join(("case,heat,y", *lines)) + "\n")
    learned = {"target": "y", "exclude": "case", "model": {"kind": "linear"}}
    declared, home = pipeline(tmp_path, train=learned), Home(tmp_path / "home")
    parts = split(declared, clean(declared, ingest(declared, home), home), home)
    model = load_trained(train(declared, parts, home), home, tmp_path)
    answer = LoggedPrediction(
        id="x", time="2026-01-31T10:00:00.000+00:00", milliseconds=1.0, pipeline=declared.name,
        version=1, caller="", protocol="plain", status=200, row=0, rows=1,
        input={"heat": 2.0, "case": {"commitment": "00"}}, output={"prediction": "1"}, block=None,
    )  # fmt: skip
    found = answered_row(declared, model, answer, home)
    expected = model.features.arrays(pa.table({"heat": [2.0]}), scaled=True)
    assert found.inputs.numbers.tolist() == expected.numbers.tolist()
