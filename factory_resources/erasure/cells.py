"""Values in the cells of SQL tables: texts, numbers and blobs, many at once."""

import base64
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator

from factory_resources.erasure.sought import Sought

_AT_ONCE = 1 << 20
"""Bytes of a column that are compared at once."""

COMPRESSED = re.compile(rb"\beJ[A-Za-z0-9+/]{14,}={0,2}|\b0(eJ[A-Za-z0-9+/]{14,}={0,2})")
"""Compressed text as Dagster stores the cursors of its sensors and of its automation."""

MOST_UNPACKED = 1 << 24
"""Bytes of a compressed text that are looked at."""


class CellSearch:
    """Counts in which columns of a table there are values.

    Attributes:
        found: how often, by table and column and by the form that was found.
    """

    def __init__(self, sought: Sought) -> None:
        self._sought = sought
        self._waiting: defaultdict[tuple[str, bool], list[bytes]] = defaultdict(list)
        self._bytes: Counter[tuple[str, bool]] = Counter()
        self.found: Counter[tuple[str, str]] = Counter()

    def add(self, column: str, cell: object) -> None:
        """Compare a cell, perhaps later."""
        if isinstance(cell, str):
            content = cell.encode("utf-8", "surrogatepass")
            self._wait((column, True), content)
            for packed in unpacked_texts(content):
                self._wait((column, True), packed)
        elif isinstance(cell, bytes | memoryview):
            self._wait((column, False), bytes(cell))
        elif isinstance(cell, int | float) and cell in self._sought.numbers:
            self.found[column, "number"] += 1

    def finish(self) -> None:
        """Compare what waits."""
        for place in [*self._waiting]:
            self._compare(place)

    def _wait(self, place: tuple[str, bool], content: bytes) -> None:
        self._waiting[place].append(content)
        self._bytes[place] += len(content)
        if self._bytes[place] >= _AT_ONCE:
            self._compare(place)

    def _compare(self, place: tuple[str, bool]) -> None:
        column, in_text = place
        content = (b"\n\n" if in_text else b"\0\0").join(self._waiting.pop(place, ()))
        self._bytes[place] = 0
        for match in self._sought.in_cells.find(content, in_text=in_text):
            self.found[column, match.needle.form] += 1


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
