"""The shift of inputs is the distance of recent means from those of training."""

from pathlib import Path

import numpy as np
import pytest

from factory_assets.serving.online.input_shift import InputShift


def feed(values: list[float]) -> dict[str, np.ndarray]:
    return {"heat": np.array(values, dtype=np.float32)[:, None]}


def test_the_first_rows_count_as_they_are() -> None:
    shift = InputShift({"heat": (50.0, 10.0)})
    assert shift.values() == {}
    shift.add(feed([60.0, 80.0]), 2)
    assert shift.values() == {"heat": 2.0}


def test_missing_values_do_not_count() -> None:
    shift = InputShift({"heat": (50.0, 10.0)})
    shift.add(feed([float("nan")]), 1)
    assert shift.values() == {}
    shift.add(feed([float("nan"), 60.0]), 2)
    assert shift.values() == {"heat": 1.0}


@pytest.mark.parametrize("size", [1, 7, 500, 5_000])
def test_new_rows_replace_the_old_ones_whatever_the_size_of_requests(size: int) -> None:
    shift = InputShift({"heat": (50.0, 10.0)})
    shift.add(feed([50.0]), 1)
    assert shift.values() == {"heat": 0.0}
    for _ in range(10_000 // size):
        shift.add(feed([70.0] * size), size)
    assert shift.values()["heat"] == pytest.approx(2.0, abs=0.01)


def test_what_waits_is_bounded() -> None:
    shift = InputShift({"heat": (50.0, 10.0)})
    for _ in range(1_000):
        shift.add(feed([60.0] * 512), 512)
        assert sum(len(one["heat"]) for one in shift._waiting) < 2_000


def test_a_version_without_statistics_has_no_shift(tmp_path: Path) -> None:
    assert InputShift.of(tmp_path).values() == {}
