"""The benchmark of estimated performance in one small world: what it finds, and what it cannot."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.estimated_performance import summary, synthetic
from benchmarks.shifts import SHIFTS, World


@pytest.mark.long
@pytest.mark.slow
def test_estimates_follow_shifted_inputs_and_miss_a_changed_truth() -> None:
    compared = list(synthetic("two classes", 0, 800))
    assert {one.shift for one in compared} == SHIFTS.keys()
    found = summary([one for one in compared if one.trusted], ["kind"])
    assert found.loc["covariate", "inside"] >= 0.9
    assert found.loc["covariate", "estimate"] < 0.7 * found.loc["covariate", "unchanged"]
    assert found.loc["concept", "inside"] < 0.5
    assert not any(one.trusted for one in compared if one.shift == "far away")


@pytest.mark.parametrize("name", SHIFTS)
def test_every_shift_is_drawn_and_only_concepts_change_the_truth_of_equal_inputs(name: str) -> None:
    shift = SHIFTS[name]
    inputs, truth = World(2).draw(4_000, shift, np.random.default_rng(0))
    assert len(inputs) == len(truth) == 4_000
    assert shift.kind != "concept" or shift.offset or shift.flipped or shift.noise != 1


def test_patients_of_four_hospitals_are_read(tmp_path: Path) -> None:
    from benchmarks.real_shifts import hospitals

    (tmp_path / "heart_disease").mkdir()
    for name in ("cleveland", "hungarian", "switzerland", "va"):
        row = "63.0,1.0,4.0,140.0,260.0,0.0,1.0,112.0,1.0,3.0,2.0,?,?,2\n"
        (tmp_path / "heart_disease" / f"processed.{name}.data").write_text(row + row[:-2] + "0\n")
    inputs, truth = hospitals(tmp_path)["va"]
    assert inputs["vessels"].isna().all()
    assert list(truth) == [1, 0]
