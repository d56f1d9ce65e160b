"""A folder in which witnesses write, too, and one of them means harm."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from factory_assets.cli.main import main
from factory_resources.home.home import Home
from factory_resources.ledger import factory_verify
from factory_resources.ledger.ledger import Ledger
from tests.pipelines import enter


@pytest.fixture
def shared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """The folder; the witness w1 is declared."""
    (tmp_path / "defs").mkdir()
    enter(tmp_path, monkeypatch)
    words = ["witness", "new", str(tmp_path / "w.key"), "--name", "auditor.example/w1"]
    assert factory_verify.main(words) == 0
    key = capsys.readouterr().out.split()[-1]
    (tmp_path / "defs" / "factory.yaml").write_text("witness: {required: 1, every: 1d}\n")
    (tmp_path / "defs" / "witnesses.policy").write_text(f"witness w1 {key}\nquorum w1\n")
    (tmp_path / "shared").mkdir()
    return tmp_path / "shared"


def _make_folder(path: Path) -> None:
    path.mkdir()


def _make_link(path: Path) -> None:
    path.symlink_to(path.parent.parent / "w.key")


@pytest.mark.parametrize("make", [_make_folder, os.mkfifo, _make_link])
def test_what_is_no_file_hinders_no_other_and_is_told(
    shared: Path, make: Callable[[Path], None]
) -> None:
    make(shared / "a.cosigned")
    told = CliRunner().invoke(main, ["ledger", "exchange", str(shared)])
    assert told.exit_code == 2
    assert "w1.request: the checkpoint of" in told.output
    assert "a.cosigned: cannot be read (" in told.output.splitlines()[-1]


def test_a_link_in_the_place_of_a_request_is_not_followed(shared: Path) -> None:
    precious = shared.parent / "precious"
    precious.write_text("mine")
    (shared / "w1.request").symlink_to(precious)
    told = CliRunner().invoke(main, ["ledger", "exchange", str(shared)])
    assert told.exit_code == 0, told.output
    assert precious.read_text() == "mine"
    assert (shared / "w1.request").read_text().startswith("old 0\n")
    assert {path.name for path in shared.iterdir()} == {"w1.request"}
    assert (shared / "w1.request").stat().st_mode & 0o777 == 0o644


def test_other_programs_may_read_the_exported_log(shared: Path) -> None:
    Ledger(Home.from_env()).begin()
    told = CliRunner().invoke(main, ["ledger", "export", "--out", str(shared / "tiles")])
    assert told.exit_code == 0, told.output
    files = [path for path in (shared / "tiles").rglob("*") if path.is_file()]
    assert len(files) == 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644}
    taken = shared / "taken"
    taken.touch()
    told = CliRunner().invoke(main, ["ledger", "export", "--out", str(taken)])
    assert told.exit_code == 2
    assert f"{taken}: this is not a folder; name a folder, or a new name" in told.output
