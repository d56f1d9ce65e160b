"""Check the examples and, if the real data is present, their rows, metrics, splits and scores."""

import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from threadpoolctl import threadpool_limits

from factory_assets.cli.check.check import check_folder
from factory_assets.declarations.loader import load_pipeline
from factory_assets.execution.requests import StageRequest
from factory_assets.execution.runner import run_stage
from factory_assets.ml.artifacts.onnx_model import load_champion
from factory_assets.ml.artifacts.trained_model import load_trained
from factory_assets.results.data import CleanResult, IngestResult, SplitResult
from factory_assets.results.evaluation import EvaluationResult
from factory_assets.results.model import Champion
from factory_assets.results.stages import STAGES
from factory_assets.serving.batch import predict
from factory_assets.serving.http.limits import Limits
from factory_assets.serving.http.rows import read_rows
from factory_assets.serving.online.request_rows import ObjectRequest
from factory_assets.serving.online.served_model import ServedModel
from factory_assets.spec import Pipeline
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from factory_resources.tables.snapshot import Snapshot, read_arrow
from tests.ledger import make_champion

FOLDER = PROJECT / "examples"
EXAMPLES = ("ai4i", "heart", "readmission", "turbofan", "turbofan_sequence")


@dataclass(frozen=True)
class ExampleRun:
    """An example after all its stages have run."""

    pipeline: Pipeline
    home: Home
    ingested: IngestResult
    cleaned: CleanResult
    split: SplitResult
    evaluation: EvaluationResult
    champion: Champion

    def values(self, part: Snapshot, column: str) -> list[object]:
        cells: list[object] = read_arrow(part, self.home, [column])[column].to_pylist()
        return cells


Run = Callable[[str], ExampleRun]


def _recurrent(*arguments: object) -> ParameterSet:
    """Return the case of the example whose training takes minutes."""
    return pytest.param("turbofan_sequence", *arguments, marks=pytest.mark.long)


def _series(*arguments: object) -> ParameterSet:
    """Return the case of the example whose windows and training take half a minute."""
    return pytest.param("turbofan", *arguments, marks=pytest.mark.long)


def _wear(*arguments: object) -> ParameterSet:
    """Return the case of the example that is like the shipped one of the same machines."""
    return pytest.param("ai4i", *arguments, marks=pytest.mark.long)


def _large(*arguments: object) -> ParameterSet:
    """Return the case of the example with the most rows."""
    return pytest.param("readmission", *arguments, marks=pytest.mark.long)


@pytest.fixture(scope="module")
def run(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Return a function that runs an example once; all examples share one home."""
    home = Home(tmp_path_factory.mktemp("examples"))
    runs: dict[str, ExampleRun] = {}

    def run_once(name: str) -> ExampleRun:
        if name not in runs:
            prepare(home)
            pipeline = load_pipeline(FOLDER / name)
            # On a busy machine, threads that wait for each other take three times as long as one.
            with threadpool_limits(1):
                values = [run_stage(StageRequest(pipeline, s, home, "run")).value for s in STAGES]
            ingested, cleaned, split, _, evaluation, champion = values
            assert isinstance(ingested, IngestResult)
            assert isinstance(cleaned, CleanResult)
            assert isinstance(split, SplitResult)
            assert isinstance(evaluation, EvaluationResult)
            assert isinstance(champion, Champion)
            runs[name] = ExampleRun(pipeline, home, ingested, cleaned, split, evaluation, champion)
        return runs[name]

    return run_once


def test_every_example_is_tested() -> None:
    assert tuple(sorted(file.parent.name for file in FOLDER.glob("*/defs.yaml"))) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_passes_check_without_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_DATA", "/nowhere")
    assert check_folder(FOLDER / name) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_passes_check_against_the_real_files(name: str, real_data: Path) -> None:
    assert check_folder(FOLDER / name) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_example_names_its_source_and_licence(name: str) -> None:
    header = (FOLDER / name / "defs.yaml").read_text().split("\ntype:")[0]
    assert re.search(r"^# Source: ", header, re.MULTILINE)
    assert re.search(r"CC BY 4\.0|public domain", header)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read", "kept", "parts"),
    [
        _wear(10_000, 10_000, None),
        ("heart", 920, 920, None),
        _large(101_766, 99_343, None),
        _series(20_631 + 13_096, 20_631 + 13_096, (20_631, 13_096)),
        _recurrent(20_631 + 13_096, 20_631 + 13_096, (20_631, 13_096)),
    ],
)
def test_no_row_is_lost(
    run: Run, name: str, read: int, kept: int, parts: tuple[int, int] | None
) -> None:
    example = run(name)
    assert (
        example.ingested.rows_read
        == example.ingested.snapshot.rows
        == example.cleaned.rows_in
        == read
    )
    assert example.cleaned.snapshot.rows == kept
    assert example.cleaned.quarantined_rows == read - kept
    development = example.split.train.rows + example.split.validation.rows
    assert development + example.split.test.rows == kept
    if parts:
        assert (development, example.split.test.rows) == parts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bands"),
    [
        _wear({"average_precision": (0.80, 0.98), "f1": (0.70, 0.96)}),
        ("heart", {"roc_auc": (0.85, 0.95)}),
        _large({"roc_auc": (0.65, 0.70), "average_precision": (0.20, 0.26)}),
        _series(
            {"rmse": (11.0, 13.5), "rmse_clipped": (10.0, 12.5), "asymmetric_score": (150, 260)}
        ),
        _recurrent(
            {"rmse": (11.0, 13.5), "rmse_clipped": (10.0, 12.4), "asymmetric_score": (150, 350)}
        ),
    ],
)
def test_metrics_match_published_results_and_the_model_is_deployed(
    run: Run, name: str, bands: dict[str, tuple[float, float]]
) -> None:
    """A metric above its band is as suspicious as one below: it suggests a leak."""
    example = run(name)
    for metric, (low, high) in bands.items():
        assert low <= example.evaluation.metrics[metric] <= high, metric
    assert example.evaluation.passed, [gate.explanation for gate in example.evaluation.gates]
    assert example.champion.version == example.evaluation.candidate.version
    assert example.champion.compared_rows == example.evaluation.predictions.rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "group"),
    [_large("patient_nbr"), _series("unit"), _recurrent("unit")],
)
def test_no_group_is_in_two_parts_of_the_split(run: Run, name: str, group: str) -> None:
    example = run(name)
    parts = (example.split.train, example.split.validation, example.split.test)
    groups = [set(example.values(part, group)) for part in parts]
    assert sum(map(len, groups)) == len(set().union(*groups))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "excluded"),
    [
        _wear({"twf", "hdf", "pwf", "osf", "rnf", "udi", "product_id"}),
        ("heart", {"num", "stratum", "site"}),
        _large({"readmitted", "encounter_id", "patient_nbr"}),
        _series({"remaining", "unit", "part"}),
        _recurrent({"remaining", "unit", "part"}),
    ],
)
def test_columns_that_reveal_the_target_are_no_inputs(
    run: Run, name: str, excluded: set[str]
) -> None:
    candidate = run(name).evaluation.candidate
    assert not excluded & {*candidate.numeric, *candidate.categorical}


@pytest.mark.slow
@pytest.mark.long
def test_turbofan_labels_and_windows_are_computed_per_engine(run: Run, real_data: Path) -> None:
    example = run("turbofan")
    left = [int(n) for n in (real_data / "cmapss" / "RUL_FD001.txt").read_text().split()]
    assert example.evaluation.predictions.rows == 100
    assert sorted(example.values(example.evaluation.predictions, "truth")) == sorted(left)
    assert max(map(int, example.values(example.split.train, "label"))) == 125
    columns = ["unit", "cycle", "label", "t24", "t24_mean_50", "t24_mean_all", "t24_std_all"]
    test = read_arrow(example.split.test, example.home, columns).to_pandas()
    assert len(test["unit"].unique()) == 100
    last = test[test["unit"] == "test-7"].sort_values("cycle")
    assert last["label"].iloc[-1] == left[6]
    assert last["t24_mean_50"].iloc[-1] == pytest.approx(last["t24"].tail(50).mean())
    assert last["t24_mean_all"].iloc[-1] == pytest.approx(last["t24"].mean())
    # The windows of an engine's first cycle do not include another engine's last ones.
    assert (test.loc[test["cycle"] == 1, "t24_std_all"] == 0).all()


@pytest.mark.long
def test_turbofan_sequence_champion_gives_the_trained_outputs_for_every_row(run: Run) -> None:
    example = run("turbofan_sequence")
    assert example.champion.max_difference <= 1e-5
    candidate = example.evaluation.candidate
    assert "unit" not in candidate.numeric + candidate.categorical
    rows = read_arrow(example.split.test, example.home)
    trained = load_trained(candidate, example.home, example.pipeline.folder)
    served = load_champion(example.pipeline.name, example.home)[1]
    difference = np.abs(served.outputs(rows) - trained.outputs(rows)) / trained.target.sd
    assert len(difference) == 13_096
    assert difference.max() <= 1e-5


@pytest.mark.slow
def test_heart_labels_hospitals_and_marks_missing_measurements(run: Run) -> None:
    example = run("heart")
    assert {source.labels["site"]: source.rows for source in example.ingested.sources} == {
        "cleveland": 303,
        "hungary": 294,
        "switzerland": 123,
        "va": 200,
    }
    rows = read_arrow(
        example.cleaned.snapshot, example.home, ["site", "chol", "disease"]
    ).to_pandas()
    # A missing value is written as 0 in all of Switzerland and 49 rows of VA, else as ? (30 rows).
    assert rows["chol"].isna().sum() == 123 + 49 + 30
    ill = (rows.groupby("site")["disease"].mean() * 100).round().astype(int).to_dict()
    assert ill == {"cleveland": 46, "hungary": 36, "switzerland": 93, "va": 74}
    sites = {s.value for s in example.evaluation.slices if s.column == "site"}
    assert sites == set(ill)


@pytest.mark.slow
@pytest.mark.long
def test_readmission_quarantines_patients_who_cannot_come_back(run: Run) -> None:
    example = run("readmission")
    assert example.cleaned.quarantined == {"can_come_back": 2_423}
    early = example.values(example.cleaned.snapshot, "early")
    assert sum(map(bool, early)) / len(early) == pytest.approx(0.114, abs=0.001)
    # Three patients of unknown gender are too few to be compared.
    women = next(group for group in example.evaluation.groups if group.value == "Female")
    rate = women.rates["true_positive_rate"]
    assert rate.low < rate.value < rate.high
    assert 0 < example.evaluation.metrics["equal_opportunity_difference"] < 1


@pytest.mark.long
@pytest.mark.slow
def test_seeds_script_prints_mean_and_standard_deviation(real_data: Path) -> None:
    script = [sys.executable, str(FOLDER / "seeds.py"), "heart", "--seeds", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        script, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    line = re.search(r"^roc_auc +(\S+) ± (\S+) +linear", done.stdout, re.MULTILINE)
    assert line, done.stdout
    assert 0.85 < float(line[1]) < 0.95
    assert 0 < float(line[2]) < 0.05  # another seed draws other rows


@pytest.mark.slow
@pytest.mark.parametrize("name", [_wear(), "heart", _series(), _large(), _recurrent()])
def test_scores_of_a_raw_file_match_the_predictions_of_evaluate(
    run: Run, name: str, real_data: Path, tmp_path: Path
) -> None:
    example = run(name)
    file, offset = _raw(name, real_data, tmp_path)
    regression = name.startswith("turbofan")
    output = "prediction" if regression else "p_1"
    evaluated = read_arrow(
        example.evaluation.predictions, example.home, ["_file", "_row", output]
    ).to_pandas()
    if name == "heart":
        digest = {source.labels["site"]: source.sha256 for source in example.ingested.sources}["va"]
        evaluated = evaluated[evaluated["_file"] == digest]
    if example.pipeline.spec.deploy.approval:
        # Nobody is there to approve it.
        make_champion(name, example.champion.version, example.home)
    scored = predict(example.pipeline, file, example.home).to_pandas().set_index("_row")
    column = output if regression else f"p_{example.evaluation.candidate.classes[1]}"
    positions = evaluated["_row"] - offset
    both = evaluated[positions.isin(scored.index)]
    assert len(both) > 30
    scores = scored[column].loc[both["_row"] - offset]
    assert scores.to_numpy() == pytest.approx(both[output].to_numpy(), abs=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("name", [_wear(), "heart", _series(), _large(), _recurrent()])
def test_a_request_gets_bit_for_bit_what_the_raw_file_gets(
    run: Run, name: str, real_data: Path, tmp_path: Path
) -> None:
    example = run(name)
    file, _ = _raw(name, real_data, tmp_path)
    if example.pipeline.spec.deploy.approval:
        make_champion(name, example.champion.version, example.home)
    scored = predict(example.pipeline, file, example.home).to_pylist()
    outputs = [key for key in scored[0] if key.startswith("p_")] or ["prediction"]
    version, model = load_champion(name, example.home)
    served = ServedModel(name, version, model, example.home, lambda _: example.pipeline)
    rows = _as_objects(example.pipeline, file)[:300]
    answer = served.score(rows)
    # The last row of an engine that is whole: later rows of the file are not in the request.
    assert len(answer.rows) >= (3 if served.looks_back else 200)
    for row, values in zip(answer.rows, answer.outputs.tolist(), strict=True):
        assert np.atleast_1d(values).tolist() == [scored[row][key] for key in outputs]
    assert all(scored[refusal.row]["reason"] for refusal in answer.refusals)
    compiled = 0
    for row, expected in zip(rows, scored, strict=False):
        asked, _ = read_rows(json.dumps(row).encode(), served.decoder, Limits())
        if not isinstance(asked, ObjectRequest):
            [values] = asked.score(served).outputs.tolist()
            assert np.atleast_1d(values).tolist() == [expected[key] for key in outputs]
            compiled += 1
    assert compiled >= {"ai4i": 300, "heart": 100}.get(name, 0)
    served.close()


def _as_objects(pipeline: Pipeline, file: Path) -> list[dict[str, object]]:
    """Return the rows of a raw file as a caller would send them: numbers, texts, null."""
    source = pipeline.spec.ingest.source
    names = getattr(source, "columns", None) if getattr(source, "header", True) is False else None
    with file.open(newline="") as lines:
        return [
            {name: _cell(text) for name, text in row.items()}
            for row in csv.DictReader(lines, fieldnames=names)
        ]


def _cell(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return None if text in {"", "?"} else text


def _raw(name: str, data: Path, folder: Path) -> tuple[Path, int]:
    """Return a raw file of new rows, and how many rows of the source precede its first."""
    match name:
        case "ai4i":
            return data / "ai4i2020" / "ai4i2020.csv", 0
        case "heart":
            return data / "heart_disease" / "processed.va.data", 0
        case "readmission":
            with zipfile.ZipFile(data / "diabetes130" / "dataset_diabetes.zip") as archive:
                lines = archive.read("dataset_diabetes/diabetic_data.csv").split(b"\n")
            (folder / "new.csv").write_bytes(b"\n".join(lines[:2_001]))
            return folder / "new.csv", 0
        case _:
            names = ["unit", "cycle", *(f"setting_{i}" for i in (1, 2, 3))]
            names += [f"sensor_{i}" for i in range(1, 22)]
            rows = (data / "cmapss" / "test_FD001.txt").read_text().splitlines()
            lines_ = [",".join(names), *(",".join(row.split()) for row in rows)]
            (folder / "new.csv").write_text("\n".join(lines_) + "\n")
            return folder / "new.csv", 20_631
