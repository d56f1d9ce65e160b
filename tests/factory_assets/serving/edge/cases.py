"""A home with a champion that can be packed, and what a packed one needs."""

import io
import os
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_resources.home.home import Home
from tests.pipelines import declare, enter
from tests.shared_homes import made_once

PUMP: dict[str, Any] = {
    "purpose": "Tell which pumps fail",
    "ingest": {
        "source": {"files": "data.csv"},
        "missing": ["", "n/a"],
        "contract": [
            {"name": "size", "from": "Size [mm]", "type": "float64", "unit": "mm"}
            | {"nullable": False, "range": [0, 100.5]},
            {"name": "starts", "type": "int64", "range": [0, 50], "missing": ["-1"]},
            {"name": "colour", "type": "string", "values": ["red", "green", "blue"]},
            {"name": "code", "type": "string", "pattern": "[A-Z]{2}-[0-9]+", "length": [4, 6]},
            {"name": "owner", "type": "string", "sensitive": "personal"},
            {"name": "running", "type": "bool"},
            {"name": "failed", "type": "int64", "nullable": False, "values": [0, 1]},
        ],
    },
    "clean": {
        "where": {"positive": "size > 0", "rare": "starts < 40 OR running"},
        "derive": {
            "area": "size * size * pi() / 4",
            "wear": "ln(size + 1) * (starts + 1)",
            "tone": "CASE WHEN colour = 'red' THEN 'warm' ELSE lower(code) END",
        },
    },
    "train": {
        "target": "failed",
        "categorical": ["starts"],
        "model": {"kind": "linear"},
    },
    "evaluate": {"gates": {"champion": "off"}, "importances": 0, "bootstrap": 0},
}


def write_pumps(folder: Path, rows: int = 400) -> None:
    """Write `data.csv`, in which the size largely determines the outcome."""
    chance = np.random.default_rng(5)
    lines = ["Size [mm],starts,colour,code,owner,running,failed"]
    for _ in range(rows):
        size = chance.uniform(1, 100)
        lines.append(
            f"{size:.3f},{chance.integers(-1, 39)},{chance.choice(['red', 'green', 'blue', ''])},"
            f"{chance.choice(['AB', 'CD'])}-{chance.integers(1, 9)},{chance.choice(['ann', 'bo'])},"
            f"{chance.choice(['true', 'false'])},{int((size > 50) != (chance.random() < 0.1))}"
        )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.csv").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Factory:
    """A home in which the pipeline `pump` serves."""

    root: Path

    @property
    def home(self) -> Home:
        return Home(self.root / "home")


def make_factory(root: Path) -> Factory:
    made_once("pumps", root, _make_factory)
    return Factory(root)


def _make_factory(root: Path) -> None:
    write_pumps(root / "defs" / "pump")
    declare(root / "defs" / "pump", PUMP)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        text = io.StringIO()
        run(RunSelection(["pump"]), Console(file=text, width=200))


def row(**cells: Any) -> dict[str, Any]:
    """Return a row that can be scored, with other values in some columns."""
    usual = {"Size [mm]": 12.5, "starts": 3, "colour": "red", "code": "AB-7", "owner": "ann"}
    return {**usual, "running": True, **cells}


def bare_python(folder: Path) -> Path:
    """Make a virtual environment with onnxruntime and numpy alone."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    libraries = Path(sysconfig.get_paths()["purelib"])
    for name in ("numpy", "numpy.libs", "onnxruntime"):
        if (libraries / name).exists():
            (Path(paths["purelib"]) / name).symlink_to(libraries / name)
    return folder / "bin" / "python"


def score(python: Path, pack: Path, *arguments: str, given: str = "") -> Any:
    """Run the program of a pack as another machine would."""
    return subprocess.run(
        [python, pack / "score.py", *arguments],
        input=given,
        env={"PATH": os.defpath},
        cwd=pack.parent,
        capture_output=True,
        text=True,
        check=False,
    )
