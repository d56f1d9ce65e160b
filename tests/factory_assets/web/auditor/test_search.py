"""A search for a person reads what the ledger says of people once."""

from __future__ import annotations

from pathlib import Path

import pytest

from factory_assets.execution.ledger_entries import begin_ledger
from factory_assets.execution.people import enter_people
from factory_assets.web.auditor.index import AuditIndex
from factory_assets.web.auditor.search import AuditSearch
from factory_resources.home.home import Home
from factory_resources.ledger.log import Log
from factory_resources.security.personal_keys import create_key


def test_a_person_is_found_by_name_and_by_each_key_and_every_change_is_read_once(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_DEFS", str(tmp_path))
    begin_ledger(home)
    keys = [[create_key(tmp_path / f"{n}-{one}", b"phrase") for one in (0, 1)] for n in range(6)]
    for one in (0, 1):
        people = [
            f"p{n}: {{roles: [approver], keys: ['{key[one]}']}}" for n, key in enumerate(keys)
        ]
        (tmp_path / "people.yaml").write_text("\n".join(people))
        enter_people(home)
    read, body = list[int](), Log.body
    monkeypatch.setattr(
        Log, "body", lambda log, number: (read.append(number), body(log, number))[1]
    )
    index = AuditIndex(home)
    with index.reading() as log:
        search = AuditSearch(home, index)
        assert search.find(log, "nobody") == []
        assert len(read) == 12
        found = [search.find(log, text) for text in ("P3", keys[3][0], keys[3][1].split()[1])]
    assert {hit.detail for hits in found for hit in hits} == {"p3"}
    assert [len(hits) for hits in found] == [2, 2, 2]
