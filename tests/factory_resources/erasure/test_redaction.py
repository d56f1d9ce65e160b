"""Texts without values: what is packed or nested too deeply is left whole."""

import zlib
from base64 import b64decode, b64encode

import pytest

from factory_resources.erasure import redaction
from factory_resources.erasure.redaction import Redaction
from factory_resources.erasure.search_terms import search_terms

NAME = "Zaphod7Qbeeble"


def test_nothing_is_lost_of_a_compressed_text_that_is_too_long_to_be_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = b64encode(zlib.compress(f"{NAME} {'x' * 1000}".encode())).decode()
    found = Redaction(search_terms([NAME])).text(packed)
    assert zlib.decompress(b64decode(found)).decode() == f"(erased) {'x' * 1000}"
    monkeypatch.setattr(redaction, "MOST_UNPACKED", 100)
    assert Redaction(search_terms([NAME])).text(packed) == packed


def test_a_value_in_json_that_is_nested_too_deeply_is_counted_once() -> None:
    deep = "[" * 800 + "]" * 800
    own = Redaction(search_terms([NAME]))
    assert own.text(f'["{NAME}", {deep}]') == f'["(erased)", {deep}]'
    assert own.count == 1


def test_no_entry_is_lost_whose_key_is_that_of_another_afterwards() -> None:
    own = Redaction(search_terms([NAME, "Marvin8Paranoid"]))
    text = f'{{"{NAME}": 1, "Marvin8Paranoid": 2, "(erased)": 3}}'
    assert own.text(text) == '{"(erased)": 1, "(erased) 2": 2, "(erased) 3": 3}'
