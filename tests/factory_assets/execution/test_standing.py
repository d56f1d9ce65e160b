"""What holds for a version, by what the ledger says."""

from pathlib import Path

import pytest

from factory_assets.execution.standing import champions_in, standing
from factory_assets.results.model import Champion
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.record import Record
from tests.data_stages import pipeline
from tests.ledger import make_champion


def _deployed(version: int) -> Record:
    value = Champion(
        model="p",
        version=version,
        run_id="run",
        replaced=None,
        onnx_sha256="0" * 64,
        max_difference=0.0,
        compared_rows=1,
    )
    return Record(
        pipeline="p",
        stage="deploy",
        key="key",
        value=value.model_dump(mode="json"),
        data_version="0",
        run_id="run",
        seconds=0.0,
        megabytes=0.0,
        finished="2026-01-31T02:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("history", "left"),
    [
        # Versions as they began to serve, and those to which a person went back as negative ones;
        # then which of these acts left a version.
        ([1, 2, -1], {2: 2}),
        ([1, 3, 5, -3, -1], {5: 3, 3: 4}),
        ([1, 2, 3, 5, -3, -1], {5: 4, 3: 5, 2: 5}),
        ([1, 2, -1, 3, -1], {2: 2, 3: 4}),
        ([1, 2, 3, -2], {3: 3, 1: None}),
        ([1, 2, -1, 3], {2: 2, 1: None}),
        ([1, 2, 3, -2, 4, -2], {1: None, 3: 3, 4: 5}),
    ],
)
def test_a_version_was_left_by_the_act_that_went_back_from_it(
    history: list[int], left: dict[int, int | None], tmp_path: Path, home: Home
) -> None:
    Ledger(home).begin()
    for version in history:
        make_champion("p", abs(version), home, rollback=True if version < 0 else None)
    with Ledger(home).reading() as log:
        numbers = [number for number, _ in reversed(champions_in(log, "p"))]
    declared = pipeline(tmp_path)
    for version, act in left.items():
        found = standing(declared, _deployed(version), home)
        assert found.status == ("free" if act is None else "rolled back")
        assert found.number == (None if act is None else numbers[act])
