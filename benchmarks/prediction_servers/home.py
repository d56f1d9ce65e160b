"""A home with three champions, and requests that they answer.

They are the shipped pipelines, with fewer simulated rows, and the AI4I example.
"""

import csv
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import FACTORY, machine_failure, measure
from factory_resources.home.home import PROJECT, Home
from factory_resources.security.personal_keys import create_key

MILLING, TUMOURS, PUBLISHED = "milling", "tumour_diagnosis", "ai4i"

CHAMPIONS = (MILLING, TUMOURS, PUBLISHED)

_ROWS = 20_000

_PASSPHRASE = "passphrase"


@dataclass(frozen=True)
class Champion:
    """A served model, and rows for it."""

    name: str
    home: Home
    rows: Sequence[Mapping[str, Any]]
    """By the column names of the source; only what the model needs."""
    graph: Path
    """Its ONNX file."""

    @property
    def row(self) -> bytes:
        """The first row in JSON."""
        return json.dumps(self.rows[0]).encode()

    @property
    def batch(self) -> bytes:
        """All rows in JSON."""
        return json.dumps(list(self.rows)).encode()


def make_home(root: Path) -> Home:
    """Run the pipelines; a person approves what waits.

    Raises:
        RuntimeError: a pipeline failed.
    """
    defs, home = root / "defs", Home(root / "home")
    machine_failure(defs, MILLING, _ROWS)
    shutil.copytree(PROJECT / "examples" / PUBLISHED, defs / PUBLISHED)
    public = create_key(root / "jane", _PASSPHRASE.encode())
    people = f"jane:\n  roles: [approver]\n  keys: [{public}]\n"
    (defs / "people.yaml").write_text(people, encoding="utf-8")
    places = places_of(home)
    measure([FACTORY, "run", *CHAMPIONS], places)
    measure(
        [FACTORY, "approve", TUMOURS, "--reason", "a benchmark", "--key", str(root / "jane")],
        {**places, "FACTORY_PASSPHRASE": _PASSPHRASE},
    )
    return home


def places_of(home: Home) -> dict[str, str]:
    """Return the variables that name the home and its declarations."""
    return {"FACTORY_HOME": str(home.path), "FACTORY_DEFS": str(home.path.parent / "defs")}


def champion(name: str, home: Home, folder: Path, count: int) -> Champion:
    """Return a champion with rows of its source that keep the contract and every rule.

    Args:
        folder: takes the graph.
        count: how many rows.
    """
    from factory_assets.data.transforms.narrowing import needed_columns
    from factory_assets.ml.artifacts.onnx_model import load_champion, read_graph
    from factory_resources.tracking.registry import Registry

    number, model = load_champion(name, home)
    registry = Registry(home)
    graph = folder / f"{name}.onnx"
    graph.write_bytes(read_graph(registry, registry.version(name, number)))
    names = [column.source_name for column in needed_columns(model)]
    rows = [{key: row[key] for key in names} for row in _SOURCES[name](count)]
    return Champion(name, home, rows, graph)


def _milling(count: int) -> list[dict[str, Any]]:
    from factory_assets.defs.machine_failure.telemetry import simulate

    found: list[dict[str, Any]] = simulate(count, seed=2).to_pylist()
    return found


def _tumours(count: int) -> list[dict[str, Any]]:
    from factory_assets.defs.tumour_diagnosis.dataset import load

    found: list[dict[str, Any]] = load().head(count).to_dict("records")
    return found


def _published(count: int) -> list[dict[str, Any]]:
    data = Path(os.environ.get("FACTORY_DATA", PROJECT.parent / "shared" / "data"))
    file = data / "ai4i2020" / "ai4i2020.csv"
    with file.open(encoding="utf-8-sig", newline="") as lines:
        read = [row for row, _ in zip(csv.DictReader(lines), range(count), strict=False)]
    return [{name: _number(text) for name, text in row.items()} for row in read]


def _number(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


_SOURCES = {MILLING: _milling, TUMOURS: _tumours, PUBLISHED: _published}
