"""`factory new` on columns whose names differ only in case, or are the factory's own."""

import random
from pathlib import Path

import pytest

from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import drafted
from tests.long_run import in_long


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("T,t,x,ill", ["T", "t_2", "x", "ill"]),
        ("factory_place,whole,_PART,ill", ["factory_place", "whole", "part", "ill"]),
        ("Heat [K],Q2 [Lot],Q2 [Size],ill", ["heat", "q2_lot", "q2_size", "ill"]),
        *in_long(
            [
                ("_part,_order,one,ill", ["part", "order", "one", "ill"]),
                ("hashed,two,c0,ill", ["hashed", "two", "c0", "ill"]),
            ]
        ),
    ],
)
def test_columns_are_called_as_they_like(header: str, names: list[str], tmp_path: Path) -> None:
    chance = random.Random(2)
    rows = [
        f"{chance.random():.4f},lot{i % 3},{chance.randrange(9)},{chance.choice('ny')}"
        for i in range(200)
    ]
    made = drafted(tmp_path, "\n".join([header, *rows]) + "\n", "ill")
    assert [one.name for one in made.spec.ingest.contract.columns] == names
    home = Home(tmp_path / "home")
    snapshot = clean(made, ingest(made, home), home).snapshot
    assert column(snapshot, home, names[1])[:3] == ["lot0", "lot1", "lot2"]


def test_a_text_that_is_read_has_a_name_of_its_own(tmp_path: Path) -> None:
    rows = [
        f'"${i % 7 + 1},{i % 900 + 100}",{"abc"[i % 3]},{i % 5},{"ny"[i % 2]}' for i in range(60)
    ]
    made = drafted(tmp_path, "\n".join(["price,price_text,Price_Text_2,y", *rows]) + "\n", "y")
    assert made.spec.training.exclude == ("price_text_3",)
    home = Home(tmp_path / "home")
    snapshot = clean(made, ingest(made, home), home).snapshot
    assert column(snapshot, home, "price")[:2] == [1100.0, 2101.0]
    assert column(snapshot, home, "price_text")[:2] == ["a", "b"]


def test_a_number_that_has_windows_in_the_file_gets_none(tmp_path: Path) -> None:
    chance = random.Random(2)
    rows = [
        f"{unit},{cycle},{chance.random():.4f},{chance.random():.4f},{chance.random():.4f}"
        for unit in range(14)
        for cycle in range(1, 31)
    ]
    header = "engine,cycle,heat,Heat_mean_5,pressure"
    made = drafted(tmp_path, "\n".join([header, *rows]) + "\n", "pressure")
    windows = made.spec.clean.windows
    assert windows is not None
    assert windows.columns == ("Heat_mean_5",)
    home = Home(tmp_path / "home")
    assert clean(made, ingest(made, home), home).snapshot.rows == 14 * 30


def test_what_is_left_has_a_free_name(tmp_path: Path) -> None:
    rows = [f"{unit},{cycle},no" for unit in range(14) for cycle in range(1, 31 + unit)]
    made = drafted(tmp_path, "\n".join(["engine,cycle,remaining", *rows]) + "\n")
    assert made.spec.training.target == "remaining_2"
