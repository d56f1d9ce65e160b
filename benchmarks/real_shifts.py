"""Real tables in which windows are selected by inputs, and hospitals of which one is the reference.

The simulated worlds belong in `shifts.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.shifts import Kind

Rows = tuple[pd.DataFrame, NDArray[Any]]
"""Inputs and truth, [rows] each."""

_HEART = [
    "age",
    "sex",
    "chest_pain",
    "pressure",
    "cholesterol",
    "sugar",
    "ecg",
    "heart_rate",
    "angina",
    "depression",
    "slope",
    "vessels",
    "thal",
    "disease",
]
_OUTCOMES = ["UDI", "Product ID", "Machine failure", "TWF", "HDF", "PWF", "OSF", "RNF"]
_STAY = [
    "race",
    "gender",
    "age",
    "admission_type_id",
    "discharge_disposition_id",
    "time_in_hospital",
    "num_lab_procedures",
    "num_medications",
    "number_outpatient",
    "number_emergency",
    "number_inpatient",
    "number_diagnoses",
    "A1Cresult",
    "insulin",
    "change",
]


@dataclass(frozen=True)
class Selection:
    """Rows of the pool that make a window."""

    name: str
    kind: Kind
    rows: NDArray[np.int64]


def failures(data: Path) -> Rows:
    """Return the machines of AI4I 2020 and whether they failed."""
    table = pd.read_csv(data / "ai4i2020" / "ai4i2020.csv", encoding="utf-8-sig")
    return table.drop(columns=_OUTCOMES), table["Machine failure"].to_numpy(np.int64)


def readmissions(data: Path, seed: int) -> Rows:
    """Return hospital stays of different patients, and whether another one followed soon."""
    with ZipFile(data / "diabetes130" / "dataset_diabetes.zip") as packed:
        text = packed.read("dataset_diabetes/diabetic_data.csv")
    table = pd.read_csv(BytesIO(text), na_values="?", keep_default_na=False, low_memory=False)
    table = table.drop_duplicates("patient_nbr").sample(20_000, random_state=seed)
    inputs = table[_STAY].reset_index(drop=True)
    return inputs, (table["readmitted"] != "NO").to_numpy(np.int64)


def hospitals(data: Path) -> dict[str, Rows]:
    """Return the patients of four hospitals and whether they have a heart disease."""
    found = {}
    for name in ("cleveland", "hungarian", "switzerland", "va"):
        file = data / "heart_disease" / f"processed.{name}.data"
        table = pd.read_csv(file, names=_HEART, na_values="?", dtype=float)
        found[name] = (
            table.drop(columns="disease"),
            (table["disease"] > 0).to_numpy(np.int64),
        )
    return found


def selections(
    inputs: pd.DataFrame,
    truth: NDArray[Any],
    score: NDArray[Any],
    size: int,
    generator: np.random.Generator,
) -> Iterator[Selection]:
    """Yield windows that are selected by one column, by the model's score, or by the truth."""

    def chosen(logs: Any) -> NDArray[np.int64]:
        keys = np.asarray(logs, dtype=float) + generator.gumbel(size=len(inputs))
        return np.sort(np.argpartition(-keys, size - 1)[:size])

    yield Selection("none", "covariate", chosen(np.zeros(len(inputs))))
    for name in inputs.columns:
        column = inputs[name]
        if pd.api.types.is_numeric_dtype(column):
            place = column.rank(pct=True).fillna(0.5).to_numpy() - 0.5
            yield Selection(f"more of high {name}", "covariate", chosen(4 * place))
            yield Selection(f"more of low {name}", "covariate", chosen(-4 * place))
        else:
            rare = (column != column.mode()[0]).to_numpy()
            yield Selection(f"more of rare {name}", "covariate", chosen(2.0 * rare))
    ranks = pd.Series(score).rank(pct=True).to_numpy() - 0.5
    yield Selection("more of high scores", "covariate", chosen(3 * ranks))
    yield Selection("more of low scores", "covariate", chosen(-3 * ranks))
    yield Selection("prior", "label", chosen(0.7 * truth))
