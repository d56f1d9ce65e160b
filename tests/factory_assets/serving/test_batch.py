"""A file that looks like the source, scored by the champion."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from factory_assets.audit.prediction import describe_prediction
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.results.model import Candidate
from factory_assets.serving import batch_log
from factory_assets.serving.batch import predict
from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_assets.stages.train import train
from factory_resources.errors import ContractError, ModelError, SourceError
from factory_resources.home.home import Home
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.tables.snapshot import read_arrow
from tests.factory_assets.ml.models.cases import serve, verdict

pytestmark = pytest.mark.slow

HEAD = ("_row", "model", "version", "prediction")

SPEC: dict[str, Any] = {
    "purpose": "test",
    "ingest": {
        "source": {"files": "rows.csv", "delimiter": ";"},
        "contract": [
            {"name": "id", "type": "int64", "unique": True},
            {"name": "torque", "from": "Torque [Nm]", "type": "float64", "range": [0, 100]},
            {"name": "speed", "type": "float64"},
            {"name": "kind", "type": "string", "missing": "?"},
            {"name": "failed", "type": "int64", "nullable": False},
        ],
    },
    "clean": {
        "where": {"turns": "speed > 0", "known": "failed IS NOT NULL"},
        "deduplicate": "id",
        "derive": {"half": "Torque / 2", "power": "half * speed", "late": "failed + 1"},
    },
    "train": {
        "target": "failed",
        "exclude": ("id", "late", "half"),
        "model": {"kind": "gradient_boosting", "iterations": 10},
    },
}


def write(path: Path, count: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    lines = ["id;Torque [Nm];speed;kind;failed"]
    for i in range(count):
        torque, speed = chance.uniform(1, 99), chance.uniform(1, 10)
        failed = int(torque * speed > 250)
        lines.append(f"{i};{torque:.3f};{speed:.3f};{chance.choice(['a', 'b', '?'])};{failed}")
    path.write_text("\n".join(lines) + "\n")


class Served:
    """A champion and the rows it was made from."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, Home(folder / "home")
        self.pipeline = Pipeline("p", PipelineSpec.model_validate(SPEC), folder)
        write(folder / "rows.csv", 400, 1)
        cleaned = clean(self.pipeline, ingest(self.pipeline, self.home), self.home)
        parts = split(self.pipeline, cleaned, self.home)
        self.candidate: Candidate = train(self.pipeline, parts, self.home)
        self.rows = read_arrow(cleaned.snapshot, self.home)
        said = verdict_of(self.pipeline, parts, self.candidate, self.home)
        serve(self.pipeline, parts, self.candidate, said, self.home)

    def predict(self, name: str, text: str) -> list[dict[str, Any]]:
        (self.folder / name).write_text(text)
        found: list[dict[str, Any]] = predict(
            self.pipeline, self.folder / name, self.home
        ).to_pylist()
        return found


def verdict_of(pipeline: Pipeline, parts: Any, candidate: Candidate, home: Home) -> Any:
    """`learning_cases.verdict` calls the truth `y`."""
    test = read_arrow(parts.test, home)
    return verdict(
        pipeline,
        parts.model_copy(update={"test": kept(home, test.append_column("y", test["failed"]))}),
        candidate,
        home,
    )


def kept(home: Home, table: pa.Table) -> Any:
    from tests.factory_assets.ml.models.cases import keep

    return keep(home, "with_y", table)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Served:
    return Served(tmp_path_factory.mktemp("predict"))


def test_the_training_file_is_scored_as_the_trained_model_does(served: Served) -> None:
    result = predict(served.pipeline, served.folder / "rows.csv", served.home)
    expected = load_trained(served.candidate, served.home, served.folder).outputs(served.rows)
    np.testing.assert_allclose(result["p_1"].to_numpy(), expected[:, 1], atol=1e-4)
    assert result.column_names == [*HEAD, "p_0", "p_1", "reason", "id"]
    assert result["_row"].to_pylist() == list(range(1, 401))
    assert result["reason"].null_count == 400
    assert served.candidate.threshold is not None
    chosen = np.where(expected[:, 1] >= served.candidate.threshold, "1", "0")
    assert result["prediction"].to_pylist() == chosen.tolist()


def test_a_record_is_no_larger_than_what_is_verified(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_log, "_BYTES", 2_000)
    result = predict(served.pipeline, served.folder / "rows.csv", served.home)
    answers = dict(zip(result["id"].to_pylist(), result["prediction"].to_pylist(), strict=True))
    assert [*answers] == sorted(answers)
    sizes = set[int]()
    with PredictionLog(served.home) as log:
        for identifier, prediction in answers.items():
            found = log.find(identifier)
            assert found
            logged = describe_prediction(identifier, found.record, found.row, found.block)
            assert logged.output["prediction"] == prediction
            sizes.add(len(found.record.input) + len(found.record.output))
    assert len(sizes) > 5
    assert max(sizes) <= 2_000


def test_only_the_inputs_are_needed(served: Served) -> None:
    """No target, no id, no derived column; columns in another order, more of them."""
    rows = served.predict(
        "new.csv", "speed;more;kind;Torque [Nm]\n9;x;a;90\n1;x;b;2\n8;x;never seen;95\n"
    )
    assert [(row["prediction"], row["version"]) for row in rows] == [("1", 1), ("0", 1), ("1", 1)]


def test_rows_that_break_the_contract_get_the_reason(served: Served) -> None:
    text = "Torque [Nm];speed;kind\n50;5;a\n101;5;a\n50;-5;a\nmuch;5;a\n;5;?\n50;5;a\n"
    rows = served.predict("broken.csv", text)
    reasons = [row["reason"] for row in rows]
    assert [row["_row"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert reasons[0] is reasons[4] is reasons[5] is None
    assert reasons[1:4] == ["range:torque", "turns", "type:torque"]
    assert [row["prediction"] is None for row in rows] == [False, True, True, True, False, False]
    # Rows without an id are no duplicates of each other.
    assert rows[0]["p_1"] == rows[5]["p_1"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("50;1e308;a", "overflow:speed,overflow:power"),
        ("0;3.5e38;a", "overflow:speed"),
        ("50;-3.5e38;a", "turns"),
        ("90;1e38;a", "overflow:power"),
        ("50;inf;a", "type:speed"),
        ("50;3.3e38;a", "overflow:power"),
        ("50;;a", None),
    ],
)
def test_a_number_that_float32_cannot_hold_is_a_reason(
    served: Served, row: str, reason: str | None
) -> None:
    """Read as missing, it would get a score like any other row."""
    header = "Torque [Nm];speed;kind\n50;5;a\n"
    first, second, third = served.predict("far.csv", f"{header}{row}\n50;5;a\n")
    assert first["p_1"] == third["p_1"] is not None
    assert second["reason"] == reason
    assert (second["prediction"] is None) == (second["p_1"] is None) == (reason is not None)


def test_all_rows_overflow(served: Served) -> None:
    rows = served.predict("all_far.csv", "Torque [Nm];speed;kind\n50;1e300;a\n")
    assert [row["prediction"] for row in rows] == [None]
    assert rows[0]["reason"] == "overflow:speed,overflow:power"


def test_a_score_that_is_no_number_is_a_reason(tmp_path: Path) -> None:
    """Inputs that float32 holds, standardised beyond it by a regression without limits."""
    home = Home(tmp_path / "home")
    spec = {
        "purpose": "test",
        "ingest": {"source": {"files": "rows.csv"}},
        "train": {"target": "y", "model": {"kind": "linear", "extrapolation": None}},
    }
    pipeline = Pipeline("p", PipelineSpec.model_validate(spec), tmp_path)
    chance = np.random.default_rng(0)
    values = chance.uniform(0, 0.01, 300)
    rows = [f"{x},{3 * x + chance.normal(0, 0.001)}" for x in values]
    (tmp_path / "rows.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    parts = split(pipeline, clean(pipeline, ingest(pipeline, home), home), home)
    candidate = train(pipeline, parts, home)
    test = read_arrow(parts.test, home)
    serve(pipeline, parts, candidate, verdict(pipeline, parts, candidate, home), home)
    assert test.num_rows
    (tmp_path / "new.csv").write_text("x\n0.005\n3e38\n")
    near, far = predict(pipeline, tmp_path / "new.csv", home).to_pylist()
    assert near["reason"] is None
    assert near["prediction"] == pytest.approx(0.015, abs=0.005)
    assert (far["prediction"], far["reason"]) == (None, "overflow:prediction")


def test_other_formats(served: Served) -> None:
    table = pa.table({"Torque [Nm]": [90.0, 2.0], "speed": [9.0, 1.0], "kind": ["a", None]})
    pq.write_table(table, served.folder / "odd [1].parquet")
    found = predict(served.pipeline, served.folder / "odd [1].parquet", served.home)
    assert found["prediction"].to_pylist() == ["1", "0"]
    lines = '{"Torque [Nm]": 90, "speed": 9, "kind": "a"}\n'
    assert served.predict("new.jsonl", lines)[0]["prediction"] == "1"


def test_a_workbook_is_not_read_as_text(served: Served) -> None:
    with pytest.raises(SourceError, match="save the sheet as CSV"):
        served.predict("new.xlsx", "PK\x05\x06" + "\0" * 18)


def test_a_missing_column_is_named(served: Served) -> None:
    with pytest.raises(ContractError, match=r"no column 'Torque \[Nm\]'"):
        served.predict("few.csv", "speed;kind\n9;a\n")


def test_a_missing_file_is_named(served: Served) -> None:
    with pytest.raises(SourceError, match="absent"):
        predict(served.pipeline, served.folder / "absent.csv", served.home)


@pytest.mark.parametrize("name", ["", "*.csv"])
def test_several_files_at_a_time_are_refused(name: str, served: Served) -> None:
    folder = served.folder / "many"
    folder.mkdir(exist_ok=True)
    (folder / "a.csv").touch()
    with pytest.raises(SourceError, match=r"many.*: one file is scored at a time; name a file"):
        predict(served.pipeline, folder / name, served.home)


def test_without_a_champion(served: Served, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has no champion yet"):
        predict(served.pipeline, served.folder / "rows.csv", Home(tmp_path))


def test_nothing_is_left_behind(served: Served) -> None:
    assert [path.name for path in served.home.tmp.iterdir()] == ["locks"]


def test_an_edited_declaration_does_not_change_what_serves(served: Served) -> None:
    rows = "id;Torque [Nm];speed;kind;failed\n1;40;9;a;0\n2;90;8;b;1\n"
    before = served.predict("same.csv", rows)
    declared = served.pipeline.spec.model_dump(by_alias=True)
    declared["clean"]["derive"]["power"] = "0 * speed"
    declared["clean"]["where"]["turns"] = "speed > 1000"
    edited = Pipeline("p", PipelineSpec.model_validate(declared), served.folder)
    after = predict(edited, served.folder / "same.csv", served.home).to_pylist()
    assert [{**row, "id": None} for row in after] == [{**row, "id": None} for row in before]
    assert before[0]["reason"] is None
