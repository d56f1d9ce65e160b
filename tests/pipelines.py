"""Small real pipelines for tests: write a declaration and its data into a folder."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from factory_assets.declarations.loader import Problem, load_pipeline, read
from factory_assets.spec import Pipeline

APPLES: dict[str, Any] = {
    "purpose": "Tell good from bad",
    "ingest": {
        "source": {"files": "data.csv"},
        "contract": [
            {"name": "size", "type": "float64"},
            {"name": "colour", "type": "string"},
            {"name": "label", "type": "string"},
        ],
    },
    "clean": {"where": {"positive": "size > 0"}},
    "train": {"target": "label", "model": {"kind": "linear"}},
    "evaluate": {"gates": [{"metric": "roc_auc", "better_than": "trivial"}]},
}


RESPONSIBLE: dict[str, Any] = {
    "owner": "head@example.org",
    "oversight": [{"who": "senior@example.org", "role": "Sorter", "can": "stop the model"}],
    "risks": [
        {
            "id": "bad-apple",
            "what": "A bad apple is sold",
            "affected": "Whoever eats it",
            "likelihood": "occasional",
            "severity": "minor",
            "measure": "The sorter looks again",
            "residual": "Some bad apples are sold",
        }
    ],
}
"""What the `governance.yaml` of a pipeline of high risk needs."""


def write_apples(folder: Path, rows: int = 200, *, learnable: bool = True) -> None:
    """Write `data.csv`, in which the size largely determines the label, or nothing does."""
    good = (i % 7 > 3 if learnable else i * i % 13 % 2 for i in range(1, rows + 1))
    lines = [
        f"{i % 7 + i / 100},{('red', 'green')[i % 2]},{'good' if is_good else 'bad'}"
        for i, is_good in enumerate(good, 1)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.csv").write_text("\n".join(["size,colour,label", *lines]) + "\n")


def enter(root: Path, patch: pytest.MonkeyPatch) -> None:
    """Let the environment name the home and the pipelines of a folder."""
    patch.setenv("FACTORY_HOME", str(root / "home"))
    patch.setenv("DAGSTER_HOME", str(root / "home" / "dagster"))
    patch.setenv("FACTORY_DEFS", str(root / "defs"))


def write_governance(folder: Path, **changed: Any) -> None:
    """Write the `governance.yaml` of a pipeline: `RESPONSIBLE`, with other sections."""
    content = yaml.safe_dump({**RESPONSIBLE, **changed}, sort_keys=False)
    (folder / "governance.yaml").write_text(content)


def declare(folder: Path, attributes: dict[str, Any]) -> Pipeline:
    """Write the `defs.yaml` of a pipeline that is named like its folder, and load it."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"type": "factory_assets.ModelPipeline", "attributes": attributes}
    (folder / "defs.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return load_pipeline(folder)


def problems(folder: Path) -> list[Problem]:
    """Return everything that is wrong with a declaration by itself, ordered by line."""
    return read(folder)[2]
