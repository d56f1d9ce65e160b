"""The data of the shipped pipelines: their simulation, and their way from source to parts."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import yaml

from factory_assets.spec import Pipeline, PipelineSpec
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_resources.home.home import PROJECT, Home
from factory_resources.tables.snapshot import read_arrow
from factory_resources.user_code import load_object

DEFS = PROJECT / "factory_assets" / "defs"

EXPECTED = {
    # Per 10,000 rows: mean and spread over seeds, from the data's description.
    "machine_failure": (343, 52),
    "hdf": (110, 53),
    "pwf": (107, 10),
    "osf": (100, 10),
    "twf": (45, 7),
    "rnf": (10, 3),
}


def _simulate(rows: int, seed: int) -> pa.Table:
    table: pa.Table = load_object("telemetry:simulate", DEFS / "machine_failure")(rows, seed)
    return table


def _pipeline(name: str) -> Pipeline:
    declared = yaml.safe_load((DEFS / name / "defs.yaml").read_text())
    return Pipeline(name, PipelineSpec.model_validate(declared["attributes"]), DEFS / name)


@pytest.fixture(scope="module")
def many() -> list[pa.Table]:
    return [_simulate(10_000, seed) for seed in range(30)]


@pytest.mark.parametrize("mode", EXPECTED)
def test_failures_are_as_many_as_in_the_real_process(mode: str, many: list[pa.Table]) -> None:
    mean, spread = EXPECTED[mode]
    counts = np.array([pc.sum(table[mode]).as_py() for table in many])
    # The mean of 30 draws lies within 3 standard errors.
    assert abs(counts.mean() - mean) < 3 * spread / np.sqrt(len(many))
    assert counts.std() < 2 * spread


def test_values_are_as_in_the_real_data(many: list[pa.Table], real_data: Path) -> None:
    import pandas as pd

    real = pd.read_csv(real_data / "ai4i2020" / "ai4i2020.csv")
    made = pa.concat_tables(many).to_pandas()
    same = {
        "air_temperature": "Air temperature [K]",
        "speed": "Rotational speed [rpm]",
        "torque": "Torque [Nm]",
        "tool_wear": "Tool wear [min]",
    }
    for name, original in same.items():
        for statistic in ("mean", "std"):
            expected = getattr(real[original], statistic)()
            assert getattr(made[name], statistic)() == pytest.approx(expected, rel=0.03)
    assert (made["process_temperature"] - made["air_temperature"]).std() == pytest.approx(
        1, rel=0.05
    )
    assert made["type"].value_counts(normalize=True)["L"] == pytest.approx(0.6, abs=0.01)


def test_a_failure_has_its_physical_cause(many: list[pa.Table]) -> None:
    made = many[0].to_pandas()
    power = made["torque"] * made["speed"] * 2 * np.pi / 60
    # Published values are rounded, so rows at the very edge are left out.
    clear = ((power - 3500).abs() > 50) & ((power - 9000).abs() > 50)
    outside = (power < 3500) | (power > 9000)
    assert (made["pwf"] == outside.astype(int))[clear].all()
    modes = made[["twf", "hdf", "pwf", "osf"]].max(axis=1)
    assert (made["machine_failure"] == modes).all()


def test_the_seed_decides() -> None:
    assert _simulate(1000, 1).equals(_simulate(1000, 1))
    assert not _simulate(1000, 1).equals(_simulate(1000, 2))
    assert _simulate(10_001, 1).num_rows == 10_001


@pytest.mark.parametrize(
    ("name", "rows", "faulty"),
    [("machine_failure", 100_000, 0.002), ("tumour_diagnosis", 569, 0.0)],
)
def test_from_source_to_parts(name: str, rows: int, faulty: float, home: Home) -> None:
    pipeline = _pipeline(name)
    ingested = ingest(pipeline, home)
    cleaned = clean(pipeline, ingested, home)
    parts = split(pipeline, cleaned, home)
    assert (ingested.rows_read, cleaned.quarantine) == (rows, None)
    assert ingested.quarantined_rows == pytest.approx(faulty * rows, rel=0.3)
    kept = sum(part.rows for part in (parts.train, parts.validation, parts.test))
    assert kept == rows - ingested.quarantined_rows
    target = read_arrow(parts.test, home, [pipeline.spec.training.target]).column(0)
    everything = read_arrow(cleaned.snapshot, home, [pipeline.spec.training.target]).column(0)
    first = everything[0].as_py()
    share = pc.mean(pc.equal(everything, first).cast(pa.float64())).as_py()
    assert pc.mean(pc.equal(target, first).cast(pa.float64())).as_py() == pytest.approx(
        share, abs=0.01
    )


def test_faults_change_only_the_faulty_rows() -> None:
    simulate = load_object("telemetry:simulate", DEFS / "machine_failure")
    whole, faulty = simulate(20_000, 1), simulate(20_000, 1, faults=0.01)
    broken = pc.or_(pc.equal(faulty["torque"], -1), pc.equal(faulty["process_temperature"], 0))
    assert 100 < pc.sum(broken).as_py() < 300
    assert faulty.filter(pc.invert(broken)).equals(whole.filter(pc.invert(broken)))
    unread = ["torque", "process_temperature"]
    assert faulty.drop_columns(unread).equals(whole.drop_columns(unread))
