"""`factory check` of what is beside the pipelines of several folders."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from tests.pipelines import APPLES, declare, write_apples


def test_settings_and_people_in_another_folder_than_the_first_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    write_apples(second / "apples")
    declare(second / "apples", APPLES)
    monkeypatch.setenv("FACTORY_DEFS", f"{first}:{second}:{first}")
    for folder in (first, second):
        (folder / "factory.yaml").write_text("alerts: [command: [/bin/true]]\n")
        (folder / "people.yaml").write_text("ann: {roles: [engineer]}\n")
    done = CliRunner().invoke(main, ["check", "apples"])
    assert done.exit_code == 0, done.output
    told = [line for line in done.output.splitlines() if "not read" in line]
    assert told == [
        f"warning: {second / name}:1: not read: only {first / name} is, in the first folder"
        for name in ("factory.yaml", "people.yaml")
    ]
