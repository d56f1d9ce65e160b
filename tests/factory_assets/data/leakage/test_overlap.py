"""What the parts share: copies, people and time are measured; coincidence is not a copy."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from factory_assets.data.leakage.policy import Leak, leak_check, leaks_of
from factory_assets.results.data import Leaks
from factory_assets.stages.split import split
from factory_resources.home.home import Home
from tests.data_stages import cleaned


def csv(**columns: Any) -> str:
    lines = (",".join(map(str, row)) for row in zip(*columns.values(), strict=True))
    return "\n".join([",".join(columns), *lines]) + "\n"


def look(text: str, folder: Path, home: Home, **parts: Any) -> tuple[Leaks, list[Leak]]:
    declared, clean = cleaned(text, folder, home, **parts)
    found = split(declared, clean, home).leaks
    return found, leaks_of(declared, found)


def measured(rows: int, seed: int = 1) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    numbers = {name: chance.normal(50, 9, rows).round(2) for name in "abcde"}
    return {**numbers, "y": chance.integers(0, 2, rows)}


def test_copied_rows_are_a_sure_leak(tmp_path: Path, home: Home) -> None:
    rows = measured(600)
    twice = {name: [*values, *values[:200]] for name, values in rows.items()}
    found, [leak] = look(csv(**twice), tmp_path, home)
    assert found.duplicates
    # Of 160 test rows, a quarter to a half belong to the 400 rows that occur twice.
    assert 20 < found.duplicates.rows < 80
    assert leak.sure
    assert f"{found.duplicates.rows} test rows" in leak.says
    assert "clean.deduplicate" in leak.remedy
    accepting = {
        "train": {"target": "y", "model": {"kind": "linear"}, "leaks": {"duplicates": "why"}}
    }
    assert look(csv(**twice), tmp_path, home, **accepting)[1][0].accepted == "why"


def test_copies_are_compared_by_inputs_alone(tmp_path: Path, home: Home) -> None:
    rows = measured(600)
    twice = {name: [*values, *values[:200]] for name, values in rows.items()}
    train = {"target": "y", "model": {"kind": "linear"}, "exclude": ["code"]}
    _, leaks = look(csv(code=[*range(800)], **twice), tmp_path, home, train=train)
    assert [leak.column for leak in leaks] == [""]
    assert look(csv(code=[*range(800)], **twice), tmp_path, home)[0].duplicates is None


@pytest.mark.parametrize("kind", ["few values", "correlated", "one column", "orders"])
def test_rows_that_agree_by_chance_are_no_copies(kind: str, tmp_path: Path, home: Home) -> None:
    chance = np.random.default_rng(2)
    hidden = chance.normal(size=(800, 2))
    product, store, count = (chance.integers(1, most, 800) for most in (21, 5, 6))
    inputs: dict[str, Any] = {
        "few values": {f"c{i}": chance.integers(0, 3, 800) for i in range(6)},
        "correlated": {
            f"c{i}": (hidden @ chance.normal(size=2) > 0).astype(int) for i in range(12)
        },
        "one column": {"c": chance.integers(0, 50, 800)},
        "orders": {
            "product": product,
            "store": store,
            "count": count,
            "price": 7 * product + 100,
            "kind": product % 3,
            "town": store % 2,
            "size": store * store,
            "total": (7 * product + 100) * count,
        },
    }[kind]
    found, leaks = look(csv(**inputs, y=chance.integers(0, 2, 800)), tmp_path, home)
    assert found.duplicates
    assert found.duplicates.coincidence
    assert leaks == []


def test_a_patient_in_two_parts_is_suspected_and_a_group_split_removes_the_leak(
    tmp_path: Path, home: Home
) -> None:
    text = csv(patient_nbr=[i // 3 for i in range(600)], **measured(600))
    train = {"target": "y", "model": {"kind": "linear"}, "exclude": ["patient_nbr"]}
    found, [leak] = look(text, tmp_path, home, train=train)
    assert 0.8 < found.groups["patient_nbr"] <= 1
    assert (leak.column, leak.sure) == ("patient_nbr", False)
    assert "split.group: patient_nbr" in leak.remedy
    found, leaks = look(text, tmp_path, home, train=train, split={"group": "patient_nbr"})
    assert (found.groups, leaks) == ({}, [])


def test_a_declared_group_that_a_given_split_separates_is_a_sure_leak(
    tmp_path: Path, home: Home
) -> None:
    parts = ["test" if i % 5 == 0 else "train" for i in range(600)]
    text = csv(part=parts, engine=[i // 6 for i in range(600)], **measured(600))
    rule = {"given": {"column": "part", "test": "test"}, "group": "engine"}
    _, [leak] = look(text, tmp_path, home, split=rule)
    assert (leak.column, leak.sure) == ("engine", True)


@pytest.mark.parametrize(
    "name",
    [
        "udi",
        "row_id",
        "speed",
        "admission_type_id",
        "num_medications",
        "anzahl_kunden",
        "patienten",
    ],
)
def test_a_column_that_names_nobody_twice_is_no_group(
    name: str, tmp_path: Path, home: Home
) -> None:
    values = {
        "udi": range(600),
        "row_id": range(600),
        "speed": [1000 + i % 90 for i in range(600)],
        "admission_type_id": [i % 8 for i in range(600)],
        "num_medications": [i % 70 for i in range(600)],
        "anzahl_kunden": [i % 70 for i in range(600)],
        "patienten": [i % 70 for i in range(600)],
    }[name]
    assert look(csv(**{name: values}, **measured(600)), tmp_path, home)[0].groups == {}


def test_training_rows_later_than_test_rows_are_suspected(tmp_path: Path, home: Home) -> None:
    days = [f"2024-{1 + i // 50:02}-{1 + i % 28:02}" for i in range(600)]
    births = [f"1950-01-{1 + i % 28:02}" for i in range(600)]
    text = csv(date_of_birth=births, day=days, **measured(600))
    found, [leak] = look(text, tmp_path, home)
    assert 0.3 < found.later["day"] < 0.7
    assert (leak.column, leak.sure) == ("day", False)
    assert "split.time: day" in leak.remedy
    # By construction, a split by time has no later training rows.
    found, leaks = look(text, tmp_path, home, split={"time": "day"})
    assert (found.later, leaks) == ({}, [])


def test_of_several_times_one_is_proposed(tmp_path: Path, home: Home) -> None:
    days = [f"2024-{1 + i // 50:02}-{1 + i % 28:02}" for i in range(600)]
    times = {"planned": days, "built": days[::-1], "ordered": days}
    declared, clean = cleaned(csv(**times, **measured(600)), tmp_path, home)
    check = leak_check(declared, split(declared, clean, home).leaks)
    assert check is not None
    assert check.remedy.count("split.time") == 1
    assert "split.time: built (or ordered, planned, if that says when a row" in check.remedy
    assert "train.leaks.allow: {built: …, ordered: …, planned: …}" in check.remedy


def test_measured_leaks_do_not_change_the_data_version(tmp_path: Path, home: Home) -> None:
    declared, clean = cleaned(csv(**measured(200)), tmp_path, home)
    parts = split(declared, clean, home)
    assert parts.leaks.inputs == ("a", "b", "c", "d", "e")
    assert parts.model_copy(update={"leaks": Leaks()}).data_version == parts.data_version
    assert split(declared, clean, home) == parts
