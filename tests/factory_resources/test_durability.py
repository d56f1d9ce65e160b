"""Files and folders are synchronised with the disk, and errors of the disk are raised."""

import ctypes
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.execution.supply_chain import SupplyDocuments, record_supply_chain
from factory_resources.durability import make_folder, sync_disk, sync_path
from factory_resources.errors import StorageError
from factory_resources.home.database import PREPARED
from factory_resources.home.home import Home
from factory_resources.instance import record_database
from factory_resources.ledger.statements import store_statement
from factory_resources.prediction_log.protection import Protection
from factory_resources.security.commitments import Commitments
from factory_resources.security.passwords import Passwords
from factory_resources.security.tokens import Tokens
from tests.power_cuts import PowerCut


def test_a_file_and_a_folder_are_synchronised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x")
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    sync_path(file)
    sync_path(tmp_path)
    assert synced == [file.stat().st_ino, tmp_path.stat().st_ino]


def test_an_error_of_the_disk_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="Input/output error"):
        sync_path(tmp_path)
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_disk_that_cannot_store_everything_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class System:
        def syncfs(self, handle: int) -> int:
            assert os.path.samestat(os.fstat(handle), tmp_path.stat())
            ctypes.set_errno(5)
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: System())
    with pytest.raises(OSError, match="Input/output error"):
        sync_disk(tmp_path)
    with pytest.raises(StorageError, match="Input/output error"):
        Home(tmp_path).sync()


def test_a_new_folder_is_on_the_disk_with_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append(os.fstat(handle).st_ino))
    for _ in range(2):
        make_folder(tmp_path / "a" / "b")
    assert synced == [tmp_path.stat().st_ino, (tmp_path / "a").stat().st_ino]


def _revoke_a_token(home: Home) -> None:
    tokens = Tokens(home)
    tokens.new("shop", ["p"], valid=timedelta(days=1))
    tokens.revoke("shop")


@pytest.mark.parametrize(
    "write",
    [
        lambda home: store_statement(home, "p", b"{}"),
        lambda home: Commitments(home).of("person", "jane"),
        lambda home: Protection(home, "p", "commitment").protect(1, 0),
        lambda home: Passwords(home).set("jane", "correct horse battery"),
        _revoke_a_token,
    ],
    ids=["a statement", "a salt", "the key of a month", "a password", "a revoked token"],
)
def test_what_is_stored_stays_after_a_power_cut(
    write: Callable[[Home], object], home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    power = PowerCut(home, monkeypatch, "secrets", "statements")
    write(home)
    assert len([*home.path.glob("s*/**/*.*")]) == 1
    assert power.lost() == []


def test_what_comes_with_a_version_is_on_the_disk_before_its_entry(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin_ledger(home)
    power = PowerCut(home, monkeypatch, "supply")
    record_supply_chain("p", 1, SupplyDocuments(b"sbom", b"ml-bom", b"statement"), home)
    assert power.lost_at_entries == {"supply_chain": []}
    assert len([*home.path.glob("supply/p/*")]) == 3


def test_the_key_of_a_ledger_is_on_the_disk_before_its_first_entry(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    power = PowerCut(home, monkeypatch, "secrets")
    begin_ledger(home)
    assert power.lost_at_entries == {"ledger": []}


def test_which_databases_a_home_has_stays_known(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.require_writable()
    power = PowerCut(home, monkeypatch, ".")
    record_database(home)
    assert (home.path / PREPARED).exists()
    assert PREPARED not in power.lost()
