"""The index of the ledger after a fault of the database that it was read from."""

from __future__ import annotations

import pytest

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.web.auditor.index import AuditIndex
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.ledger import Ledger

_PAGE = 4096
"""Bytes of a page of SQLite."""


def test_an_index_that_met_a_fault_is_completed_once_the_ledger_can_be_read_again(
    home: Home,
) -> None:
    begin_ledger(home)
    entry = BackupMade(subject=BackupMade.subject_of(), manifest="0" * 64, size=1, files=1, bytes=1)
    Ledger(home).append([entry] * 400)
    with Ledger(home).reading() as log:
        place = home.ledger.read_bytes().index(log.body(200)) // _PAGE * _PAGE
    index, content = AuditIndex(home), _overwrite(home, place, b"\xff" * _PAGE)
    with pytest.raises(StorageError), index.reading():
        pass
    _overwrite(home, place, content)
    with index.reading() as log:
        assert index.size == log.size


def _overwrite(home: Home, place: int, content: bytes) -> bytes:
    """Write bytes into the ledger's database, and return those that were there."""
    with home.ledger.open("r+b") as file:
        file.seek(place)
        before = file.read(len(content))
        file.seek(place)
        file.write(content)
    return before
