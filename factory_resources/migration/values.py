"""Values on their way between SQLite and PostgreSQL, and the one form in which rows are compared.

A row is a tuple of None, int, float, str and bytes. A boolean is 0 or 1, and a moment is text with
microseconds, `2026-01-31 02:00:00.000000`, as SQLAlchemy stores it in SQLite.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Literal

Kind = Literal["integer", "number", "text", "bytes", "boolean", "moment"]

Row = Sequence[Any]

_SECONDS, _MICROSECONDS = 19, 26
"""Characters of a moment without and with its microseconds."""


class ValueTypeError(ValueError):
    """A value that the other engine cannot store; its text says why."""


def line_of(row: Row) -> bytes:
    """Return a row as a line of PostgreSQL's COPY, in its text format.

    Raises:
        ValueTypeError: a text contains the character NUL.
    """
    return ("\t".join([_field(value) for value in row]) + "\n").encode()


def _field(value: Any) -> str:
    if value is None:
        return r"\N"
    if isinstance(value, str):
        if "\0" in value:
            raise ValueTypeError("a text contains the character NUL, which PostgreSQL cannot store")
        escaped = value.replace("\\", "\\\\").replace("\n", "\\n")
        return escaped.replace("\r", "\\r").replace("\t", "\\t")
    if isinstance(value, bytes):
        return "\\\\x" + value.hex()
    return repr(value)


class RowDigest:
    """The number of rows, and a digest of them that their order does not change.

    The digest is the sum of the rows' BLAKE2b digests, modulo 2^128.
    """

    def __init__(self) -> None:
        self.count, self._sum = 0, 0

    def add(self, line: bytes) -> None:
        """Count a row, given as `line_of` writes it."""
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


def from_sqlite(kinds: Sequence[Kind]) -> Callable[[Row], Row]:
    """Return what turns a row as SQLite stores it into a plain one.

    Raises:
        ValueTypeError: from the returned function, if SQLite stores a value of another type.
    """
    converters = [_CONVERTERS[kind] for kind in kinds]

    def convert(row: Row) -> Row:
        return [
            None if value is None else converter(value)
            for converter, value in zip(converters, row, strict=True)
        ]

    return convert


def _checked(kind: type) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        if isinstance(value, kind):
            return value
        raise ValueTypeError(f"a value is of the type {type(value).__name__}, not {kind.__name__}")

    return check


def _number(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    raise ValueTypeError(f"a value is of the type {type(value).__name__}, not float")


def _boolean(value: Any) -> int:
    if value in (0, 1):
        return int(value)
    raise ValueTypeError(f"{value!r} is not a truth value")


def _moment(value: Any) -> str:
    text = str(value)
    if len(text) == _MICROSECONDS:
        return text
    if len(text) == _SECONDS:
        return text + ".000000"
    raise ValueTypeError(f"{value!r} is not a time")


_CONVERTERS: dict[Kind, Callable[[Any], Any]] = {
    "integer": _checked(int),
    "number": _number,
    "text": _checked(str),
    "bytes": _checked(bytes),
    "boolean": _boolean,
    "moment": _moment,
}
