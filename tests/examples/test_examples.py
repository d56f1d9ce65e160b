"""The examples hold what their declarations and README say, on the real data where it is there."""

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
from factory_assets.spec import Pipeline
from factory_resources.home.home import PROJECT, Home
from factory_resources.instance import prepare
from factory_resources.tables.snapshot import Snapshot, read_arrow

FOLDER = PROJECT / "examples"
EXAMPLES = ("ai4i", "heart", "readmission", "turbofan", "turbofan_sequence")


@dataclass(frozen=True)
class Made:
    """One example, run whole in a home of its own."""

    pipeline: Pipeline
    home: Home
    ingested: IngestResult
    cleaned: CleanResult
    parts: SplitResult
    verdict: EvaluationResult
    champion: Champion

    def values(self, part: Snapshot, column: str) -> list[object]:
        found: list[object] = read_arrow(part, self.home, [column])[column].to_pylist()
        return found


Run = Callable[[str], Made]


@pytest.fixture(scope="module")
def run(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs an example once, all examples in one home."""
    home = Home(tmp_path_factory.mktemp("examples"))
    made: dict[str, Made] = {}

    def whole(name: str) -> Made:
        if name not in made:
            prepare(home)
            pipeline = load_pipeline(FOLDER / name)
            # Threads that wait for each other on a busy machine take three times as long as one.
            with threadpool_limits(1):
                found = {s: run_stage(StageRequest(pipeline, s, home, "run")).value for s in STAGES}
            ingested, cleaned, parts, _, verdict, champion = found.values()
            assert isinstance(ingested, IngestResult)
            assert isinstance(cleaned, CleanResult)
            assert isinstance(parts, SplitResult)
            assert isinstance(verdict, EvaluationResult)
            assert isinstance(champion, Champion)
            made[name] = Made(pipeline, home, ingested, cleaned, parts, verdict, champion)
        return made[name]

    return whole


def test_every_example_is_tested() -> None:
    assert tuple(sorted(file.parent.name for file in FOLDER.glob("*/defs.yaml"))) == EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_checks_without_data(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_DATA", "/nowhere")
    assert check_folder(FOLDER / name) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_checks_against_the_real_files(name: str, real_data: Path) -> None:
    assert check_folder(FOLDER / name) == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_names_its_source_and_licence(name: str) -> None:
    opening = (FOLDER / name / "defs.yaml").read_text().split("\ntype:")[0]
    assert re.search(r"^# Source: ", opening, re.MULTILINE)
    assert re.search(r"CC BY 4\.0|public domain", opening)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read", "kept", "parts"),
    [
        ("ai4i", 10_000, 10_000, None),
        ("heart", 920, 920, None),
        ("readmission", 101_766, 99_343, None),
        ("turbofan", 20_631 + 13_096, 20_631 + 13_096, (20_631, 13_096)),
        ("turbofan_sequence", 20_631 + 13_096, 20_631 + 13_096, (20_631, 13_096)),
    ],
)
def test_no_row_is_lost(
    run: Run, name: str, read: int, kept: int, parts: tuple[int, int] | None
) -> None:
    made = run(name)
    assert made.ingested.rows_read == made.ingested.snapshot.rows == made.cleaned.rows_in == read
    assert made.cleaned.snapshot.rows == kept
    assert made.cleaned.quarantined_rows == read - kept
    known = made.parts.train.rows + made.parts.validation.rows
    assert known + made.parts.test.rows == kept
    if parts:
        assert (known, made.parts.test.rows) == parts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bands"),
    [
        ("ai4i", {"average_precision": (0.80, 0.98), "f1": (0.70, 0.96)}),
        ("heart", {"roc_auc": (0.85, 0.95)}),
        ("readmission", {"roc_auc": (0.65, 0.70), "average_precision": (0.20, 0.26)}),
        (
            "turbofan",
            {"rmse": (11.0, 13.5), "rmse_clipped": (10.0, 12.5), "asymmetric_score": (150, 260)},
        ),
        (
            "turbofan_sequence",
            {"rmse": (11.0, 13.5), "rmse_clipped": (10.0, 12.4), "asymmetric_score": (150, 350)},
        ),
    ],
)
def test_reaches_what_others_did_and_serves(
    run: Run, name: str, bands: dict[str, tuple[float, float]]
) -> None:
    """Above the band is as suspicious as below: something would leak."""
    made = run(name)
    for metric, (low, high) in bands.items():
        assert low <= made.verdict.metrics[metric] <= high, metric
    assert made.verdict.passed, [gate.explanation for gate in made.verdict.gates]
    assert made.champion.version == made.verdict.candidate.version
    assert made.champion.compared_rows == made.verdict.predictions.rows


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "group"),
    [("readmission", "patient_nbr"), ("turbofan", "unit"), ("turbofan_sequence", "unit")],
)
def test_no_group_straddles_the_split(run: Run, name: str, group: str) -> None:
    made = run(name)
    parts = (made.parts.train, made.parts.validation, made.parts.test)
    groups = [set(made.values(part, group)) for part in parts]
    assert sum(map(len, groups)) == len(set().union(*groups))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "answers"),
    [
        ("ai4i", {"twf", "hdf", "pwf", "osf", "rnf", "udi", "product_id"}),
        ("heart", {"num", "stratum", "site"}),
        ("readmission", {"readmitted", "encounter_id", "patient_nbr"}),
        ("turbofan", {"remaining", "unit", "part"}),
        ("turbofan_sequence", {"remaining", "unit", "part"}),
    ],
)
def test_learns_from_no_answer(run: Run, name: str, answers: set[str]) -> None:
    candidate = run(name).verdict.candidate
    assert not answers & {*candidate.numeric, *candidate.categorical}


@pytest.mark.slow
def test_turbofan_labels_and_windows_are_those_of_each_engine(run: Run, real_data: Path) -> None:
    made = run("turbofan")
    left = [int(n) for n in (real_data / "cmapss" / "RUL_FD001.txt").read_text().split()]
    assert made.verdict.predictions.rows == 100
    assert sorted(made.values(made.verdict.predictions, "truth")) == sorted(left)
    assert max(map(int, made.values(made.parts.train, "label"))) == 125
    columns = ["unit", "cycle", "label", "t24", "t24_mean_50", "t24_mean_all", "t24_std_all"]
    test = read_arrow(made.parts.test, made.home, columns).to_pandas()
    assert len(test["unit"].unique()) == 100
    last = test[test["unit"] == "test-7"].sort_values("cycle")
    assert last["label"].iloc[-1] == left[6]
    assert last["t24_mean_50"].iloc[-1] == pytest.approx(last["t24"].tail(50).mean())
    assert last["t24_mean_all"].iloc[-1] == pytest.approx(last["t24"].mean())
    # An engine's first cycle sees no other engine's last ones.
    assert (test.loc[test["cycle"] == 1, "t24_std_all"] == 0).all()


@pytest.mark.slow
def test_turbofan_sequence_serves_what_was_trained_for_every_row(run: Run) -> None:
    made = run("turbofan_sequence")
    assert made.champion.max_difference <= 1e-5
    assert "unit" not in made.verdict.candidate.numeric + made.verdict.candidate.categorical
    rows = read_arrow(made.parts.test, made.home)
    trained = load_trained(made.verdict.candidate, made.home, made.pipeline.folder)
    served = load_champion(made.pipeline.name, made.home)[1]
    difference = np.abs(served.outputs(rows) - trained.outputs(rows)) / trained.target.sd
    assert len(difference) == 13_096
    assert difference.max() <= 1e-5


@pytest.mark.slow
def test_heart_tells_its_hospitals_apart_and_what_was_not_measured(run: Run) -> None:
    made = run("heart")
    assert {source.labels["site"]: source.rows for source in made.ingested.sources} == {
        "cleveland": 303,
        "hungary": 294,
        "switzerland": 123,
        "va": 200,
    }
    rows = read_arrow(made.cleaned.snapshot, made.home, ["site", "chol", "disease"]).to_pandas()
    # The whole of Switzerland and 49 of VA are written as 0; 30 elsewhere as a question mark.
    assert rows["chol"].isna().sum() == 123 + 49 + 30
    ill = (rows.groupby("site")["disease"].mean() * 100).round().astype(int).to_dict()
    assert ill == {"cleveland": 46, "hungary": 36, "switzerland": 93, "va": 74}
    sites = {s.value for s in made.verdict.slices if s.column == "site"}
    assert sites == set(ill)


@pytest.mark.slow
def test_readmission_quarantines_who_cannot_come_back(run: Run) -> None:
    made = run("readmission")
    assert made.cleaned.quarantined == {"can_come_back": 2_423}
    early = made.values(made.cleaned.snapshot, "early")
    assert sum(map(bool, early)) / len(early) == pytest.approx(0.114, abs=0.001)
    # Three patients of unknown gender are too few; the larger groups are compared.
    women = next(group for group in made.verdict.groups if group.value == "Female")
    rate = women.rates["true_positive_rate"]
    assert rate.low < rate.value < rate.high
    assert 0 < made.verdict.metrics["equal_opportunity_difference"] < 1


@pytest.mark.slow
def test_seeds_gives_mean_and_spread(real_data: Path) -> None:
    script = [sys.executable, str(FOLDER / "seeds.py"), "heart", "--seeds", "2"]
    one = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(script, env=one, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    found = re.search(r"^roc_auc +(\S+) ± (\S+) +linear", done.stdout, re.MULTILINE)
    assert found, done.stdout
    assert 0.85 < float(found[1]) < 0.95
    assert 0 < float(found[2]) < 0.05  # another seed draws other rows


@pytest.mark.slow
@pytest.mark.parametrize("name", EXAMPLES)
def test_scores_a_raw_file_as_it_was_judged(
    run: Run, name: str, real_data: Path, tmp_path: Path
) -> None:
    made = run(name)
    file, before = _raw(name, real_data, tmp_path)
    regression = name.startswith("turbofan")
    output = "prediction" if regression else "p_1"
    judged = read_arrow(made.verdict.predictions, made.home, ["_file", "_row", output]).to_pandas()
    if name == "heart":
        digest = {source.labels["site"]: source.sha256 for source in made.ingested.sources}["va"]
        judged = judged[judged["_file"] == digest]
    scored = predict(made.pipeline, file, made.home).to_pandas().set_index("_row")
    column = output if regression else f"p_{made.verdict.candidate.classes[1]}"
    places = judged["_row"] - before
    both = judged[places.isin(scored.index)]
    assert len(both) > 30
    again = scored[column].loc[both["_row"] - before]
    assert again.to_numpy() == pytest.approx(both[output].to_numpy(), abs=0.01)


def _raw(name: str, data: Path, folder: Path) -> tuple[Path, int]:
    """A file as its users have it, and how many rows of the source come before its first."""
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
