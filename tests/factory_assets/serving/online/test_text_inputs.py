"""Texts of requests are encoded as those of a file, alone and among others."""

import json
from pathlib import Path

import pytest

from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.serving.online.served_model import ServedModel
from tests.factory_assets.ml.features.test_texts import MINILM, TEXTS, tiny
from tests.factory_assets.serving.cases import Deployed

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("encoder", ["tiny", MINILM])
def test_texts_of_a_request_are_encoded_as_in_a_file(encoder: str, tmp_path: Path) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    rows = [
        {"note": f"the pump is {('fine', 'broken')[i % 2]} {i % 7}", "heat": i / 3, "bad": i % 2}
        for i in range(90)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    name = str(tiny(folder / "tiny")) if encoder == "tiny" else encoder
    train = {"target": "bad", "text": {"note": name}, "model": {"kind": "linear"}, "seed": 3}
    deployed = Deployed(
        folder,
        {"purpose": "test", "ingest": {"source": {"files": "rows.jsonl"}}, "train": train},
    )
    texts = [*(text for text in TEXTS if "\u0000" not in text), None, "the pump is broken"]
    asked = [{"note": text, "heat": float(i)} for i, text in enumerate(texts)]
    content = "".join(json.dumps(row) + "\n" for row in asked)
    in_file = deployed.predict("new.jsonl", content)
    expected = [[row["p_0"], row["p_1"]] for row in in_file if row["reason"] is None]
    version, model = load_champion("p", deployed.home)
    served = ServedModel("p", version, model, deployed.home)
    together = served.score(asked)
    assert len(expected) == len(asked)
    assert together.outputs.tolist() == expected
    alone = [served.score([row]).outputs.tolist()[0] for row in asked]
    assert alone == expected
    served.close()
