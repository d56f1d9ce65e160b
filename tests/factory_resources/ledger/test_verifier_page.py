"""Whoever writes a verifier by `docs/verifier.md` finds every kind of entry there, as it is."""

import re
from typing import get_args

import pytest

from factory_resources.home.home import PROJECT
from factory_resources.ledger.entries import Kind
from factory_resources.ledger.entry import Entry

_ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", re.MULTILINE)
_OF_ALL = {"kind", "time", "subject"}


@pytest.fixture(scope="module")
def rows() -> dict[str, tuple[str, set[str]]]:
    """Kind to subject and fields, as the page has them."""
    page = (PROJECT / "docs" / "verifier.md").read_text("utf-8")
    return {
        kind: (subject.strip("`"), set(re.findall(r"`(\w+)`", fields)))
        for kind, subject, fields in _ROW.findall(page)
    }


@pytest.mark.parametrize("entry", get_args(Kind), ids=lambda one: one.__name__)
def test_the_page_has_the_subject_and_the_fields_of_every_entry(
    entry: type[Entry], rows: dict[str, tuple[str, set[str]]]
) -> None:
    subject, fields = rows[entry.model_fields["kind"].default]
    known = {"{record}": "path of its record", "keys/{role}": "keys/witness", "": "none"}
    template = getattr(entry, "SUBJECT", "")
    assert subject == known.get(template, template)
    assert entry.model_fields.keys() - _OF_ALL <= fields
