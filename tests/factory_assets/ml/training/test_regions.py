"""The bounds of sets and intervals come from rows that no model had learned from."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from factory_assets.ml.artifacts.conformal import fit_regions
from factory_assets.ml.training.fitting import FitResult, fit
from factory_assets.spec.uncertainty import Uncertainty
from factory_resources.home.home import Home
from tests.factory_assets.ml.models.cases import pipeline, rows

pytestmark = pytest.mark.slow

TRAINING, VALIDATION = rows(300, 1, "multiclass"), rows(90, 2, "multiclass")
LINEAR = {"kind": "linear"}
PORTFOLIO = {"kind": "auto", "members": [LINEAR, {"kind": "random_forest", "trees": 5}]}


def fitted(home: Home, folder: Path, model: dict[str, Any], **train: Any) -> FitResult:
    declared = pipeline(folder, model, uncertainty={"by": "colour"}, **train)
    return fit(declared, TRAINING, VALIDATION, home)


@pytest.mark.parametrize(
    ("model", "refit", "held_out"),
    [
        (LINEAR, "never", VALIDATION),
        (LINEAR, "auto", pa.concat_tables([TRAINING, VALIDATION])),
        (PORTFOLIO, "auto", pa.concat_tables([TRAINING, VALIDATION])),
    ],
    ids=["validation part", "inner folds", "portfolio"],
)
def test_bounds_are_those_of_the_held_out_rows(
    model: dict[str, Any], refit: str, held_out: pa.Table, home: Home, tmp_path: Path
) -> None:
    found = fitted(home, tmp_path, model, refit=refit)
    description = found.trained.description
    bounds = description.regions
    assert bounds
    colours = held_out["colour"].to_pylist()
    assert bounds.rows == len(colours) == len(found.scored)
    assert {one.group: one.rows for one in bounds.groups} == {
        colour: colours.count(colour) for colour in ("blue", "green", "red")
    }
    # The outputs that decided, and not those of the kept model.
    scores = np.sort(1 - found.scored.outputs[np.arange(bounds.rows), found.scored.truth])
    place = int(np.ceil((bounds.rows + 1) * 0.9)) - 1
    assert bounds.bound == pytest.approx(scores[place], abs=2e-5)
    again = fit_regions(
        Uncertainty(by="colour"),
        description.features,
        description.target,
        description.features.arrays(held_out, scaled=True),
        found.scored.truth,
        found.scored.outputs,
    )
    assert again == bounds


def test_bounds_change_no_output_of_a_model(home: Home, tmp_path: Path) -> None:
    plain = fit(pipeline(tmp_path, LINEAR), TRAINING, VALIDATION, home).trained
    bounded = fitted(home, tmp_path, LINEAR).trained
    assert plain.description.regions is None
    assert "regions" not in plain.description.model_dump_json()
    assert bounded.outputs(VALIDATION).tobytes() == plain.outputs(VALIDATION).tobytes()
