"""Leaks in the real data sets are found; the shipped and example pipelines have none."""

from pathlib import Path
from typing import Any

import pytest

from factory_assets.data.leakage.policy import leaks_of
from factory_assets.declarations.loader import DEFS, load_pipeline
from factory_assets.results.data import Leaks
from factory_assets.spec import Pipeline
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_resources.home.home import PROJECT, Home
from tests.data_stages import pipeline

_HEART = [*(f"column_{i}" for i in range(13)), "num"]

_CMAPSS = ["unit", "cycle", *(f"setting_{i}" for i in (1, 2, 3)), *(f"s{i}" for i in range(1, 22))]

_NAIVE: dict[str, tuple[dict[str, Any], str, dict[str, str], set[str], set[str]]] = {
    # A declaration without domain knowledge: source, target, derived, sure leaks, suspected ones.
    "ai4i": (
        {"source": {"files": "ai4i2020/ai4i2020.csv"}},
        "Machine failure",
        {},
        {"TWF", "HDF", "PWF", "OSF"},
        set(),
    ),
    "diabetes": (
        {
            "source": {
                "files": "diabetes130/dataset_diabetes.zip",
                "member": "diabetic_data.csv",
            },
            "missing": "?",
        },
        "early",
        {"early": "readmitted = '<30'"},
        {"readmitted"},
        {"patient_nbr", "discharge_disposition_id"},
    ),
    "heart": (
        {
            "source": {
                "files": "heart_disease/processed.cleveland.data",
                "header": False,
                "columns": _HEART,
            },
            "missing": "?",
        },
        "ill",
        {"ill": "num > 0"},
        {"num"},
        set(),
    ),
    "engines": (
        {
            "source": {
                "files": "cmapss/train_FD001.txt",
                "header": False,
                "delimiter": " ",
                "columns": _CMAPSS,
            }
        },
        "remaining",
        {"remaining": "max(cycle) OVER (PARTITION BY unit) - cycle"},
        set(),
        {"unit", "cycle"},
    ),
}

_LARGE = ("readmission", "turbofan")


def look(declared: Pipeline, home: Home) -> Leaks:
    return split(declared, clean(declared, ingest(declared, home), home), home).leaks


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.long if n == "diabetes" else []) for n in _NAIVE],
)
def test_the_leaks_of_a_naive_declaration_are_found(
    name: str, real_data: Path, tmp_path: Path, home: Home
) -> None:
    source, target, derive, sure, suspected = _NAIVE[name]
    source["source"]["files"] = str(real_data / source["source"]["files"])
    declared = pipeline(tmp_path, target=target, ingest=source, clean={"derive": derive})
    leaks = leaks_of(declared, look(declared, home))
    assert {leak.column for leak in leaks if leak.sure} == sure
    assert {leak.column for leak in leaks if not leak.sure} == suspected


@pytest.mark.parametrize("name", sorted(p.parent.name for p in DEFS.glob("*/defs.yaml")))
def test_shipped_pipelines_have_no_leak(name: str, home: Home) -> None:
    declared = load_pipeline(DEFS / name)
    assert leaks_of(declared, look(declared, home)) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.long] if name in _LARGE else [])
        for name in sorted(p.parent.name for p in (PROJECT / "examples").glob("*/defs.yaml"))
    ],
)
def test_examples_have_no_open_leak(name: str, real_data: Path, home: Home) -> None:
    declared = load_pipeline(PROJECT / "examples" / name)
    leaks = leaks_of(declared, look(declared, home))
    assert [leak.says for leak in leaks if leak.accepted is None] == []
