"""The index of a ledger that was damaged or changed."""

from __future__ import annotations

import sqlite3

import pytest

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.web.auditor.index import AuditIndex
from factory_resources.errors import StorageError
from factory_resources.home.home import Home
from factory_resources.ledger.entries import BackupMade
from factory_resources.ledger.ledger import Ledger
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.factory_assets.web.pages.markup import mistakes_of, text_of

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


@pytest.mark.parametrize(
    "body",
    [b"\xff", "text", b"[]", b"{}", b'{"kind":"stage"}', b'{"kind":{},"time":1}', b"[" * 9999],
)
def test_an_entry_that_was_replaced_is_one_line_on_every_page(
    home: Home, body: bytes | str
) -> None:
    begin_ledger(home)
    entry = BackupMade(subject=BackupMade.subject_of(), manifest="0" * 64, size=1, files=1, bytes=1)
    Ledger(home).append([entry] * 3)
    with sqlite3.connect(home.ledger) as connection:
        connection.execute("DROP TRIGGER entry_update")
        connection.execute("UPDATE entry SET body = ? WHERE number = 2", (body,))
    connection.close()
    client = client_of(app_of(home), "tom", ("auditor",))
    for path in ("/audit", "/audit/entries/1", "/audit/search?q=x"):
        page = client.get(path)
        assert page.status_code == 503
        assert mistakes_of(page.text) == []
        assert "the ledger was changed: entry 2 cannot be read" in text_of(page.text)


def _overwrite(home: Home, place: int, content: bytes) -> bytes:
    """Write bytes into the ledger's database, and return those that were there."""
    with home.ledger.open("r+b") as file:
        file.seek(place)
        before = file.read(len(content))
        file.seek(place)
        file.write(content)
    return before
