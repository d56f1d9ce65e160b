"""Values in the cells of SQL tables: texts, numbers and blobs, many at once."""

import base64
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence

from factory_resources.erasure.sought import Sought

COMPRESSED = re.compile(rb"\beJ[A-Za-z0-9+/]{14,}={0,2}|\b0(eJ[A-Za-z0-9+/]{14,}={0,2})")
"""Compressed text as Dagster stores the cursors of its sensors and of its automation."""

MOST_UNPACKED = 1 << 24
"""Bytes of a compressed text that are looked at."""


class CellSearch:
    """Counts in which columns of tables there are values.

    Attributes:
        found: how often, by table and column and by the form that was found.
    """

    def __init__(self, sought: Sought) -> None:
        self._sought = sought
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
            if self._sought.numbers:
                self._add_numbers(name, cells)

    def _compare(self, name: str, content: bytes, *, in_text: bool) -> None:
        for match in self._sought.in_cells.find(content, in_text=in_text):
            self.found[name, match.needle.form] += 1

    def _add_numbers(self, name: str, cells: Sequence[object]) -> None:
        numbers = [cell for cell in cells if isinstance(cell, int | float)]
        if count := sum(number in self._sought.numbers for number in numbers):
            self.found[name, "number"] += count


def unpacked_texts(content: bytes) -> Iterator[bytes]:
    """Yield the compressed texts that stand in a text."""
    if b"eJ" not in content:
        return
    for match in COMPRESSED.finditer(content):
        try:
            packed = base64.b64decode(match[1] or match[0], validate=True)
            yield zlib.decompressobj().decompress(packed, MOST_UNPACKED)
        except (ValueError, zlib.error):
            # It only looks like one.
            continue
