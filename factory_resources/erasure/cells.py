"""Values in the cells of SQL tables: texts, numbers and blobs, many at once."""

import base64
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from factory_resources.erasure.search_terms import SearchTerms

MOST_UNPACKED = 1 << 24
"""Bytes of a compressed text that are looked at."""


@dataclass(frozen=True)
class PackedForm:
    """A way in which cursors are compressed and written as text."""

    begins: bytes
    """What every encoded text begins with."""
    pattern: re.Pattern[bytes]
    """Matches what looks like one; its group is the encoded text."""
    decode: Callable[[bytes], bytes]
    encode: Callable[[bytes], bytes]
    level: int
    """The level of compression, on which the first characters of the text depend."""


PACKED_FORMS = (
    # The cursors of Dagster's sensors and of its automation.
    PackedForm(
        b"eJ",
        re.compile(rb"\b0?(eJ[A-Za-z0-9+/]{14,}={0,2})"),
        lambda text: base64.b64decode(text, validate=True),
        base64.b64encode,
        level=6,
    ),
    # The cursor of the sensor of arriving files, which has the keys of partitions.
    PackedForm(
        b"c-",
        re.compile(rb"\b(c-[j-s][0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]{12,})"),
        base64.b85decode,
        base64.b85encode,
        level=9,
    ),
)


class CellSearch:
    """Counts in which columns of tables there are values.

    Attributes:
        found: how often, by table and column and by the form that was found.
    """

    def __init__(self, terms: SearchTerms) -> None:
        self._terms = terms
        self.found: Counter[tuple[str, str]] = Counter()

    def add(self, names: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Compare the cells of some rows.

        Args:
            names: those of the columns, with that of the table.
        """
        for name, cells in zip(names, zip(*rows, strict=True), strict=True):
            texts = [cell for cell in cells if isinstance(cell, str)]
            if texts:
                content = "\n\n".join(texts).encode("utf-8", "surrogatepass")
                for one in (content, *unpacked_texts(content)):
                    self._compare(name, one, in_text=True)
            blobs = [bytes(cell) for cell in cells if isinstance(cell, bytes | memoryview)]
            if blobs:
                self._compare(name, b"\0\0".join(blobs), in_text=False)
            if self._terms.numbers:
                self._add_numbers(name, cells)

    def _compare(self, name: str, content: bytes, *, in_text: bool) -> None:
        for match in self._terms.in_cells.find(content, in_text=in_text):
            self.found[name, match.needle.form] += 1

    def _add_numbers(self, name: str, cells: Sequence[object]) -> None:
        numbers = [cell for cell in cells if isinstance(cell, int | float)]
        if count := sum(number in self._terms.numbers for number in numbers):
            self.found[name, "number"] += count


def unpacked_texts(content: bytes) -> Iterator[bytes]:
    """Yield the compressed texts that stand in a text."""
    for form in PACKED_FORMS:
        # Most cells have none, and a pattern takes longer to find that out.
        for match in form.pattern.finditer(content) if form.begins in content else ():
            try:
                yield zlib.decompressobj().decompress(form.decode(match[1]), MOST_UNPACKED)
            except (ValueError, zlib.error):
                # It only looks like one.
                continue
