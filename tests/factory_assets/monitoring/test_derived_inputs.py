"""Numbers and dates that are written as texts are watched as what the model makes of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from factory_assets.monitoring.champion import watched_champion
from tests import watched as pumps
from tests.pipelines import enter
from tests.watched import PUMPS, Watched, copy_watched, make_watched

pytestmark = pytest.mark.slow

CONTRACT = [
    {"name": "heat_text", "from": "Heat [K]", "type": "string"},
    {"name": "wear", "type": "float64"},
    {"name": "colour", "type": "string"},
    {"name": "open", "type": "bool"},
    {"name": "turns", "type": "int64"},
    {"name": "taken_text", "from": "taken", "type": "string"},
    {"name": "failed", "type": "int64", "nullable": False},
]

DERIVE = {
    "heat": "CAST(replace(heat_text, ',', '.') AS DOUBLE)",
    "taken": "try_strptime(taken_text, '%d.%m.%Y')",
    "load": "heat * wear",
    "side": "CASE WHEN open AND turns // 2 = 1 THEN left(heat_text, 1) ELSE 'none' END",
}


def _written(found: list[dict[str, Any]], month: str = "03") -> list[dict[str, Any]]:
    """Return rows in the spelling of a German export."""
    return [
        {
            **row,
            "Heat [K]": None if row["Heat [K]"] is None else f"{row['Heat [K]']}".replace(".", ","),
            "taken": f"{row['taken'][8:10]}.{month}.2026",
            "turns": i % 4,
        }
        for i, row in enumerate(found)
    ]


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pumps, "lines", lambda found: _lines(_written(found)))
        return make_watched(
            tmp_path_factory.mktemp("german"),
            ingest={**PUMPS["ingest"], "contract": CONTRACT},
            clean={"unify": ["colour", "heat_text", "taken_text"], "derive": DERIVE},
            train={**PUMPS["train"], "exclude": ["heat_text", "taken_text"]},
            evaluate={"metric": "roc_auc", "importances": 0, "bootstrap": 0},
        )


def _lines(found: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in found)


@pytest.fixture
def made(german: Watched, tmp_path: Path) -> Iterator[Watched]:
    with pytest.MonkeyPatch.context() as patch:
        yield copy_watched(german, tmp_path / "copy", patch)


def test_later_dates_are_no_drift_and_hotter_pumps_are(made: Watched) -> None:
    made.answer(_written(pumps.rows(150, 20), month="06"))
    assert made.look(1).alarms == ()
    made.answer(_written(pumps.rows(150, 21, heat=15.0), month="07"))
    report = made.look(2)
    assert report.has("drift")
    words = {one.column: one.words for one in report.findings if one.what == "values"}
    assert words["heat"].startswith("median 49.")
    assert not {"heat_text", "taken_text"} & words.keys()


def test_answered_texts_become_what_the_training_rows_have(
    made: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(made.root, monkeypatch)
    inputs = watched_champion(made.pipeline, made.home).inputs
    assert "taken" not in inputs.names
    row = {"Heat [K]": "51,5", "wear": 2, "colour": "RED", "open": True, "turns": 3, "taken": "x"}
    table = inputs.table([inputs.read([row.get(name) for name in inputs.names], 0)])
    [found] = table.to_pylist()
    assert found == {
        "wear": 2.0,
        "colour": "red",
        "open": 1.0,
        "turns": 3.0,
        "heat": 51.5,
        "load": 103.0,
        "side": "5",
    }
    assert table.schema == inputs.table([]).schema
