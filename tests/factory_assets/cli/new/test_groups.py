"""`factory new` on rows of people and things: which stay together, and which it asks about."""

import random
from pathlib import Path

import pytest

from tests.factory_assets.cli.new.cases import draft_text, drafted


def _table(header: str, names: list[str]) -> str:
    chance = random.Random(5)
    rows = [f"{name},{chance.gauss(0, 1):.3f},{chance.gauss(0, 1):.3f}" for name in names]
    chance.shuffle(rows)
    return "\n".join([f"{header},size,y", *rows]) + "\n"


@pytest.mark.parametrize(("without", "group"), [(100, "company"), (700, None)])
def test_what_most_rows_have_is_no_group(without: int, group: str | None, tmp_path: Path) -> None:
    """Most hotel bookings are of no company."""
    names = [f"firm {i % 60}" for i in range(500)] + without * ["none"]
    spec = drafted(tmp_path, _table("company", names), "y").spec
    assert spec.split.group == group
    assert ("company" in spec.training.exclude) == (group is not None)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("Subject", [str(i % 12) for i in range(240)]),
        ("business_name", [f"Inn {'abcdefghijklmnopqrstuvwxyz'[i % 26]}" for i in range(900)]),
    ],
)
def test_few_people_and_names_are_asked_about(
    header: str, names: list[str], tmp_path: Path
) -> None:
    assert drafted(tmp_path, _table(header, names), "y").spec.split.group is None
    asked = f"# if rows with one {header} are alike: group: {header}, and exclude it"
    assert asked in draft_text(tmp_path)


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("5", [str(i % 12) for i in range(240)]),
        ("Subject", [str(i % 4) for i in range(240)]),
        ("serial", [str(i % 12) for i in range(240)]),
        ("num_max_points", [str(i % 12) for i in range(240)]),
        ("summary", [f"A laptop with {i % 300} records was stolen there" for i in range(900)]),
    ],
)
def test_numbers_and_sentences_are_no_names(header: str, names: list[str], tmp_path: Path) -> None:
    drafted(tmp_path, _table(header, names), "y")
    assert "are alike" not in draft_text(tmp_path)


@pytest.mark.parametrize("header", ["id", "childid"])
def test_an_id_that_occurs_often_is_a_group(header: str, tmp_path: Path) -> None:
    rows = 25 if header == "id" else 4
    names = [str(i) for i in range(40) for _ in range(rows)]
    assert drafted(tmp_path, _table(header, names), "y").spec.split.group == header
