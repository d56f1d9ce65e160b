"""Answers have the key of the business: outcomes find them by it, and so does an erasure."""

from pathlib import Path
from typing import Any

import pyarrow.csv
import pytest

from factory_resources.home.home import Home
from factory_resources.prediction_log.prediction_log import PredictionLog
from tests.commands import in_process
from tests.engines import server_in_long
from tests.ledger import problems
from tests.pipelines import declare, enter
from tests.serving import serving

pytestmark = pytest.mark.slow

WARD: dict[str, Any] = {
    "purpose": "Tell who stays",
    "ingest": {
        "source": {"files": "rows.csv"},
        "contract": [
            {"name": "case", "from": "Case No", "type": "int64"},
            {"name": "patient", "type": "string", "sensitive": "personal"},
            {"name": "size", "type": "float64"},
            {"name": "label", "type": "string"},
        ],
    },
    "train": {"target": "label", "exclude": ["case", "patient"], "model": {"kind": "linear"}},
    "evaluate": {"gates": [{"metric": "roc_auc", "better_than": "trivial"}]},
    "deploy": {"log": {"keys": ["case", "patient"]}},
}

FIRST = 70_310_000


def person(number: int) -> tuple[int, str]:
    return FIRST + number, f"Person Number{number}"


@pytest.fixture
def ward(prepared_engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A factory with a champion on either engine."""
    root = tmp_path / "root"
    declare(root / "defs" / "ward", WARD)
    lines = [
        ",".join(map(str, (*person(i), i % 7 + i / 100, "good" if i % 7 > 3 else "bad")))
        for i in range(200)
    ]
    content = "\n".join(["Case No,patient,size,label", *lines]) + "\n"
    (root / "defs" / "ward" / "rows.csv").write_text(content)
    enter(root, monkeypatch)
    code, text = in_process("run", "ward")
    assert code == 0, text
    return root


@server_in_long("prepared_engine")
def test_outcomes_and_erasures_find_answers_by_a_key_that_the_model_does_not_read(
    ward: Path,
) -> None:
    home = Home(ward / "home")
    rows = [",".join(map(str, (*person(i), i))) for i in range(3)]
    (ward / "new.csv").write_text("\n".join(["Case No,patient,size", *rows]) + "\n")
    code, text = in_process("predict", "ward", ward / "new.csv", "--out", ward / "scored.csv")
    assert code == 0, text
    scored = pyarrow.csv.read_csv(ward / "scored.csv")
    assert scored["case"].to_pylist() == [FIRST, FIRST + 1, FIRST + 2]
    assert "patient" not in scored.column_names
    asked = [{"size": 3.5, "Case No": person(i)[0], "patient": person(i)[1]} for i in (7, 8)]
    with serving(home.path) as server:
        [one, two] = [server.ask("/predict/ward", row).json["id"] for row in asked]
        [plain] = server.ask("/predict/ward", [{"size": 3.5}]).json["predictions"]
    (ward / "outcomes.csv").write_text(f"Case No,outcome\n{FIRST + 7},good\n{FIRST + 1},bad\n")
    code, text = in_process("feedback", "ward", ward / "outcomes.csv", "--key", "Case No")
    assert (code, text.splitlines()[0]) == (0, "2 recorded, 0 corrected, 0 repeated"), text
    (ward / "outcomes.csv").write_text(f"patient,outcome\n{person(8)[1]},good\n")
    code, text = in_process("feedback", "ward", ward / "outcomes.csv", "--key", "patient")
    assert (code, text.splitlines()[0]) == (0, "1 recorded, 0 corrected, 0 repeated"), text
    code, text = in_process("trace", one)
    assert f"input     Case No = {FIRST + 7}" in text
    assert "'good', observed" in text
    with PredictionLog(home) as log:
        log.collect()
    code, text = in_process("answers", "prove", one, "--out", ward / "proof.json")
    assert code == 0, text
    assert problems(home) == []
    where = f"\"case\" = {FIRST + 7} OR patient = '{person(8)[1]}'"
    code, text = in_process("forget", "--where", where, "--reason", "request 7", "--yes")
    assert code == 0, text
    for erased in (one, two):
        code, text = in_process("trace", erased)
        assert (code, "was erased" in text) == (2, True), text
    code, text = in_process("trace", plain["id"])
    assert code == 0, text
    assert problems(home) == []
    (ward / "outcomes.csv").write_text(f"Case No,outcome\n{FIRST + 2},bad\n")
    code, text = in_process("feedback", "ward", ward / "outcomes.csv", "--key", "Case No")
    assert (code, text.splitlines()[0]) == (0, "1 recorded, 0 corrected, 0 repeated"), text
    code, text = in_process("verify")
    assert code == 0, text
