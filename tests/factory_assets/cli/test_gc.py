"""`factory gc` lists, removes only with --apply, and refuses while a run is working."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_resources.home.home import Home


@pytest.fixture
def leftover(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a killed process left in the home."""
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.delenv("FACTORY_KEEP", raising=False)
    home.require_writable()
    path = home.tmp / "1.99-dead" / "rows.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"four")
    return path


def _gc(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["gc", *arguments])


def test_lists_then_removes_then_finds_nothing(leftover: Path) -> None:
    listed = _gc("--list")
    assert listed.exit_code == 0, listed.output
    assert "1 scratch          4 B  its process has ended" in listed.output
    assert str(leftover.parent) in listed.output
    assert "1 item, 4 B; nothing was removed, use --apply to remove" in listed.output
    assert leftover.exists()
    removed = _gc("--apply")
    assert "removed 1 item, 4 B" in removed.output
    assert not leftover.parent.exists()
    assert _gc().output == "nothing to remove\n"


def test_refuses_while_a_run_is_working(leftover: Path, home: Home) -> None:
    with home.working(), home.working():
        refused = _gc("--apply")
        assert refused.exit_code == 2
        assert refused.output.count("\n") == 1
        assert "a run is working here; wait until it has ended" in refused.output
        assert leftover.exists()
    assert _gc("--apply").exit_code == 0


def test_an_invalid_duration_changes_nothing(
    leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'30 days' is not a duration" in _gc("--apply", "--older-than", "30 days").output
    monkeypatch.setenv("FACTORY_KEEP", "long")
    refused = _gc("--apply")
    assert refused.exit_code == 2
    assert "'long' is not a duration" in refused.output
    assert leftover.exists()


def test_a_missing_home_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "none"))
    assert _gc().output == "nothing to remove\n"
    assert not (tmp_path / "none").exists()
