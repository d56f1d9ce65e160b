"""A factory with a person in every corner of its tables: what erasures are tried on."""

import csv
import io
import json
import random
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from rich.console import Console

from factory_assets.cli.forget import ForgetRequest, forget
from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_resources.erasure.manifest import ErasedFrom, ErasureManifest, manifest_file
from factory_resources.home.home import Home
from factory_resources.prediction_log.ids import PredictionIds
from factory_resources.prediction_log.prediction_log import PredictionLog
from factory_resources.prediction_log.record import PredictionRecord, encode
from tests.pipelines import declare, enter
from tests.shared_homes import made_once

PERSON = 4_200_424_042
"""The number of the person in the tables."""

ROW = 42
"""The person's row in the source, from 1."""

WHERE = f"nbr = {PERSON}"

CITY, WEIGHT, NAME = "Xyzzyville", 72.38091746, "Qwertz Uiopasdf"
"""Values that only the person has."""

_COLUMNS = [
    {"name": "nbr", "type": "int64"},
    {"name": "name", "type": "string", "sensitive": "personal"},
    {"name": "weight", "type": "float64", "range": [0, None]},
    {"name": "city", "type": "string"},
    {"name": "label", "type": "string"},
]

PEOPLE: dict[str, Any] = {
    "purpose": "Tell who is heavy",
    "ingest": {"source": {"files": "data.csv"}, "contract": _COLUMNS},
    "clean": {"derive": {"double": "weight * 2"}},
    "train": {
        "target": "label",
        "exclude": ["nbr", "name", "city", "double"],
        "model": {"kind": "linear"},
    },
}

STUDY: dict[str, Any] = {
    "purpose": "Weights without names",
    "ingest": {
        "source": {"pipeline": "people"},
        "contract": [{"name": "weight", "type": "float64"}],
    },
}
"""It reads the clean rows of `people` and drops the column by which people are found."""

VISITS: dict[str, Any] = {
    "purpose": "Visits, day by day",
    "partitions": {"day": {"values": ["mon", "tue"]}},
    "ingest": {
        "source": {"files": "visits-{day}.csv"},
        "contract": [
            {"name": "nbr", "type": "int64"},
            {"name": "pulse", "type": "float64", "range": [0, 300]},
        ],
    },
}


def people_rows(count: int = 120) -> list[list[object]]:
    """Return rows of `people`, that of the person among them."""
    draw = random.Random(1)
    rows: list[list[object]] = []
    for number in range(1, count + 1):
        weight = round(draw.gauss(70, 12), 3)
        label = "yes" if weight > 70 else "no"
        city = draw.choice(["Ulm", "Bonn"])
        rows.append([PERSON - ROW + number, f"Person {number:05}", weight, city, label])
    rows[ROW - 1] = [PERSON, NAME, WEIGHT, CITY, "yes"]
    return rows


def write_people(folder: Path, rows: list[list[object]]) -> None:
    """Write `data.csv` of `people`."""
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([column["name"] for column in _COLUMNS])
    writer.writerows(rows)
    (folder / "data.csv").write_text(text.getvalue())


def make_people(root: Path) -> None:
    """Make a home with `people`, of which a version serves, `study` and `visits`."""
    made_once("people", root, _make_people)


def _make_people(root: Path) -> None:
    write_people(root / "defs" / "people", people_rows())
    for name, attributes in {"people": PEOPLE, "study": STUDY, "visits": VISITS}.items():
        declare(root / "defs" / name, attributes)
    for day, pulses in {"mon": (71.25, 64.5), "tue": (68.125, 99_999.5)}.items():
        lines = [f"{PERSON - 1},60.5", *(f"{PERSON},{pulse}" for pulse in pulses), "7,81.5"]
        text = "\n".join(["nbr,pulse", *lines]) + "\n"
        (root / "defs" / "visits" / f"visits-{day}.csv").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        run_all()


def run_all() -> None:
    """Run the three pipelines."""
    run(RunSelection(["people", "study", "visits"]), Console(quiet=True))


def erase(where: str = WHERE, reason: str = "request 2026-117") -> bool:
    """Erase whom the expression finds, as the command does; return whether nothing was left."""
    return forget(ForgetRequest((), where, reason, None, is_sure=True, only_shown=False))


def note_erased(
    home: Home,
    sources: Mapping[str, Sequence[int]],
    pipeline: str = "p",
    gone: tuple[int, ...] = (),
) -> ErasureManifest:
    """Write what an erasure says of rows of sources, as if it had taken them from a pipeline."""
    erased = ErasedFrom(
        rows={f"{pipeline}/ingest": 1}, versions=(), gone=gone, champion=None, answers=()
    )
    manifest = ErasureManifest(
        id=str(uuid4()),
        sources={source: tuple(rows) for source, rows in sources.items()},
        pipelines={pipeline: erased},
        files={},
        records={},
        removed=(),
    )
    home.write_atomic(manifest_file(home, manifest.id), manifest.content)
    return manifest


def copied(made: Path, to: Path, patch: pytest.MonkeyPatch) -> Path:
    """Copy the factory, and let the environment name the copy."""
    shutil.copytree(made, to)
    enter(to, patch)
    return to


def home_of(root: Path) -> Home:
    return Home(root / "home")


def log_answer(home: Home, row: Mapping[str, Any]) -> bytes:
    """Log an answer to one row, as a prediction server does; return the id of the request."""
    record = PredictionRecord(
        time=time.time_ns() // 1000,
        duration=1,
        pipeline="people",
        version=1,
        caller="",
        protocol="plain",
        kind="answer",
        status=200,
        rows=1,
        input=json.dumps([row]).encode(),
        output=b"{}",
    )
    request = PredictionIds().take(1)
    with PredictionLog(home) as log:
        journal = log.journal()
        journal.append(request, encode(record))
        journal.flush()
        journal.close()
    return request
