"""A factory in which `apples` has run once, so that its version 1 serves."""

from pathlib import Path

import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.shared_homes import made_once


def enter_served(root: Path, patch: pytest.MonkeyPatch) -> Path:
    """Copy the factory, which is made once for all tests, and let the environment name the copy."""
    made_once("apples", root, _make)
    enter(root, patch)
    return root


def _make(root: Path) -> None:
    write_apples(root / "defs" / "apples")
    declare(root / "defs" / "apples", APPLES)
    with pytest.MonkeyPatch.context() as patch:
        enter(root, patch)
        run(RunSelection(["apples"]), Console(quiet=True))
