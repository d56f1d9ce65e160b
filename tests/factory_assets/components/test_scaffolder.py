"""The template for `dg scaffold` is a valid declaration, and never replaces one."""

from pathlib import Path
from typing import Any

import click
import dagster as dg
import pytest

from factory_assets.components.scaffolder import TEMPLATE, PipelineScaffolder
from factory_assets.declarations.loader import load_pipeline
from tests.factory_assets.declarations.cases import declare
from tests.pipelines import problems


def _scaffold(folder: Path, **changed: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    request: dict[str, Any] = {
        "type_name": "factory_assets.ModelPipeline",
        "target_path": folder,
        "scaffold_format": "yaml",
        "project_root": None,
        "params": None,
    }
    PipelineScaffolder().scaffold(dg.ScaffoldRequest(**{**request, **changed}))


def test_template_is_a_valid_declaration(tmp_path: Path) -> None:
    _scaffold(tmp_path / "apples")
    assert load_pipeline(tmp_path / "apples").spec.training.target == "outcome"


def test_template_is_valid_with_its_comments_enabled(tmp_path: Path) -> None:
    text = "\n".join(
        line.replace("# ", "", 1) if line.lstrip().startswith("# ") else line
        for line in TEMPLATE.replace("#   ", "#   ").splitlines()
    )
    text = text.replace("\n    where", "\n    where")
    assert problems(declare(tmp_path, text)) == []


@pytest.mark.parametrize(
    ("name", "changed", "message"),
    [
        ("Apples-2", {}, "lower case letters"),
        ("apples", {"scaffold_format": "python"}, "YAML"),
        ("apples", {"append": True}, "exists already"),
    ],
)
def test_scaffolding_is_refused_without_writing_a_file(
    tmp_path: Path, name: str, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(click.ClickException, match=message):
        _scaffold(tmp_path / name, **changed)
    assert list((tmp_path / name).iterdir()) == []


def test_never_overwrites(tmp_path: Path) -> None:
    folder = declare(tmp_path, "mine")
    with pytest.raises(click.ClickException, match="exists already"):
        _scaffold(folder)
    assert (folder / "defs.yaml").read_text() == "mine"
