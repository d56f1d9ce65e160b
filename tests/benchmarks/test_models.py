"""The model benchmark at reduced size: few seeds of small data, and how figures are judged."""

from pathlib import Path

import pytest

from benchmarks.models import BY_NAME, Figure, main, run


@pytest.mark.slow
def test_run_measures_a_pipeline_over_its_folds() -> None:
    (line,) = run("tumour_diagnosis", 1)
    assert line[0] == "tumour_diagnosis: roc_auc, mean of folds"
    assert 0.985 < float(line[1]) < 1
    assert line[2:4] == ("0.992", "0.995")


@pytest.mark.slow
def test_run_reports_the_spread_over_seeds(real_data: Path) -> None:
    (line,) = run("heart", 2)
    value, spread = map(float, line[1].split(" ± "))
    assert 0.89 < value < 0.92
    assert 0 < spread < 0.02  # another seed draws other folds
    assert line[-1] in ("yes", "aim")


def test_smaller_is_better_only_for_errors() -> None:
    error, share = (Figure(name, must=0.9, aim=0.95) for name in ("rmse", "roc_auc"))
    assert error.reached(0.8, error.must)
    assert not error.reached(0.91, error.must)
    assert share.reached(0.91, share.must)
    assert not share.reached(0.91, share.aim)


def test_cases_use_the_published_protocols() -> None:
    assert {n: c.pipeline().spec.evaluate.folds for n, c in BY_NAME.items()} == {
        "turbofan": None,
        "turbofan_sequence": None,
        "ai4i": 5,
        "heart": 10,
        "readmission": None,
        "tumour_diagnosis": 10,
    }
    # No outcome is an input, and the rows of a patient stay in one part.
    assert {"twf", "hdf", "pwf", "osf", "rnf"} <= set(
        BY_NAME["ai4i"].pipeline().spec.training.exclude
    )
    assert BY_NAME["readmission"].pipeline().spec.split.group == "patient_nbr"


def test_unknown_name_is_rejected_with_the_valid_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["turbofans"])
    assert exit_.value.code == 2
    assert "'turbofans' is not one of turbofan, turbofan_sequence" in capsys.readouterr().err
