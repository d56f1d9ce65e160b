"""`factory up`, before its services start."""

import pytest

from factory_assets.cli.up import _reconcile
from factory_resources.errors import StorageError
from factory_resources.home.home import Home


def test_what_keeps_an_earlier_run_from_being_ended_is_one_line(
    home: Home, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refused(_: Home) -> list[str]:
        raise StorageError("the database is a standby", remedy="name the other one")

    monkeypatch.setattr("factory_resources.workers.reconcile.reconcile", refused)
    with pytest.raises(SystemExit) as ended:
        _reconcile(home)
    said = "error: the database is a standby; name the other one\n"
    assert (ended.value.code, capfd.readouterr().err) == (2, said)
