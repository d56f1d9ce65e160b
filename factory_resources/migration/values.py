"""Values on their way between SQLite and PostgreSQL, and the one form in which rows are compared.

A row comes from either engine as None, int, float, str and bytes. A boolean is 0 or 1, and a moment
is text with microseconds, `2026-01-31 02:00:00.000000`, as SQLAlchemy stores it in SQLite.

Rows are written column by column, some thousand at a time, for which there are loops in C.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from typing import Any, Literal

Kind = Literal["integer", "number", "text", "bytes", "boolean", "moment"]

Row = Sequence[Any]

_Values = Sequence[Any]
_Texts = Iterable[str]

_NULL = r"\N"

_ESCAPES = {
    "\\": r"\\",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
}
"""What PostgreSQL writes for a character; the backslash comes first, since the others have one."""

_SECONDS, _MICROSECONDS = 19, 26
"""Characters of a moment without and with its microseconds."""


class ValueTypeError(ValueError):
    """A value that the other engine cannot store; its text says why."""


def line_encoder(kinds: Sequence[Kind]) -> Callable[[Sequence[Row]], list[bytes]]:
    """Return what turns rows into lines of PostgreSQL's COPY, as it writes them in its text format.

    Only numbers are written as Python does; see `number_decoder`.

    Raises:
        ValueTypeError: from the returned function, if a value has not the type of its column, or
            a text contains the character NUL.
    """
    converters = [_CONVERTERS[kind] for kind in kinds]

    def encode(rows: Sequence[Row]) -> list[bytes]:
        columns = zip(*rows, strict=True)
        texts = [convert(column) for convert, column in zip(converters, columns, strict=False)]
        return [("\t".join(fields) + "\n").encode() for fields in zip(*texts, strict=True)]

    return encode


def number_decoder(kinds: Sequence[Kind]) -> Callable[[bytes], bytes]:
    """Return what makes a line as PostgreSQL writes it one of `line_encoder`.

    A number can be written in several ways: 1e+15 is 1000000000000000.0 in Python.
    """
    places = [place for place, kind in enumerate(kinds) if kind == "number"]

    def decode(line: bytes) -> bytes:
        fields = line[:-1].split(b"\t")
        for place in places:
            if fields[place] != _NULL.encode():
                fields[place] = _number(float(fields[place])).encode()
        return b"\t".join(fields) + b"\n"

    return decode if places else bytes


class RowDigest:
    """The number of rows, and a digest of them that their order does not change.

    The digest is the sum of the rows' BLAKE2b digests, modulo 2^128.
    """

    def __init__(self) -> None:
        self.count, self._sum = 0, 0

    def add(self, line: bytes) -> None:
        """Count a row, given as a line of `line_encoder`."""
        self.count += 1
        self._sum += int.from_bytes(blake2b(line, digest_size=16).digest(), "big")

    @property
    def hexdigest(self) -> str:
        return f"{self._sum % (1 << 128):032x}"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, RowDigest)
            and self.count == other.count
            and self.hexdigest == other.hexdigest
        )

    __hash__ = None  # type: ignore[assignment] # it changes


def _column(convert: Callable[[_Values], _Texts], *types: type) -> Callable[[_Values], _Texts]:
    """Return `convert` for a column that may have NULLs, and whose values have one of the types."""

    def converted(values: _Values) -> _Texts:
        found = set(map(type, values))
        if wrong := found.difference(types, (type(None),)):
            raise ValueTypeError(
                f"a value is of the type {wrong.pop().__name__}, not {types[0].__name__}"
            )
        if type(None) not in found:
            return convert(values)
        present = [value for value in values if value is not None]
        texts = iter(convert(present) if present else ())
        return [_NULL if value is None else next(texts) for value in values]

    return converted


def _number(value: float) -> str:
    # SQLite has no negative zero.
    return repr(float(value) + 0.0)


def _escaped(values: _Values) -> _Texts:
    joined = "\0".join(values)
    if joined.count("\0") >= len(values):
        raise ValueTypeError("a text contains the character NUL, which PostgreSQL cannot store")
    for character, escape in _ESCAPES.items():
        joined = joined.replace(character, escape)
    return joined.split("\0")


def _truths(values: _Values) -> _Texts:
    if wrong := set(values) - {0, 1}:
        raise ValueTypeError(f"{wrong.pop()!r} is not a truth value")
    return map(str, map(int, values))


def _moments(values: _Values) -> _Texts:
    return map(moment, values)


def moment(text: str) -> str:
    """Return a time with its microseconds, which SQLite's own default lacks.

    Raises:
        ValueTypeError: it is not a time.
    """
    if len(text) == _MICROSECONDS:
        return text
    if len(text) == _SECONDS:
        return text + ".000000"
    raise ValueTypeError(f"{text!r} is not a time")


_CONVERTERS: dict[Kind, Callable[[_Values], _Texts]] = {
    "integer": _column(lambda values: map(str, values), int),
    "number": _column(lambda values: map(_number, values), float, int),
    "text": _column(_escaped, str),
    "bytes": _column(lambda values: [r"\\x" + value.hex() for value in values], bytes, memoryview),
    "boolean": _column(_truths, int, bool),
    "moment": _column(_moments, str),
}
