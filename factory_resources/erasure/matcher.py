"""Find any of many byte strings in content, in one pass.

All strings are known by their first seven bytes, or fewer if one is shorter. Wherever such a prefix
begins, it covers a block of four bytes at a multiple of `step`, so only these blocks are looked up
in a table, with numpy; then the prefixes around those that are in it; and only strings with such a
prefix are compared. A compiled alternation (`re`) tries every string at every byte.
"""

import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from factory_resources.erasure.values import Needle

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_BLOCK = 4
"""Bytes that are looked up at once."""

_PREFIX = 7
"""Bytes by which a string is known, at most."""

_STEPS = {7: 4, 6: 2, 5: 2, 4: 1}
"""By the bytes of a prefix: how far two blocks may be from each other."""

_SHORT = 256
"""Bytes that are compared one by one before numpy has begun."""

_AT_ONCE = 1 << 16
"""Blocks whose numbers fit in the processor's cache."""

_BITS = 20
_HASH, _LONG_HASH = 2654435761, 11400714819323198485
"""The multipliers of Knuth, The Art of Computer Programming, volume 3, section 6.4: the golden
ratio of 32 and of 64 bits."""

_PADDING = b"\0" * 8

AROUND = 96
"""Bytes before and after a string that decide whether it counts."""

_DIGEST = 32
"""Hexadecimal digits from which on they are a digest or an id."""

_ESCAPED = re.compile(rb"(?:\\[nrtbfv]|%[0-9A-Fa-f]{2}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2})\Z")
_AFTER_NUMBER = re.compile(rb"(?:\.0+)?(?!\d|\.\d|[eE][+-]?\d)")
_AFTER_DAY = re.compile(rb"(?:[ T]00:00(?::00(?:\.0+)?)?)?(?!\d|[ T]\d)")
_HEX_BEFORE = re.compile(rb"[0-9a-fA-F-]*\Z")
_HEX_AFTER = re.compile(rb"[0-9a-fA-F-]*")
_ELLIPSIS = ("…".encode(), b"\\u2026", b"\\\\u2026", b"...", b"&hellip;")


@dataclass(frozen=True)
class Match:
    """Where a form of a value is in some content."""

    start: int
    end: int
    needle: Needle


class Matcher:
    """Finds forms of values.

    Args:
        needles: each of at least four bytes.
    """

    def __init__(self, needles: Collection[Needle]) -> None:
        self.longest = max((len(one.content) for one in needles), default=0)
        short = [one for one in needles if len(one.content) < _PREFIX]
        long = [one for one in needles if len(one.content) >= _PREFIX]
        # Apart, since blocks of short ones lie closer, and there are few of these.
        self._tables = [_PrefixTable(group) for group in (short, long) if group]

    def find(self, content: bytes, *, in_text: bool = True) -> Iterator[Match]:
        """Yield all places that count, in no order.

        Args:
            in_text: whether what stands beside a text is text, so that letters next to it make it
                another word; elsewhere, columns stand side by side without a mark.
        """
        padded = _PADDING + content + _PADDING
        for table in self._tables:
            for start, needle in table.find(padded):
                if start < 0 or not content.startswith(needle.content, start):
                    continue
                end = start + len(needle.content)
                if (found := _judge(content, start, end, needle, in_text)) is not None:
                    yield Match(start, found, needle)

    def find_cells(
        self, cells: bytes, ends: Sequence[int], *, in_text: bool = True
    ) -> Iterator[int]:
        """Yield the number of the cell, from 0, for each place that counts in a cell, in no order.

        Args:
            cells: one after another, with a zero byte behind each, so that none is beside another.
            ends: where each of them ends, before its zero byte.
            in_text: see `find`.
        """
        for match in self.find(cells, in_text=in_text):
            number = bisect_left(ends, match.start)
            if match.end <= ends[number]:
                yield number


class _PrefixTable:
    """Strings that are known by prefixes of the same length, four to seven bytes."""

    def __init__(self, needles: Collection[Needle]) -> None:
        import numpy as np

        self._length = min([_PREFIX, *(len(one.content) for one in needles)])
        self._step = _STEPS[self._length]
        self._needles: defaultdict[int, list[Needle]] = defaultdict(list)
        for needle in needles:
            self._needles[int.from_bytes(needle.content[: self._length], "little")].append(needle)
        prefixes = np.array([*self._needles], dtype=np.uint64)
        self._blocks = np.zeros(1 << _BITS, dtype=bool)
        for offset in range(self._step):
            blocks = (prefixes >> np.uint64(8 * offset)).astype(np.uint32)
            self._blocks[_block_hashes(blocks)] = True
        self._prefixes = np.zeros(1 << _BITS, dtype=bool)
        self._prefixes[_prefix_hashes(prefixes)] = True

    def find(self, padded: bytes) -> Iterator[tuple[int, Needle]]:
        """Yield where the prefix of a string is, without the padding, and the string."""
        if len(padded) <= _SHORT:
            for start in range(len(padded) - 2 * len(_PADDING) - self._length + 1):
                begin = start + len(_PADDING)
                prefix = int.from_bytes(padded[begin : begin + self._length], "little")
                for needle in self._needles.get(prefix, ()):
                    yield start, needle
            return
        import numpy as np

        for shift in range(0, _BLOCK, self._step):
            blocks = np.frombuffer(padded, "<u4", (len(padded) - shift) // _BLOCK, shift)
            for first in range(1, len(blocks) - 1, _AT_ONCE):
                part = blocks[first : min(first + _AT_ONCE, len(blocks) - 1)]
                places = np.flatnonzero(self._blocks[_block_hashes(part)])
                if not len(places):
                    continue
                begin = shift - len(_PADDING)
                for place, offset, prefix in self._known(blocks, places + first):
                    for needle in self._needles.get(prefix, ()):
                        yield begin + place * _BLOCK - offset, needle

    def _known(
        self, blocks: "NDArray[np.uint32]", places: "NDArray[np.intp]"
    ) -> Iterator[tuple[int, int, int]]:
        """Yield the places of blocks, how many bytes before it a known prefix begins, and that."""
        import numpy as np

        before, here, after = (blocks[places + one].astype(np.uint64) for one in (-1, 0, 1))
        for offset in range(self._step):
            bits = 8 * offset
            rest = np.uint64((1 << 8 * (self._length - _BLOCK - offset)) - 1)
            prefixes = before >> np.uint64(32 - bits) | here << np.uint64(bits)
            prefixes |= (after & rest) << np.uint64(32 + bits)
            known = np.flatnonzero(self._prefixes[_prefix_hashes(prefixes)])
            for place, prefix in zip(places[known].tolist(), prefixes[known].tolist(), strict=True):
                yield place, offset, prefix


def _block_hashes(blocks: "NDArray[np.uint32]") -> "NDArray[np.uint32]":
    import numpy as np

    hashed = blocks * np.uint32(_HASH)
    hashed >>= np.uint32(32 - _BITS)
    return hashed


def _prefix_hashes(prefixes: "NDArray[np.uint64]") -> "NDArray[np.uint64]":
    import numpy as np

    hashed = prefixes * np.uint64(_LONG_HASH)
    hashed >>= np.uint64(64 - _BITS)
    return hashed


def _judge(content: bytes, start: int, end: int, needle: Needle, in_text: bool) -> int | None:
    """Return where the place ends; None if its neighbours show that it is something else."""
    before, after = content[max(0, start - AROUND) : start], content[end : end + AROUND]
    if needle.form in ("number", "rounded"):
        is_whole = _ends_no_number(before) and _AFTER_NUMBER.match(after)
        return end if is_whole and not _in_digest(before, needle.content, after) else None
    if needle.form == "day":
        return end if _ends_no_number(before) and _AFTER_DAY.match(after) else None
    if needle.form in ("text", "shortened") and in_text and not _begins(before, needle.content):
        return None
    if needle.form == "shortened":
        return _end_of_shortened(content, end, needle.rest)
    if needle.form == "text" and in_text:
        return end if not (_is_word(needle.content[-1:]) and _is_word(after[:1])) else None
    return end


def _begins(before: bytes, content: bytes) -> bool:
    """Whether a word begins behind `before`."""
    if not (_is_word(content[:1]) and _is_word(before[-1:])):
        return True
    return bool(_ESCAPED.search(before[-6:]))


def _is_word(byte: bytes) -> bool:
    return byte.isalnum()


def _ends_no_number(before: bytes) -> bool:
    if _ESCAPED.search(before[-6:]):
        return True
    return not before[-1:].isdigit() and not (before[-1:] == b"." and before[-2:-1].isdigit())


def _in_digest(before: bytes, content: bytes, after: bytes) -> bool:
    """Whether a number is some of the digits of a digest or of an id."""
    if not _HEX_AFTER.fullmatch(content):
        return False
    left, right = _HEX_BEFORE.search(before), _HEX_AFTER.match(after)
    around = len(left[0]) if left else 0, len(right[0]) if right else 0
    return len(content) + sum(around) >= _DIGEST


def _end_of_shortened(content: bytes, end: int, rest: bytes) -> int | None:
    """Return where a text ends that was cut off somewhere in its rest."""
    more = 0
    while more < len(rest) and content[end + more : end + more + 1] == rest[more : more + 1]:
        more += 1
    # Some bytes of a character may be the same as those of the ellipsis.
    for back in range(min(more, 3) + 1):
        if content.startswith(_ELLIPSIS, end + more - back):
            return end + more - back
    return None
