"""While a long ledger is being indexed, the auditor's pages say how far that is."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from html import escape

import pytest

from factory_assets.web.auditor.index import AuditIndex
from factory_resources.ledger.ledger import Ledger
from tests.factory_assets.web.auditor.clients import app_of, client_of
from tests.factory_assets.web.auditor.conftest import Audited
from tests.factory_assets.web.pages.markup import mistakes_of, text_of

pytestmark = pytest.mark.slow


def test_a_page_waits_for_the_index_or_says_how_far_it_is(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Ledger(audited.home).reading() as log:
        size = log.size
    monkeypatch.setattr("factory_assets.web.auditor.index._BATCH", size - 2)
    add, goes_on, batches = AuditIndex._add, threading.Event(), list[int]()

    def slow(index: AuditIndex, bodies: Iterable[tuple[int, bytes]]) -> None:
        add(index, bodies)
        batches.append(1)

    def waiting(index: AuditIndex, log: object, size: int) -> bool:
        if batches:
            goes_on.wait(20)
        return add_batch(index, log, size)  # type: ignore[arg-type]

    add_batch = AuditIndex._add_batch
    monkeypatch.setattr(AuditIndex, "_add", slow)
    monkeypatch.setattr(AuditIndex, "_add_batch", waiting)
    client = client_of(app_of(audited.home), "tom", ("auditor",))
    for path in ("/audit", "/audit/apples/1", "/audit/search?q=apples%403&x=1"):
        page = client.get(path)
        assert (page.status_code, page.headers["retry-after"]) == (503, "2")
        assert mistakes_of(page.text) == []
        assert f"{size - 2:,} of {size:,} entries are indexed" in text_of(page.text)
        assert f'href="{escape(path)}"' in page.text
        assert "apples" in text_of(page.text)
    goes_on.set()
    page = client.get("/audit")
    assert page.status_code == 200
    assert "version 2 waits for 1 approver" in text_of(page.text)


def test_a_page_is_the_whole_one_at_once_if_the_ledger_is_short(audited: Audited) -> None:
    client = client_of(app_of(audited.home), "tom", ("auditor",))
    assert client.get("/audit/apples/1").status_code == 200
