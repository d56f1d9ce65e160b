"""`factory gc` shows first, removes only when told, and never while somebody works."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_resources.home.home import Home


@pytest.fixture
def left(home: Home, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that a killed process left in the home."""
    monkeypatch.setenv("FACTORY_HOME", str(home.path))
    monkeypatch.delenv("FACTORY_KEEP", raising=False)
    path = home.tmp / "1.99-dead" / "rows.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"four")
    return path


def _gc(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["gc", *arguments])


def test_shows_then_removes_then_finds_nothing(left: Path) -> None:
    shown = _gc("--list")
    assert shown.exit_code == 0, shown.output
    assert "1 scratch          4 B  its process is gone" in shown.output
    assert str(left.parent) in shown.output
    assert "nothing is removed without --apply" in shown.output
    assert left.exists()
    done = _gc("--apply")
    assert "removed 1 in all, 4 B" in done.output
    assert not left.parent.exists()
    assert _gc().output == "nothing to remove\n"


def test_never_while_somebody_works(left: Path, home: Home) -> None:
    with home.working(), home.working():
        refused = _gc("--apply")
        assert refused.exit_code == 2
        assert refused.output.count("\n") == 1
        assert "a run is working here; wait until it has ended" in refused.output
        assert left.exists()
    assert _gc("--apply").exit_code == 0


def test_wrong_times_change_nothing(left: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "'30 days' is no length of time" in _gc("--apply", "--older-than", "30 days").output
    monkeypatch.setenv("FACTORY_KEEP", "long")
    refused = _gc("--apply")
    assert refused.exit_code == 2
    assert "'long' is no length of time" in refused.output
    assert left.exists()


def test_a_home_that_is_not_there_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "none"))
    assert _gc().output == "nothing to remove\n"
    assert not (tmp_path / "none").exists()
