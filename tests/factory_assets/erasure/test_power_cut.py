"""After a power cut, an erasure that was entered can be finished, and what it erased stays away."""

from pathlib import Path

import pytest

from factory_assets.cli.forget import resume
from factory_assets.erasure import steps
from factory_resources.erasure.manifest import manifests
from factory_resources.home.home import Home
from factory_resources.ledger.erasure_entries import ErasureDone
from tests.erasures import erase, home_of
from tests.ledger import ledger_entries, problems
from tests.power_cuts import PowerCut

pytestmark = pytest.mark.slow

RELIED_ON = ("erasures", "secrets/erasures", "statements", "tables")


def test_what_the_entry_of_an_erasure_names_is_on_the_disk_before_it(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    power = PowerCut(home_of(root), monkeypatch, *RELIED_ON)
    assert erase()
    assert power.lost_at_entries["erasure"] == []


def test_what_was_erased_is_gone_from_the_disk_before_the_entry_that_it_is_done(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(root)
    before = {*home.tables.rglob("*.parquet")}
    seen: list[tuple[bool, bool]] = []
    sync = Home.sync

    def note(synced: Home) -> None:
        sync(synced)
        kinds = {type(entry) for entry in ledger_entries(home)}
        seen.append((before <= {*home.tables.rglob("*.parquet")}, ErasureDone in kinds))

    monkeypatch.setattr(Home, "sync", note)
    assert erase()
    assert seen == [(False, False)]


def test_a_manifest_that_a_power_cut_took_is_there_once_the_erasure_is_finished(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = home_of(root)

    def cut(*_: object) -> None:
        for file in (home.path / "erasures").iterdir():
            file.unlink()
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(steps, "replace_records", cut)
        with pytest.raises(SystemExit):
            erase()
    assert not [*manifests(home)]
    assert resume(home)
    assert problems(home) == []
