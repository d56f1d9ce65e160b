"""After a power cut, the home has everything of which the ledger speaks."""

from pathlib import Path

import pytest
from rich.console import Console

from factory_assets.cli.run import run
from factory_assets.cli.shared import RunSelection
from factory_resources.home.home import Home
from tests.pipelines import APPLES, declare, enter, write_apples
from tests.power_cuts import PowerCut

pytestmark = pytest.mark.slow

RELIED_ON = ("artifacts", "declarations", "records", "secrets", "tables")


def test_what_an_entry_names_is_on_the_disk_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(tmp_path, monkeypatch)
    write_apples(tmp_path / "defs" / "apples")
    declare(tmp_path / "defs" / "apples", APPLES)
    power = PowerCut(Home(tmp_path / "home"), monkeypatch, *RELIED_ON)
    run(RunSelection(["apples"]), Console(quiet=True))
    lost = power.lost_at_entries
    assert {"ledger", "declaration", "stage", "model_version", "export", "champion"} <= lost.keys()
    assert {kind: files for kind, files in lost.items() if files} == {}
