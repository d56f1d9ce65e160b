"""What `factory check` finds in a partitioned pipeline, with and without data."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_assets.cli.check.check import check
from tests.factory_assets.components.test_partition_assets import DAYS, declared

CONTRACT = [{"name": "x", "type": "int64"}]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    return tmp_path


def checked(folder: Path, **changed: Any) -> list[str]:
    """Return the messages about a declaration with these attributes changed."""
    pipeline = declared(folder)
    document = yaml.safe_load((pipeline.folder / "defs.yaml").read_text())
    document["attributes"] |= changed
    (pipeline.folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return [f"{problem.path}: {problem.message}" for problem in check(["meter"])]


def test_partitions_are_columns(folder: Path) -> None:
    clean = {"where": {"new": "day > '2024-01-02'"}, "derive": {"at": "day || x"}}
    train = {"target": "x", "exclude": ["day"], "model": {"kind": "linear"}}
    assert checked(folder, clean=clean, train=train) == []


def test_the_newest_partition_is_compared_with_the_contract(folder: Path) -> None:
    pipeline = declared(folder)
    (pipeline.folder / "2024-01-02.csv").write_text("x\n1\n")
    assert checked(folder) == []
    (pipeline.folder / "2024-01-03.csv").write_text("y\n1\n")
    (message,) = checked(folder)
    assert "ingest.contract.0.name: no column 'x' in 2024-01-03.csv; " in message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"ingest": {"source": {"files": "{dya}.csv"}, "contract": CONTRACT}},
            "attributes.ingest: no partition 'dya'; did you mean 'day'?",
        ),
        (
            {"ingest": {"source": {"files": "all.csv"}, "contract": CONTRACT}},
            "attributes.ingest: the source does not name partition 'day'",
        ),
        (
            {"partitions": {"day": {"every": "dya", "start": "2024-01-01"}}},
            "attributes.partitions.day.every: 'dya' is not valid; did you mean 'day'?",
        ),
        (
            {"partitions": {"day": {"dynamic": False}}},
            "attributes.partitions.day.dynamic: false is not valid; must be true",
        ),
        (
            {"partitions": {"day": {**DAYS["day"], "timezone": "Europe/Brelin"}}},
            "attributes.partitions.day.timezone",
        ),
        (
            {"clean": {"where": {"new": "dya > '2024'"}}},
            "attributes.clean.where.new: no column 'dya'; did you mean 'day'?",
        ),
    ],
)
def test_mistakes_are_reported_with_their_place(
    folder: Path, changed: dict[str, Any], message: str
) -> None:
    assert any(message in line for line in checked(folder, **changed)), checked(folder, **changed)
