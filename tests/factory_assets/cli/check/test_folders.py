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


@pytest.mark.parametrize("command", ["check", "run"])
def test_a_name_that_no_pipeline_has_tells_what_is_wrong_with_the_folders(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folders, told in (
        ("", "; FACTORY_DEFS, which names the folders of your own, is not set"),
        (f"{tmp_path}:{tmp_path}/nowhere", f"; FACTORY_DEFS names {tmp_path}/nowhere, which does"),
        (f"{tmp_path}", "valid: machine_failure, tumour_diagnosis\n"),
    ):
        monkeypatch.setenv("FACTORY_DEFS", folders)
        done = CliRunner().invoke(main, [command, "peppers"])
        assert (done.exit_code, told in done.output) == (2, True), done.output


def test_declarations_that_every_user_may_write_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes there has every role, and runs code as the user of the factory."""
    write_apples(tmp_path / "apples")
    declare(tmp_path / "apples", APPLES)
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    (tmp_path / "people.yaml").write_text("ann: {roles: [engineer]}\n")
    what = "and so decide what runs here and who comes in; chmod -R o-w"
    for widened, told in (
        ((), []),
        (
            (tmp_path / "people.yaml",),
            [f"people.yaml:1: every user of this machine may write it, {what}"],
        ),
        (
            (tmp_path / "apples", tmp_path / "apples" / "defs.yaml"),
            [f"people.yaml:1: every user of this machine may write it and 2 more, {what}"],
        ),
    ):
        for path in widened:
            path.chmod(path.stat().st_mode | 0o002)
        done = CliRunner().invoke(main, ["check", "apples"])
        assert done.exit_code == 0, done.output
        found = [line for line in done.output.splitlines() if "may write it" in line]
        assert found == [f"warning: {tmp_path}/{line} {tmp_path}" for line in told]
