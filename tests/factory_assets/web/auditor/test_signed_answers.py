"""Signed answers to requirements, on the pages of the AI Act and of their entries."""

from __future__ import annotations

import html
import re

import pytest

from factory_resources.ledger.governance_entries import GovernanceSigned
from factory_resources.ledger.ledger import Ledger, entry_in
from tests.factory_assets.web.auditor.conftest import Audited, Browse
from tests.factory_assets.web.pages.markup import mistakes_of, text_of
from tests.pipelines import write_governance

pytestmark = pytest.mark.slow

ANSWER = "To sort apples <b>\n and pears,\n" + "- one by one\n" * 60 + "- at last"


def test_a_signed_answer_is_shown_until_its_statement_changes(
    changed: Audited, browse: Browse
) -> None:
    write_governance(changed.factory.defs / "apples", statements={"annex-iv.1a": ANSWER})
    code, said = changed.factory.factory("governance", "sign", "apples", "annex-iv.1a", by="jane")
    assert code == 0, said
    with Ledger(changed.home).reading() as log:
        number = log.size - 1
        entry = entry_in(log, number)
    assert isinstance(entry, GovernanceSigned)
    statement = changed.home.path / "statements" / "apples" / f"{entry.statement}.json"
    client = browse(changed.home, "auditor")

    def shown(path: str) -> str:
        page = client.get(path)
        assert page.status_code == 200
        assert mistakes_of(page.text) == []
        return text_of(page.text)

    about = f"/audit/ai-act/apples@{entry.version}"
    assert f"signed (entry {number})" in shown(about)
    assert f"“{ANSWER}”, jane" in html.unescape(client.get(about).text), "the whole of it"
    assert "about version" not in shown(about)
    other = f"/audit/ai-act/apples@{3 - entry.version}"
    assert f", about version {entry.version}" in shown(other)
    text = shown(f"/audit/entries/{number}")
    assert "Signed by jane, 20" in text
    assert "To sort apples <b>" in text
    assert f"statements/apples/{entry.statement}.json" in text
    assert f'href="{about}#annex-iv.1a"' in client.get(f"/audit/entries/{number}").text

    statement.chmod(0o600)
    statement.write_bytes(statement.read_bytes() + b" ")
    assert f"signed (entry {number})" not in shown(about)
    text = shown(f"/audit/entries/{number}")
    assert "Its statement is missing or was changed" in text
    assert "To sort apples" not in text


def test_a_changed_record_is_a_gap_of_the_points_that_rest_on_it(
    changed: Audited, browse: Browse
) -> None:
    path = next((changed.home.records / "apples" / "ingest").glob("*.json"))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes() + b" ")
    page = browse(changed.home, "auditor").get("/audit/ai-act/apples@1")
    assert page.status_code == 200
    assert mistakes_of(page.text) == []
    [told] = set(re.findall(r"gap: the record of entry \d+ is missing or was changed", page.text))
    rows = page.text.split("<tr id=")
    resting = [row for row in rows if told in row]
    assert 0 < len(resting) < len(rows) - 1
    assert "data.csv" not in page.text
    taken = browse(changed.home, "auditor").get("/audit/apples/1/dossier.json")
    assert taken.status_code == 200
    assert told.removeprefix("gap: the record of entry ").startswith(
        str(taken.json()["damaged"][0]["entry"])
    )
