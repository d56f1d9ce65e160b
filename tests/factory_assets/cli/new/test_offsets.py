"""`factory new` on numbers that float32 does not tell apart, such as those of a meter near 1e9."""

from pathlib import Path

import pytest

from factory_assets.ml.features.columns import input_columns
from factory_assets.stages.clean import clean
from factory_assets.stages.ingest import ingest
from factory_resources.home.home import Home
from tests.data_stages import column
from tests.factory_assets.cli.new.cases import draft_text, drafted


def _file(numbers: list[str]) -> str:
    rows = (f"{number},{i * 7 % 11},{i * 37 % 50 / 10}" for i, number in enumerate(numbers))
    return "reading,level,use\n" + "\n".join(rows) + "\n"


@pytest.mark.parametrize(
    ("numbers", "derived", "first"),
    [
        pytest.param(
            [f"{10**9 + i * 13 % 60}.5" for i in range(120)],
            "reading_unshifted - 1000000000",
            0.5,
            id="meter",
        ),
        pytest.param(
            [f"{-(10**9) - i * 13 % 60}" for i in range(120)],
            "reading_unshifted + 1000000000",
            0,
            id="negative",
        ),
        pytest.param(
            [f"{10**9 + i * 13 % 60}" if i % 9 else "0" for i in range(120)],
            "reading_unshifted - 1000000000",
            -(10**9),
            id="a code for none",
        ),
        pytest.param(
            [f"{10**9 + i * 13 % 60}" if i % 2 else "" for i in range(1, 121)],
            "reading_unshifted - 1000000000",
            13,
            id="gaps",
        ),
        pytest.param(
            [f"100.0000{i * 13 % 60:02}" for i in range(120)],
            "reading_unshifted - 100",
            0,
            id="fractions",
        ),
    ],
)
def test_far_numbers_that_differ_little_are_shifted(
    numbers: list[str], derived: str, first: float, tmp_path: Path
) -> None:
    made = drafted(tmp_path, _file(numbers), "use")
    assert made.spec.clean.derive == {"reading": derived}
    columns = ("reading_unshifted", "level", "use", "reading")
    assert input_columns(made, columns) == ["level", "reading"]
    home = Home(tmp_path / "home")
    read = column(clean(made, ingest(made, home), home).snapshot, home, "reading")
    assert read[0] == first
    assert len({*read}) == len({*numbers})


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([f"{1_700_000_000 + i * 86_413}" for i in range(120)][::-1], id="seconds"),
        pytest.param([f"{i * 13 % 60}e300" for i in range(120)], id="beyond 32 bits"),
        pytest.param([f"{10**9 + i // 119}" for i in range(120)], id="one other number"),
        pytest.param([f"{i * 13 % 60}.5" for i in range(120)], id="near"),
        pytest.param([f"{10**9 + max(i - 95, 0)}" for i in range(120)], id="most are one"),
        pytest.param([f"{10**9 * (1 + i % 3) + i * 13 % 60}" for i in range(120)], id="far apart"),
        pytest.param([f"{10**20 + 10**10 * i}.0" for i in range(120)][::-1], id="beyond 64 bits"),
    ],
)
def test_other_numbers_stay(numbers: list[str], tmp_path: Path) -> None:
    made = drafted(tmp_path, _file(numbers), "use")
    assert not made.spec.clean.derive
    assert "unshifted" not in draft_text(tmp_path)
