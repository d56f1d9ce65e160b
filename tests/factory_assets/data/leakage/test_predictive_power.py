"""The power of single inputs: copies and failure modes are leaks, noise and good inputs are not."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.data.leakage.predictive_power import Power, auc_limit, gives_away, measure_power


def found(power: Power) -> set[str]:
    """Return the inputs that predict the target alone."""
    return {n for n, value in power.of.items() if power.limit is not None and value >= power.limit}


def table(chance: np.random.Generator, rows: int, **columns: Any) -> pa.Table:
    noise = {f"noise_{i}": chance.normal(size=rows) for i in range(3)}
    return pa.table({**noise, **columns})


@pytest.mark.parametrize("kind", ["copy", "scaled", "scrambled", "named", "boolean", "gaps"])
def test_a_copy_of_two_classes_is_found_in_any_encoding(kind: str) -> None:
    chance = np.random.default_rng(1)
    y = chance.integers(0, 2, 400)
    leak: Any = {
        "copy": y,
        "scaled": y * 3.5 + chance.normal(0, 0.1, 400),
        # Not monotonic: the middle is one class, both ends are the other.
        "scrambled": np.where(y == 1, chance.normal(0, 0.1, 400), chance.choice([-2, 2], 400)),
        "named": np.array(["fine", "broken"])[y],
        "boolean": y == 1,
        "gaps": pa.array(chance.normal(size=400), mask=y == 1),
    }[kind]
    power = measure_power(table(chance, 400, leak=leak, y=y), "y", None)
    assert (power.measure, found(power)) == ("AUC", {"leak"})
    assert power.of["leak"] > 0.99


@pytest.mark.parametrize("shape", ["copy", "cubed", "wave", "exponential"])
def test_a_function_of_a_number_is_found(shape: str) -> None:
    chance = np.random.default_rng(2)
    x = chance.normal(size=2000)
    y = {"copy": x, "cubed": x**3, "wave": np.sin(2 * x), "exponential": np.exp(3 * x)}[shape]
    power = measure_power(table(chance, 2000, leak=x, y=y), "y", None)
    assert (power.measure, found(power)) == ("R²", {"leak"})


def test_a_number_that_is_the_same_in_all_rows_is_told_by_nothing() -> None:
    chance = np.random.default_rng(2)
    power = measure_power(table(chance, 400, loss=np.zeros(400)), "loss", None)
    assert power.of == {f"noise_{i}": 0.0 for i in range(3)}


def test_a_strong_legitimate_input_is_not_found() -> None:
    chance = np.random.default_rng(3)
    y = chance.integers(0, 2, 4000)
    # Two normal distributions this far apart have an AUC of .975.
    strong = y * 2.772 + chance.normal(size=4000)
    power = measure_power(table(chance, 4000, strong=strong, y=y), "y", None)
    assert 0.96 < power.of["strong"] < 0.98
    assert found(power) == set()
    number = chance.normal(size=4000)
    measured = number + chance.normal(0, 0.3, 4000)
    power = measure_power(table(chance, 4000, measured=measured, y=number), "y", None)
    assert 0.85 < power.of["measured"] < 0.95
    assert found(power) == set()


@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.integers(1, 400),
    classes=st.integers(2, 5),
    task=st.sampled_from(["classes", "rare", "regression"]),
)
def test_independent_noise_is_never_found(seed: int, rows: int, classes: int, task: str) -> None:
    chance = np.random.default_rng(seed)
    y: Any = {
        "classes": lambda: chance.integers(0, classes, rows),
        "rare": lambda: (chance.random(rows) < 0.05).astype(int),
        "regression": lambda: chance.normal(size=rows),
    }[task]()
    columns = {
        "flag": chance.integers(0, 2, rows),
        "seldom": (chance.random(rows) < 0.03).astype(float),
        "name": chance.choice(list("abcdefgh"), rows),
        "identity": [f"row {i}" for i in range(rows)],
        "gaps": pa.array(chance.normal(size=rows), mask=chance.random(rows) < 0.3),
        "endless": np.where(chance.random(rows) < 0.1, np.inf, chance.normal(size=rows)),
    }
    power = measure_power(table(chance, rows, **columns, y=y), "y", None)
    assert found(power) == set()
    assert power.implied == {}


def test_a_failure_mode_is_found_although_few_failures_have_it() -> None:
    chance = np.random.default_rng(4)
    modes = {name: chance.random(5000) < 0.008 for name in ("wear", "heat", "power")}
    y = np.any(list(modes.values()), axis=0) | (chance.random(5000) < 0.01)
    columns: dict[str, Any] = {
        "wear": modes["wear"].astype(int),
        "heat": pa.array(np.where(modes["heat"], "hot", "cold")),
        # A measurement of the failure, missing if there was none.
        "power": pa.array(chance.normal(size=5000), mask=~modes["power"]),
        "hours": np.where(modes["wear"], chance.exponential(5, 5000), 0.0),
    }
    power = measure_power(table(chance, 5000, **columns, y=y.astype(int)), "y", None)
    assert found(power) == set()
    conditions = {name: (one.value, one.target) for name, one in power.implied.items()}
    assert conditions == {
        "wear": ("is 1", "1"),
        "heat": ("is hot", "1"),
        "power": ("is there", "1"),
        "hours": ("is not 0", "1"),
    }
    assert all(one.hits == one.rows > 20 for one in power.implied.values())


def test_of_many_classes_each_is_one_in_many_and_none_is_rare() -> None:
    """Of twelve kinds of trees, one alone has needles: that is no leak."""
    chance = np.random.default_rng(5)
    y = chance.integers(0, 12, 1200)
    others = np.where(chance.random(1200) < 0.5, "round", "oval")
    leaf = pa.array(np.where(y == 3, "needle", others))
    assert measure_power(table(chance, 1200, leaf=leaf, y=y), "y", None).implied == {}


def test_a_threshold_of_a_measured_quantity_is_no_leak() -> None:
    """Every machine fails above 9,000 W and below 3,500 W, which is not a leak."""
    chance = np.random.default_rng(5)
    power = chance.normal(6250, 1300, 5000)
    wear = chance.integers(0, 250, 5000)
    level = np.digitize(wear, [50, 100, 150, 200, 240])
    y = (power > 9000) | (power < 3500) | (wear > 240)
    given_ = measure_power(table(chance, 5000, power=power, wear=wear, level=level, y=y), "y", None)
    assert y[power > 9000].all()
    assert y[level == 5].mean() > 0.8
    assert found(given_) == set()
    assert given_.implied == {}


def test_an_input_must_predict_every_class() -> None:
    chance = np.random.default_rng(6)
    y = chance.integers(0, 3, 900)
    columns = {"all": np.array(["x", "y", "z"])[y], "one": (y == 2).astype(float)}
    power = measure_power(table(chance, 900, **columns, y=np.array(["a", "b", "c"])[y]), "y", None)
    assert found(power) == {"all"}


@pytest.mark.parametrize(
    ("rows", "classes", "judged"),
    [
        (99, (50, 49), False),
        (120, (60, 60), True),
        (500, (20, 480), False),
        (500, (500, 0), False),
        (500, (0, 500), False),
    ],
)
def test_with_few_rows_no_input_is_judged(
    rows: int, classes: tuple[int, int], judged: bool
) -> None:
    assert (auc_limit(classes[0], rows) is not None) == judged


@pytest.mark.parametrize(
    ("of_class", "others", "limit"),
    # .975 and 1.645 of its standard errors by Hanley and McNeil (1982), but never less than .99.
    [(60, 60, 0.99905), (100, 300, 0.99322), (300, 100, 0.99), (2000, 2000, 0.99)],
)
def test_a_leak_is_significantly_above_the_best_legitimate_input(
    of_class: int, others: int, limit: float
) -> None:
    assert auc_limit(of_class, of_class + others) == pytest.approx(limit, abs=1e-5)


def test_an_input_that_is_the_same_in_all_rows_separates_nothing() -> None:
    y = np.random.default_rng(8).integers(0, 2, 400)
    assert measure_power(pa.table({"same": np.ones(400), "y": y}), "y", None).of == {"same": 0.5}


@pytest.mark.parametrize(
    ("hits", "rows", "gives"),
    [
        (0, 0, False),
        (5, 5, False),
        (15, 15, False),
        (16, 16, True),
        (99, 100, True),
        (97, 100, False),
    ],
)
def test_a_value_needs_enough_rows_to_give_away_a_class(hits: int, rows: int, gives: bool) -> None:
    assert gives_away(hits, rows) == gives


def test_a_declared_task_decides_the_measure() -> None:
    chance = np.random.default_rng(7)
    y = chance.integers(0, 5, 300)
    rows = table(chance, 300, leak=y * 2, y=y)
    assert measure_power(rows, "y", None).measure == "AUC"
    power = measure_power(rows, "y", "regression")
    assert (power.measure, found(power)) == ("R²", {"leak"})
