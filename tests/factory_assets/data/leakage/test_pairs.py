"""Pairs of inputs that tell the target together are found; strong or chance pairs are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from factory_assets.data.leakage.pairs import measure_pairs
from factory_assets.data.leakage.policy import leaks_of
from factory_assets.data.leakage.predictive_power import measure_power
from factory_assets.data.leakage.semantics import outcome_reasons
from factory_assets.results.data import InputPair, Leaks
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_assets.stages.split import split
from factory_resources.home.home import Home
from tests.data_stages import pipeline


def found(table: pa.Table, task: str | None = None) -> dict[frozenset[str], str]:
    """Return the relation of each pair that is found."""
    pairs = measure_pairs(table, "y", task, measure_power(table, "y", task))
    return {frozenset(pair.columns): pair.relation for pair in pairs}


def table(chance: np.random.Generator, **columns: Any) -> pa.Table:
    rows = len(columns["y"])
    noise = {f"noise_{i}": chance.normal(size=rows) for i in range(5)}
    return pa.table({**noise, **columns})


@pytest.mark.parametrize("rows", [150, 3000])
@pytest.mark.parametrize("task", ["number", "rounded", "cut off", "two classes", "three classes"])
@pytest.mark.parametrize("relation", ["sum", "difference", "ratio"])
def test_an_outcome_of_two_columns_is_found(relation: str, task: str, rows: int) -> None:
    chance = np.random.default_rng(4)
    a, b = chance.gamma(4, 10, rows) + 1, chance.gamma(4, 10, rows) + 1
    outcome = {"sum": a + b, "difference": a - b, "ratio": a / b}[relation]
    low, high = np.quantile(outcome, [0.4, 0.8])
    y: Any = {
        "number": outcome,
        "rounded": outcome.round(1),
        "cut off": np.maximum(outcome, low),
        "two classes": outcome > high,
        "three classes": np.array(["early", "late", "very late"])[
            np.digitize(outcome, [low, high])
        ],
    }[task]
    assert found(table(chance, a=a, b=b, y=y)) == {frozenset("ab"): relation}


def test_gaps_a_rare_class_and_a_few_wrong_rows_do_not_hide_it() -> None:
    chance = np.random.default_rng(5)
    planned, delay = chance.uniform(0, 1000, 4000), chance.exponential(10, 4000)
    arrival = pa.array(planned + delay, mask=chance.random(4000) < 0.2)
    rare = np.where(chance.random(4000) < 0.0005, 1, delay > 25)
    pair = frozenset(("planned", "arrival"))
    assert found(table(chance, planned=planned, arrival=arrival, y=rare)) == {pair: "difference"}
    noisy = delay + chance.normal(0, 0.1, 4000)
    assert found(table(chance, planned=planned, arrival=arrival, y=noisy)) == {pair: "difference"}


def test_times_of_day_and_timestamps_are_told_apart_across_hours_and_midnight() -> None:
    chance = np.random.default_rng(6)
    planned, delay = chance.integers(0, 1440, 3000), chance.integers(-10, 90, 3000)
    arrival = (planned + delay) % 1440
    clocks = {
        "planned": planned // 60 * 100 + planned % 60,
        "arrival": arrival // 60 * 100 + arrival % 60,
    }
    pair = {frozenset(clocks): "difference"}
    assert found(table(chance, **clocks, y=delay.astype(float))) == pair
    start = np.datetime64("2024-01-01", "us") + chance.integers(0, 10**7, 3000) * 1_000_000
    times = {"planned": start, "arrival": start + delay * 60_000_000}
    assert found(table(chance, **times, y=delay.astype(float))) == pair


def test_strong_inputs_and_copies_are_no_pairs() -> None:
    """An input that nearly tells the target remains strong beside any other."""
    chance = np.random.default_rng(7)
    x, other = chance.normal(size=4000), chance.normal(0, 0.001, 4000)
    for noise in (0.0, 0.05, 0.2):
        y = x + chance.normal(0, noise, 4000)
        assert found(table(chance, x=x, other=other, y=y)) == {}
    groups = chance.integers(0, 2, 4000)
    separated = {"x": groups * 6 + chance.normal(size=4000), "z": groups * 3 + other}
    assert found(table(chance, **separated, y=groups)) == {}
    # Both halves are measured well, and neither is exact.
    rough = {name: x + chance.normal(0, 0.3, 4000) for name in ("one", "two")}
    assert found(table(chance, **rough, y=x)) == {}


def test_among_many_pairs_one_separates_few_rows_by_chance() -> None:
    """Each of 150 sensors tells the classes apart in most rows, and none was known afterwards."""
    chance = np.random.default_rng(7)
    groups = chance.integers(0, 2, 105)
    sensors = groups[:, None] + chance.normal(0, 0.5, (105, 150)) + 9
    columns = {f"sensor_{i}": sensors[:, i] for i in range(150)}
    assert found(table(chance, **columns, y=groups)) == {}


@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 400), classes=st.integers(0, 5))
def test_chance_is_never_a_pair(seed: int, rows: int, classes: int) -> None:
    chance = np.random.default_rng(seed)
    columns: Any = {
        "count": chance.integers(0, 8, rows),
        "gaps": pa.array(chance.normal(size=rows), mask=chance.random(rows) < 0.3),
        "endless": np.where(chance.random(rows) < 0.1, np.inf, chance.normal(size=rows)),
        "zero": np.zeros(rows),
        "name": chance.choice(list("abc"), rows),
    }
    y: Any = chance.integers(0, classes + 1, rows) if classes else chance.normal(size=rows)
    y = (chance.random(rows) < 0.05).astype(int) if classes == 1 else y
    assert found(table(chance, **columns, y=y)) == {}


def flights(folder: Path, rows: int = 600) -> None:
    chance = np.random.default_rng(8)
    planned, delay = chance.uniform(0, 1000, rows), chance.exponential(20, rows)
    wind = delay / 10 + chance.normal(size=rows)
    lines = [
        f"{w:.3f},{p:.2f},{p + d:.2f},{'late' if d > 25 else 'in time'}"
        for w, p, d in zip(wind, planned, delay, strict=True)
    ]
    header = "wind,planned_arrival,arrival,outcome_of_flight"
    (folder / "data.csv").write_text("\n".join([header, *lines]) + "\n")


def test_a_pair_is_a_sure_leak_and_names_the_later_column(tmp_path: Path, home: Home) -> None:
    flights(tmp_path)

    def leaks(**train: Any) -> list[Any]:
        train = {"target": "outcome_of_flight", "model": {"kind": "linear"}, **train}
        made = pipeline(tmp_path, train=train)
        return leaks_of(made, split(made, clean(made, ingest(made, home), home), home).leaks)

    [leak] = leaks()
    assert (leak.column, leak.sure, leak.accepted) == ("arrival", True, None)
    assert leak.says.startswith("the difference of 'planned_arrival' and 'arrival' tells ")
    assert "\n" not in leak.says
    assert leaks(exclude=["arrival"]) == []
    [accepted] = leaks(leaks={"allow": {"planned_arrival": "Both are planned"}})
    assert accepted.accepted == "Both are planned"


def test_two_times_whose_distance_is_the_target_are_a_leak(tmp_path: Path, home: Home) -> None:
    start = np.datetime64("2024-01-01T00:00:00") + np.arange(200) * np.timedelta64(3601, "s")
    minutes = np.random.default_rng(9).integers(1, 300, 200)
    lines = [
        f"{s},{s + m * np.timedelta64(60, 's')},{m % 7},{m}.0"
        for s, m in zip(start, minutes, strict=True)
    ]
    (tmp_path / "data.csv").write_text("\n".join(["start,end,x,y", *lines]) + "\n")
    made = pipeline(tmp_path)
    measured = split(made, clean(made, ingest(made, home), home), home).leaks
    assert [(pair.columns, pair.relation) for pair in measured.pairs] == [
        (("start", "end"), "difference")
    ]


def test_leaks_recorded_before_pairs_were_measured_are_read() -> None:
    stored = Leaks(pairs=(InputPair(columns=("a", "b"), relation="sum", order=1.0),))
    assert Leaks.model_validate_json(stored.model_dump_json()) == stored
    assert Leaks.model_validate({"inputs": ("a",)}).pairs == ()


def test_default_names_of_columns_are_no_hint_at_an_outcome(tmp_path: Path) -> None:
    names = [f"column_{i}" for i in range(1, 14)]
    made = pipeline(tmp_path, target="column_14")
    assert outcome_reasons(made, [*names, "feature_2", "field3"]) == {}
