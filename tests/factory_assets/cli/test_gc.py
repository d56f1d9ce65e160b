"""`factory gc` lists, removes only with --apply, and refuses while a run is working."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from factory_assets.cli.main import main
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.ledger import Ledger
from factory_resources.tracking.registry import Registry
from tests.factory_assets.execution.test_version_retention import trained
from tests.factory_resources.tracking.test_registry import register


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
        assert "a run uses this home; wait until it has ended" in refused.output
        assert leftover.exists()
    assert _gc("--apply").exit_code == 0


def test_refuses_between_two_stages_of_a_run(
    leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def working(_: Home) -> None:
        raise StorageError("a run is under way", remedy="wait until it has ended")

    monkeypatch.setattr("factory_assets.cli.gc.require_no_run", working)
    refused = _gc("--apply")
    assert (refused.exit_code, "a run is under way" in refused.output) == (2, True)
    assert leftover.exists()


def test_an_invalid_duration_changes_nothing(
    leftover: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "'30 days' is not a duration" in _gc("--apply", "--older-than", "30 days").output
    monkeypatch.setenv("FACTORY_KEEP", "long")
    refused = _gc("--apply")
    assert refused.exit_code == 2
    assert "error: FACTORY_KEEP: 'long' is not a duration" in refused.output
    assert leftover.exists()


def test_a_missing_home_is_not_created(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_HOME", str(tmp_path / "none"))
    assert _gc().output == "nothing to remove\n"
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_old_versions_are_shown_and_then_deleted(
    leftover: Path, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, defs = Registry(home), tmp_path / "defs"
    for version in range(1, 5):
        register(registry, tmp_path / str(version))
    Ledger(home).begin()
    Ledger(home).append([trained(version) for version in range(1, 5)])
    picture = home.pictures / "m" / "1" / "roc-1.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"png")
    defs.mkdir()
    monkeypatch.setenv("FACTORY_DEFS", str(defs))
    assert "version" not in _gc("--older-than", "0d").output
    (defs / "factory.yaml").write_text("disk: {versions: 2}\n")
    assert "version" not in _gc().output
    for _ in range(2):
        shown = _gc("--older-than", "0d", "--list")
        assert "      2 version               m: older than those that stay" in shown.output
        assert "          m@1\n          m@2\n" in shown.output
        assert shown.output.splitlines()[-1].startswith("2 versions, ")
    assert registry.versions() == {"m": (1, 2, 3, 4)}
    assert "3 versions, " in _gc("--older-than", "0d", "--versions", "1").output
    assert "removed 2 versions, " in _gc("--older-than", "0d", "--apply").output
    assert registry.versions() == {"m": (3, 4)}
    assert not picture.exists()
    assert _gc("--older-than", "0d").output == "nothing to remove\n"
    (defs / "factory.yaml").write_text("disk: {versions: 0}\n")
    refused = _gc("--apply")
    assert refused.exit_code == 2
    assert "factory.yaml:1: disk.versions: " in refused.output
    assert refused.output.count("\n") == 1
