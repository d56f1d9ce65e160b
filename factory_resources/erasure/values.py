"""The forms in which files and databases may have a value.

A form is a few bytes, with a kind that says how its neighbours are judged. Which bytes of a file
are looked at belongs in `search`, how they are compared in `matcher`.
"""

import base64
import html
import json
import struct
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Literal
from urllib.parse import quote, quote_plus

Value = str | int | float | date | datetime

Form = Literal[
    "text", "shortened", "utf-16", "base64", "number", "rounded", "day", "binary", "packed"
]
"""How a value is written.

`shortened` is the beginning of a text before an ellipsis, `rounded` a number of six digits or of 32
bits, `day` a date that is not part of a moment, `binary` eight bytes, `packed` the five of an
integer in MessagePack.
"""

TEXT = 6
"""Characters that a text needs to be searchable."""

DIGITS = 6
"""Digits that a number needs: those of an integer, the significant ones of a float."""

_DIFFERENT = 3
"""Different characters or digits that a text or an integer needs."""

_STEM = 32
"""Characters of a text after which a page may have cut it off."""

_LARGEST = 2**63

_LARGEST_SINGLE = 3e38

_SINGLE = 9
"""Digits by which a float of 32 bits is told from any other."""

_SMALLEST_BINARY = 2**24
"""Below it, most of the eight bytes of an integer are zeros, as everywhere in a file."""


@dataclass(frozen=True)
class Needle:
    """A form of a value."""

    content: bytes
    form: Form
    rest: bytes = b""
    """Of a shortened text: what may follow before the ellipsis."""


def is_searchable(value: Value) -> bool:
    """Whether finding the value says anything: what is too short occurs everywhere.

    A text needs six characters, three of them different; an integer six digits, three of them
    different; a float six significant digits. Dates and moments are searchable, truth values are
    not.
    """
    if isinstance(value, bool):
        return False
    if isinstance(value, str):
        plain = value.strip()
        return len(plain) >= TEXT and len(set(plain)) >= _DIFFERENT
    if isinstance(value, int):
        digits = str(abs(value))
        return len(digits) >= DIGITS and len(set(digits)) >= _DIFFERENT
    if isinstance(value, float):
        return value - value == 0 and _significant_digits(value) >= DIGITS
    return True


def needles(values: Collection[Value]) -> list[Needle]:
    """Return the forms of searchable values, each once; of the same bytes the first form counts."""
    found: dict[bytes, Needle] = {}
    for value in values:
        for needle in forms(value):
            found.setdefault(needle.content, needle)
    return [*found.values()]


def forms(value: Value) -> Iterator[Needle]:
    """Yield the forms of one searchable value."""
    if isinstance(value, str):
        yield from _text_forms(value)
    elif isinstance(value, float):
        yield from _float_forms(value)
    elif isinstance(value, int):
        yield from _integer_forms(value)
    elif isinstance(value, datetime):
        yield from _moment_forms(value)
    else:
        yield Needle(value.isoformat().encode(), "day")


def _text_forms(text: str) -> Iterator[Needle]:
    for written in {*_escaped_forms(text)}:
        yield Needle(written.encode(), "text")
    if len(text) > _STEM:
        # Each way of writing a text goes character by character, so that the beginning is one too.
        for whole, stem in zip(_escaped_forms(text), _escaped_forms(text[:_STEM]), strict=True):
            yield Needle(stem.encode(), "shortened", whole.encode()[len(stem.encode()) :])
    yield Needle(text.encode("utf-16-le"), "utf-16")
    content = text.encode()
    for skipped in range(3):
        # Of the first and the last group, some bits belong to the neighbours.
        encoded = base64.b64encode(b"\0" * skipped + content)
        inner = encoded[4 if skipped else 0 : (len(content) + skipped) // 3 * 4]
        if len(inner) >= 2 * TEXT:
            yield Needle(inner, "base64")


def _escaped_forms(text: str) -> list[str]:
    """Return the text as plain text, CSV, SQL, Python, HTML, Markdown, an address and JSON."""
    written = [
        text,
        text.replace('"', '""'),
        text.replace("'", "''"),
        # Which quotes Python escapes depends on which the text has.
        "".join(repr(character)[1:-1] for character in text),
        "".join("\\'" if character == "'" else repr(character)[1:-1] for character in text),
        html.escape(text, quote=True),
        html.escape(text, quote=False),
        _in_markdown(text),
        quote(text),
        quote(text, safe=""),
        quote_plus(text),
    ]
    once = [json.dumps(one, ensure_ascii=plain)[1:-1] for one in written for plain in (True, False)]
    twice = [json.dumps(one, ensure_ascii=plain)[1:-1] for one in once for plain in (True, False)]
    return [*written, *once, *twice]


_MARKDOWN = (("\\", "\\\\"), ("|", "\\|"), ("[", "\\["), ("&", "&amp;"), ("<", "&lt;"), ("`", "'"))


def _in_markdown(text: str) -> str:
    """Return the text as the cell of a table in a preview."""
    for character, harmless in _MARKDOWN:
        text = text.replace(character, harmless)
    return "".join(character if character.isprintable() else " " for character in text)


def _integer_forms(value: int) -> Iterator[Needle]:
    yield Needle(str(value).encode(), "number")
    yield Needle(f"{value:,}".encode(), "number")
    if _SMALLEST_BINARY <= abs(value) < _LARGEST:
        yield Needle(struct.pack("<q", value), "binary")
        yield from _doubles(float(value))
        yield _packed(value)


def _packed(value: int) -> Needle:
    """Return an integer in MessagePack."""
    if 0 <= value < 2**32:
        return Needle(b"\xce" + struct.pack(">I", value), "packed")
    if -(2**31) <= value < 0:
        return Needle(b"\xd2" + struct.pack(">i", value), "packed")
    return Needle(struct.pack(">q", value), "binary")


def _float_forms(value: float) -> Iterator[Needle]:
    for written in (repr(value), quote(repr(value))):
        yield Needle(written.encode(), "number")
    if value.is_integer():
        yield Needle(str(int(value)).encode(), "number")
    rounded = f"{value:.6g}"
    if sum(character.isdigit() for character in rounded) >= DIGITS - 1:
        yield Needle(rounded.encode(), "rounded")
    # What a model of 32 bits has read, and writes as a float again.
    single = _single(value)
    if single != value and _significant_digits(single) >= _SINGLE:
        yield Needle(repr(single).encode(), "rounded")
    yield from _doubles(value)


def _single(value: float) -> float:
    """Return the nearest float of 32 bits."""
    if abs(value) > _LARGEST_SINGLE:
        return value
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def _doubles(value: float) -> Iterator[Needle]:
    """Yield the bytes of a float of 64 bits, in both orders, unless most of them are zeros."""
    content = struct.pack("<d", value)
    if content.count(0) <= 3:
        yield Needle(content, "binary")
        yield Needle(content[::-1], "binary")


def _significant_digits(value: float) -> int:
    mantissa = repr(value).lower().partition("e")[0].lstrip("-").replace(".", "")
    return len(mantissa.strip("0"))


def _moment_forms(value: datetime) -> Iterator[Needle]:
    for divider in (" ", "T"):
        plain = value.replace(tzinfo=None).isoformat(divider)
        # Some leave out the zeros at the end of a fraction.
        short = plain.rstrip("0") if value.microsecond else plain
        for written in {plain, short, quote(plain), quote(short)}:
            yield Needle(written.encode(), "number")
    if value.time() == time.min:
        yield Needle(value.date().isoformat().encode(), "day")
    moment = value if value.tzinfo else value.replace(tzinfo=UTC)
    micros = microseconds(moment)
    if abs(micros) >= 10**DIGITS:
        yield Needle(str(micros).encode(), "number")
    if abs(micros) >= _SMALLEST_BINARY:
        yield Needle(struct.pack("<q", micros), "binary")


def microseconds(moment: datetime) -> int:
    """Return the microseconds from 1970 to a moment that has a time zone."""
    passed = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds
