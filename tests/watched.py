"""A pipeline in service whose answers are watched: pumps, which fail if they are hot or worn."""

import copy
import json
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from factory_assets.declarations.loader import load_pipeline
from factory_assets.monitoring.looks import Looks
from factory_assets.monitoring.monitor import monitor
from factory_assets.monitoring.report import Alarm, MonitorReport
from factory_assets.serving.batch import predict
from factory_assets.spec import Pipeline
from factory_resources.home.home import Home
from tests.pipelines import declare, enter
from tests.shared_homes import made_once

PUMPS: dict[str, Any] = {
    "purpose": "Tell which pumps will fail",
    "ingest": {
        "source": {"files": "rows.jsonl"},
        "contract": [
            {"name": "heat", "from": "Heat [K]", "type": "float64", "missing": "-1"},
            {"name": "wear", "type": "float64"},
            {"name": "colour", "type": "string"},
            {"name": "open", "type": "bool"},
            {"name": "taken", "type": "timestamp"},
            {"name": "failed", "type": "int64", "nullable": False},
        ],
    },
    "clean": {"derive": {"load": "heat * wear"}},
    "split": {"test": 0.3},
    "train": {"target": "failed", "exclude": ["taken"], "model": {"kind": "linear"}, "seed": 3},
    "evaluate": {"metric": "roc_auc", "gates": [{"metric": "roc_auc", "better_than": "trivial"}]},
    "watch": {},
}

BEGAN = datetime(2026, 3, 2, tzinfo=UTC)
"""When the first training row was taken: a Monday."""


def rows(count: int, seed: int, **shift: float) -> list[dict[str, Any]]:
    """Return rows as a caller sends them, and their truth in `failed`.

    Args:
        shift: added to heat or wear; `missing` and `red` are shares of rows.
    """
    draw = np.random.default_rng(seed)
    heat = draw.normal(50, 10, count) + shift.get("heat", 0.0)
    wear = draw.exponential(2, count) + shift.get("wear", 0.0)
    red = draw.random(count) < shift.get("red", 0.3)
    failed = (heat - 50) / 10 + wear - 2 + draw.normal(0, 0.5, count) > 0
    gaps: NDArray[np.bool_] = draw.random(count) < shift.get("missing", 0.02)
    return [
        {
            "Heat [K]": None if gaps[i] else round(float(heat[i]), 3),
            "wear": round(float(wear[i]), 3),
            "colour": "red" if red[i] else "blue",
            "open": bool(draw.integers(0, 2)),
            "taken": (BEGAN + timedelta(hours=i)).isoformat()[:19],
            "failed": int(failed[i]),
        }
        for i in range(count)
    ]


def lines(found: list[dict[str, Any]]) -> str:
    """Return rows as JSON Lines."""
    return "".join(json.dumps(row) + "\n" for row in found)


@dataclass(frozen=True)
class Watched:
    """A folder with the declaration and a home whose champion answers."""

    root: Path

    @property
    def home(self) -> Home:
        return Home(self.root / "home")

    @property
    def folder(self) -> Path:
        return self.root / "defs" / "pumps"

    @property
    def pipeline(self) -> Pipeline:
        return load_pipeline(self.folder)

    def declare(self, **changed: Any) -> Pipeline:
        """Declare other sections; None leaves a section out."""
        attributes = {**copy.deepcopy(PUMPS), **changed}
        return declare(
            self.folder, {name: one for name, one in attributes.items() if one is not None}
        )

    def answer(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Let the champion answer rows, as a file; return the answers."""
        file = self.root / "asked.jsonl"
        asked = [{name: row[name] for name in row if name != "failed"} for row in found]
        file.write_text(lines(asked))
        answers: list[dict[str, Any]] = predict(self.pipeline, file, self.home).to_pylist()
        return answers

    def look(self, day: float) -> MonitorReport:
        """Look at the answers so many days from now."""
        return monitor(self.pipeline, self.home, datetime.now(UTC) + timedelta(days=day))


def make_watched(root: Path, **changed: Any) -> Watched:
    """Declare the pipeline and train its champion."""
    from rich.console import Console

    from factory_assets.cli.run import run
    from factory_assets.cli.shared import RunSelection

    watched = Watched(root)
    watched.declare(**changed)
    (watched.folder / "rows.jsonl").write_text(lines(rows(1_500, 1)))
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        run(RunSelection(["pumps"]), Console(quiet=True))
    return watched


def shared_watched(root: Path) -> Watched:
    """Return a copy of the pipeline as it is declared here, trained once for all tests."""
    made_once("watched", root, lambda folder: measure_errors(make_watched(folder)))
    return Watched(root)


def measure_errors(watched: Watched) -> None:
    """Measure the errors of estimates, which every copy would do at its first look."""
    from factory_assets.monitoring.answers import AnsweredRows
    from factory_assets.monitoring.champion import watched_champion
    from factory_assets.monitoring.error_cache import ErrorCache
    from factory_assets.monitoring.estimates import estimate_performance
    from factory_assets.monitoring.looks import Looks

    found = watched_champion(watched.pipeline, watched.home)
    none = AnsweredRows([], found.tested.inputs.slice(0, 0), found.tested.outputs[:0])
    cache = ErrorCache(Looks(watched.home, "pumps"))
    evaluation = found.lineage.evaluation
    assert estimate_performance(watched.pipeline, evaluation, found.tested, none, cache) == {}


def copy_watched(made: Watched, to: Path, patch: pytest.MonkeyPatch) -> Watched:
    """Return a copy, which the environment names."""
    shutil.copytree(made.root, to)
    enter(to, patch)
    return Watched(to)


def look(
    home: Home, number: int, *alarms: Alarm, version: int = 1, pipeline: str = "pumps"
) -> MonitorReport:
    """Store a look that found these alarms."""
    report = MonitorReport(
        pipeline=pipeline,
        version=version,
        number=number,
        began=1,
        time=(datetime(2026, 3, 2, 6, tzinfo=UTC) + timedelta(days=number)).isoformat(),
        days=1.0,
        until=number,
        outcomes=0,
        requests=1,
        refused=0,
        rows=10,
        sampled=10,
        first=None,
        last=None,
        evidence=0.0,
        findings=(),
        hidden=(),
        estimated={},
        real=None,
        alarms=alarms,
    )
    Looks(home, pipeline).store(report, lambda _: None)
    return report
