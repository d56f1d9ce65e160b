"""`factory new` on columns whose names differ only in case, or are the factory's own."""

import random
from pathlib import Path

import pytest

from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import drafted


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("T,t,x,ill", ["T", "t_2", "x", "ill"]),
        ("_part,_order,one,ill", ["part", "order", "one", "ill"]),
        ("factory_place,whole,_PART,ill", ["factory_place", "whole", "part", "ill"]),
        ("hashed,two,c0,ill", ["hashed", "two", "c0", "ill"]),
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
