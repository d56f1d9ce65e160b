"""Texts without given values. What is JSON stays JSON, also within a text that is in JSON.

Where the texts are, and how they are stored, belongs in `scrubbing`.
"""

import json
import re
import zlib
from collections.abc import Iterable
from functools import partial
from typing import Any

from factory_resources.erasure.cells import (
    MOST_UNPACKED,
    PACKED_FORMS,
    PackedForm,
    unpacked_texts,
)
from factory_resources.erasure.matcher import Match
from factory_resources.erasure.search_terms import SearchTerms

ERASED = "(erased)"
"""What stands in place of a text."""

_BINARY = frozenset({"binary", "packed"})

_KEPT = frozenset({"storage_id"})
"""Numbers that Dagster looks up again."""


class Redaction:
    """Replaces values in texts.

    Attributes:
        count: how many were replaced so far.
    """

    def __init__(self, terms: SearchTerms) -> None:
        self._terms = terms
        self.count = 0

    def has_values(self, texts: Iterable[str]) -> bool:
        """Whether one of many texts has to be changed, which is faster to tell of all at once."""
        content = "\n\n".join(texts).encode("utf-8", "surrogatepass")
        return any(self._matches(one) for one in (content, *unpacked_texts(content)))

    def text(self, text: str) -> str:
        """Return a text without the values: with `(erased)`, and with null for numbers in JSON."""
        before = self.count
        if text.lstrip()[:1] in ("{", "[", '"') and not self._is_value(text):
            try:
                changed = self._value(json.loads(text))
            except (ValueError, RecursionError):
                # It only begins like JSON.
                self.count = before
            else:
                return json.dumps(changed) if self.count > before else text
        return self._plain(text)

    def _is_value(self, text: str) -> bool:
        """Whether the whole text is one of the values, which may be JSON itself."""
        content = text.strip().encode("utf-8", "surrogatepass")
        return any(one.end - one.start == len(content) for one in self._matches(content))

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self._value(one) for one in value]
        if isinstance(value, dict):
            changed: dict[str, Any] = {}
            for key, one in value.items():
                changed[_free_key(self._plain(key), changed)] = (
                    one if key in _KEPT else self._value(one)
                )
            return changed
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._number(value)
        return value

    def _number(self, value: int | float) -> int | float | None:
        if not self._matches(repr(value).encode()):
            return value
        self.count += 1
        return None

    def _plain(self, text: str) -> str:
        content = text.encode("utf-8", "surrogatepass")
        for form in PACKED_FORMS:
            if form.begins in content:
                content = form.pattern.sub(partial(self._repacked, form), content)
        parts, end = [], 0
        for match in self._matches(content):
            if match.start < end:
                continue
            parts += [content[end : match.start], ERASED.encode()]
            end = match.end
            self.count += 1
        return b"".join([*parts, content[end:]]).decode("utf-8", "surrogatepass")

    def _repacked(self, form: PackedForm, found: re.Match[bytes]) -> bytes:
        """Return a compressed text without the values, or as it was if it has none."""
        try:
            unpacking = zlib.decompressobj()
            content = unpacking.decompress(form.decode(found[1]), MOST_UNPACKED)
            text = content.decode()
        except (ValueError, zlib.error):
            return found[0]
        changed = self.text(text) if unpacking.eof else text
        if changed == text:
            return found[0]
        mark = found[0].removesuffix(found[1])
        return mark + form.encode(zlib.compress(changed.encode(), form.level))

    def _matches(self, content: bytes) -> list[Match]:
        """Return what is to be replaced, from the left; of two at a place, the longer one first."""
        found = [
            one for one in self._terms.in_cells.find(content) if one.needle.form not in _BINARY
        ]
        return sorted(found, key=lambda one: (one.start, -one.end))


def _free_key(key: str, taken: dict[str, Any]) -> str:
    """Return a key that is not taken."""
    number, free = 1, key
    while free in taken:
        number += 1
        free = f"{key} {number}"
    return free
