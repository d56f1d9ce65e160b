"""The ledger has each change of the factory's settings, and of who witnesses it."""

from pathlib import Path

import pytest

from factory_assets.execution.ledger_entries import append_settings, begin_ledger
from factory_resources.home.home import Home
from factory_resources.ledger.entries import KeyChanged, Kind, SettingChanged
from factory_resources.ledger.ledger import Ledger, entry_in

_KEY = "w1.example/w1+a351fb98+BGtpdHTFQ8RmRqYsNDO+0JuZpDlOLvJl4C9g6FROHzpC"


def _settings(home: Home) -> list[Kind]:
    with Ledger(home).reading() as log:
        entries = [entry_in(log, number) for number in range(log.size)]
    return [one for one in entries if isinstance(one, SettingChanged | KeyChanged)]


def test_settings_that_are_removed_withdraw_the_witnesses(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    begin_ledger(home)
    append_settings(home)
    assert _settings(home) == []
    (tmp_path / "factory.yaml").write_text("witness: {required: 1, every: 1d}\n")
    (tmp_path / "witnesses.policy").write_text(f"witness w1 {_KEY}\nquorum w1\n")
    append_settings(home)
    (tmp_path / "factory.yaml").unlink()
    for _ in range(2):
        append_settings(home)
    declared, added, removed, withdrawn = _settings(home)
    assert isinstance(added, KeyChanged)
    assert isinstance(withdrawn, KeyChanged)
    assert (added.action, withdrawn.action) == ("added", "withdrawn")
    assert added.key == withdrawn.key
    assert isinstance(declared, SettingChanged)
    assert isinstance(removed, SettingChanged)
    assert declared.sha256 != removed.sha256
