"""Some lines of a text file, found by their numbers without decoding what is before them."""

from __future__ import annotations

from io import TextIOWrapper
from itertools import islice
from typing import IO

_BLOCK = 1 << 20

_MOST_BYTES = 1 << 19
"""Of the lines that are returned together."""

_LONGEST = 1_000
"""Characters of a line that are shown."""


def text_lines(file: IO[bytes], first: int, last: int, encoding: str) -> list[str]:
    """Return the lines of a file from one to another, both included, as far as it has them.

    Args:
        file: at its beginning; nothing after the lines is read.
        first: from 1.
    """
    if encoding.lower().replace("_", "-").startswith("utf-16"):
        text = TextIOWrapper(file, encoding, errors="replace", newline="\n")
        return [_shown(line) for line in islice(text, first - 1, last)]
    block = file.read(_BLOCK)
    # A file has one kind of line end; the other kind may occur inside quotes.
    end = b"\r" if b"\r" in block and b"\n" not in block else b"\n"
    number = 1
    while block and number + (found := block.count(end)) < first:
        number += found
        block = file.read(_BLOCK)
    place = 0
    while number < first and (found := block.find(end, place)) >= 0:
        number, place = number + 1, found + 1
    content = block[place:]
    while len(content) < _MOST_BYTES and (block := file.read(_BLOCK)):
        content += block
    pieces = content[:_MOST_BYTES].split(end)
    if pieces[-1] == b"":
        pieces.pop()
    lines = pieces[: last - first + 1] if number == first else []
    return [_shown(line.decode(_single(encoding), "replace")) for line in lines]


def _single(encoding: str) -> str:
    return "utf-8-sig" if encoding.lower() == "utf-8" else encoding


def _shown(line: str) -> str:
    line = line.rstrip("\r\n")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
